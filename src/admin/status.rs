//! The document of `/api/status`.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::{reload::ReloadReply, state::AdminState};
use crate::{
    login::{StoreIdentity, redirect::can_log_in_at, supports_browser_login},
    server::address::ListenAddress,
    token::{
        credential::Credential,
        status::{CredentialStatus, LastError},
    },
};

/// The state of all providers and routes at one instant.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub(super) version: &'static str,
    pub(super) admin: String,
    pub(super) store: StoreIdentity,
    /// The last reload of the configuration.
    pub(super) last_reload: Option<ReloadStatus>,
    #[serde(serialize_with = "in_order")]
    pub(super) providers: Vec<(String, ProviderStatus)>,
    #[serde(serialize_with = "in_order")]
    pub(super) routes: Vec<(String, RouteStatus)>,
}

#[derive(Debug, Serialize)]
pub(super) struct ProviderStatus {
    pub(super) grant_type: String,
    pub(super) state: &'static str,
    #[serde(serialize_with = "stamp")]
    pub(super) expires_at: Option<SystemTime>,
    #[serde(serialize_with = "stamp")]
    pub(super) refresh_at: Option<SystemTime>,
    pub(super) has_refresh_token: bool,
    #[serde(serialize_with = "stamp")]
    pub(super) login_expires_at: Option<SystemTime>,
    pub(super) token_requests: u64,
    pub(super) last_error: Option<ErrorStatus>,
    /// Whether `/login/NAME` starts a login that returns to this listener.
    pub(super) can_log_in: bool,
    /// Whether the page offers a login.
    #[serde(skip)]
    pub(super) login_is_due: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ErrorStatus {
    pub(super) kind: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) help: String,
    #[serde(serialize_with = "stamp")]
    pub(super) at: Option<SystemTime>,
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

#[derive(Debug, Serialize)]
pub(super) struct RouteStatus {
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) provider: Option<String>,
}

impl Status {
    pub(super) fn of(state: &AdminState) -> Self {
        let view = state.view();
        let route = |route: &super::RouteView| RouteStatus {
            listen: route.listen.clone(),
            upstream: route.upstream.clone(),
            provider: route.provider.as_deref().map(str::to_owned),
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            admin: state.address().to_string(),
            store: StoreIdentity::at(&view.store),
            last_reload: state.last_reload().map(|reply| ReloadStatus::of(&reply)),
            providers: view
                .tokens
                .iter()
                .map(|one| {
                    (
                        one.name().to_string(),
                        ProviderStatus::of(one, state.address()),
                    )
                })
                .collect(),
            routes: view
                .routes
                .iter()
                .map(|one| (one.name.to_string(), route(one)))
                .collect(),
        }
    }
}

impl ProviderStatus {
    /// The status of one provider; `admin` is the real address of the admin listener.
    pub(super) fn of(credential: &Credential, admin: &ListenAddress) -> Self {
        let status = credential.status();
        let CredentialStatus {
            state,
            grant_type,
            expires_at,
            refresh_at,
            ..
        } = status;
        let login_is_due = status.login_required && supports_browser_login(credential.provider());
        Self {
            grant_type,
            state: state.as_str(),
            expires_at,
            refresh_at,
            has_refresh_token: status.has_refresh_token,
            login_expires_at: status.login_expires_at,
            token_requests: status.token_requests,
            last_error: status.last_error.map(ErrorStatus::of),
            can_log_in: can_log_in_at(credential.provider(), admin),
            login_is_due,
        }
    }
}

impl ReloadStatus {
    fn of(reply: &ReloadReply) -> Self {
        let problems = reply.report["problems"].as_array();
        Self {
            at: Some(reply.at),
            outcome: if reply.is_applied {
                "success"
            } else {
                "failure"
            },
            problems: problems.cloned().unwrap_or_default(),
        }
    }
}

impl ErrorStatus {
    fn of(error: LastError) -> Self {
        Self {
            kind: error.kind.to_string(),
            message: error.message.to_string(),
            description: error.description.map(|text| text.to_string()),
            help: error.help,
            at: Some(error.at),
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::token::store::StoreLocation;

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
    fn members_are_those_documented_and_in_the_order_of_the_file() {
        let provider = |last_error| ProviderStatus {
            grant_type: "client_credentials".into(),
            state: "ready",
            expires_at: Some(SystemTime::UNIX_EPOCH),
            refresh_at: None,
            has_refresh_token: false,
            login_expires_at: Some(SystemTime::UNIX_EPOCH),
            token_requests: 3,
            last_error,
            can_log_in: false,
            login_is_due: false,
        };
        let error = ErrorStatus {
            kind: "k".into(),
            message: "m".into(),
            description: Some("d".into()),
            help: "h".into(),
            at: Some(SystemTime::UNIX_EPOCH),
        };
        let route = RouteStatus {
            listen: "l".into(),
            upstream: "u".into(),
            provider: Some("z".into()),
        };
        let status = Status {
            version: "0.1.0",
            admin: "127.0.0.1:9900".into(),
            store: StoreIdentity::at(&StoreLocation::Memory),
            last_reload: None,
            providers: vec![
                ("z".into(), provider(None)),
                ("a".into(), provider(Some(error))),
            ],
            routes: vec![("r".into(), route)],
        };
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            concat!(
                r#"{"version":"0.1.0","admin":"127.0.0.1:9900","#,
                r#""store":{"kind":"memory","path":null,"folder":null},"last_reload":null,"providers":{"#,
                r#""z":{"grant_type":"client_credentials","state":"ready","expires_at":"1970-01-01T00:00:00Z","#,
                r#""refresh_at":null,"has_refresh_token":false,"login_expires_at":"1970-01-01T00:00:00Z","token_requests":3,"last_error":null,"can_log_in":false},"#,
                r#""a":{"grant_type":"client_credentials","state":"ready","expires_at":"1970-01-01T00:00:00Z","#,
                r#""refresh_at":null,"has_refresh_token":false,"login_expires_at":"1970-01-01T00:00:00Z","token_requests":3,"#,
                r#""last_error":{"kind":"k","message":"m","description":"d","help":"h","at":"1970-01-01T00:00:00Z"},"can_log_in":false}},"#,
                r#""routes":{"r":{"listen":"l","upstream":"u","provider":"z"}}}"#
            )
        );
    }
}
