//! Log lines: which are written, in which shape, and by whom.
//!
//! They go to standard error through [`queue`], so that a reader of standard error that stands still holds up nobody.

mod level;
mod queue;

use std::{
    fmt,
    io::{self, IsTerminal},
    os::fd::AsFd,
    time::SystemTime,
};

use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
};

use super::{LogFormat, LogSettings};
pub use level::{InvalidLevel, validate_level};
use queue::{Lines, Writer};

/// Installs the process's log. What is logged before the guard is dropped is written; wait for nothing else.
///
/// # Errors
/// See [`InitError`].
pub fn init(settings: &LogSettings) -> Result<Guard, InitError> {
    let targets = level::parse(&settings.level).map_err(InitError::Level)?;
    let shape = Shape::of(settings.format, io::stderr().is_terminal());
    // A file of its own: `io::Stderr` has a lock, and a panic's message has to come out even when the writer hangs.
    let stderr = io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map_err(InitError::Writer)?;
    let (lines, writer) = queue::start(std::fs::File::from(stderr), move |lost| shape.lost(lost))
        .map_err(InitError::Writer)?;
    tracing::subscriber::set_global_default(subscriber(targets, shape, lines))
        .map_err(|_| InitError::Twice)?;
    Ok(Guard { _writer: writer })
}

/// Keeps the log going; dropping it writes what is left, for no longer than a second.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub struct Guard {
    _writer: Writer,
}

/// Why there is no log.
#[derive(Debug)]
pub enum InitError {
    /// The level or its directives.
    Level(InvalidLevel),
    /// The thread that writes, or standard error itself.
    Writer(io::Error),
    /// There is one already.
    Twice,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(error) => error.fmt(f),
            Self::Writer(error) => write!(f, "the log cannot be written: {error}"),
            Self::Twice => f.write_str("the log was set up already"),
        }
    }
}

impl std::error::Error for InitError {}

/// The shape of a line; time stamps are RFC 3339 in UTC in both.
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

    /// The line that says how many others are missing.
    fn lost(self, lines: u64) -> String {
        let now = humantime::format_rfc3339_micros(SystemTime::now());
        let message = "standard error was not read fast enough: log lines are missing here";
        match self {
            Self::Text => format!("{now}  WARN bearward::log: {message} lines={lines}\n"),
            Self::Json => format!(
                "{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\"message\":\"{message}\",\"lines\":{lines},\
                 \"target\":\"bearward::log\"}}\n"
            ),
        }
    }
}

fn subscriber(targets: Targets, shape: Shape, lines: Lines) -> Box<dyn Subscriber + Send + Sync> {
    // No colours: then every control character in a line comes from a value, and the queue escapes it.
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(lines);
    let layer = match shape {
        Shape::Text => layer.boxed(),
        Shape::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    Box::new(tracing_subscriber::registry().with(targets).with(layer))
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The formatter writes each line whole, in one call.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What [`level::parse`] gives a target without a directive of its own.
const FOREIGN: LevelFilter = LevelFilter::WARN;

/// Records what is logged on this thread, for tests anywhere that promise what is not.
#[cfg(test)]
pub(crate) mod recording {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Until it is finished, lines of this thread go here.
    pub(crate) struct Recording {
        text: Arc<Mutex<Vec<u8>>>,
        writer: Writer,
        subscriber: tracing::subscriber::DefaultGuard,
    }

    /// Begins one at `level`, in the shape of `format`.
    pub(crate) fn start(level: &str, format: LogFormat) -> Recording {
        let shape = Shape::of(format, true);
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let (lines, writer) =
            queue::start(Shared(text.clone()), move |lost| shape.lost(lost)).unwrap();
        let targets = level::parse(level).unwrap();
        let subscriber = tracing::subscriber::set_default(subscriber(targets, shape, lines));
        Recording {
            text,
            writer,
            subscriber,
        }
    }

    impl Recording {
        /// Ends it: all that was logged.
        pub(crate) fn finish(self) -> String {
            drop(self.subscriber);
            drop(self.writer);
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

    /// What `log` writes under these settings.
    fn written(level: &str, format: LogFormat, log: impl FnOnce()) -> String {
        let recording = recording::start(level, format);
        log();
        recording.finish()
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
    fn the_insides_of_libraries_stay_silent_at_any_level() {
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
    fn a_directive_brings_a_library_to_info_and_us_to_trace() {
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

    #[test]
    fn the_line_about_lost_lines_has_the_shape_of_the_others() {
        let line: serde_json::Value = serde_json::from_str(&Shape::Json.lost(7)).unwrap();
        assert_eq!(line["lines"], 7);
        assert!(Shape::Text.lost(7).ends_with("lines=7\n"));
    }
}
