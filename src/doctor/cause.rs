//! A cause of a failure, and the finding that it becomes in a configuration file.

use crate::config::{Config, text_value};

/// The kind of a finding. Scripts rely on its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A host name is not found.
    Dns,
    /// No connection is made.
    Connect,
    /// A proxy is in the way, or missing.
    Proxy,
    /// The TLS handshake fails.
    Tls,
    /// No complete response comes in time.
    Timeout,
    /// The response is a redirect.
    Redirect,
    /// Nothing is at the address.
    NotFound,
    /// The response holds no token.
    NotAToken,
    /// The client does not authenticate as it is registered.
    ClientAuthentication,
    /// The client, its secret or its assertion is refused.
    Client,
    /// The client may not use the grant.
    GrantType,
    /// A scope is refused.
    Scope,
    /// The audience or resource is missing or refused.
    Audience,
    /// Another parameter is missing or refused.
    Parameters,
    /// The redirect URI is not the registered one.
    RedirectUri,
    /// The clock of this machine differs from the server's.
    Clock,
    /// The server limits requests.
    RateLimited,
    /// The server fails.
    ServerError,
    /// There is no usable login.
    Login,
    /// The store cannot be used.
    Store,
    /// The API refuses the token.
    Api,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::Dns,
        Self::Connect,
        Self::Proxy,
        Self::Tls,
        Self::Timeout,
        Self::Redirect,
        Self::NotFound,
        Self::NotAToken,
        Self::ClientAuthentication,
        Self::Client,
        Self::GrantType,
        Self::Scope,
        Self::Audience,
        Self::Parameters,
        Self::RedirectUri,
        Self::Clock,
        Self::RateLimited,
        Self::ServerError,
        Self::Login,
        Self::Store,
        Self::Api,
    ];

    /// Returns the word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::NotFound => "not_found",
            Self::NotAToken => "not_a_token",
            Self::ClientAuthentication => "client_authentication",
            Self::Client => "client",
            Self::GrantType => "grant_type",
            Self::Scope => "scope",
            Self::Audience => "audience",
            Self::Parameters => "parameters",
            Self::RedirectUri => "redirect_uri",
            Self::Clock => "clock",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Login => "login",
            Self::Store => "store",
            Self::Api => "api",
        }
    }
}

/// A cause before it has a place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) kind: FindingKind,
    pub(super) message: String,
    /// The keys that it may be about, by their paths below the provider. The first that the file has is named.
    keys: Vec<Vec<String>>,
    /// The key that fixes it, and its value in TOML.
    remedy: Option<(Vec<String>, String)>,
}

impl Cause {
    pub(super) fn new(kind: FindingKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            keys: Vec::new(),
            remedy: None,
        }
    }

    /// Names the keys that it may be about, dotted.
    pub(super) fn about(mut self, keys: &[&str]) -> Self {
        self.keys.extend(keys.iter().map(|key| split(key)));
        self
    }

    /// Names the dotted key that a text fixes.
    pub(super) fn fixed_by(self, key: &str, text: &str) -> Self {
        self.fixed_by_value(split(key), text_value(text))
    }

    /// As [`Cause::fixed_by`], where there is a text.
    pub(super) fn perhaps_fixed_by(self, key: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.fixed_by(key, text),
            None => self,
        }
    }

    /// Names the key that a value in TOML fixes.
    pub(super) fn fixed_by_value(mut self, key: Vec<String>, value: String) -> Self {
        self.remedy = Some((key, value));
        self
    }

    /// Adds a sentence.
    pub(super) fn with_advice(mut self, sentence: &str) -> Self {
        self.message.push_str(sentence);
        self
    }

    /// Returns whether there is a remedy.
    pub(super) const fn has_remedy(&self) -> bool {
        self.remedy.is_some()
    }
}

fn split(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

/// A cause with its place in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: FindingKind,
    pub(super) message: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn new(cause: Cause, config: &Config, provider: &str) -> Self {
        let place_of = |key: &[String]| {
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            (
                config.sets_key(provider, &key),
                config.key_place(provider, &key),
            )
        };
        if let Some((key, value)) = &cause.remedy {
            let (_, place) = place_of(key);
            return Self {
                kind: cause.kind,
                message: cause.message,
                line: place.line,
                column: place.column,
                fix: place.fix(value),
            };
        }
        let mut named = cause.keys.iter().map(|key| place_of(key));
        let place = named
            .find_map(|(is_set, place)| is_set.then_some(place))
            .unwrap_or_else(|| place_of(&[]).1);
        Self {
            kind: cause.kind,
            message: cause.message,
            line: place.line,
            column: place.column,
            fix: None,
        }
    }
}
