//! Lines on their way to standard error: appended under a lock that is held for a copy, written by a thread of its own.
//!
//! The queue has a limit in bytes. While it is full, lines are counted instead of kept, and the count is told once there
//! is room again.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Bytes that wait at most.
const CAPACITY: usize = 1024 * 1024;

/// How long the end of the process waits for a reader that does not read.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where lines are put. Cheap to clone, never waits for the output.
#[derive(Clone)]
pub(super) struct Lines(Arc<Queue>);

/// The other end: while it lives, lines are written; dropping it writes those that are left.
pub(super) struct Writer(Arc<Queue>);

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    /// Nobody adds any more; the thread ends when all is written.
    closing: bool,
    ended: bool,
}

/// Starts the thread that writes to `output`; `lost` makes the line that tells of a number of lost ones.
pub(super) fn start(
    output: impl Write + Send + 'static,
    lost: impl Fn(u64) -> String + Send + 'static,
) -> io::Result<(Lines, Writer)> {
    let queue = Arc::new(Queue {
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    let theirs = queue.clone();
    std::thread::Builder::new()
        .name("log".into())
        .spawn(move || theirs.write_all(output, lost))?;
    Ok((Lines(queue.clone()), Writer(queue)))
}

impl Lines {
    /// Adds one line, which ends in a line feed, with everything escaped in it that is none of a line's business.
    pub(super) fn push(&self, line: &str) {
        let line = escaped(line);
        let mut state = self.0.lock();
        if state.closing || state.waiting.len() + line.len() > CAPACITY {
            state.lost += 1;
            return;
        }
        let idle = state.waiting.is_empty();
        state.waiting.extend_from_slice(line.as_bytes());
        drop(state);
        if idle {
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closing = true;
        self.0.changed.notify_all();
        let wait = self
            .0
            .changed
            .wait_timeout_while(state, FAREWELL, |state| !state.ended);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut output: impl Write, lost_line: impl Fn(u64) -> String) {
        let mut batch = Vec::new();
        loop {
            let mut state = self
                .changed
                .wait_while(self.lock(), |state| {
                    state.waiting.is_empty() && !state.closing
                })
                .unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() && state.lost == 0 {
                state.ended = true;
                drop(state);
                self.changed.notify_all();
                return;
            }
            batch.clear();
            std::mem::swap(&mut batch, &mut state.waiting);
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            if lost > 0 {
                batch.extend_from_slice(lost_line(lost).as_bytes());
            }
            // Without a reader there is nobody to tell of it either; the process goes on.
            let _ = write_patiently(&mut output, &batch);
            // A burst is no reason to hold on to its memory.
            batch.shrink_to(64 * 1024);
        }
    }
}

/// As `Write::write_all`, but also for an output that somebody else made non-blocking.
fn write_patiently(output: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(10))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A line without control characters, and without those that turn the direction of writing or break lines. The escapes
/// are JSON's, so that a JSON line stays one.
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

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that tells of each write, and then waits until it is let through.
    struct Gate {
        asked: mpsc::Sender<Vec<u8>>,
        let_through: mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.asked.send(bytes.to_vec());
            // Once the test is over all may pass.
            let _ = self.let_through.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Lines, Writer, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
        let (asked, writes) = mpsc::channel();
        let (open, let_through) = mpsc::channel();
        let (lines, writer) =
            start(Gate { asked, let_through }, |lost| format!("lost {lost}\n")).unwrap();
        (lines, writer, writes, open)
    }

    #[test]
    fn an_output_that_stands_still_holds_up_nobody_and_the_lost_lines_are_told_of() {
        let (lines, writer, writes, open) = gated();
        lines.push("first\n");
        assert_eq!(writes.recv().unwrap(), b"first\n");
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..1034 {
            lines.push(&line);
        }
        open.send(()).unwrap();
        let second = String::from_utf8(writes.recv().unwrap()).unwrap();
        assert!(second.len() <= CAPACITY + 16);
        assert!(second.ends_with("x\nlost 10\n"));
        drop(open);
        drop(writer);
    }

    #[test]
    fn what_was_logged_before_the_end_is_written() {
        let (lines, writer, writes, open) = gated();
        drop(open);
        for number in 0..100 {
            lines.push(&format!("{number}\n"));
        }
        drop(writer);
        let all: Vec<u8> = writes.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(all).unwrap().lines().count(), 100);
    }

    #[test]
    fn an_output_that_would_block_gets_its_line_all_the_same() {
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
        let (lines, writer) = start(Shy(0, sender), |_| String::new()).unwrap();
        lines.push("abc\n");
        drop(writer);
        assert_eq!(bytes.try_iter().collect::<Vec<_>>(), b"abc\n");
    }

    #[test]
    fn plain_lines_are_not_copied() {
        assert!(matches!(escaped("GET /v1 200\n"), Cow::Borrowed(_)));
        assert_eq!(escaped("a\nb\n"), "a\\nb\n");
        assert_eq!(escaped("ü\u{1b}"), "ü\\u001b");
    }
}
