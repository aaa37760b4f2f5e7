//! The file with the certification authority that an endpoint's certificate is signed by, as far as it lies about.

use std::{path::PathBuf, sync::Arc};

use url::Url;

use crate::{
    clock::SystemClock,
    config::{Config, Environment},
    oauth::{endpoint::TokenEndpoint, error::Fault, provider::Provider, request},
    tls::Trust,
};

/// Variables that name a file of certification authorities, of several programs.
const CA_VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// Endings of files with certificates.
const ENDINGS: [&str; 3] = ["pem", "crt", "cer"];

/// The maximum number of files that are tried.
const MAX_FILES: usize = 8;

/// Finds the file that makes the certificate of `url` a trusted one. A request without a secret tries each candidate.
pub(super) async fn find(
    config: &Config,
    provider: &Provider,
    environment: Environment<'_>,
    url: &Url,
) -> Option<String> {
    let candidates = candidates(config, environment);
    for path in candidates {
        let Ok(trust) = Trust::with_ca_file(&path) else {
            continue;
        };
        let mut trusting = provider.clone();
        trusting.token_request.trust = trust;
        let endpoint = TokenEndpoint::new(Arc::new(trusting), Arc::new(SystemClock));
        let mut origin = url.clone();
        origin.set_path("");
        origin.set_query(None);
        let sent = endpoint.send(request::document_request(origin)).await;
        let is_trusted = match sent {
            Ok(_) => true,
            Err(error) => !matches!(error.fault(), Fault::Tls(_)) && error.may_have_been_received(),
        };
        if is_trusted {
            return Some(path.display().to_string());
        }
    }
    None
}

/// The files that other settings and programs name, and those beside the configuration.
fn candidates(config: &Config, environment: Environment<'_>) -> Vec<PathBuf> {
    let routes = config.routes.iter();
    let of_routes = routes.filter_map(|route| route.upstream.trust.file());
    let providers = config.providers.iter();
    let of_providers = providers.filter_map(|provider| provider.token_request.trust.file());
    let named = of_routes.chain(of_providers).map(PathBuf::from);
    let variables = CA_VARIABLES.iter().filter_map(|name| environment(name));
    let folder = config.path.as_ref().and_then(|path| path.parent());
    let beside = folder.and_then(|folder| folder.read_dir().ok());
    let beside = beside
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path());
    let is_certificate = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending))
    };
    let mut beside: Vec<PathBuf> = beside.filter(is_certificate).collect();
    beside.sort();
    let mut candidates: Vec<PathBuf> = Vec::new();
    for path in named.chain(variables.map(PathBuf::from)).chain(beside) {
        if path.is_file() && !candidates.contains(&path) && candidates.len() < MAX_FILES {
            candidates.push(path);
        }
    }
    candidates
}
