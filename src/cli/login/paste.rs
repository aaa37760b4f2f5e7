//! Input that a person copies out of a browser and pastes.

use std::io::{self, BufRead, IsTerminal, Read};

use tokio::task::JoinHandle;
use url::Url;
use zeroize::Zeroizing;

use super::error::LoginError;
use crate::oauth::{
    authorization::{Attempt, Authorized, CallbackError},
    provider::Provider,
};

/// The longest line that a terminal passes on (`MAX_CANON` and `N_TTY_BUF_SIZE` of Linux), in bytes.
const MAX_TERMINAL_LINE_BYTES: usize = 4095;

/// Finds the attempt among `attempts` that the pasted `text` belongs to, and reads its code.
///
/// # Errors
/// The text is one of the `opened` addresses, belongs to another attempt, or has no usable code.
pub(super) fn read_pasted<'a>(
    provider: &Provider,
    text: &str,
    attempts: &[&'a Attempt],
    opened: &[&Url],
) -> Result<(&'a Attempt, Authorized), LoginError> {
    let page = |url: &Url| (url.origin(), url.path().to_owned());
    if let Ok(pasted) = Url::parse(text)
        && pasted.has_host()
        && opened.iter().any(|opened| page(opened) == page(&pasted))
    {
        return Err(LoginError::OpenedAddress);
    }
    for attempt in attempts {
        match attempt.read_pasted(provider, text) {
            Err(CallbackError::State) => {}
            read => return Ok((attempt, read.map_err(LoginError::Callback)?)),
        }
    }
    Err(LoginError::OtherAttempt)
}

/// The longest line, in bytes.
const MAX_LINE_BYTES: u64 = 16 * 1024;

/// Reads the first line of standard input that is not blank. It may hold a code, and is wiped when dropped.
///
/// # Errors
/// Standard input ends, cannot be read, is not UTF-8, or has a longer line than any address or the terminal passes on.
pub(super) async fn read_line() -> io::Result<Zeroizing<String>> {
    start_reading()
        .await
        .unwrap_or_else(|error| Err(error.into()))
}

/// Starts as [`read_line`], on a thread that does not delay the end of the process.
pub(super) fn start_reading() -> JoinHandle<io::Result<Zeroizing<String>>> {
    tokio::task::spawn_blocking(|| {
        let line = read_line_from(&mut io::stdin().lock())?;
        if line.len() >= MAX_TERMINAL_LINE_BYTES && io::stdin().is_terminal() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a terminal cuts a line after 4095 characters: paste the code alone, or send the address through a \
                 pipe with --paste",
            ));
        }
        Ok(line)
    })
}

fn read_line_from(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    loop {
        let mut line = Zeroizing::new(String::new());
        let length = input.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)?;
        if length == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it ended before anything was pasted",
            ));
        }
        if length as u64 == MAX_LINE_BYTES {
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
        read_line_from(&mut input)
            .map(|line| line.to_string())
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_first_line_that_is_not_blank_is_read() {
        assert_eq!(line(b"code\n").unwrap(), "code");
        assert_eq!(
            line(b"\r\n  \n myapp://callback?code=c&state=s \r\nmore").unwrap(),
            "myapp://callback?code=c&state=s"
        );
        assert_eq!(line(b"no line feed").unwrap(), "no line feed");
    }

    #[test]
    fn an_invalid_line_is_an_error() {
        assert_eq!(line(b""), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(line(b"\n\n"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(line(b"\xff\n"), Err(io::ErrorKind::InvalidData));
        assert_eq!(line(&vec![b'x'; 20_000]), Err(io::ErrorKind::InvalidData));
    }
}
