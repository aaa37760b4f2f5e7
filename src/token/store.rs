//! Where refresh tokens, and what must survive a restart, are kept.

use std::path::PathBuf;

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// Files in this folder.
    File(PathBuf),
    /// Gone with the process.
    Memory,
}
