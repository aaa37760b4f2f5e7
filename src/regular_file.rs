//! Files that the configuration names, read without waiting for a writer.

mod bounded_reading;
mod thread_reading;

use std::{fs::File, io, io::Read, path::Path};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

pub use self::{bounded_reading::BoundedReading, thread_reading::ThreadReading};

/// Reads the whole file at `path`, up to `max` bytes, into memory that is wiped on drop. Blocks as long as the disk does.
///
/// Opening a pipe would wait for a writer, and reading one for its end.
///
/// # Errors
/// The file cannot be read, is larger ([`io::ErrorKind::FileTooLarge`]), or is no regular file: a folder, pipe, socket
/// or device.
pub fn read(path: &Path, max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open(path)?;
    let size = file.metadata()?.len().min(max);
    // Large enough not to grow: the buffer that a growing vector leaves behind is not wiped.
    let capacity = usize::try_from(size).unwrap_or_default() + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(max.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {} KiB", max / 1024),
        ));
    }
    Ok(content)
}

/// Opens the regular file at `path` for reading. Blocks as long as the disk does, and never for a pipe's writer.
///
/// # Errors
/// The file cannot be opened, or is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a pipe or a device, not a regular file",
        ));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn a_file_is_read_whole_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "1234").unwrap();
        assert_eq!(**read(&path, 4).unwrap(), *b"1234");
        let error = read(&path, 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        fs::write(&path, "").unwrap();
        assert!(read(&path, 4).unwrap().is_empty());
    }

    #[test]
    fn a_symbolic_link_leads_to_its_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "text").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(**read(&link, 100).unwrap(), *b"text");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let error = read(&pipe, 100).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
        assert!(read("/dev/zero".as_ref(), 100).is_err());
        assert!(read("/dev/tty".as_ref(), 100).is_err());
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(read(&socket, 100).is_err());
        let error = read(folder.path(), 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let error = read(&folder.path().join("absent"), 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
