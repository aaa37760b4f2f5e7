//! The state of a provider, and of them all, in one word and one tone.

use crate::admin::status::{ProviderStatus, Status};

/// The quality of a state, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    Good,
    Busy,
    Due,
    Bad,
}

/// A state in words.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Tone {
    /// The class of its colours.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Due => "due",
            Self::Bad => "bad",
        }
    }
}

/// The state of everything: one provider by its name, several by their number.
pub(super) fn of(status: &Status) -> Summary {
    if status.draining {
        return Summary {
            tone: Tone::Due,
            text: "About to end".into(),
        };
    }
    let states: Vec<_> = status
        .providers
        .iter()
        .map(|(name, provider)| (name, of_provider(provider)))
        .collect();
    let tone = states.iter().map(|(_, state)| state.tone).max();
    let tone = tone.unwrap_or(Tone::Good);
    let worst: Vec<_> = states
        .iter()
        .filter(|(_, state)| state.tone == tone)
        .collect();
    let text = match (&worst[..], tone) {
        ([], _) => "No providers".into(),
        (_, Tone::Good) => "Every provider is ready".into(),
        ([(name, state)], _) => format!("{}: {name}", capitalized(&state.text)),
        (several, _) => {
            let all = status.providers.len();
            let verb = match tone {
                Tone::Bad => "have no token",
                Tone::Due => "need attention",
                _ => "are being renewed",
            };
            format!("{} of {all} providers {verb}", several.len())
        }
    };
    Summary { tone, text }
}

/// The state of one provider.
pub(super) fn of_provider(provider: &ProviderStatus) -> Summary {
    let is_failing = provider.last_error.is_some();
    let (tone, text) = match provider.state {
        "ready" if provider.login_is_due => (Tone::Due, "login due"),
        "ready" if is_failing => (Tone::Due, "refresh failing"),
        "ready" if provider.is_refreshing => (Tone::Busy, "renewing"),
        "ready" => (Tone::Good, "ready"),
        "pending" => (Tone::Busy, "pending"),
        "login_required" => (Tone::Bad, "login required"),
        other => (Tone::Bad, other),
    };
    Summary {
        tone,
        text: text.into(),
    }
}

fn capitalized(text: &str) -> String {
    let (first, rest) = text.split_at(text.len().min(1));
    first.to_ascii_uppercase() + rest
}
