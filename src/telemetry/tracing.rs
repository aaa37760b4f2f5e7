//! Log lines: filter, format and output.
//!
//! Lines go to standard error through a bounded queue and a thread of its own, so that a slow reader of standard error
//! blocks no request. Lines that do not fit are dropped and counted.

mod level;
mod line_writer;

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::OnceLock,
    time::Duration,
};

use thiserror::Error;
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    layer::{Layered, SubscriberExt},
    reload,
};

use self::line_writer::{EscapingLines, PatientWriter};
use super::{LogFormat, LogSettings};
pub use level::{InvalidLevel, validate_level};

/// Lines that wait for standard error; further ones are dropped. With 8 KiB each they hold 8 MiB.
const MAX_QUEUED_LINES: usize = 1024;

/// Counts the dropped lines of the process's log.
static LOST_LINES: OnceLock<ErrorCounter> = OnceLock::new();

/// Installs the process's log. Lines logged before the guard is dropped are written.
///
/// # Errors
/// See [`InitError`].
pub fn init(settings: &LogSettings) -> Result<Guard, InitError> {
    let targets = level::parse(&settings.level)?;
    let shape = Shape::of(settings.format, io::stderr().is_terminal());
    // A file of its own: `io::Stderr` has a lock, and a panic's message has to come out even when the writer hangs.
    let stderr = io::stderr().as_fd().try_clone_to_owned()?;
    let (lines, worker) = start_worker(std::fs::File::from(stderr));
    let lost_lines = lines.error_counter();
    let (subscriber, live) = subscriber(targets, shape, lines);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Twice)?;
    LOST_LINES.get_or_init(|| lost_lines);
    LIVE_LOG.get_or_init(|| live);
    Ok(Guard {
        _worker: worker,
        shape,
    })
}

/// Changes format and level of the process's log, if it has one, to checked settings.
pub fn set_log(settings: &LogSettings) {
    let (Some(live), Ok(targets)) = (LIVE_LOG.get(), level::parse(&settings.level)) else {
        return;
    };
    let shape = Shape::of(settings.format, io::stderr().is_terminal());
    // They fail only without a subscriber, which lives as long as the process.
    let _ = live.targets.reload(targets);
    let _ = live.lines.reload(line_layer(shape, live.output.clone()));
}

/// Returns a time in milliseconds, to microseconds, for a field of a line.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Returns a time in seconds, to milliseconds, for a field of a line.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

/// Returns how many lines of the process's log were dropped; 0 without a log.
pub fn lost_lines() -> u64 {
    let dropped = LOST_LINES.get().map_or(0, ErrorCounter::dropped_lines);
    u64::try_from(dropped).unwrap_or(u64::MAX)
}

/// The settings of the process's log that may change.
static LIVE_LOG: OnceLock<LiveLog> = OnceLock::new();

struct LiveLog {
    targets: reload::Handle<Targets, Registry>,
    lines: reload::Handle<LineLayer, Filtered>,
    output: NonBlocking,
}

/// A registry behind the filter by target and level.
type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;

/// The layer that writes lines, in either format.
type LineLayer = Box<dyn Layer<Filtered> + Send + Sync>;

/// Keeps the log running; dropping it flushes the queue, for at most about a second.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub struct Guard {
    _worker: WorkerGuard,
    shape: Shape,
}

impl Guard {
    /// Returns whether each line was an object of JSON at the start.
    pub fn is_json(&self) -> bool {
        self.shape == Shape::Json
    }
}

/// An error that keeps the log from being set up.
#[derive(Debug, Error)]
pub enum InitError {
    /// The level or one of its directives is invalid.
    #[error(transparent)]
    Level(#[from] InvalidLevel),
    /// Standard error cannot be duplicated.
    #[error("cannot write the log to standard error: {0}")]
    Writer(#[from] io::Error),
    /// The process has a log already.
    #[error("the log is already set up")]
    Twice,
}

/// The format of a line; time stamps are RFC 3339 in UTC in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    Json,
}

impl Shape {
    fn of(format: LogFormat, terminal: bool) -> Self {
        match (format, terminal) {
            (LogFormat::Text, _) | (LogFormat::Auto, true) => Self::Text,
            (LogFormat::Json, _) | (LogFormat::Auto, false) => Self::Json,
        }
    }
}

fn start_worker(output: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MAX_QUEUED_LINES)
        .thread_name("log")
        .finish(PatientWriter(output))
}

fn subscriber(
    targets: Targets,
    shape: Shape,
    output: NonBlocking,
) -> (impl Subscriber + Send + Sync, LiveLog) {
    let (filter, targets) = reload::Layer::new(targets);
    let (layer, lines) = reload::Layer::new(line_layer(shape, output.clone()));
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    let live = LiveLog {
        targets,
        lines,
        output,
    };
    (subscriber, live)
}

