//! Watches the files of a configuration for changed contents.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::regular_file::{self, BoundedReading};

/// The interval at which the files are read. Contents are compared, since that also sees a symbolic link that is swapped
/// far above a file, as Kubernetes does.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The time for reading all files. A file system that hangs takes longer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest part of a file that is compared, in bytes.
const MAX_COMPARED: u64 = 64 * 1024 * 1024;

/// The contents of all files, as a digest. A file that cannot be read counts too.
type Contents = [u8; 32];

/// Files, and their contents when they were last read.
#[derive(Debug)]
pub(super) struct FileWatch {
    files: Vec<PathBuf>,
    seen: Option<Contents>,
    reading: BoundedReading<Contents>,
}

impl FileWatch {
    /// Watches these files for changes, from the first reading on.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            seen: None,
            reading: BoundedReading::default(),
        }
    }

    /// Watches these files from now on.
    pub(super) fn set_files(&mut self, files: Vec<PathBuf>) {
        if self.files != files {
            self.files = files;
            self.seen = None;
            self.reading = BoundedReading::default();
        }
    }

    /// Reads the contents, which then count as seen.
    pub(super) async fn update(&mut self) {
        self.seen = self.read().await;
    }

    /// Waits until the contents have changed, and have stayed the same for one interval: a file may be half written.
    pub(super) async fn changed(&mut self) {
        if self.seen.is_none() {
            self.update().await;
        }
        let mut last = self.seen;
        loop {
            sleep(POLL_INTERVAL).await;
            let now = self.read().await;
            if now.is_some() && now != self.seen && now == last {
                self.seen = now;
                return;
            }
            last = now;
        }
    }

    /// Reads all files on a thread that may block. `None` when that takes too long.
    async fn read(&mut self) -> Option<Contents> {
        let files = self.files.clone();
        self.reading
            .run(READ_TIMEOUT, move || contents(&files))
            .await
    }
}

fn contents(files: &[PathBuf]) -> Contents {
    let mut digest = Sha256::new();
    for file in files {
        match content(file) {
            Ok(content) => digest.update(content),
            Err(error) => digest.update(error.to_string()),
        }
    }
    digest.finalize().into()
}

fn content(file: &Path) -> io::Result<Contents> {
    let mut digest = Sha256::new();
    io::copy(
        &mut io::Read::take(regular_file::open(file)?, MAX_COMPARED),
        &mut digest,
    )?;
    Ok(digest.finalize().into())
}
