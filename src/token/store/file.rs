//! A folder with three files a provider: its record, the next record while it is being written, and a lock.
//!
//! ```text
//! happeo.json        the record, replaced by renaming
//! happeo.json.new    reserved before a refresh token is spent; filled, synced and renamed once the answer is there
//! happeo.lock        held (flock) by whoever changes the record; empty, and never removed
//! ```
//!
//! All of them are ours alone (mode 0600 in a folder of mode 0700), and none is used that is not.

mod folder;

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::FlockOperation;

use self::folder::Folder;
use super::{Lock, Record, Store, StoreError, error::Flaw, seal::Seal};
use crate::secret::Secret;

/// The room that is reserved for a record, in bytes: more than any answer that is read could need.
const ROOM: usize = 64 * 1024;

/// A lock file may be replaced while it is waited for, but not that often.
const REPLACEMENTS: usize = 8;

/// Files in a folder. The folder is opened anew each time, so that one that was mounted or made again is found.
pub(super) struct FileStore {
    path: PathBuf,
    seal: Arc<Seal>,
}

impl FileStore {
    pub(super) fn open(path: &Path, key: Option<&Secret>) -> Result<Self, StoreError> {
        Folder::open(path)?;
        Ok(Self { path: path.to_owned(), seal: Arc::new(Seal::new(key)) })
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileStore").field(&self.path).finish()
    }
}

impl Store for FileStore {
    fn load(&self, provider: &str) -> Result<Option<Record>, StoreError> {
        let names = Names::of(provider)?;
        let folder = Folder::open(&self.path)?;
        let Some(json) = folder.read(&names.record)? else { return Ok(None) };
        let parsed = self.seal.read(&json, provider);
        parsed.map(Some).map_err(|flaw| StoreError::File { path: folder.path(&names.record), flaw })
    }

    fn try_lock(&self, provider: &str) -> Result<Option<Box<dyn Lock>>, StoreError> {
        let names = Names::of(provider)?;
        let folder = Folder::open(&self.path)?;
        for _ in 0..REPLACEMENTS {
            let file = folder.lock_file(&names.lock)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(error) if error == rustix::io::Errno::WOULDBLOCK => return Ok(None),
                Err(error) => return Err(folder.failed("cannot lock", &names.lock)(error.into())),
            }
            // Whoever removes a lock file and makes it again would else share the lock with us.
            if folder.is_still(&names.lock, &file)? {
                let held = Held {
                    folder,
                    names,
                    provider: provider.to_owned(),
                    seal: self.seal.clone(),
                    spare: None,
                    _lock: file,
                };
                held.recover()?;
                return Ok(Some(Box::new(held)));
            }
        }
        Ok(None)
    }
}

/// The files of one provider.
struct Names {
    record: String,
    next: String,
    lock: String,
}

impl Names {
    /// The configuration allows no other names; this makes sure that none leads out of the folder.
    fn of(provider: &str) -> Result<Self, StoreError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if provider.is_empty() || provider.len() > 64 || provider.starts_with('.') || !provider.bytes().all(fits) {
            return Err(StoreError::Name);
        }
        Ok(Self {
            record: format!("{provider}.json"),
            next: format!("{provider}.json.new"),
            lock: format!("{provider}.lock"),
        })
    }
}

/// The lock on one provider's record; the kernel takes it back however the process ends.
struct Held {
    folder: Folder,
    names: Names,
    provider: String,
    seal: Arc<Seal>,
    /// The next record's file, reserved and synced.
    spare: Option<File>,
    _lock: File,
}

impl Held {
    /// Completes what a process that was killed had begun: a next record that is whole holds a refresh token that came
    /// after the one on record, which is spent.
    fn recover(&self) -> Result<(), StoreError> {
        let Ok(Some(json)) = self.folder.read(&self.names.next) else { return Ok(()) };
        if self.seal.read(&json, &self.provider).is_err() {
            // Reserved, and never filled.
            return Ok(());
        }
        let next = self.folder.reopen(&self.names.next)?;
        self.sync(&next)?;
        self.replace()?;
        tracing::warn!(provider = self.provider, "store.recovered: the last process ended while it wrote this record");
        Ok(())
    }

    fn reserve(&self, mut spare: &File) -> Result<(), StoreError> {
        spare.write_all(&vec![b' '; ROOM]).map_err(self.folder.failed("cannot write", &self.names.next))?;
        self.sync(spare)
    }

    fn fill(&self, spare: &File, json: &[u8]) -> Result<(), StoreError> {
        let failed = || self.folder.failed("cannot write", &self.names.next);
        // In the place of blanks, so that what is there is a whole record as soon as the last byte of it is.
        spare.write_all_at(json, 0).map_err(failed())?;
        spare.set_len(json.len() as u64).map_err(failed())
    }

    fn sync(&self, file: &File) -> Result<(), StoreError> {
        file.sync_all().map_err(self.folder.failed("cannot sync", &self.names.next))
    }

    fn replace(&self) -> Result<(), StoreError> {
        self.folder.rename(&self.names.next, &self.names.record)?;
        self.folder.sync()
    }
}

impl Lock for Held {
    fn prepare(&mut self) -> Result<(), StoreError> {
        if self.spare.is_none() {
            let spare = self.folder.create(&self.names.next)?;
            if let Err(error) = self.reserve(&spare) {
                self.folder.remove(&self.names.next);
                return Err(error);
            }
            self.spare = Some(spare);
        }
        Ok(())
    }

    fn save(&mut self, record: &Record) -> Result<(), StoreError> {
        self.prepare()?;
        let json = self.seal.write(record, &self.provider)?;
        let Some(spare) = self.spare.take() else { return Err(StoreError::Interrupted) };
        if let Err(error) = self.fill(&spare, &json) {
            self.folder.remove(&self.names.next);
            return Err(error);
        }
        // From here on a failure leaves a whole next record behind, for whoever locks this one next.
        self.sync(&spare)?;
        self.replace()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.spare.is_some() {
            self.folder.remove(&self.names.next);
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// Why an ordinary file of ours is none.
fn flaw(file: &File) -> io::Result<Option<Flaw>> {
    let about = file.metadata()?;
    Ok(if about.is_file() { folder::flaw(&about, 0o600) } else { Some(Flaw::NotAFile) })
}

#[cfg(test)]
mod tests;
