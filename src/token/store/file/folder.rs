//! The open folder of a store. Its files are found by descriptor, whatever happens to its path.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, Metadata},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
    process::geteuid,
};
use zeroize::Zeroizing;

use crate::token::store::error::{FileError, StoreError};

/// The largest record that is read, in bytes.
const MAX_RECORD_SIZE: u64 = 1024 * 1024;

/// A folder that only this user can access.
pub(super) struct Folder {
    path: PathBuf,
    file: File,
}

impl Folder {
    /// Opens the folder, and creates it if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Folder {
            path: path.to_owned(),
            error: FileError::Io(error),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        Self::open_existing(path)
    }

    /// Opens the folder, unless it is missing.
    pub(super) fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let rejected = |error| StoreError::Folder {
            path: path.to_owned(),
            error,
        };
        let failed = |error| rejected(FileError::Io(error));
        let link = fs::symlink_metadata(path).map_err(failed)?;
        // systemd links the state of dynamic users, and root owns that link. Links of other users are rejected.
        if link.is_symlink() && link.uid() != 0 && link.uid() != geteuid().as_raw() {
            return Err(rejected(FileError::SymbolicLink));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let file = File::from(opened.map_err(|error| failed(error.into()))?);
        let about = file.metadata().map_err(failed)?;
        match check_access(&about, 0o700) {
            Some(error) => Err(rejected(error)),
            None => Ok(Self {
                path: path.to_owned(),
                file,
            }),
        }
    }

    /// Checks the files of all records, without reading them.
    pub(super) fn check_files(&self) -> Result<(), StoreError> {
        for provider in self.providers()? {
            self.file(
                &format!("{provider}.json"),
                OFlags::RDONLY | OFlags::NONBLOCK,
            )?;
        }
        Ok(())
    }

    /// Returns the path of the folder.
    pub(super) fn root(&self) -> &Path {
        &self.path
    }

    /// Returns whether both are the same folder, whatever its path leads to now.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let identity = |folder: &Self| {
            let about = folder.file.metadata().ok()?;
            Some((about.dev(), about.ino()))
        };
        identity(self).is_some_and(|ours| identity(other) == Some(ours))
    }

    /// Returns the names of the providers that have a record.
    pub(super) fn providers(&self) -> Result<Vec<String>, StoreError> {
        let mut providers = BTreeSet::new();
        let files = fs::read_dir(&self.path).map_err(self.io_error("cannot read", ""))?;
        for file in files {
            let file = file.map_err(self.io_error("cannot read", ""))?;
            let name = file.file_name();
            let name = name.to_str().unwrap_or_default();
            let name = name.strip_suffix(".new").unwrap_or(name);
            // Editors and other systems leave files whose names begin with a dot.
            let provider = name
                .strip_suffix(".json")
                .filter(|name| !name.starts_with('.'));
            providers.extend(provider.map(str::to_owned));
        }
        Ok(providers.into_iter().collect())
    }

    /// Returns the path of a file in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns a constructor of the error for an operation on a file, for `map_err`.
    pub(super) fn io_error(
        &self,
        operation: &'static str,
        name: &str,
    ) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.path(name);
        move |error| StoreError::Io {
            operation,
            path,
            error,
        }
    }

    /// Reads a file, or returns `None` if it is missing.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        // Without NONBLOCK, opening a pipe of that name would block.
        let Some(file) = self.file(name, OFlags::RDONLY | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let size = file
            .metadata()
            .map_err(self.io_error("cannot read", name))?
            .len();
        if size > MAX_RECORD_SIZE {
            return Err(StoreError::File {
                path: self.path(name),
                error: FileError::TooLarge,
            });
        }
        let mut content = Zeroizing::new(Vec::with_capacity(
            usize::try_from(size).unwrap_or_default() + 1,
        ));
        file.take(MAX_RECORD_SIZE)
            .read_to_end(&mut content)
            .map_err(self.io_error("cannot read", name))?;
        Ok(Some(content))
    }

    /// Opens an existing file for syncing.
    pub(super) fn reopen(&self, name: &str) -> Result<File, StoreError> {
        let file = self.file(name, OFlags::RDWR | OFlags::NONBLOCK)?;
        file.ok_or_else(|| self.io_error("cannot open", name)(Errno::NOENT.into()))
    }

    /// Opens the lock file, and creates it if it is missing.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let file = self.file(name, OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK)?;
        file.ok_or_else(|| self.io_error("cannot create", name)(Errno::NOENT.into()))
    }

    /// Creates a file, and removes an existing one of that name.
    pub(super) fn create(&self, name: &str) -> Result<File, StoreError> {
        match rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(self.io_error("cannot replace", name)(error.into())),
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR);
        opened
            .map(File::from)
            .map_err(|error| self.io_error("cannot write", name)(error.into()))
    }

    /// Removes a file. A failure is only logged: the file does no harm.
    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            tracing::debug!(file = %self.path(name).display(), %error, "store.leftover");
        }
    }

    /// Returns whether the name still leads to this file.
    pub(super) fn is_current(&self, name: &str, file: &File) -> Result<bool, StoreError> {
        let ours = file
            .metadata()
            .map_err(self.io_error("cannot read", name))?;
        let Some(named) = self.file(name, OFlags::RDONLY | OFlags::NONBLOCK)? else {
            return Ok(false);
        };
        let named = named
            .metadata()
            .map_err(self.io_error("cannot read", name))?;
        Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
    }

    /// Renames a file, and replaces the one that has the new name.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let renamed = rustix::fs::renameat(&self.file, from, &self.file, to);
        renamed.map_err(|error| self.io_error("cannot replace", to)(error.into()))
    }

    /// Syncs the folder, so that its names survive a power failure.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file
            .sync_all()
            .map_err(self.io_error("cannot sync", ""))
    }

    /// Opens a file, if it exists. Rejects an irregular one, and one that other users can access.
    fn file(&self, name: &str, flags: OFlags) -> Result<Option<File>, StoreError> {
        let rejected = |error| StoreError::File {
            path: self.path(name),
            error,
        };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(opened) => File::from(opened),
            Err(Errno::NOENT) => return Ok(None),
            // NOFOLLOW met a symbolic link; FreeBSD reports MLINK.
            Err(Errno::LOOP | Errno::MLINK) => return Err(rejected(FileError::SymbolicLink)),
            Err(error) => return Err(self.io_error("cannot open", name)(error.into())),
        };
        match check_file(&file).map_err(self.io_error("cannot read", name))? {
            Some(error) => Err(rejected(error)),
            None => Ok(Some(file)),
        }
    }
}

/// Checks that a store file is a regular file with mode 0600.
fn check_file(file: &File) -> io::Result<Option<FileError>> {
    let about = file.metadata()?;
    Ok(if about.is_file() {
        check_access(&about, 0o600)
    } else {
        Some(FileError::NotAFile)
    })
}

/// Checks that only this user can access a file or folder. `required` is the mode it must have.
fn check_access(about: &Metadata, required: u32) -> Option<FileError> {
    let (owner, user, mode) = (about.uid(), geteuid().as_raw(), about.mode() & 0o7777);
    if owner != user {
        Some(FileError::ForeignOwner { owner, user })
    } else if mode & 0o077 != 0 {
        Some(FileError::AccessibleToOthers { mode, required })
    } else {
        None
    }
}
