//! The examination of one provider: its requests in order, and what they show.

use std::{sync::Arc, time::SystemTime};

use url::Url;

use super::{
    cause::{Cause, Finding, FindingKind},
    detection::{self, Detected},
    endpoints,
    judge::{self, Evidence, scope},
    redaction::{Redaction, ShownExchange},
    surroundings::Surroundings,
    verification,
};
use crate::{
    clock::SystemClock,
    config::{Config, Environment},
    oauth::{
        api_context::ApiContext,
        endpoint::{ExchangeRecorder, RecordedExchange, TokenEndpoint},
        error::{EndpointKey, Fault, TokenRequestError},
        grant::Grant,
        provider::Provider,
    },
    tls::{CertificateFault, HandshakeFault},
};

/// The wishes of the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether other ways to authenticate the client are tried.
    pub detects: bool,
}

/// The result for one provider.
#[derive(Clone, Debug)]
pub struct Examination {
    pub(super) provider: Arc<str>,
    pub(super) grant: String,
    pub(super) exchanges: Vec<ShownExchange>,
    pub(super) findings: Vec<Finding>,
    /// Further facts for the operator.
    pub(super) notes: Vec<String>,
    /// The stanza of the way that worked.
    pub(super) worked: Option<String>,
}

impl Examination {
    /// Returns whether nothing was found.
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Examines one provider of a configuration.
pub async fn examine(
    config: &Config,
    provider: &Arc<Provider>,
    options: Options,
    environment: Environment<'_>,
) -> Examination {
    let mut session = Session::new(config, provider, environment);
    match Grant::without_login(provider) {
        Some(grant) => Box::pin(session.request_token(grant, options)).await,
        None => Box::pin(endpoints::examine_login(&mut session)).await,
    }
    session.finish()
}

/// The state of an examination.
pub(super) struct Session<'a> {
    pub(super) config: &'a Config,
    pub(super) provider: &'a Arc<Provider>,
    environment: Environment<'a>,
    pub(super) recorder: Arc<ExchangeRecorder>,
    pub(super) endpoint: TokenEndpoint,
    pub(super) causes: Vec<Cause>,
    pub(super) notes: Vec<String>,
    worked: Option<String>,
}

impl<'a> Session<'a> {
    fn new(config: &'a Config, provider: &'a Arc<Provider>, environment: Environment<'a>) -> Self {
        let recorder = Arc::new(ExchangeRecorder::default());
        Self {
            config,
            provider,
            environment,
            endpoint: endpoint(provider.clone(), &recorder),
            recorder,
            causes: Vec::new(),
            notes: Vec::new(),
            worked: None,
        }
    }

    /// Makes the token request, and the call of the API.
    async fn request_token(&mut self, grant: Grant<'_>, options: Options) {
        let context = ApiContext::default();
        match self.endpoint.request(grant, &context).await {
            Ok(issued) => {
                self.compare_scope().await;
                verification::verify(self, &issued.access_token, &issued.context).await;
            }
            Err(error) => {
                let exchange = self.recorder.last();
                let cause = self
                    .judge("token_endpoint", &error, exchange.as_ref(), None)
                    .await;
                let is_refusal = matches!(
                    cause.kind,
                    FindingKind::ClientAuthentication
                        | FindingKind::Client
                        | FindingKind::Parameters
                );
                match options.detects && is_refusal && exchange.is_some() {
                    true => self.detect(grant, cause, &error, exchange.as_ref()).await,
                    false => self.causes.push(cause),
                }
            }
        }
    }

    /// Compares the scope of the token with the one that was asked for.
    async fn compare_scope(&mut self) {
        let exchange = self.recorder.last();
        let Some((url, response)) = exchange.and_then(|one| Some((one.url, one.response?))) else {
            return;
        };
        let missing = scope::not_granted(self.provider, &response.body);
        if !missing.is_empty() {
            let issuer = self.provider.issuer.as_deref();
            let issuer = issuer.and_then(|text| Url::parse(text).ok());
            let base = issuer.unwrap_or_else(|| origin(&url));
            let metadata = self.endpoint.metadata(&base).await;
            let cause = scope::narrow_scope(self.provider, &missing, metadata.as_ref());
            self.causes.push(cause);
        }
    }

    /// Tries other ways to authenticate, and replaces the cause by what they show.
    async fn detect(
        &mut self,
        grant: Grant<'_>,
        cause: Cause,
        error: &TokenRequestError,
        exchange: Option<&RecordedExchange>,
    ) {
        let tried = detection::detect(self.provider, &self.recorder, grant, cause.kind).await;
        match tried {
            Some(Detected {
                causes,
                stanza,
                next,
            }) => {
                self.causes.extend(causes);
                self.worked = Some(stanza);
                // The client is accepted now, and something else refused.
                if let Some(error) = next {
                    let exchange = self.recorder.last();
                    let cause = self.judge("token_endpoint", &error, exchange.as_ref(), None);
                    let cause = cause.await;
                    self.causes.push(cause);
                }
            }
            None if cause.kind == FindingKind::Parameters => self.causes.push(cause),
            None => {
                self.notes
                    .push("No other way to authenticate the client worked.".to_owned());
                let tried = Some(false);
                let cause = self.judge("token_endpoint", error, exchange, tried).await;
                self.causes.push(cause);
            }
        }
    }

