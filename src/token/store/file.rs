//! A folder with three files per provider: the record, the next record while it is written, and the lock.
//!
//! ```text
//! happeo.json        the record, replaced by renaming
//! happeo.json.new    reserved before a refresh token is spent; filled, synced and renamed once the response is there
//! happeo.json.newer  the record after that, while the next one is whole and could not be renamed yet
//! happeo.lock        locked (flock) by the process that changes the record; empty, and never removed
//! ```
//!
//! Every file has mode 0600 in a folder of mode 0700. Files with other modes or owners are rejected.

mod folder;
mod mark;

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{Access, FlockOperation};

use self::folder::Folder;
use super::{FileError, Lock, Record, Store, StoreError, seal::Seal};
use crate::secret::Secret;

/// The room that is reserved for a record, in bytes: more than any accepted token response needs.
const RESERVED_SIZE: usize = 64 * 1024;

/// The number of tries for a lock file that is replaced while it is locked.
const MAX_LOCK_REPLACEMENTS: usize = 8;

/// Records in a folder. The folder is opened for each operation, so that a remounted or recreated one is found.
pub(super) struct FileStore {
    path: PathBuf,
    seal: Arc<Seal>,
}

impl FileStore {
    pub(super) fn open(path: &Path, key: Option<&Secret>) -> Result<Self, StoreError> {
        let folder = Folder::open(path)?;
        let store = Self {
            path: path.to_owned(),
            seal: Arc::new(Seal::new(key)),
        };
        store.seal_folder(&folder)?;
        Ok(store)
    }
}

/// Reads the record of `provider` from the folder at `path`, if there is such a folder. Changes nothing.
pub(super) fn inspect(
    path: &Path,
    key: Option<&Secret>,
    provider: &str,
) -> Result<Option<Record>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let store = FileStore {
        path: path.to_owned(),
        seal: Arc::new(Seal::new(key)),
    };
    store.load(provider)
}

/// Checks the folder at `path` and its records. One that is missing has to be one that this user may create.
pub(super) fn examine(path: &Path) -> Result<(), StoreError> {
    match Folder::open_existing(path) {
        Ok(folder) => folder.check_files(),
        Err(StoreError::Folder {
            error: FileError::Io(error),
            ..
        }) if error.kind() == io::ErrorKind::NotFound => {
            let existing = path.ancestors().skip(1).find(|folder| folder.exists());
            let access = existing.map_or(Ok(()), |folder| {
                rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
            });
            access.map_err(|error| StoreError::Folder {
                path: path.to_owned(),
                error: FileError::Io(error.into()),
            })
        }
        Err(error) => Err(error),
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileStore").field(&self.path).finish()
    }
}

impl Store for FileStore {
    fn load(&self, provider: &str) -> Result<Option<Record>, StoreError> {
        let names = FileNames::new(provider)?;
        let folder = Folder::open(&self.path)?;
        folder.read_record(&names.record, provider, &self.seal)
    }

    fn try_lock(&self, provider: &str) -> Result<Option<Box<dyn Lock>>, StoreError> {
        let names = FileNames::new(provider)?;
        let folder = Folder::open(&self.path)?;
        for _ in 0..MAX_LOCK_REPLACEMENTS {
            let file = folder.lock_file(&names.lock)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(error) if error == rustix::io::Errno::WOULDBLOCK => return Ok(None),
                Err(error) => {
                    return Err(folder.io_error("cannot lock", &names.lock)(error.into()));
                }
            }
            // A lock on a file that was removed meanwhile excludes no other process.
            if folder.is_current(&names.lock, &file)? {
                let lock = RecordLock {
                    folder,
                    names,
                    provider: provider.to_owned(),
                    seal: self.seal.clone(),
                    reserved: None,
                    pending: None,
                    file,
                };
                lock.recover()?;
                return Ok(Some(Box::new(lock)));
            }
        }
        Ok(None)
    }
}

/// The name of the file with the record of `provider`.
pub(super) fn record_name(provider: &str) -> String {
    format!("{provider}.json")
}

/// The file names of one provider.
struct FileNames {
    record: String,
    next: String,
    newer: String,
    lock: String,
}

impl FileNames {
    /// Creates the names. The configuration allows no others; the check here keeps them inside the folder.
    fn new(provider: &str) -> Result<Self, StoreError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if provider.is_empty()
            || provider.len() > 64
            || provider.starts_with('.')
            || !provider.bytes().all(fits)
        {
            return Err(StoreError::Name);
        }
        Ok(Self {
            record: record_name(provider),
            next: format!("{provider}.json.new"),
            newer: format!("{provider}.json.newer"),
            lock: format!("{provider}.lock"),
        })
    }
}

/// The lock on one provider's record. The kernel releases it however the process ends.
struct RecordLock {
    folder: Folder,
    names: FileNames,
    provider: String,
    seal: Arc<Seal>,
    /// The file for the next record, reserved and synced.
    reserved: Option<File>,
    /// A written record that could not be renamed yet. It may be the only copy.
    pending: Option<PendingRecord>,
    file: File,
}

/// A record that is whole in its file, which still has another name.
struct PendingRecord {
    record: Record,
    /// After a failed sync, a later one says nothing about the bytes from before.
    synced: bool,
}

