//! Logs, metrics and traces.

pub mod access_log;
pub mod metrics;
pub mod traces;
pub mod tracing;

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `text`, `json` or `auto`.
    pub format: LogFormat,
    /// A level (`info`) or directives as in `bearward::oauth=debug,info`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
        }
    }
}

/// `[log] format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
}
