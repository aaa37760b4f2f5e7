//! `[limits]` to [`Limits`].

use crate::{config::section::Section, server::limits::Limits};

pub(super) fn build(section: &Section<'_>) -> Limits {
    let default = Limits::default();
    Limits {
        connections: section
            .integer("connections")
            .unwrap_or(default.connections),
        requests: section.integer("requests").unwrap_or(default.requests),
        head_timeout: section
            .duration("head_timeout")
            .unwrap_or(default.head_timeout),
        head_bytes: section.size("head_bytes").unwrap_or(default.head_bytes),
        head_fields: section
            .integer("head_fields")
            .unwrap_or(default.head_fields),
        path_bytes: section.size("path_bytes").unwrap_or(default.path_bytes),
        keep_alive: section.duration("keep_alive").unwrap_or(default.keep_alive),
    }
}
