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
    /// How tokens are obtained.
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
    /// The scopes asked for, joined by the provider's separator.
    pub scope: Option<String>,
    /// A first refresh token, given by configuration.
    pub refresh_token: Option<Arc<LiveSecret>>,
    /// How this server's token requests deviate from RFC 6749.
    pub token_request: TokenRequest,
    /// Where the members of its token answers are.
    pub token_response: TokenResponse,
    /// The consent redirect; there for `authorization_code`.
    pub authorization: Option<Authorization>,
    /// Headless consent.
    pub sign_in: Option<SignIn>,
    /// `[providers.x.refresh] before`: how long before the expiry a renewal is due.
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

/// Where and how the parameters of a request are written.
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

/// How a token request deviates from RFC 6749.
#[derive(Clone, PartialEq)]
pub struct TokenRequest {
    /// The HTTP method.
    pub method: TokenMethod,
    /// Where the parameters go.
    pub encoding: Encoding,
    /// Extra parameters of every grant.
    pub params: BTreeMap<String, String>,
    /// Extra header fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Parameters left out of refresh requests.
    pub omit_on_refresh: Vec<String>,
    /// Parameters left out of the exchange of an authorization code.
    pub omit_on_exchange: Vec<String>,
    /// The bound on one exchange, from look-up to the end of the response.
    pub timeout: Duration,
    /// Extra trust roots.
    pub trust: Trust,
    /// An HTTP proxy for token calls; the system's is never used.
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

/// Parameters may hold a credential, and so are shown by name alone; header values are marked sensitive.
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

/// JSON Pointers (RFC 6901) into the token answer.
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

/// The consent redirect (RFC 6749 §4.1.1, RFC 7636).
#[derive(Clone, Debug, PartialEq)]
pub struct Authorization {
    /// RFC 6749 §3.1; absent where every code comes from [`SignIn`].
    pub endpoint: Option<Url>,
    /// RFC 6749 §3.1.2; absent: the admin listener's `/callback`, or for a vendor that has it registered, none.
    pub redirect_uri: Option<RedirectUri>,
    /// Whether a PKCE challenge is sent (`S256`), or none.
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

/// A sign-in endpoint that answers with the code as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// Where the parameters are posted.
    pub endpoint: Url,
    /// The account.
    pub email: String,
    /// Its password.
    pub password: Arc<LiveSecret>,
    /// How the parameters are written.
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
