//! The errors of the store. They hold paths and the system's words, and nothing of what is in a record.

use std::{io, path::PathBuf};

/// Why the store, or one record in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's folder was rejected.
    #[error("the store's folder {} cannot be used: {error}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why it was rejected.
        #[source]
        error: FileError,
    },
    /// A store file was rejected. It is left alone.
    #[error("{} is not used and left alone: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why it was rejected.
        #[source]
        error: FileError,
    },
    /// An operation on a file failed.
    #[error("{operation} {}: {error}", .path.display())]
    Io {
        /// The operation, such as "cannot write".
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        error: io::Error,
    },
    /// Another process held the lock for the whole time that it was waited for.
    #[error("another process holds the lock on this provider's record")]
    Locked,
    /// The folder of the lock is no longer the store's.
    #[error("the store's folder was removed or replaced; it is opened anew")]
    Replaced,
    /// The disk does not respond.
    #[error("the store's disk does not respond")]
    Slow,
    /// The system has no randomness, which encryption needs.
    #[error("the system provides no randomness, which encryption needs")]
    NoRandomness,
    /// The work was cut off, as at the end of the process.
    #[error("the work on the store was cut off")]
    Interrupted,
    /// The provider's name cannot name a file.
    #[error("this provider's name cannot name a store file")]
    Name,
    /// The provider's grant needs no login.
    #[error("this provider's grant needs no login")]
    NoLogin,
}

/// Why a store file or folder was rejected.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system reports an error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The group or others may read, write or search it.
    #[error(
        "its mode is {mode:04o}, so that other users can access it; run `chmod {required:04o}` on it"
    )]
    AccessibleToOthers {
        /// The permission bits.
        mode: u32,
        /// The permission bits that it must have.
        required: u32,
    },
    /// Another user owns it.
    #[error(
        "it belongs to user {owner}, but bearward runs as user {user}; run it as user {owner}, or change the owner"
    )]
    ForeignOwner {
        /// The owner's user id.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// It is a symbolic link, which could lead anywhere.
    #[error("it is a symbolic link; replace it by the file itself")]
    SymbolicLink,
    /// It is a folder, a pipe or a device.
    #[error("it is not a regular file; remove it")]
    NotAFile,
    /// It is larger than a record can be.
    #[error("it is larger than a record can be; remove it and log in again")]
    TooLarge,
    /// It holds no valid record. The text says where, without a byte of it.
    #[error("it is damaged ({0}); remove it and log in again")]
    Corrupt(String),
    /// It is encrypted, and no key is configured.
    #[error(
        "it is encrypted, and no encryption_key is configured; set `encryption_key` in [store]"
    )]
    Encrypted,
    /// It is plain, in a folder whose records are all encrypted.
    #[error(
        "it is not encrypted, although all records of this folder are: another program may have written it; remove it and log in again, or remove the file .sealed in the folder to have all its records encrypted at the next start"
    )]
    NotSealed,
    /// It does not decrypt with the configured key.
    #[error(
        "it is encrypted with another encryption_key, or was changed since; restore that key, or remove the file and log in again"
    )]
    OtherKey,
    /// A later version of bearward wrote it.
    #[error("a later version of bearward wrote it (format {0}); use that version")]
    NewerFormat(u64),
}
