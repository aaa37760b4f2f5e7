//! The handle by which the rest of the program gets at one provider's token.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::access_token::AccessToken;

/// Why there is no token to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The authorization server refuses this client; `error` is its RFC 6749 code (502 `token-refused`).
    Refused {
        /// The code of RFC 6749 §5.2.
        error: Arc<str>,
    },
    /// The token endpoint is down, slow, limited or answers nonsense (503 `token-unavailable`).
    Unavailable {
        /// When it is worth asking again.
        retry_after: Duration,
        /// What happened, without a byte of what the authorization server sent.
        detail: Arc<str>,
    },
    /// No refresh token yet, or the one there was is refused (503 `login-required`).
    LoginRequired,
}

/// `state` of `/api/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// The first token is being fetched.
    Pending,
    /// There is a usable token.
    Ready,
    /// No usable token, retrying.
    Failing,
    /// A person has to log in.
    LoginRequired,
    /// The authorization server refuses this client.
    Refused,
}

impl CredentialState {
    /// The word in the status answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failing => "failing",
            Self::LoginRequired => "login_required",
            Self::Refused => "refused",
        }
    }
}

/// What went wrong last; gone after a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// A short stable word, such as `connect`, `timeout`, `invalid_client`, `store`.
    pub kind: Arc<str>,
    /// For people; never holds a secret.
    pub message: Arc<str>,
    /// When.
    pub at: SystemTime,
}

/// A credential as the admin endpoints show it.
#[derive(Clone, Debug)]
pub struct CredentialStatus {
    /// See [`CredentialState`].
    pub state: CredentialState,
    /// `grant_type` of the provider.
    pub grant_type: &'static str,
    /// The end of the token in hand, by the time of day.
    pub expires_at: Option<SystemTime>,
    /// When the next renewal is due, jitter included.
    pub refresh_at: Option<SystemTime>,
    /// Whether a refresh token is kept.
    pub has_refresh_token: bool,
    /// Requests made to the token endpoint since the start.
    pub token_requests: u64,
    /// See [`LastError`].
    pub last_error: Option<LastError>,
}

/// The token just given out, named so that a renewal discards that very one.
pub type Token = Arc<AccessToken>;

/// One provider's token.
#[derive(Debug)]
pub struct Credential {
    provider: Arc<crate::oauth::provider::Provider>,
    clock: Arc<dyn crate::clock::Clock>,
    status: std::sync::Mutex<CredentialStatus>,
}

impl Credential {
    pub(super) fn new(provider: Arc<crate::oauth::provider::Provider>, clock: Arc<dyn crate::clock::Clock>) -> Self {
        let status = CredentialStatus {
            state: CredentialState::Pending,
            grant_type: provider.grant_type.as_str(),
            expires_at: None,
            refresh_at: None,
            has_refresh_token: false,
            token_requests: 0,
            last_error: None,
        };
        Self { provider, clock, status: std::sync::Mutex::new(status) }
    }

    /// The provider's name.
    pub fn name(&self) -> &Arc<str> {
        &self.provider.name
    }

    /// As it is now.
    pub fn status(&self) -> CredentialStatus {
        self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Renews now.
    ///
    /// # Errors
    /// See [`NoToken`].
    pub async fn refresh_now(&self) -> Result<Token, NoToken> {
        let answer = self.ask().await;
        let mut status = self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        status.token_requests += 1;
        let failed = |kind: &str| LastError { kind: kind.into(), message: "stub".into(), at: self.clock.wall() };
        if answer.starts_with("HTTP/1.1 200") {
            let expires_at = self.clock.wall() + Duration::from_secs(300);
            status.state = CredentialState::Ready;
            (status.expires_at, status.refresh_at) = (Some(expires_at), Some(expires_at));
            status.last_error = None;
            return Ok(Arc::new(AccessToken {
                secret: crate::secret::Secret::new("stub"),
                refresh_at: self.clock.now(),
                usable_until: self.clock.now(),
                expires_at: self.clock.now(),
                expires_at_wall: expires_at,
                refresh_at_wall: expires_at,
            }));
        }
        if answer.contains("invalid_client") {
            status.state = CredentialState::Refused;
            status.last_error = Some(failed("invalid_client"));
            return Err(NoToken::Refused { error: "invalid_client".into() });
        }
        if status.state != CredentialState::Ready {
            status.state = CredentialState::Failing;
        }
        status.last_error = Some(failed("status"));
        Err(NoToken::Unavailable { retry_after: Duration::from_secs(1), detail: "stub".into() })
    }

    async fn ask(&self) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let url = &self.provider.token_endpoint;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
        let secret = self.provider.client_secret.as_ref().map(|secret| secret.current().expose().to_owned());
        let body = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            self.provider.client_id,
            secret.unwrap_or_default()
        );
        let mut answer = String::new();
        let Ok(mut stream) = tokio::net::TcpStream::connect((host, port)).await else { return answer };
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
            url.path(),
            body.len()
        );
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }
}
