//! What failed in a request to an authorization server.

use super::{ErrorCode, FaultKind, TokenRefusal};
use crate::{oauth::template::MissingVariable, tls::HandshakeFault};

/// The cause of a failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No request can be made; the text gives the reason.
    Setup(&'static str),
    /// No request can be made; the text gives the reason and names the key of the configuration.
    Unusable(String),
    /// The proxy that the connection goes through failed.
    Proxy {
        /// The proxy's origin.
        proxy: String,
        /// The failure of the proxy.
        fault: ProxyFault,
    },
    /// The discovery document is not usable; the text gives the reason.
    Discovery(&'static str),
    /// No request can be made, because a variable has no value.
    MissingVariable(MissingVariable),
    /// The login brought no usable value for a capture; the text gives the reason.
    NotCaptured {
        /// The name of the capture.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// The endpoint's host name was not found.
    Dns,
    /// The connection failed.
    Connect,
    /// The TLS handshake failed.
    Tls(HandshakeFault),
    /// No complete response arrived in time.
    Timeout,
    /// The response is not HTTP, or was cut.
    Protocol,
    /// The status is 429.
    Limited,
    /// The status is 5xx.
    Server(u16),
    /// The status is 3xx. A redirect is never followed, because the request holds the client's secret.
    Redirect(u16),
    /// The response has an `error` of RFC 6749 §5.2.
    Refused(TokenRefusal),
    /// The response is another error.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The value of `error`.
        code: Option<ErrorCode>,
    },
    /// The response is an error that passes by itself, as `error_map` says; the number is the status.
    Temporary(u16),
    /// The token response has no usable base of the API; the text gives the reason.
    ApiBase(&'static str),
    /// A success holds no usable token; the text gives the reason.
    NotAToken(&'static str),
    /// The sign-in got a 4xx status or an error: account, password or client are wrong.
    SignInRefused {
        /// The value of `error`.
        code: Option<ErrorCode>,
    },
    /// The sign-in succeeded without a usable code; the text gives the reason.
    NotACode(&'static str),
    /// The device authorization succeeded without usable codes; the text gives the reason.
    NotADeviceCode(&'static str),
}

/// How a proxy failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// Its host name is not found.
    NotFound,
    /// It accepts no connection.
    Connect,
    /// It makes no connection in time.
    Timeout,
    /// It responds, but opens no tunnel.
    NoTunnel,
    /// It does not respond as an HTTP proxy does.
    NotAProxy,
    /// It demands other credentials: 407 (RFC 9110 §15.5.8).
    Credentials,
}

/// The party that has to act on a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSide {
    /// The client's settings or registration.
    Client,
    /// The authorization server.
    Server,
    /// The network between them.
    Network,
}

impl Fault {
    /// Returns the party that has to act.
    pub fn side(&self) -> FaultSide {
        match self {
            Self::Setup(_)
            | Self::Unusable(_)
            | Self::MissingVariable(_)
            | Self::NotCaptured { .. }
            | Self::Refused(_)
            | Self::SignInRefused { .. } => FaultSide::Client,
            Self::Dns | Self::Connect | Self::Timeout | Self::Proxy { .. } => FaultSide::Network,
            _ => FaultSide::Server,
        }
    }

    /// Returns whether only a change to the client, its account or that at a proxy helps.
    ///
    /// Frequent retries may lock it out.
    pub fn needs_change(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.needs_change(),
            Self::SignInRefused { .. } => true,
            Self::Proxy { fault, .. } => *fault == ProxyFault::Credentials,
            _ => false,
        }
    }

    /// Returns the kind, for metrics and machines.
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Setup(_) | Self::Unusable(_) | Self::MissingVariable(_) => FaultKind::Setup,
            Self::Proxy { .. } => FaultKind::Proxy,
            Self::Discovery(_) => FaultKind::Discovery,
            Self::NotCaptured { .. } => FaultKind::Capture,
            Self::Dns => FaultKind::Dns,
            Self::Connect => FaultKind::Connect,
            Self::Tls(_) => FaultKind::Tls,
            Self::Timeout => FaultKind::Timeout,
            Self::Protocol => FaultKind::Protocol,
            Self::Limited => FaultKind::Limited,
            Self::Server(_) => FaultKind::Server,
            Self::Redirect(_) => FaultKind::Redirect,
            Self::Refused(refusal) => FaultKind::Refused(*refusal),
            Self::Rejected { .. } => FaultKind::Rejected,
            Self::Temporary(_) => FaultKind::Temporary,
            Self::ApiBase(_) => FaultKind::ApiBase,
            Self::NotAToken(_) => FaultKind::NotAToken,
            Self::SignInRefused { .. } => FaultKind::SignInRefused,
            Self::NotACode(_) | Self::NotADeviceCode(_) => FaultKind::NotACode,
        }
    }
}
