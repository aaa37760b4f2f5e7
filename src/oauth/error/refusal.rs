//! The codes of RFC 6749 with which an authorization server refuses a client, and what to do about each.

use super::explanation::Explanation;
use crate::oauth::provider::ClientAuth;

/// A refusal by the authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// RFC 6749 §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2.
    InvalidClient,
    /// RFC 6749 §5.2.
    InvalidGrant,
    /// RFC 6749 §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §5.2.
    InvalidScope,
    /// RFC 6749 §4.1.2.1. Some servers send it to a client without access to the requested audience.
    AccessDenied,
}

impl TokenRefusal {
    /// Every refusal.
    pub const ALL: [Self; 7] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::AccessDenied,
    ];

    /// Parses a code; `None` for a code that RFC 6749 does not define.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|refusal| refusal.as_str() == code)
    }

    /// Returns the code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
        }
    }

    /// Returns whether only a change to the client helps. Frequent retries may lock it out.
    pub const fn needs_change(self) -> bool {
        matches!(
            self,
            Self::InvalidClient | Self::InvalidScope | Self::UnauthorizedClient
        )
    }
}

/// Explains a refusal: what is refused, and what to change.
pub(super) fn explain(refusal: TokenRefusal, context: &Explanation<'_>) -> String {
    let key = |name: &str| context.key(name);
    let code = refusal.as_str();
    let error = format!("with the error \"{code}\"");
    match refusal {
        TokenRefusal::InvalidRequest => format!(
            "refuses the request {error}: check {} and {}",
            key("token_request"),
            key("token_endpoint_auth_method")
        ),
        TokenRefusal::InvalidClient => {
            format!("refuses this client {error}: {}", client_advice(context))
        }
        TokenRefusal::InvalidGrant => explain_grant(context, &error),
        TokenRefusal::UnauthorizedClient => format!(
            "refuses this client the grant{} {error}: allow it in the client's registration, or change {}",
            quoted(context.grant()),
            key("grant_type")
        ),
        TokenRefusal::UnsupportedGrantType => format!(
            "does not support the grant{} {error}: check {}",
            quoted(context.grant()),
            key("grant_type")
        ),
        TokenRefusal::InvalidScope => match context.scope() {
            Some(scope) => format!(
                "refuses the scope {scope:?} {error}: check {}",
                key("scope")
            ),
            None => format!(
                "refuses a request without a scope {error}: set {}",
                key("scope")
            ),
        },
        TokenRefusal::AccessDenied => format!(
            "denies access {error}: check the permissions of the client in its registration, its audience and {}",
            key("scope")
        ),
    }
}

/// Says how the client authenticated, and which other method many servers demand.
fn client_advice(context: &Explanation<'_>) -> String {
    let secret = context.secret_origin();
    let secret = secret.map_or_else(String::new, |origin| format!(" (from {origin})"));
    let client_id = context.key("client_id");
    let method = context.key("token_endpoint_auth_method");
    let both = format!("check {client_id} and `client_secret`{secret}");
    match context.client_auth() {
        Some(ClientAuth::SecretBasic) => format!(
            "{both}; they were sent by client_secret_basic, many servers demand {method} = \"client_secret_post\""
        ),
        Some(ClientAuth::SecretPost) => format!(
            "{both}; they were sent by client_secret_post, many servers demand {method} = \"client_secret_basic\""
        ),
        Some(ClientAuth::None) => format!(
            "check {client_id}; no secret was sent: a client that has one needs `client_secret` and {method}"
        ),
        Some(ClientAuth::SecretJwt) => {
            format!("{both}, which signs a JWT, and {method} (now client_secret_jwt)")
        }
        Some(ClientAuth::PrivateKeyJwt | ClientAuth::JwtHeader) => format!(
            "check {client_id} and {}: the key has to be registered there, and the claims be the expected ones",
            context.key("assertion")
        ),
        Some(ClientAuth::TlsClientAuth) => format!(
            "check {client_id} and {}: the certificate has to be registered there",
            context.key("client_certificate")
        ),
        None => format!("{both} and {method}"),
    }
}

fn explain_grant(context: &Explanation<'_>, error: &str) -> String {
    match context.grant() {
        Some("authorization_code") => format!(
            "does not accept this code {error}: it is wrong, used already or expired, or {} differs; log in again",
            context.key("redirect_uri")
        ),
        Some("device_code") => {
            format!("does not accept this device code {error}: log in again")
        }
        Some("password") => format!(
            "does not accept the account {error}: check {} and `password`",
            context.key("username")
        ),
        Some("jwt_bearer") => format!(
            "does not accept the assertion {error}: check {}, and this machine's clock",
            context.key("assertion")
        ),
        Some("refresh_token") | None => format!(
            "does not accept the refresh token {error}: log in again, or configure a new {}",
            context.key("refresh_token")
        ),
        Some(grant) => format!(
            "does not accept the grant {grant:?} {error}: check {}",
            context.key("token_request")
        ),
    }
}

fn quoted(grant: Option<&str>) -> String {
    grant.map_or_else(String::new, |grant| format!(" {grant:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_refusals_wait_for_a_change() {
        let waiting: Vec<_> = TokenRefusal::ALL
            .into_iter()
            .filter(|refusal| refusal.needs_change())
            .collect();
        assert_eq!(
            waiting,
            [
                TokenRefusal::InvalidClient,
                TokenRefusal::UnauthorizedClient,
                TokenRefusal::InvalidScope
            ]
        );
    }

    #[test]
    fn every_code_is_parsed() {
        for refusal in TokenRefusal::ALL {
            assert_eq!(TokenRefusal::parse(refusal.as_str()), Some(refusal));
        }
        assert_eq!(TokenRefusal::parse("slow_down"), None);
    }
}
