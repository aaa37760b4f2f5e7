//! The store of refresh tokens, and of what else must survive a restart: one record and one lock per provider.
//!
//! The grant decides what is in a [`Record`]; a store only keeps it.

mod error;
mod file;
mod memory;
mod record;
mod seal;

use std::{fmt, path::PathBuf, sync::Arc};

pub(super) use self::record::{millis, millis_since_1970};
pub use self::{
    error::{FileError, StoreError},
    record::{LoginTimes, Record, StoredAccessToken},
};
use crate::secret::Secret;

/// The shortest encryption key, in characters.
pub const MIN_KEY_LENGTH: usize = 32;

/// The location of a store, from `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// Plain files in this folder.
    File(PathBuf),
    /// Encrypted files in this folder.
    SealedFile {
        /// The folder.
        path: PathBuf,
        /// The secret that the key is derived from: at least [`MIN_KEY_LENGTH`] random characters.
        key: Secret,
    },
    /// The memory of this process.
    Memory,
}

impl StoreLocation {
    /// Returns the file with the record of `provider`; `None` in memory.
    pub fn record_path(&self, provider: &str) -> Option<PathBuf> {
        match self {
            Self::File(path) | Self::SealedFile { path, .. } => {
                Some(path.join(file::record_name(provider)))
            }
            Self::Memory => None,
        }
    }
}

/// Opens the store at `location`, and creates a missing folder. Blocks.
///
/// # Errors
/// The folder cannot be created or read, or other users can access it.
pub fn open(location: &StoreLocation) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match location {
        StoreLocation::File(folder) => Arc::new(file::FileStore::open(folder, None)?),
        StoreLocation::SealedFile { path, key } => {
            Arc::new(file::FileStore::open(path, Some(key))?)
        }
        StoreLocation::Memory => Arc::new(memory::MemoryStore::default()),
    })
}

/// Reads the record of `provider`. Creates nothing, changes nothing and takes no lock. Blocks.
///
/// # Errors
/// The folder or the record was rejected, or cannot be read.
pub fn inspect(location: &StoreLocation, provider: &str) -> Result<Option<Record>, StoreError> {
    match location {
        StoreLocation::File(folder) => file::inspect(folder, None, provider),
        StoreLocation::SealedFile { path, key } => file::inspect(path, Some(key), provider),
        StoreLocation::Memory => Ok(None),
    }
}

/// Checks that the store at `location` can be opened, without creating or changing anything. Blocks.
///
/// # Errors
/// As [`open`], or another user can access a record.
pub fn examine(location: &StoreLocation) -> Result<(), StoreError> {
    match location {
        StoreLocation::File(path) | StoreLocation::SealedFile { path, .. } => file::examine(path),
        StoreLocation::Memory => Ok(()),
    }
}

/// A keeper of one record per provider. All methods may block as long as the disk does.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads the record of `provider`, if there is one.
    ///
    /// # Errors
    /// The record cannot be read, or was rejected. That never counts as a missing record.
    fn load(&self, provider: &str) -> Result<Option<Record>, StoreError>;

    /// Acquires the lock on the record of `provider`.
    ///
    /// Returns `None` while another task or process holds it.
    ///
    /// # Errors
    /// The lock cannot be created.
    fn try_lock(&self, provider: &str) -> Result<Option<Box<dyn Lock>>, StoreError>;
}

/// The exclusive right to change one record. Dropping it releases the lock.
pub trait Lock: fmt::Debug + Send {
    /// Returns whether the lock is on the record that the store's path leads to.
    ///
    /// It is not after the folder was removed, or another one was mounted over it.
    ///
    /// # Errors
    /// That cannot be told. The lock stays: the newest record may be in memory alone.
    fn is_current(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Proves that a record can be written, and reserves the room for it.
    ///
    /// # Errors
    /// No record can be written.
    fn reserve(&mut self) -> Result<(), StoreError>;

    /// Replaces the record. Once this returns, the record survives a power failure.
    ///
    /// # Errors
    /// The record is the old or the new one, and whole.
    fn save(&mut self, record: &Record) -> Result<(), StoreError>;
}
