//! Readiness: every provider that some route uses has a usable token.

use std::collections::BTreeMap;

use serde::Serialize;

use super::state::RouteView;
use crate::token::status::CredentialState;

/// The document of `/readyz`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Readiness {
    /// Whether traffic should be sent here.
    pub(super) ready: bool,
    /// Whether the process is about to end.
    draining: bool,
    /// The providers without a usable token, and the state of each.
    not_ready: BTreeMap<String, &'static str>,
}

/// Judges readiness by the routes and the state of each provider that they name.
pub(super) fn readiness(
    routes: &[RouteView],
    draining: bool,
    state: impl Fn(&str) -> Option<CredentialState>,
) -> Readiness {
    let mut not_ready = BTreeMap::new();
    for provider in routes.iter().filter_map(|route| route.provider.as_deref()) {
        match state(provider) {
            Some(CredentialState::Ready) => {}
            Some(other) => drop(not_ready.insert(provider.to_owned(), other.as_str())),
            // A checked configuration rules this out; a request would fail, so it counts.
            None => drop(not_ready.insert(provider.to_owned(), "unknown")),
        }
    }
    Readiness {
        ready: not_ready.is_empty() && !draining,
        draining,
        not_ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(provider: Option<&str>) -> RouteView {
        RouteView {
            name: "r".into(),
            listen: String::new(),
            upstream: String::new(),
            provider: provider.map(Into::into),
        }
    }

    #[test]
    fn only_providers_that_a_route_uses_count() {
        let state = |name: &str| match name {
            "good" => Some(CredentialState::Ready),
            "bad" => Some(CredentialState::Failing),
            "new" => Some(CredentialState::Pending),
            _ => None,
        };
        assert!(readiness(&[route(Some("good")), route(None)], false, state).ready);
        assert!(readiness(&[], false, state).ready);
        let judged = readiness(
            &[route(Some("good")), route(Some("bad")), route(Some("new"))],
            false,
            state,
        );
        assert!(!judged.ready);
        assert_eq!(
            judged.not_ready,
            BTreeMap::from([("bad".into(), "failing"), ("new".into(), "pending")])
        );
        assert_eq!(
            readiness(&[route(Some("gone"))], false, state).not_ready["gone"],
            "unknown"
        );
    }

    #[test]
    fn a_process_about_to_end_is_not_ready() {
        let judged = readiness(&[], true, |_| None);
        assert_eq!((judged.ready, judged.draining), (false, true));
    }
}
