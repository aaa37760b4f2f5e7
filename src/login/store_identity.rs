//! The identity of a store, by which two processes find out whether they share it.

use std::{fmt, fs, os::unix::fs::MetadataExt, path::Path};

use serde::{Deserialize, Serialize};

use crate::token::store::StoreLocation;

/// Identifies a store's folder by device and inode, so that two processes can tell whether they share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdentity {
    kind: String,
    path: Option<String>,
    /// `DEVICE:INODE` in hexadecimal, the same by whatever path the folder is reached.
    folder: Option<String>,
}

impl StoreIdentity {
    /// Identifies the store at `location`. Blocks on the file system.
    pub fn at(location: &StoreLocation) -> Self {
        match location {
            StoreLocation::Memory => Self {
                kind: "memory".into(),
                path: None,
                folder: None,
            },
            StoreLocation::File(path) | StoreLocation::SealedFile { path, .. } => Self {
                kind: "file".into(),
                path: Some(path.display().to_string()),
                folder: folder_identity(path),
            },
        }
    }

    /// Whether both are the same folder. A store in memory is shared with no process.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        self.folder.is_some() && self.folder == other.folder
    }
}

fn folder_identity(path: &Path) -> Option<String> {
    let folder = fs::metadata(path).ok()?;
    Some(format!("{:x}:{:x}", folder.dev(), folder.ino()))
}

impl fmt::Display for StoreIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            // Quoted, since it may come from another process.
            Some(path) => write!(f, "{path:?}"),
            None => f.write_str("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_the_same_by_any_name_and_no_other_is() {
        let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let link = other.path().join("link");
        std::os::unix::fs::symlink(one.path(), &link).unwrap();
        let at = |path: &Path| StoreIdentity::at(&StoreLocation::File(path.into()));
        assert!(at(one.path()).is_shared_with(&at(&link)));
        assert!(!at(one.path()).is_shared_with(&at(other.path())));
        let missing = at(&other.path().join("missing"));
        let memory = StoreIdentity::at(&StoreLocation::Memory);
        for identity in [&missing, &memory] {
            assert!(!identity.is_shared_with(identity), "{identity:?}");
        }
    }
}
