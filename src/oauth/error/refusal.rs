//! The codes of RFC 6749 with which an authorization server refuses a client.

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
    const ALL: [Self; 7] = [
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

    /// Returns what the operator can do.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::InvalidRequest => "check `token_request` and `token_endpoint_auth_method`",
            Self::InvalidClient => {
                "check `client_id`, `client_secret` and `token_endpoint_auth_method`"
            }
            Self::InvalidGrant => "log in again, or configure a new `refresh_token`",
            Self::UnauthorizedClient => {
                "allow the client this grant in its registration, or change `grant_type`"
            }
            Self::UnsupportedGrantType => "check `grant_type`",
            Self::InvalidScope => "check `scope`",
            Self::AccessDenied => "check the permissions of the client in its registration",
        }
    }
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
