//! `[runtime]`.

use std::thread;

use crate::config::section::Section;

/// Returns the number of serving threads. `auto` is the number of processors that the process may
/// use.
pub(super) fn workers(section: &Section<'_>) -> usize {
    section
        .integer("workers")
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}
