//! Why the store cannot be used. Holds paths and the system's words, and nothing of what is in a record.

use std::{fmt, io, path::PathBuf};

/// Why the store, or one record in it, cannot be used.
#[derive(Debug)]
pub enum StoreError {
    /// Nothing can be kept in the folder.
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        flaw: Flaw,
    },
    /// A file is there, and is not trusted; it is left alone.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        flaw: Flaw,
    },
    /// The system refuses.
    Io {
        /// What was being done, as in "cannot write".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody else has held the lock for all of the time that was waited.
    Locked,
    /// The disk does not answer.
    Slow,
    /// The system gives none, which encryption needs.
    NoRandomness,
    /// The work was cut off, as it is when the process ends.
    Interrupted,
    /// No record can have this provider's name.
    Name,
    /// The provider's grant knows no login.
    NoLogin,
}

/// Why a file or folder is not trusted.
#[derive(Debug)]
pub enum Flaw {
    /// The system refuses.
    Io(io::Error),
    /// The group or others may read, write or search it.
    OpenToOthers {
        /// The permission bits.
        mode: u32,
        /// Those that it has to have.
        wanted: u32,
    },
    /// It belongs to somebody else.
    ForeignOwner {
        /// To whom.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Following it could lead anywhere.
    SymbolicLink,
    /// A folder, a pipe, a device.
    NotAFile,
    /// No record is as large.
    TooLarge,
    /// Not a record, or a damaged one; the text says where, without a byte of it.
    Corrupt(String),
    /// It is sealed, and there is no key.
    Sealed,
    /// It is sealed with another key, or was changed since.
    OtherKey,
    /// A later version of this program wrote it.
    Newer(u64),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, flaw } => write!(
                f,
                "the store's folder {} cannot be used: {flaw}",
                path.display()
            ),
            Self::File { path, flaw } => {
                write!(f, "{} is not used and left alone: {flaw}", path.display())
            }
            Self::Io { doing, path, error } => write!(f, "{doing} {}: {error}", path.display()),
            Self::Locked => f.write_str("another process holds the lock on this provider's record"),
            Self::Slow => f.write_str("the store's disk does not answer"),
            Self::NoRandomness => f.write_str("the system gives no randomness"),
            Self::Interrupted => f.write_str("the work on the store was cut off"),
            Self::Name => f.write_str("no record can have this provider's name"),
            Self::NoLogin => f.write_str("this provider's grant needs no login"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::OpenToOthers { mode, wanted } => {
                write!(
                    f,
                    "its mode is {mode:04o}, so that others may get at it; `chmod {wanted:04o}` it"
                )
            }
            Self::ForeignOwner { owner, user } => {
                write!(f, "it belongs to the user {owner}, and this is user {user}")
            }
            Self::SymbolicLink => f.write_str("it is a symbolic link"),
            Self::NotAFile => f.write_str("it is not an ordinary file"),
            Self::TooLarge => f.write_str("it is larger than any record"),
            Self::Corrupt(how) => write!(f, "it is damaged ({how}); remove it and log in again"),
            Self::Sealed => f.write_str("it is encrypted, and there is no encryption_key"),
            Self::OtherKey => {
                f.write_str("it is encrypted with another encryption_key, or was changed since")
            }
            Self::Newer(version) => {
                write!(f, "a later version of bearward wrote it (format {version})")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. }
            | Self::Folder {
                flaw: Flaw::Io(error),
                ..
            } => Some(error),
            _ => None,
        }
    }
}
