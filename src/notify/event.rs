//! A notification, as the command and the URL get it.

use std::time::SystemTime;

use humantime::format_rfc3339_seconds;
use serde::Serialize;

use super::NotifyView;
use crate::token::{
    credential::Credential,
    status::{CredentialStatus, LoginCondition},
};

/// A change of a login, serialized as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoginChange {
    /// The provider.
    pub provider: String,
    /// `login_required`, `login_due` or `ready`.
    pub state: &'static str,
    /// The last error, in words without a secret.
    pub error: Option<String>,
    /// The address at which a person logs in, if that works in a browser.
    pub login_url: Option<String>,
    /// When the login ends, as far as it is known (RFC 3339).
    pub login_expires_at: Option<String>,
    /// When the change was seen (RFC 3339).
    pub at: String,
    /// All of it in words. Slack, Mattermost and others show this member.
    pub text: String,
}

impl LoginChange {
    pub(super) fn new(
        condition: LoginCondition,
        credential: &Credential,
        view: &NotifyView,
        at: SystemTime,
    ) -> Self {
        let provider = credential.provider();
        let CredentialStatus {
            last_error,
            login_expires_at,
            ..
        } = credential.status();
        let error = last_error.filter(|_| condition != LoginCondition::Good);
        let error = error.map(|error| error.message.to_string());
        let login_url = view.login_url(provider);
        let login_expires_at = login_expires_at.map(stamp);
        let name = &provider.name;
        let mut text = match (condition, &login_expires_at) {
            (LoginCondition::Good, _) => format!("bearward: the login of {name} is back"),
            (LoginCondition::Due, Some(end)) => {
                format!("bearward: the login of {name} ends at {end}; log in again before that")
            }
            (LoginCondition::Due, None) => {
                format!("bearward: the login of {name} ends soon; log in again")
            }
            (LoginCondition::Required, _) => format!("bearward: {name} needs a login"),
        };
        if let Some(error) = &error {
            text.push_str(&format!(" ({error})"));
        }
        if condition != LoginCondition::Good {
            let open = login_url.as_ref().map(|url| format!(" or open {url}"));
            let open = open.unwrap_or_default();
            text.push_str(&format!(": run `bearward login {name}`{open}"));
        }
        Self {
            provider: name.to_string(),
            state: word(condition),
            error,
            login_url,
            login_expires_at,
            at: stamp(at),
            text,
        }
    }

    /// The JSON text.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|_| unreachable!("texts are always serialized"))
    }
}

const fn word(condition: LoginCondition) -> &'static str {
    match condition {
        LoginCondition::Good => "ready",
        LoginCondition::Due => "login_due",
        LoginCondition::Required => "login_required",
    }
}

fn stamp(at: SystemTime) -> String {
    format_rfc3339_seconds(at).to_string()
}
