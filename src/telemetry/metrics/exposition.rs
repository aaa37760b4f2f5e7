//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write};

use super::buckets::Durations;

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric's name, kind and meaning. The meaning holds neither a line break nor a backslash.
#[derive(Debug)]
pub(super) struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
}

impl Family {
    pub(super) const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help }
    }
}

type Labels<'a> = [(&'static str, &'a str)];

/// The text as it grows.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a metric; its samples have to follow at once.
    pub(super) fn family(&mut self, family: &Family) -> Samples<'_> {
        let Family { name, kind, help } = family;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.as_str()));
        Samples { out: self, name }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &Labels<'_>,
        le: Option<&str>,
        value: impl Display,
    ) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        self.0.push('{');
        for (place, (label, value)) in labels
            .iter()
            .copied()
            .chain(le.map(|bound| ("le", bound)))
            .enumerate()
        {
            if place > 0 {
                self.0.push(',');
            }
            self.0.push_str(label);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
        self.line(format_args!("}} {value}"));
    }
}

/// Where the samples of one metric go.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    out: &'a mut Exposition,
    name: &'static str,
}

impl Samples<'_> {
    pub(super) fn sample(&mut self, labels: &Labels<'_>, value: impl Display) {
        self.out.sample(self.name, "", labels, None, value);
    }

    pub(super) fn histogram(&mut self, labels: &Labels<'_>, durations: &Durations) {
        for (bound, count) in durations.cumulative() {
            self.out.sample(
                self.name,
                "_bucket",
                labels,
                Some(&bound.to_string()),
                count,
            );
        }
        self.out.sample(
            self.name,
            "_bucket",
            labels,
            Some("+Inf"),
            durations.count(),
        );
        self.out
            .sample(self.name, "_sum", labels, None, durations.sum_seconds());
        self.out
            .sample(self.name, "_count", labels, None, durations.count());
    }
}

/// What may not stand in a label's value as it is: backslash, quote and line feed.
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}
