//! The token of a request: obtained, and put into the form that its route injects.

use std::{cell::RefCell, sync::Arc};

use http::HeaderValue;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{error::ProxyRefusal, route::Injection, table::ActiveRoute};
use crate::{telemetry::access_log::TokenCost, token::access_token::Token};

/// The token of a request, in the form that its route injects.
#[derive(Clone, Debug)]
pub struct InjectedToken {
    /// The token.
    pub token: Token,
    /// The header value, prefix included, when the route injects a header.
    pub header: Option<HeaderValue>,
}

/// The header values of one worker, so that a token is formatted once and not for each request.
#[derive(Debug, Default)]
pub struct HeaderValues(RefCell<FxHashMap<u64, (Token, HeaderValue)>>);

/// Obtains the token that a route demands. Waits only when no token is usable.
///
/// # Errors
/// `token-refused`, `token-unavailable`, `login-required`.
pub async fn obtain(
    active: &ActiveRoute,
    values: &HeaderValues,
) -> Result<(Option<InjectedToken>, TokenCost), ProxyRefusal> {
    let Some(credential) = &active.credential else {
        return Ok((None, TokenCost::Unneeded));
    };
    if let Some(token) = credential.current() {
        return Ok((Some(values.format(active, token)?), TokenCost::Cached));
    }
    let asked_at = Instant::now();
    match credential.obtain().await {
        Ok(token) => {
            let token = values.format(active, token)?;
            Ok((Some(token), TokenCost::Waited(asked_at.elapsed())))
        }
        Err(error) => Err(ProxyRefusal::no_token(
            &error,
            credential.name(),
            &active.login_hint,
        )),
    }
}

impl HeaderValues {
    /// Formats a token as its route injects it.
    ///
    /// # Errors
    /// `token-unavailable`: the token cannot stand in a header field.
    pub fn format(
        &self,
        active: &ActiveRoute,
        token: Token,
    ) -> Result<InjectedToken, ProxyRefusal> {
        let inject = active.route.injection();
        let Some(Injection::Header { prefix, .. }) = inject else {
            return Ok(InjectedToken {
                token,
                header: None,
            });
        };
        let mut values = self.0.borrow_mut();
        let header = match values.get(&active.upstream.id()) {
            Some((formatted, header)) if Arc::ptr_eq(formatted, &token) => header.clone(),
            _ => {
                let text = format!("{prefix}{}", token.secret.expose());
                let mut header = HeaderValue::try_from(text)
                    .map_err(|_| ProxyRefusal::unsendable_token(&active.route.name))?;
                header.set_sensitive(true);
                values.insert(active.upstream.id(), (token.clone(), header.clone()));
                header
            }
        };
        Ok(InjectedToken {
            token,
            header: Some(header),
        })
    }

    /// Forgets the values of tokens that nothing else holds any more.
    pub fn sweep(&self) {
        self.0
            .borrow_mut()
            .retain(|_, (token, _)| Arc::strong_count(token) > 1);
    }
}
