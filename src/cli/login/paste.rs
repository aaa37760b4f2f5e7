//! What a person copies out of a browser and pastes here.

use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

/// The longest line, in bytes.
const LONGEST: u64 = 16 * 1024;

/// The first line of standard input that is not blank. It may hold a code, and is wiped when dropped.
///
/// # Errors
/// Standard input ends, cannot be read, is not UTF-8, or has a longer line than any address.
pub(super) async fn line() -> io::Result<Zeroizing<String>> {
    // A thread that waits for a person is left behind when the process ends.
    tokio::task::spawn_blocking(|| read(&mut io::stdin().lock()))
        .await
        .unwrap_or_else(|error| Err(error.into()))
}

fn read(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    loop {
        let mut line = Zeroizing::new(String::new());
        let length = input.by_ref().take(LONGEST).read_line(&mut line)?;
        if length == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it ended before anything was pasted",
            ));
        }
        if length as u64 == LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the line is longer than any address",
            ));
        }
        if !line.trim().is_empty() {
            return Ok(Zeroizing::new(line.trim().to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mut input: &[u8]) -> Result<String, io::ErrorKind> {
        read(&mut input)
            .map(|line| line.to_string())
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_first_line_with_something_on_it_is_taken() {
        assert_eq!(line(b"code\n").unwrap(), "code");
        assert_eq!(
            line(b"\r\n  \n myapp://callback?code=c&state=s \r\nmore").unwrap(),
            "myapp://callback?code=c&state=s"
        );
        assert_eq!(line(b"no line feed").unwrap(), "no line feed");
    }

    #[test]
    fn what_is_no_line_is_an_error() {
        assert_eq!(line(b""), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(line(b"\n\n"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(line(b"\xff\n"), Err(io::ErrorKind::InvalidData));
        assert_eq!(line(&vec![b'x'; 20_000]), Err(io::ErrorKind::InvalidData));
    }
}
