//! The document of `/api/status`.

mod provider;
mod route;
mod token_claims;

use std::time::SystemTime;

use serde::{Serialize, Serializer};

pub(super) use self::{
    provider::{ErrorStatus, ProviderStatus},
    route::RouteStatus,
    token_claims::TokenClaims,
};
use super::{reload::ReloadReply, state::AdminState};
use crate::login::StoreIdentity;

/// The state of all providers and routes at one instant.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub(super) version: &'static str,
    #[serde(serialize_with = "stamp")]
    pub(super) started_at: Option<SystemTime>,
    /// Whether the process is about to end.
    pub(super) draining: bool,
    pub(super) admin: String,
    pub(super) store: StoreIdentity,
    pub(super) configuration: ConfigurationStatus,
    /// The last reload of the configuration.
    pub(super) last_reload: Option<ReloadStatus>,
    #[serde(serialize_with = "in_order")]
    pub(super) providers: Vec<(String, ProviderStatus)>,
    #[serde(serialize_with = "in_order")]
    pub(super) routes: Vec<(String, RouteStatus)>,
}

/// The configuration in force.
#[derive(Debug, Serialize)]
pub(super) struct ConfigurationStatus {
    pub(super) files: Vec<String>,
    /// Since when it is in force.
    #[serde(serialize_with = "stamp")]
    pub(super) loaded_at: Option<SystemTime>,
    /// Whether the files have changed since then and are not in force, since they have problems.
    pub(super) is_outdated: bool,
}

/// A reload: its time, and what `bearward check --format json` says of the file.
#[derive(Debug, Serialize)]
pub(super) struct ReloadStatus {
    #[serde(serialize_with = "stamp")]
    pub(super) at: Option<SystemTime>,
    /// `success` or `failure`.
    pub(super) outcome: &'static str,
    pub(super) problems: Vec<serde_json::Value>,
}

impl Status {
    pub(super) fn of(state: &AdminState) -> Self {
        let view = state.view();
        let last_reload = state.last_reload().map(|reply| ReloadStatus::of(&reply));
        let providers = view.tokens.iter().map(|credential| {
            let status = ProviderStatus::of(credential, state.address());
            (credential.name().to_string(), status)
        });
        let routes = view.routes.iter().map(|route| {
            let traffic = state.traffic().of(&route.name);
            (route.name.to_string(), RouteStatus::of(route, traffic))
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started_at: Some(state.started_at()),
            draining: state.is_draining(),
            admin: state.address().to_string(),
            store: StoreIdentity::at(&view.store),
            configuration: ConfigurationStatus {
                files: view
                    .files
                    .iter()
                    .map(|file| file.display().to_string())
                    .collect(),
                loaded_at: Some(state.loaded_at()),
                is_outdated: last_reload
                    .as_ref()
                    .is_some_and(|reload| reload.outcome == ReloadStatus::FAILURE),
            },
            last_reload,
            providers: providers.collect(),
            routes: routes.collect(),
        }
    }
}

impl ReloadStatus {
    /// The outcome of a configuration with problems.
    pub(super) const FAILURE: &str = "failure";

    fn of(reply: &ReloadReply) -> Self {
        let problems = reply.report["problems"].as_array();
        Self {
            at: Some(reply.at),
            outcome: match reply.is_applied {
                true => "success",
                false => Self::FAILURE,
            },
            problems: problems.cloned().unwrap_or_default(),
        }
    }
}

/// Serializes an object with its members in the order of the configuration.
fn in_order<T: Serialize, S: Serializer>(
    pairs: &[(String, T)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// Serializes a time as RFC 3339 in UTC, to the second.
fn stamp<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&rfc3339(*time)),
        None => serializer.serialize_none(),
    }
}

/// Formats a time as RFC 3339 in UTC, clamped to the years 1970 to 9999.
pub(super) fn rfc3339(time: SystemTime) -> String {
    const LAST: std::time::Duration = std::time::Duration::from_secs(253_402_300_799);
    let since_1970 = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .min(LAST);
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since_1970).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::{super::traffic::RouteTraffic, *};
    use crate::token::store::StoreLocation;

    /// A status with one provider, which is ready, and one route, both of this name.
    pub(in crate::admin) fn status(name: &str) -> Status {
        let epoch = Some(SystemTime::UNIX_EPOCH);
        let provider = ProviderStatus {
            renewed_at: epoch,
            expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(252)),
            ..provider::tests::provider(name)
        };
        let route = RouteStatus {
            listen: name.into(),
            upstream: name.into(),
            provider: Some(name.into()),
            traffic: RouteTraffic::default(),
        };
        Status {
            version: "0.1.0",
            started_at: epoch,
            draining: false,
            admin: name.into(),
            store: StoreIdentity::at(&StoreLocation::Memory),
            configuration: ConfigurationStatus {
                files: vec![name.into()],
                loaded_at: epoch,
                is_outdated: false,
            },
            last_reload: None,
            providers: vec![(name.into(), provider)],
            routes: vec![(name.into(), route)],
        }
    }

    #[test]
    fn time_stamps_are_utc_to_the_second_and_never_fail() {
        let at =
            |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 900);
        assert_eq!(rfc3339(at(1_795_294_800)), "2026-11-21T21:00:00Z");
        assert_eq!(rfc3339(at(999_999_999_999)), "9999-12-31T23:59:59Z");
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH - Duration::from_secs(5)),
            "1970-01-01T00:00:00Z"
        );
    }

    #[test]
    fn members_are_those_documented() {
        let document = serde_json::to_value(status("x")).unwrap();
        let members = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(
            members(&document),
            [
                "admin",
                "configuration",
                "draining",
                "last_reload",
                "providers",
                "routes",
                "started_at",
                "store",
                "version"
            ]
        );
        assert_eq!(
            members(&document["providers"]["x"]),
            [
                "can_log_in",
                "can_refresh",
                "client_id",
                "expires_at",
                "grant_type",
                "has_refresh_token",
                "hint",
                "is_refreshing",
                "last_error",
                "login_expires_at",
                "login_is_due",
                "redirect_uri",
                "refresh_at",
                "renewed_at",
                "scope",
                "state",
                "token",
                "token_endpoint",
                "token_requests",
            ]
        );
        assert_eq!(
            members(&document["routes"]["x"]),
            ["listen", "provider", "traffic", "upstream"]
        );
        assert_eq!(
            document["providers"]["x"]["expires_at"],
            "1970-01-01T00:04:12Z"
        );
        assert!(document["providers"]["x"]["last_error"].is_null());
    }

    #[test]
    fn providers_and_routes_keep_the_order_of_the_file() {
        let mut document = status("z");
        document.providers.extend(status("a").providers);
        let text = serde_json::to_string(&document).unwrap();
        let at = |name: &str| text.find(&format!("\"{name}\":{{\"grant_type\"")).unwrap();
        assert!(at("z") < at("a"), "{text}");
    }
}
