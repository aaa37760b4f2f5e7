//! Where refresh tokens, and what must survive a restart, are kept: one record a provider, one lock a record.
//!
//! A store is asked from threads that may block. What is kept is [`Record`]; who decides about it is `login`.

mod error;
mod file;
mod memory;
mod record;
mod seal;

use std::{fmt, path::PathBuf, sync::Arc};

pub use self::{
    error::{Flaw, StoreError},
    record::{Access, Record},
};
use crate::secret::Secret;

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// Files in this folder.
    File(PathBuf),
    /// Files in this folder, sealed.
    SealedFile {
        /// The folder.
        path: PathBuf,
        /// What the key is made from: at least [`SHORTEST_KEY`] characters that nobody can guess.
        key: Secret,
    },
    /// Gone with the process.
    Memory,
}

/// The least number of characters of an encryption key.
pub const SHORTEST_KEY: usize = 32;

/// Opens the store at `location`; a folder that is missing is made. Blocks.
///
/// # Errors
/// The folder cannot be made or read, or is one that others could read or change.
pub fn open(location: &StoreLocation) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match location {
        StoreLocation::File(folder) => Arc::new(file::FileStore::open(folder, None)?),
        StoreLocation::SealedFile { path, key } => {
            Arc::new(file::FileStore::open(path, Some(key))?)
        }
        StoreLocation::Memory => Arc::new(memory::MemoryStore::default()),
    })
}

/// Keeps one record a provider. All methods may block, none for longer than its disk does.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The record of `provider`, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or not be trusted. That is never the same as none.
    fn load(&self, provider: &str) -> Result<Option<Record>, StoreError>;

    /// The right to change the record of `provider`, which no other process and nobody else in this one then has;
    /// `None` while somebody has it.
    ///
    /// # Errors
    /// There can be no lock.
    fn try_lock(&self, provider: &str) -> Result<Option<Box<dyn Lock>>, StoreError>;
}

/// The right to change one record, until it is dropped.
pub trait Lock: fmt::Debug + Send {
    /// Proves that a record can be written, and reserves the room for it.
    ///
    /// # Errors
    /// It cannot.
    fn prepare(&mut self) -> Result<(), StoreError>;

    /// Replaces the record; when this returns, it outlives the machine's power.
    ///
    /// # Errors
    /// Whether the record in force is the old or the new one is open; it is one of them, and whole.
    fn save(&mut self, record: &Record) -> Result<(), StoreError>;
}
