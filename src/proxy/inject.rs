//! The token of a request: obtained, and put into the form that its route injects.

use std::{
    borrow::Cow,
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Weak},
};

use http::{HeaderName, HeaderValue};
use rustc_hash::FxHashMap;
use tokio::{sync::watch, time::Instant};

use super::{
    api::{PreparedFields, PreparedQuery, UUID_MARK},
    error::ProxyRefusal,
    route::{Binding, Injection},
    table::ActiveRoute,
    upstream::ActiveUpstream,
};
use crate::{
    oauth::{provider::ParameterValue, variables::Variables},
    secret::Secret,
    telemetry::access_log::TokenCost,
    token::{
        access_token::{AccessToken, Token},
        credential::Credential,
    },
};

/// The upstream of a request, and what goes there with it.
#[derive(Clone, Debug)]
pub enum Access {
    /// The route demands no token.
    Open(Arc<ActiveUpstream>),
    /// A token, in the form that the route injects.
    Token(Rc<PreparedToken>),
}

impl Access {
    /// The upstream.
    pub fn upstream(&self) -> &Arc<ActiveUpstream> {
        match self {
            Self::Open(upstream) => upstream,
            Self::Token(prepared) => &prepared.upstream,
        }
    }

    /// The token, when the route demands one.
    pub fn token(&self) -> Option<&PreparedToken> {
        match self {
            Self::Open(_) => None,
            Self::Token(prepared) => Some(prepared),
        }
    }
}

/// A token in the form that a route injects, with everything that stays the same as long.
#[derive(Debug)]
pub struct PreparedToken {
    /// The token.
    pub token: Token,
    /// The header field, prefix included, when the route injects one.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// The upstream, which may come with the token.
    pub upstream: Arc<ActiveUpstream>,
    /// The header fields of `[api]`.
    pub fields: PreparedFields,
    /// The query parameters of `[api]`, and the token when the route injects it there.
    pub query: Option<PreparedQuery>,
    /// Whether its route is in service.
    route: Weak<()>,
    /// The secrets in them, which files may change.
    secrets: Vec<watch::Receiver<Arc<Secret>>>,
}

/// The prepared tokens of one worker, so that a token is prepared once and not for each request.
#[derive(Debug, Default)]
pub struct PreparedTokens(RefCell<FxHashMap<u64, Rc<PreparedToken>>>);

/// Obtains the token that a route demands. Waits only when no token is usable.
///
/// # Errors
/// `token-refused`, `token-unavailable`, `login-required`.
pub async fn obtain(
    active: &ActiveRoute,
    tokens: &PreparedTokens,
) -> Result<(Access, TokenCost), ProxyRefusal> {
    let Some(credential) = &active.credential else {
        return match active.upstream.fixed() {
            Some(upstream) => Ok((Access::Open(upstream.clone()), TokenCost::Unneeded)),
            None => Err(ProxyRefusal::no_base(&active.route.name)),
        };
    };
    if let Some(token) = credential.current() {
        return Ok((tokens.prepare(active, token)?, TokenCost::Cached));
    }
    let asked_at = Instant::now();
    match credential.obtain().await {
        Ok(token) => {
            let access = tokens.prepare(active, token)?;
            Ok((access, TokenCost::Waited(asked_at.elapsed())))
        }
        Err(error) => Err(ProxyRefusal::no_token(
            &error,
            credential.name(),
            &active.login_hint,
        )),
    }
}

impl PreparedTokens {
    /// Prepares a token as its route injects it.
    ///
    /// # Errors
    /// `token-unavailable`: the token cannot stand in a header field, or leads to no upstream.
    pub fn prepare(&self, active: &ActiveRoute, token: Token) -> Result<Access, ProxyRefusal> {
        let mut known = self.0.borrow_mut();
        let id = active.upstream.id();
        if let Some(known) = known.get(&id)
            && Arc::ptr_eq(&known.token, &token)
            && !known.is_stale()
        {
            return Ok(Access::Token(known.clone()));
        }
        let (Some(credential), Some(binding)) = (&active.credential, &active.route.provider) else {
            return Err(ProxyRefusal::no_base(&active.route.name));
        };
        let prepared = PreparedToken::new(active, binding, credential, token)
            .map_err(|reason| ProxyRefusal::unsendable_token(credential.name(), &reason))?;
        let prepared = Rc::new(prepared);
        known.insert(id, prepared.clone());
        Ok(Access::Token(prepared))
    }

    /// Drops what no request can use any more: its token was replaced, or its route removed.
    pub fn sweep(&self) {
        let is_of_use = |prepared: &PreparedToken| {
            Arc::strong_count(&prepared.token) > 1 && prepared.route.strong_count() > 0
        };
        let mut known = self.0.borrow_mut();
        known.retain(|_, prepared| is_of_use(prepared));
    }
}

impl PreparedToken {
    fn new(
        active: &ActiveRoute,
        binding: &Binding,
        credential: &Credential,
        token: Token,
    ) -> Result<Self, String> {
        let variables = Variables::new(credential.provider(), &token.context);
        let value = |name: &str| match name {
            "uuid" => Some(Cow::Borrowed(UUID_MARK)),
            _ => variables.value(name),
        };
        // Before they are read: a change meanwhile is not missed.
        let secrets = secrets(binding);
        Ok(Self {
            header: header(&binding.inject, &token)?,
            upstream: active.upstream.for_token(&token, value)?,
            fields: PreparedFields::new(&binding.api, value)?,
            query: PreparedQuery::new(binding, &token, value)?,
            route: Arc::downgrade(&active.in_service),
            secrets,
            token,
        })
    }

    /// Whether a secret in it has changed.
    fn is_stale(&self) -> bool {
        let has_changed = |secret: &watch::Receiver<_>| matches!(secret.has_changed(), Ok(true));
        self.secrets.iter().any(has_changed)
    }
}

fn header(
    inject: &Injection,
    token: &AccessToken,
) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let Injection::Header { name, prefix } = inject else {
        return Ok(None);
    };
    let text = format!("{prefix}{}", token.secret.expose());
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| "the access token cannot stand in a header field".to_owned())?;
    value.set_sensitive(true);
    Ok(Some((name.clone(), value)))
}

/// Subscribes to the secrets in `[api]` that come from files.
fn secrets(binding: &Binding) -> Vec<watch::Receiver<Arc<Secret>>> {
    let secrets = binding.api.values().filter_map(ParameterValue::secret);
    let files = secrets.filter(|secret| secret.path().is_some());
    files.map(|secret| secret.subscribe()).collect()
}
