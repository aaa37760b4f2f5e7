//! `[routes.NAME.timeouts]` to [`Timeouts`].

use crate::{config::section::Section, proxy::route::Timeouts};

pub(super) fn build(section: &Section<'_>) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        connect: section.duration("connect").unwrap_or(default.connect),
        response: section.duration("response").unwrap_or(default.response),
        idle: section.duration("idle").unwrap_or(default.idle),
    }
}
