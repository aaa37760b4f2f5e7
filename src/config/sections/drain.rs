//! `[drain]` to [`Drain`].

use crate::{config::section::Section, server::limits::Drain};

pub(super) fn build(section: &Section<'_>) -> Drain {
    let default = Drain::default();
    Drain {
        timeout: section.duration("timeout").unwrap_or(default.timeout),
        lame_duck: section.duration("lame_duck").unwrap_or(default.lame_duck),
    }
}
