//! Where a process keeps its logins, told so that another process can see whether that is where it keeps its own.

use std::{fmt, fs, os::unix::fs::MetadataExt, path::Path};

use serde::{Deserialize, Serialize};

use crate::token::store::StoreLocation;

/// A store, as it looks at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    kind: String,
    path: Option<String>,
    /// What the folder is called by the system, whatever name it is reached by: a device and a number on it.
    folder: Option<String>,
}

impl Kept {
    /// Of the store at `location`. Blocks for a look at the folder.
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
                folder: identity(path),
            },
        }
    }

    /// Whether what is kept in one is seen in the other. What is in memory is seen by its own process alone.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        self.folder.is_some() && self.folder == other.folder
    }
}

fn identity(path: &Path) -> Option<String> {
    let folder = fs::metadata(path).ok()?;
    Some(format!("{:x}:{:x}", folder.dev(), folder.ino()))
}

impl fmt::Display for Kept {
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
        let at = |path: &Path| Kept::at(&StoreLocation::File(path.into()));
        assert!(at(one.path()).is_shared_with(&at(&link)));
        assert!(!at(one.path()).is_shared_with(&at(other.path())));
        let (nowhere, memory) = (
            at(&other.path().join("nowhere")),
            Kept::at(&StoreLocation::Memory),
        );
        for kept in [&nowhere, &memory] {
            assert!(!kept.is_shared_with(kept), "{kept:?}");
        }
    }
}