impl RecordLock {
    /// Completes the write of a process that was killed.
    ///
    /// A next record that is whole holds the successor of the refresh token in the record, which is spent.
    fn recover(&self) -> Result<(), StoreError> {
        if self.holds_record(&self.names.newer)? {
            self.sync(&self.names.newer, &self.folder.reopen(&self.names.newer)?)?;
            self.folder.rename(&self.names.newer, &self.names.next)?;
        }
        if self.holds_record(&self.names.next)? {
            self.sync(&self.names.next, &self.folder.reopen(&self.names.next)?)?;
            self.folder.rename(&self.names.next, &self.names.record)?;
            self.folder.sync()?;
            tracing::warn!(
                provider = self.provider,
                "store.recovered: the last process ended while it wrote this record"
            );
        }
        Ok(())
    }

    /// Returns whether the file of that name holds a record. A reserved file that was never filled does not.
    ///
    /// # Errors
    /// It is whole, but cannot be read: it may hold the successor of a spent refresh token.
    fn holds_record(&self, name: &str) -> Result<bool, StoreError> {
        match self.folder.read_record(name, &self.provider, &self.seal) {
            Ok(record) => Ok(record.is_some()),
            // Its end was never written.
            Err(StoreError::File {
                error: FileError::Corrupt(_),
                ..
            }) if !self.is_whole(name)? => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a file is JSON to its end.
    fn is_whole(&self, name: &str) -> Result<bool, StoreError> {
        let json = self.folder.read(name)?.unwrap_or_default();
        Ok(serde_json::from_slice::<serde::de::IgnoredAny>(&json).is_ok())
    }

    /// Returns the name of the file to write to, never that of a pending record.
    fn reserved_name(&self) -> &str {
        if self.pending.is_some() {
            &self.names.newer
        } else {
            &self.names.next
        }
    }

    /// Fills the reserved file with blanks, so that the disk has the room.
    fn fill_with_blanks(&self, mut reserved: &File) -> Result<(), StoreError> {
        let name = self.reserved_name();
        reserved
            .write_all(&vec![b' '; RESERVED_SIZE])
            .map_err(self.folder.io_error("cannot write", name))?;
        self.sync(name, reserved)
    }

    /// Writes a record beside the pending one, and replaces that one in one step.
    fn replace_pending(
        &mut self,
        reserved: &File,
        json: &[u8],
        record: &Record,
    ) -> Result<(), StoreError> {
        let name = &self.names.newer;
        let written = reserved
            .write_all_at(json, 0)
            .and_then(|()| reserved.set_len(json.len() as u64));
        written.map_err(self.folder.io_error("cannot write", name))?;
        self.sync(name, reserved)?;
        self.folder.rename(name, &self.names.next)?;
        self.pending = Some(PendingRecord {
            record: record.clone(),
            synced: true,
        });
        Ok(())
    }

    /// Writes the next record. Once it is whole nothing removes it, whatever else fails.
    fn write_pending(
        &mut self,
        reserved: &File,
        json: &[u8],
        record: &Record,
    ) -> Result<(), StoreError> {
        let name = &self.names.next;
        // It replaces blanks, so the file is a whole record as soon as its last byte is written.
        if let Err(error) = reserved.write_all_at(json, 0) {
            self.folder.remove(name);
            return Err(self.folder.io_error("cannot write", name)(error));
        }
        let length = json.len() as u64;
        let pending = self.pending.insert(PendingRecord {
            record: record.clone(),
            synced: false,
        });
        reserved
            .set_len(length)
            .map_err(self.folder.io_error("cannot write", name))?;
        reserved
            .sync_all()
            .map_err(self.folder.io_error("cannot sync", name))?;
        pending.synced = true;
        Ok(())
    }

    fn sync(&self, name: &str, file: &File) -> Result<(), StoreError> {
        file.sync_all()
            .map_err(self.folder.io_error("cannot sync", name))
    }

    /// Renames the pending record to the record.
    fn rename_pending(&mut self) -> Result<(), StoreError> {
        self.folder.rename(&self.names.next, &self.names.record)?;
        self.pending = None;
        self.folder.sync()
    }
}

impl Lock for RecordLock {
    fn is_current(&self) -> Result<bool, StoreError> {
        let named = Folder::open(self.folder.root())?;
        Ok(named.is_same(&self.folder) && named.is_current(&self.names.lock, &self.file)?)
    }

    fn reserve(&mut self) -> Result<(), StoreError> {
        if self.reserved.is_none() {
            let reserved = self.folder.create(self.reserved_name())?;
            if let Err(error) = self.fill_with_blanks(&reserved) {
                self.folder.remove(self.reserved_name());
                return Err(error);
            }
            self.reserved = Some(reserved);
        }
        Ok(())
    }

    fn save(&mut self, record: &Record) -> Result<(), StoreError> {
        // Encrypted text differs each time, so the records are compared.
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.synced && pending.record == *record)
        {
            return self.rename_pending();
        }
        let json = self.seal.write(record, &self.provider)?;
        self.reserve()?;
        let Some(reserved) = self.reserved.take() else {
            return Err(StoreError::Interrupted);
        };
        match self.pending {
            Some(_) => self.replace_pending(&reserved, &json, record)?,
            None => self.write_pending(&reserved, &json, record)?,
        }
        self.rename_pending()
    }
}

impl Drop for RecordLock {
    fn drop(&mut self) {
        if self.reserved.is_some() {
            self.folder.remove(self.reserved_name());
        }
    }
}

impl fmt::Debug for RecordLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordLock")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
