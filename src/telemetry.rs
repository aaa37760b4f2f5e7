//! What the program tells of itself: logs and metrics.

pub mod metrics;

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `text`, `json` or `auto`.
    pub format: LogFormat,
    /// A level (`info`) or directives as in `bearward::oauth=debug,info`.
    pub level: String,
}

/// `[log] format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Text on a terminal, else JSON.
    Auto,
}
