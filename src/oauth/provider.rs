//! One authorization server plus one client registration at it: everything needed to obtain tokens.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use url::Url;

use super::redirect_uri::RedirectUri;
use crate::{secret::LiveSecret, tls::Trust};

/// A provider as the configuration describes it, its preset merged in and its endpoints absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The key of its `[providers.NAME]` table.
    pub name: Arc<str>,
    /// The grant that obtains tokens.
    pub grant_type: GrantType,
    /// RFC 6749 §3.2.
    pub token_endpoint: Url,
    /// RFC 7009.
    pub revocation_endpoint: Option<Url>,
    /// RFC 6749 §2.2.
    pub client_id: String,
    /// Absent for a public client.
    pub client_secret: Option<Arc<LiveSecret>>,
    /// RFC 6749 §2.3.
    pub client_auth: ClientAuth,
    /// The requested scopes, joined by the provider's separator.
    pub scope: Option<String>,
    /// A first refresh token, given by configuration.
    pub refresh_token: Option<Arc<LiveSecret>>,
    /// Deviations of this server's token requests from RFC 6749.
    pub token_request: TokenRequest,
    /// Pointers to the members of its token responses.
    pub token_response: TokenResponse,
    /// The authorization request; present for `authorization_code`.
    pub authorization: Option<Authorization>,
    /// Headless consent.
    pub sign_in: Option<SignIn>,
    /// `[providers.x.refresh] before`: the time between the refresh and the expiry.
    pub refresh_before: Option<Duration>,
}

impl Provider {
    /// The default separator between two scopes (RFC 6749 §3.3).
    pub const DEFAULT_SCOPE_SEPARATOR: &str = " ";
}

/// `grant_type` (RFC 6749 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §4.1, then §6.
    AuthorizationCode,
    /// RFC 6749 §6 with a refresh token given by configuration.
    RefreshToken,
}

impl GrantType {
    /// The name of RFC 6749.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// `token_endpoint_auth_method` (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// A public client: `client_id` in the parameters.
    None,
    /// RFC 6749 §2.3.1, HTTP Basic with both parts form-encoded first.
    SecretBasic,
    /// RFC 6749 §2.3.1, in the parameters.
    SecretPost,
}

/// The HTTP method of a token request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenMethod {
    /// RFC 6749 §3.2.
    #[default]
    Post,
    /// Parameters go into the query.
    Get,
}

/// The encoding of a request's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// A JSON object of strings.
    Json,
    /// The query of the URL.
    Query,
}

/// Deviations of token requests from RFC 6749.
#[derive(Clone, PartialEq)]
pub struct TokenRequest {
    /// The HTTP method.
    pub method: TokenMethod,
    /// The encoding of the parameters.
    pub encoding: Encoding,
    /// Extra parameters of every grant.
    pub params: BTreeMap<String, String>,
    /// Extra header fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Parameters left out of refresh requests.
    pub omit_on_refresh: Vec<String>,
    /// Parameters left out of the exchange of an authorization code.
    pub omit_on_exchange: Vec<String>,
    /// The time for one exchange, from the name look-up to the end of the response.
    pub timeout: Duration,
    /// Extra trust roots.
    pub trust: Trust,
    /// An HTTP proxy for token requests. The system's proxy is never used.
    pub proxy: Option<Url>,
}

impl Default for TokenRequest {
    fn default() -> Self {
        Self {
            method: TokenMethod::default(),
            encoding: Encoding::default(),
            params: BTreeMap::new(),
            headers: Vec::new(),
            omit_on_refresh: Vec::new(),
            omit_on_exchange: Vec::new(),
            timeout: Duration::from_secs(10),
            trust: Trust::default(),
            proxy: None,
        }
    }
}

/// Shows parameters by name alone, since they may hold a credential. Header values are marked sensitive.
impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("method", &self.method)
            .field("encoding", &self.encoding)
            .field("params", &self.params.keys())
            .field("headers", &self.headers)
            .field("omit_on_refresh", &self.omit_on_refresh)
            .field("omit_on_exchange", &self.omit_on_exchange)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// JSON Pointers (RFC 6901) into the token response.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenResponse {
    /// Default `/access_token`.
    pub access_token: String,
    /// Default `/refresh_token`.
    pub refresh_token: String,
    /// Default `/expires_in`.
    pub expires_in: String,
    /// The lifetime when the response gives none; 5 minutes when this is absent too.
    pub default_lifetime: Option<Duration>,
}

impl Default for TokenResponse {
    fn default() -> Self {
        Self {
            access_token: "/access_token".to_owned(),
            refresh_token: "/refresh_token".to_owned(),
            expires_in: "/expires_in".to_owned(),
            default_lifetime: None,
        }
    }
}

/// The authorization request (RFC 6749 §4.1.1, RFC 7636).
#[derive(Clone, Debug, PartialEq)]
pub struct Authorization {
    /// RFC 6749 §3.1; absent if every code comes from [`SignIn`].
    pub endpoint: Option<Url>,
    /// RFC 6749 §3.1.2; absent for the admin listener's `/callback`, or for a vendor that needs none.
    pub redirect_uri: Option<RedirectUri>,
    /// Whether a PKCE challenge (`S256`) is sent.
    pub pkce: bool,
    /// Extra query parameters.
    pub params: BTreeMap<String, String>,
    /// The callback's parameter that carries the code.
    pub code_parameter: String,
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            endpoint: None,
            redirect_uri: None,
            pkce: true,
            params: BTreeMap::new(),
            code_parameter: "code".to_owned(),
        }
    }
}

/// A sign-in endpoint that returns the code as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// The URL that the parameters are posted to.
    pub endpoint: Url,
    /// The account.
    pub email: String,
    /// Its password.
    pub password: Arc<LiveSecret>,
    /// The encoding of the parameters.
    pub encoding: Encoding,
    /// Characters in `state`, where the vendor demands a length.
    pub state_length: usize,
}

impl SignIn {
    /// The default of `encoding`.
    pub const DEFAULT_ENCODING: Encoding = Encoding::Json;
    /// The default of `state_length`.
    pub const DEFAULT_STATE_LENGTH: usize = 43;
}
