//! Secrets: values that never show themselves, and the places they are read from.

use std::{fmt, io, path::PathBuf, sync::Arc};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// The largest secret file that is read, in bytes.
const LARGEST_FILE: u64 = 64 * 1024;

/// A value that is never printed: no `Display`, a redacted `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `value`; it is wiped from memory on drop.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself. Whoever calls this is responsible for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first 8 hexadecimal digits of the SHA-256: enough to tell two secrets apart in a log.
    pub fn fingerprint(&self) -> String {
        self.digest()[..8].to_owned()
    }

    /// The whole SHA-256 in hexadecimal, for records that have to tell whether a secret was changed.
    pub fn digest(&self) -> String {
        Sha256::digest(self.0.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Compares with `candidate` in a time that depends on neither value.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let ours = Sha256::digest(self.0.as_bytes());
        let theirs = Sha256::digest(candidate);
        ours.ct_eq(&theirs).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A secret as it is now: fixed, or the content of a file that is read again when it changes.
///
/// A Kubernetes secret is a file behind a symbolic link that is swapped, so the content is compared, not the inode.
pub struct LiveSecret {
    path: Option<PathBuf>,
    value: watch::Sender<Arc<Secret>>,
}

impl LiveSecret {
    /// A secret that stays what it is: given inline or by the environment.
    pub fn fixed(secret: Secret) -> Self {
        Self {
            path: None,
            value: watch::Sender::new(Arc::new(secret)),
        }
    }

    /// The secret in the file at `path`, without the line break at its end.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 64 KiB, is not UTF-8, or holds nothing.
    pub fn file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let value = read(&path)?;
        Ok(Self {
            path: Some(path),
            value: watch::Sender::new(Arc::new(value)),
        })
    }

    /// The value in force.
    pub fn current(&self) -> Arc<Secret> {
        self.value.borrow().clone()
    }

    /// Tells of every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Secret>> {
        self.value.subscribe()
    }

    /// Whether the secret comes from a file, and so may change.
    pub fn path(&self) -> Option<&std::path::Path> {
        self.path.as_deref()
    }

    /// Reads the file again; true when the value changed. A secret that is not a file never changes.
    ///
    /// # Errors
    /// As [`LiveSecret::file`]; the value in force stays.
    pub fn reload(&self) -> io::Result<bool> {
        let Some(path) = &self.path else {
            return Ok(false);
        };
        let fresh = read(path)?;
        Ok(self.value.send_if_modified(|current| {
            let changed = **current != fresh;
            if changed {
                *current = Arc::new(fresh);
            }
            changed
        }))
    }
}

impl fmt::Debug for LiveSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSecret")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Two live secrets are the same when they come from the same place and hold the same value.
impl PartialEq for LiveSecret {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.current() == other.current()
    }
}

fn read(path: &std::path::Path) -> io::Result<Secret> {
    use io::Read;
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path)?;
    file.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "larger than 64 KiB",
        ));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is empty",
        ));
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("canary")), "Secret(…)");
        let live = LiveSecret::fixed(Secret::new("canary"));
        assert!(!format!("{live:?}").contains("canary"));
    }

    #[test]
    fn fingerprint_is_the_head_of_the_sha256() {
        assert_eq!(Secret::new("abc").fingerprint(), "ba7816bf");
    }

    #[test]
    fn matches_compares_the_whole_value() {
        let secret = Secret::new("key");
        assert!(secret.matches(b"key"));
        assert!(!secret.matches(b"ke"));
        assert!(!secret.matches(b"keyy"));
    }

    #[test]
    fn a_file_that_changes_is_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "one\n").unwrap();
        let live = LiveSecret::file(&path).unwrap();
        assert_eq!(live.current().expose(), "one");
        assert!(!live.reload().unwrap());
        std::fs::write(&path, "two\n").unwrap();
        assert!(live.reload().unwrap());
        assert_eq!(live.current().expose(), "two");
    }

    #[test]
    fn a_file_that_becomes_unreadable_keeps_the_value_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "one").unwrap();
        let live = LiveSecret::file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(live.reload().is_err());
        assert_eq!(live.current().expose(), "one");
    }
}
