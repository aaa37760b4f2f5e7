//! Redacted secrets, and secret files that are read again when they change.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use crate::regular_file::{self, BoundedReading};

/// The largest secret file that is read, in bytes.
pub(crate) const MAX_FILE_SIZE: u64 = 64 * 1024;

/// A confidential text: no `Display`, a redacted `Debug`, wiped from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// Returns the plain value. It must not reach a log, an error or a client.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns a copy of the plain value, which is wiped from memory on drop.
    pub fn exposed_copy(&self) -> Zeroizing<String> {
        self.0.clone()
    }

    /// Returns the first 8 hexadecimal digits of the SHA-256. They name a secret in a log.
    pub fn fingerprint(&self) -> String {
        self.digest()[..8].to_owned()
    }

    /// Returns the SHA-256 in hexadecimal, for records that detect a changed secret.
    pub fn digest(&self) -> String {
        Sha256::digest(self.0.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Compares with `candidate` in constant time.
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

/// A secret that may change: a fixed value, or the content of a file.
///
/// Kubernetes swaps a symbolic link to replace a secret, so the content is compared, not the inode.
pub struct LiveSecret {
    /// The environment variable that it was read from.
    variable: Option<String>,
    path: Option<PathBuf>,
    /// The JSON Pointer (RFC 6901) to the secret in the file, for a JSON key file.
    pointer: Option<String>,
    value: watch::Sender<Arc<Secret>>,
    reading: Mutex<BoundedReading<io::Result<bool>>>,
}

impl LiveSecret {
    /// Creates a secret that never changes: one given inline or by the environment.
    pub fn fixed(secret: Secret) -> Self {
        Self {
            variable: None,
            path: None,
            pointer: None,
            value: watch::Sender::new(Arc::new(secret)),
            reading: Mutex::default(),
        }
    }

    /// Creates a secret that the environment variable `name` held at the start.
    pub fn of_variable(name: &str, secret: Secret) -> Self {
        Self {
            variable: Some(name.to_owned()),
            ..Self::fixed(secret)
        }
    }

    /// Reads the secret in the file at `path`, without the blanks around it.
    ///
    /// # Errors
    /// The file cannot be read, is no regular file, is larger than 64 KiB, is not UTF-8, or holds nothing.
    pub fn file(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::read(path.into(), None)
    }

    /// Reads the secret at `pointer` (RFC 6901) in the JSON file at `path`.
    ///
    /// # Errors
    /// As [`LiveSecret::file`], or the file is not JSON with a text there.
    pub fn member(path: impl Into<PathBuf>, pointer: &str) -> io::Result<Self> {
        Self::read(path.into(), Some(pointer.to_owned()))
    }

    fn read(path: PathBuf, pointer: Option<String>) -> io::Result<Self> {
        let value = read_file(&path, pointer.as_deref())?;
        Ok(Self {
            variable: None,
            path: Some(path),
            pointer,
            value: watch::Sender::new(Arc::new(value)),
            reading: Mutex::default(),
        })
    }

    /// Returns the current value.
    pub fn current(&self) -> Arc<Secret> {
        self.value.borrow().clone()
    }

    /// Subscribes to changes of the value.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Secret>> {
        self.value.subscribe()
    }

    /// Returns the path of the file, for a secret that comes from one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns where the secret comes from, for messages: `$NAME` or the path of its file.
    pub fn origin(&self) -> Option<String> {
        match (&self.variable, &self.path) {
            (Some(name), _) => Some(format!("${name}")),
            (None, Some(path)) => Some(path.display().to_string()),
            (None, None) => None,
        }
    }

    /// Reads the file again as [`LiveSecret::reload`], on a thread that may block, and waits for it up to `bound`.
    ///
    /// One reading at a time: while it hangs, no other one starts.
    ///
    /// # Errors
    /// As [`LiveSecret::file`], or the file system does not respond; the current value stays.
    pub async fn reload_within(self: &Arc<Self>, bound: Duration) -> io::Result<bool> {
        let secret = self.clone();
        let mut reading = self.reading.lock().await;
        let read = reading.run(bound, move || secret.reload()).await;
        read.unwrap_or_else(|| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "its file system does not respond",
            ))
        })
    }

    /// Reads the file again and returns whether the value changed. A fixed secret never changes.
    ///
    /// # Errors
    /// As [`LiveSecret::file`]; the current value stays.
    pub fn reload(&self) -> io::Result<bool> {
        let Some(path) = &self.path else {
            return Ok(false);
        };
        let fresh = read_file(path, self.pointer.as_deref())?;
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

/// Live secrets are equal when they come from the same place, or have the same fixed value.
///
/// The value in a file does not count: it may change at any time, and both have it within seconds.
impl PartialEq for LiveSecret {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
            && self.pointer == other.pointer
            && (self.path.is_some() || self.current() == other.current())
    }
}

/// Removes whitespace and byte order marks around a secret. Editors and shells leave them there.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}')
}

fn read_file(path: &Path, pointer: Option<&str>) -> io::Result<Secret> {
    let bytes = regular_file::read(path, MAX_FILE_SIZE)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    let value = match pointer {
        Some(pointer) => member(trimmed(text), pointer)?,
        None => Secret::new(trimmed(text)),
    };
    if value.expose().is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is empty",
        ));
    }
    Ok(value)
}

/// Reads a text or a number of a JSON document.
fn member(json: &str, pointer: &str) -> io::Result<Secret> {
    let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut document: serde_json::Value =
        serde_json::from_str(json).map_err(|_| invalid("the file is not JSON"))?;
    match document.pointer_mut(pointer).map(serde_json::Value::take) {
        Some(serde_json::Value::String(text)) => Ok(Secret::new(text)),
        Some(serde_json::Value::Number(number)) => Ok(Secret::new(number.to_string())),
        _ => Err(invalid("the pointer leads to no text in the file")),
    }
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
    fn a_changed_file_is_reported_once() {
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
    fn a_file_that_becomes_unreadable_keeps_the_current_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "one").unwrap();
        let live = LiveSecret::file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(live.reload().is_err());
        assert_eq!(live.current().expose(), "one");
    }

    #[test]
    fn a_file_that_becomes_a_pipe_keeps_the_current_value_and_waits_for_no_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "one").unwrap();
        let live = LiveSecret::file(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        assert!(live.reload().is_err());
        assert_eq!(live.current().expose(), "one");
        assert!(LiveSecret::file(&path).is_err());
    }
}
