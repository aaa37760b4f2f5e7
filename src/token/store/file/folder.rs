//! The folder of a store, held open: files are found in it whatever happens to the path that led there.

use std::{
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

use super::{super::error::Flaw, StoreError};

/// The largest record that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// A folder that is ours alone.
pub(super) struct Folder {
    path: PathBuf,
    file: File,
}

impl Folder {
    /// Opens the folder, and makes it where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let refused = |flaw| StoreError::Folder {
            path: path.to_owned(),
            flaw,
        };
        let failed = |error| refused(Flaw::Io(error));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let link = fs::symlink_metadata(path).map_err(failed)?;
        // systemd's dynamic users get a link to their state, which belongs to root. Nobody else's is followed.
        if link.is_symlink() && link.uid() != 0 && link.uid() != geteuid().as_raw() {
            return Err(refused(Flaw::SymbolicLink));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let file = File::from(opened.map_err(|error| failed(error.into()))?);
        let about = file.metadata().map_err(failed)?;
        match flaw(&about, 0o700) {
            Some(flaw) => Err(refused(flaw)),
            None => Ok(Self {
                path: path.to_owned(),
                file,
            }),
        }
    }

    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What went wrong with a file in it, for `map_err`.
    pub(super) fn failed(
        &self,
        doing: &'static str,
        name: &str,
    ) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.path(name);
        move |error| StoreError::Io { doing, path, error }
    }

    /// The content of a file of ours; `None` when there is none of that name.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        // Without NONBLOCK a pipe of that name would be waited for.
        let Some(file) = self.file(name, OFlags::RDONLY | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let size = file
            .metadata()
            .map_err(self.failed("cannot read", name))?
            .len();
        if size > LARGEST {
            return Err(StoreError::File {
                path: self.path(name),
                flaw: Flaw::TooLarge,
            });
        }
        let mut content = Zeroizing::new(Vec::with_capacity(
            usize::try_from(size).unwrap_or_default() + 1,
        ));
        file.take(LARGEST)
            .read_to_end(&mut content)
            .map_err(self.failed("cannot read", name))?;
        Ok(Some(content))
    }

    /// A file of ours, for syncing it.
    pub(super) fn reopen(&self, name: &str) -> Result<File, StoreError> {
        let file = self.file(name, OFlags::RDWR | OFlags::NONBLOCK)?;
        file.ok_or_else(|| self.failed("cannot open", name)(Errno::NOENT.into()))
    }

    /// The lock file, made where it is missing.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let file = self.file(name, OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK)?;
        file.ok_or_else(|| self.failed("cannot make", name)(Errno::NOENT.into()))
    }

    /// A new file, in the place of whatever has its name.
    pub(super) fn create(&self, name: &str) -> Result<File, StoreError> {
        match rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(self.failed("cannot replace", name)(error.into())),
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR);
        opened
            .map(File::from)
            .map_err(|error| self.failed("cannot write", name)(error.into()))
    }

    /// Removes a file that is of no use any more; one that stays does no harm.
    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            tracing::debug!(file = %self.path(name).display(), %error, "store.leftover");
        }
    }

    /// Whether the file of that name is this one.
    pub(super) fn is_still(&self, name: &str, file: &File) -> Result<bool, StoreError> {
        let ours = file.metadata().map_err(self.failed("cannot read", name))?;
        let Some(there) = self.file(name, OFlags::RDONLY | OFlags::NONBLOCK)? else {
            return Ok(false);
        };
        let there = there.metadata().map_err(self.failed("cannot read", name))?;
        Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    }

    /// Gives one file in it the name of another, which it replaces.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let renamed = rustix::fs::renameat(&self.file, from, &self.file, to);
        renamed.map_err(|error| self.failed("cannot replace", to)(error.into()))
    }

    /// Makes the names in it outlive the machine's power.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(self.failed("cannot sync", ""))
    }

    /// Opens a file, if it is there, and trusts it only if it is ordinary and ours alone.
    fn file(&self, name: &str, flags: OFlags) -> Result<Option<File>, StoreError> {
        let refused = |flaw| StoreError::File {
            path: self.path(name),
            flaw,
        };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(opened) => File::from(opened),
            Err(Errno::NOENT) => return Ok(None),
            // What NOFOLLOW says; FreeBSD has another word for it.
            Err(Errno::LOOP | Errno::MLINK) => return Err(refused(Flaw::SymbolicLink)),
            Err(error) => return Err(self.failed("cannot open", name)(error.into())),
        };
        match super::flaw(&file).map_err(self.failed("cannot read", name))? {
            Some(flaw) => Err(refused(flaw)),
            None => Ok(Some(file)),
        }
    }
}

/// Why something is not ours alone.
pub(super) fn flaw(about: &Metadata, wanted: u32) -> Option<Flaw> {
    let (owner, user, mode) = (about.uid(), geteuid().as_raw(), about.mode() & 0o7777);
    if owner != user {
        Some(Flaw::ForeignOwner { owner, user })
    } else if mode & 0o077 != 0 {
        Some(Flaw::OpenToOthers { mode, wanted })
    } else {
        None
    }
}
