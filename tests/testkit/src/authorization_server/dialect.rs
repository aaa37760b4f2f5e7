//! The dialects of real authorization servers, as their vendors document them: paths, methods and exact parameters.

use http::Method;

use super::{
    oauth_error::OAuthError,
    parameters::{Parameters, Shape},
};

/// The vendor whose endpoints and parameters the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 6749, RFC 7636, RFC 7009 and RFC 9207.
    #[default]
    Rfc,
    /// Client credentials in a form.
    Hapn,
    /// Authorization code with PKCE.
    Happeo,
    /// Authorization code without PKCE.
    HappyrMatch,
    /// Authorization code with PKCE for public clients, token requests by GET, and a sign-in endpoint.
    Feeling,
}

impl Dialect {
    pub(super) const fn authorization_path(self) -> Option<&'static str> {
        match self {
            Self::Rfc => Some("/oauth2/authorize"),
            Self::Hapn => None,
            Self::Happeo | Self::HappyrMatch => Some("/oauth/authorize"),
            Self::Feeling => Some("/authorize"),
        }
    }

    pub(super) const fn token_path(self) -> &'static str {
        match self {
            Self::Rfc | Self::Hapn => "/oauth2/token",
            Self::Happeo | Self::HappyrMatch => "/oauth/token",
            Self::Feeling => "/token",
        }
    }

    pub(super) const fn revocation_path(self) -> Option<&'static str> {
        match self {
            Self::Rfc => Some("/oauth2/revoke"),
            _ => None,
        }
    }

    pub(super) const fn sign_in_path(self) -> Option<&'static str> {
        match self {
            Self::Feeling => Some("/sign-in"),
            _ => None,
        }
    }

    /// The one method of the token endpoint.
    pub(super) const fn token_method(self) -> Method {
        match self {
            Self::Feeling => Method::GET,
            _ => Method::POST,
        }
    }

    /// The parameter that carries the code to the client.
    pub(super) const fn code_parameter(self) -> &'static str {
        match self {
            Self::Feeling => "authorization_code",
            _ => "code",
        }
    }

    /// Whether the exchange of a code repeats the `redirect_uri` (RFC 6749 §4.1.3).
    pub(super) const fn exchange_has_redirect_uri(self) -> bool {
        !matches!(self, Self::Feeling)
    }

    /// Whether a token response has a `scope`.
    pub(super) const fn returns_scope(self) -> bool {
        matches!(self, Self::Rfc | Self::Happeo)
    }

    /// Whether consent needs a PKCE challenge.
    pub(super) const fn needs_challenge(self) -> bool {
        matches!(self, Self::Happeo | Self::Feeling)
    }

    /// Whether `method` is accepted as a challenge method. Feeling documents two names for S256.
    pub(super) fn accepts_challenge_method(self, method: &str) -> bool {
        method == "S256" || (self == Self::Feeling && method == "SHA256")
    }

    /// Checks the parameters of a consent redirect.
    pub(super) fn check_authorization(self, parameters: &Parameters) -> Result<(), OAuthError> {
        let shape = match self {
            Self::Rfc | Self::Hapn => return Ok(()),
            Self::Happeo => Shape {
                required: &[
                    "client_id",
                    "code_challenge",
                    "code_challenge_method",
                    "redirect_uri",
                    "response_type",
                    "scope",
                    "state",
                ],
                optional: &[],
            },
            Self::HappyrMatch => Shape {
                required: &["client_id", "response_type"],
                optional: &["redirect_uri", "scope", "state"],
            },
            Self::Feeling => Shape {
                required: &FEELING_CONSENT,
                optional: &[],
            },
        };
        shape.check(parameters)
    }

    /// Checks the parameters of a sign-in.
    pub(super) fn check_sign_in(self, parameters: &Parameters) -> Result<(), OAuthError> {
        Shape {
            required: &FEELING_SIGN_IN,
            optional: &[],
        }
        .check(parameters)?;
        if parameters.get("state").map(|state| state.chars().count()) != Some(10) {
            return Err(OAuthError::invalid_request(
                "the state is not of 10 characters",
            ));
        }
        Ok(())
    }

    /// Checks the parameters of a token request of a public or confidential client.
    pub(super) fn check_token_request(
        self,
        parameters: &Parameters,
        public: bool,
    ) -> Result<(), OAuthError> {
        let grant_type = parameters.get("grant_type").map(String::as_str);
        let (confidential_shape, public_shape): (&'static [_], &'static [_]) =
            match (self, grant_type) {
                (Self::Rfc, _) | (_, None) => return Ok(()),
                (Self::Hapn, Some("client_credentials")) => {
                    (&["grant_type", "client_id", "client_secret"], &[])
                }
                (Self::Happeo, Some("authorization_code")) => (
                    &[
                        "grant_type",
                        "client_id",
                        "client_secret",
                        "redirect_uri",
                        "code",
                        "code_verifier",
                    ],
                    &[
                        "grant_type",
                        "client_id",
                        "redirect_uri",
                        "code",
                        "code_verifier",
                    ],
                ),
                (Self::HappyrMatch, Some("authorization_code")) => (
                    &[
                        "grant_type",
                        "client_id",
                        "client_secret",
                        "redirect_uri",
                        "code",
                    ],
                    &["grant_type", "client_id", "redirect_uri", "code"],
                ),
                (Self::Happeo | Self::HappyrMatch, Some("refresh_token")) => (
                    &["grant_type", "client_id", "client_secret", "refresh_token"],
                    &["grant_type", "client_id", "refresh_token"],
                ),
                (Self::Feeling, Some("authorization_code")) => {
                    (&[], &["grant_type", "client_id", "code", "code_verifier"])
                }
                (Self::Feeling, Some("refresh_token")) => (&[], &["grant_type", "refresh_token"]),
                (_, Some(_)) => return Err(UNSUPPORTED_GRANT_TYPE),
            };
        let required = if public {
            public_shape
        } else {
            confidential_shape
        };
        if required.is_empty() {
            return Err(OAuthError::invalid_client(
                "this vendor has no clients of this type",
            ));
        }
        Shape {
            required,
            optional: &[],
        }
        .check(parameters)
    }
}

/// RFC 6749 §5.2.
pub(super) const UNSUPPORTED_GRANT_TYPE: OAuthError =
    OAuthError::new("unsupported_grant_type", "the grant type is not supported");

const FEELING_CONSENT: [&str; 6] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "response_type",
    "state",
];

const FEELING_SIGN_IN: [&str; 8] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "email",
    "password",
    "redirect_uri",
    "response_type",
    "state",
];