    /// Finds the cause of a failed request to the endpoint `key`.
    pub(super) async fn judge(
        &self,
        key: &str,
        error: &TokenRequestError,
        exchange: Option<&RecordedExchange>,
        tried_methods: Option<bool>,
    ) -> Cause {
        let mut exchange = exchange.cloned();
        let is_discovery = error.endpoint() == EndpointKey::Issuer;
        let issuer = self.provider.issuer.as_deref();
        let issuer = issuer.and_then(|text| Url::parse(text).ok());
        let key = if is_discovery { "issuer" } else { key };
        if let (true, Some(exchange), Some(issuer)) = (is_discovery, &mut exchange, &issuer) {
            exchange.url = issuer.clone();
        }
        let url = exchange.as_ref().map(|exchange| exchange.url.clone());
        let failed = url.as_ref().filter(|_| {
            exchange
                .as_ref()
                .is_some_and(|exchange| exchange.response.is_none())
        });
        let unknown = Fault::Tls(HandshakeFault::Certificate(CertificateFault::UnknownIssuer));
        let untrusted = failed.filter(|_| *error.fault() == unknown);
        let surroundings = Surroundings::look(
            self.config,
            self.provider,
            self.environment,
            failed,
            untrusted,
        );
        let surroundings = surroundings.await;
        let preset = self.config.sets_key(&self.provider.name, &["preset"]);
        let method = ["token_endpoint_auth_method"];
        let mut evidence = Evidence {
            provider: self.provider,
            endpoint: key,
            error,
            exchange: exchange.as_ref(),
            metadata: None,
            found_endpoint: None,
            surroundings: &surroundings,
            names_method: preset || self.config.sets_key(&self.provider.name, &method),
            tried_methods,
        };
        let cause = judge::cause(&evidence);
        let Some(base) = metadata_base(&cause, issuer, url.as_ref()) else {
            return cause;
        };
        let metadata = self.endpoint.metadata(&base).await;
        evidence.metadata = metadata.as_ref();
        let is_lost = matches!(cause.kind, FindingKind::NotFound | FindingKind::NotAToken);
        let mut found = None;
        if metadata.is_none() && is_lost && key == "token_endpoint" {
            found = endpoints::find_token_endpoint(&self.endpoint, &base).await;
        }
        evidence.found_endpoint = found.as_deref();
        judge::cause(&evidence)
    }

    fn finish(mut self) -> Examination {
        let exchanges = self.recorder.exchanges();
        let now = SystemTime::now();
        debug_assert!(exchanges.iter().all(|exchange| exchange.sent_at <= now));
        if let Some(clock) = judge::clock(&exchanges) {
            // A refused assertion is the clock's fault.
            if self.provider.assertion.is_some() {
                self.causes
                    .retain(|cause| cause.kind != FindingKind::Client);
            }
            self.causes.push(clock);
        }
        let mut redaction = Redaction::new(self.provider);
        let shown = redaction.exchanges(&exchanges, self.provider);
        let name = &self.provider.name;
        let findings = self.causes.into_iter().map(|cause| {
            let mut finding = Finding::new(cause, self.config, name);
            finding.message = redaction.text(&finding.message);
            // A line without its secret would not work.
            finding.fix = finding.fix.filter(|fix| redaction.text(fix) == *fix);
            finding
        });
        Examination {
            provider: name.clone(),
            grant: self.provider.grant_type.as_str().to_owned(),
            findings: findings.collect(),
            exchanges: shown,
            notes: self.notes.iter().map(|note| redaction.text(note)).collect(),
            worked: self.worked,
        }
    }
}

/// Creates an endpoint whose exchanges are kept.
pub(super) fn endpoint(provider: Arc<Provider>, recorder: &Arc<ExchangeRecorder>) -> TokenEndpoint {
    TokenEndpoint::new(provider, Arc::new(SystemClock)).recording(recorder.clone())
}

fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}

/// Returns where metadata may help to name the remedy, which holds no secret and is asked for without one.
fn metadata_base(cause: &Cause, issuer: Option<Url>, url: Option<&Url>) -> Option<Url> {
    let origin = url.map(origin);
    match cause.kind {
        FindingKind::NotAToken if cause.has_remedy() => None,
        FindingKind::NotFound
        | FindingKind::NotAToken
        | FindingKind::Scope
        | FindingKind::ClientAuthentication
        | FindingKind::GrantType => {
            let is_same = issuer.as_ref() == url;
            issuer.filter(|_| !is_same).or(origin)
        }
        // The endpoint is not reached, and its issuer may be.
        FindingKind::Dns | FindingKind::Connect | FindingKind::Timeout => {
            let host = url.and_then(Url::host_str);
            let port = url.and_then(Url::port_or_known_default);
            issuer.filter(|issuer| {
                issuer.host_str() != host || issuer.port_or_known_default() != port
            })
        }
        _ => None,
    }
}
