//! The two ends of the log queue: escaping before it, and writing to a possibly non-blocking output behind it.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::fmt::MakeWriter;

/// Pause between two attempts to write to an output that would block.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Queues lines with their control characters escaped.
#[derive(Clone, Debug)]
pub(super) struct EscapingLines(pub(super) NonBlocking);

impl<'a> MakeWriter<'a> for EscapingLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The formatter writes each line whole, in one call.
impl Write for EscapingLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(escaped(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for an output that another process has made non-blocking.
#[derive(Debug)]
pub(super) struct PatientWriter<W>(pub(super) W);

impl<W: Write> Write for PatientWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes control, bidirectional and line-breaking characters. The escapes are JSON's, so a JSON line stays valid.
fn escaped(line: &str) -> Cow<'_, str> {
    let (text, end) = line
        .strip_suffix('\n')
        .map_or((line, ""), |text| (text, "\n"));
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(line);
    }
    let mut clean = String::with_capacity(line.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{61c}' => {
                let _ = write!(clean, "\\u{:04x}", u32::from(character));
            }
            _ if character.is_control() => {
                let _ = write!(clean, "\\u{:04x}", u32::from(character));
            }
            _ => clean.push(character),
        }
    }
    clean.push_str(end);
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::telemetry::tracing::{MAX_QUEUED_LINES, start_worker};

    #[test]
    fn an_output_that_blocks_delays_no_thread_and_lost_lines_are_counted() {
        struct Blocked(mpsc::Sender<()>, mpsc::Receiver<()>);
        impl Write for Blocked {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.send(());
                let _ = self.1.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (writing, writes) = mpsc::channel();
        let (open, opened) = mpsc::channel();
        let (lines, worker) = start_worker(Blocked(writing, opened));
        let lost = lines.error_counter();
        let mut lines = EscapingLines(lines);
        lines.write_all(b"first\n").unwrap();
        writes.recv().unwrap();
        for _ in 0..MAX_QUEUED_LINES + 10 {
            lines.write_all(b"line\n").unwrap();
        }
        assert_eq!(lost.dropped_lines(), 10);
        drop(open);
        drop(worker);
    }

    #[test]
    fn a_line_is_written_to_an_output_that_would_block() {
        struct Shy(u8, mpsc::Sender<u8>);
        impl Write for Shy {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 % 3 {
                    0 => {
                        let _ = self.1.send(bytes[0]);
                        Ok(1)
                    }
                    1 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Err(io::ErrorKind::Interrupted.into()),
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (sender, bytes) = mpsc::channel();
        let (mut lines, worker) = start_worker(Shy(0, sender));
        lines.write_all(b"abc\n").unwrap();
        drop(worker);
        assert_eq!(bytes.try_iter().collect::<Vec<_>>(), b"abc\n");
    }

    #[test]
    fn plain_lines_are_not_copied() {
        assert!(matches!(escaped("GET /v1 200\n"), Cow::Borrowed(_)));
        assert_eq!(escaped("a\nb\n"), "a\\nb\n");
        assert_eq!(escaped("ü\u{1b}"), "ü\\u001b");
    }
}
