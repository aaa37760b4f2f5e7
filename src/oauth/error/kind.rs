//! The stable words for failures.

use super::TokenRefusal;

/// The kind of a failed request, as status, metrics and documentation name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No request can be made with these settings.
    Setup,
    /// The proxy failed.
    Proxy,
    /// There is no usable discovery document.
    Discovery,
    /// The login brought no value for a capture.
    Capture,
    /// The host name was not found.
    Dns,
    /// The connection failed.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No complete response arrived in time.
    Timeout,
    /// The response is not HTTP, or was cut.
    Protocol,
    /// The server limits requests.
    Limited,
    /// The server failed.
    Server,
    /// The response is a redirect.
    Redirect,
    /// The server refuses the client with a code of RFC 6749.
    Refused(TokenRefusal),
    /// The response is another error.
    Rejected,
    /// The response is an error that passes by itself.
    Temporary,
    /// The response has no usable base of the API.
    ApiBase,
    /// A success holds no usable token.
    NotAToken,
    /// The sign-in was refused.
    SignInRefused,
    /// A sign-in or device authorization brought no usable code.
    NotACode,
}

impl FaultKind {
    /// The kinds, but for the refusals of [`TokenRefusal::ALL`].
    const OTHERS: [Self; 18] = [
        Self::Setup,
        Self::Proxy,
        Self::Discovery,
        Self::Capture,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Protocol,
        Self::Limited,
        Self::Server,
        Self::Redirect,
        Self::Rejected,
        Self::Temporary,
        Self::ApiBase,
        Self::NotAToken,
        Self::SignInRefused,
        Self::NotACode,
    ];

    /// Lists every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        let refusals = TokenRefusal::ALL.into_iter().map(Self::Refused);
        Self::OTHERS.into_iter().chain(refusals)
    }

    /// Returns the word: the code of a refusal, or the name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Proxy => "proxy",
            Self::Discovery => "discovery",
            Self::Capture => "capture",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Limited => "limited",
            Self::Server => "server",
            Self::Redirect => "redirect",
            Self::Refused(refusal) => refusal.as_str(),
            Self::Rejected => "rejected",
            Self::Temporary => "temporary",
            Self::ApiBase => "api_base",
            Self::NotAToken => "not_a_token",
            Self::SignInRefused => "sign_in_refused",
            Self::NotACode => "not_a_code",
        }
    }
}