fn line_layer(shape: Shape, output: NonBlocking) -> LineLayer {
    // No colours: then every control character in a line comes from a value, and `EscapingLines` escapes it.
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(EscapingLines(output));
    match shape {
        Shape::Text => layer.boxed(),
        Shape::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    }
}

/// Records the log lines of this thread, for tests of what is never logged.
#[cfg(test)]
pub(crate) mod recording {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A recording of this thread's log lines, until it is finished.
    pub(crate) struct Recording {
        text: Arc<Mutex<Vec<u8>>>,
        worker: WorkerGuard,
        subscriber: tracing::subscriber::DefaultGuard,
    }

    /// Starts a recording at `level`, in `format`.
    pub(crate) fn start(level: &str, format: LogFormat) -> Recording {
        let shape = Shape::of(format, true);
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let (lines, worker) = start_worker(Shared(text.clone()));
        let targets = level::parse(level).unwrap();
        let (subscriber, _) = subscriber(targets, shape, lines);
        let subscriber = tracing::subscriber::set_default(subscriber);
        Recording {
            text,
            worker,
            subscriber,
        }
    }

    impl Recording {
        /// Ends the recording and returns its text.
        pub(crate) fn finish(self) -> String {
            drop(self.subscriber);
            drop(self.worker);
            String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
        }
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines that `log` writes under these settings.
    fn written(level: &str, format: LogFormat, log: impl FnOnce()) -> String {
        let recording = recording::start(level, format);
        log();
        recording.finish()
    }

    #[test]
    fn lines_logged_before_the_end_are_written() {
        let text = written("info", LogFormat::Text, || {
            for number in 0..MAX_QUEUED_LINES {
                tracing::info!(target: "bearward", "line {number};");
            }
        });
        assert_eq!(text.lines().count(), MAX_QUEUED_LINES);
        assert!(
            text.contains("line 0;") && text.contains(&format!("line {};", MAX_QUEUED_LINES - 1))
        );
    }

    #[test]
    fn a_json_line_is_flat_and_stamped_in_utc() {
        let text = written("info", LogFormat::Json, || {
            tracing::info!(target: "bearward::access", route = "devices", status = 200, "request");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "request");
        assert_eq!(line["route"], "devices");
        assert_eq!(line["status"], 200);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "bearward::access");
        let stamp = line["timestamp"].as_str().unwrap();
        assert!(
            stamp.ends_with('Z') && humantime::parse_rfc3339(stamp).is_ok(),
            "{stamp}"
        );
    }

    #[test]
    fn a_value_cannot_forge_a_line_or_steer_a_terminal() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let evil = "x\r\n2026 INFO forged\t\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\u{2028}";
            let text = written("info", format, || {
                tracing::info!(target: "bearward", shown = %evil, debugged = ?evil, evil, "message {evil}");
            });
            assert_eq!(text.lines().count(), 1, "{text:?}");
            let line = text.strip_suffix('\n').unwrap();
            assert!(
                !line
                    .chars()
                    .any(|c| c.is_control() || c == '\u{202e}' || c == '\u{2028}'),
                "{line:?}"
            );
            if format == LogFormat::Json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["shown"], evil);
                assert_eq!(line["message"], format!("message {evil}"));
            }
        }
    }

    #[test]
    fn libraries_log_no_details_at_any_level() {
        for level in [
            "trace",
            "trace,hyper=trace,h2=trace,rustls=trace,reqwest=trace",
            "h2::codec=trace",
        ] {
            let text = written(level, LogFormat::Text, || {
                tracing::trace!(target: "h2::codec::framed_write", "authorization: canary");
                tracing::debug!(target: "hyper::proto", "authorization: canary");
                tracing::trace!(target: "hyper_util::client", "authorization: canary");
                tracing::debug!(target: "reqwest::connect", "authorization: canary");
                tracing::trace!(target: "rustls::client", "authorization: canary");
                tracing::debug!(target: "any_other", "authorization: canary");
                tracing::warn!(target: "h2::proto", "told");
            });
            assert!(!text.contains("canary"), "{level}: {text}");
            assert!(text.contains("told"), "{level}: {text}");
        }
    }

    #[test]
    fn a_directive_raises_a_library_to_info_and_bearward_to_trace() {
        let text = written(
            "warn,h2=trace,bearward::oauth=trace",
            LogFormat::Text,
            || {
                tracing::info!(target: "h2::proto", "one");
                tracing::trace!(target: "bearward::oauth::endpoint", "two");
                tracing::info!(target: "bearward::proxy", "three");
            },
        );
        assert!(
            text.contains("one") && text.contains("two") && !text.contains("three"),
            "{text}"
        );
    }

    #[test]
    fn auto_is_text_on_a_terminal_alone() {
        assert_eq!(Shape::of(LogFormat::Auto, true), Shape::Text);
        assert_eq!(Shape::of(LogFormat::Auto, false), Shape::Json);
        assert_eq!(Shape::of(LogFormat::Text, false), Shape::Text);
        assert_eq!(Shape::of(LogFormat::Json, true), Shape::Json);
    }
}
