//! The other ways to authenticate a client, each tried once until one works.

use std::sync::Arc;

use super::{
    cause::{Cause, FindingKind},
    examination::endpoint,
};
use crate::oauth::{
    api_context::ApiContext,
    endpoint::ExchangeRecorder,
    error::{TokenRefusal, TokenRequestError},
    grant::Grant,
    provider::{BasicEncoding, ClientAuth, Encoding, Provider},
};

/// A way to authenticate: the method, the encoding of the parameters, and that of HTTP Basic.
type Way = (ClientAuth, Encoding, BasicEncoding);

/// A way that works.
pub(super) struct Detected {
    pub(super) causes: Vec<Cause>,
    /// Its settings, as they stand in a file.
    pub(super) stanza: String,
    /// The refusal of something else, once the server accepts the client.
    pub(super) next: Option<TokenRequestError>,
}

/// Tries the other ways, each once. `refused` is the kind of what the configured way shows.
pub(super) async fn detect(
    provider: &Arc<Provider>,
    recorder: &Arc<ExchangeRecorder>,
    grant: Grant<'_>,
    refused: FindingKind,
) -> Option<Detected> {
    for way in others(provider) {
        let mut changed = Provider::clone(provider);
        changed.client_auth = way.0;
        changed.token_request.encoding = way.1;
        changed.token_request.basic = way.2;
        let endpoint = endpoint(Arc::new(changed), recorder);
        let result = endpoint.request(grant, &ApiContext::default()).await;
        let next = match result {
            Ok(_) => None,
            Err(error) if error.refusal() == Some(TokenRefusal::InvalidScope) => Some(error),
            Err(_) => continue,
        };
        return Some(Detected {
            causes: causes(provider, way, refused),
            stanza: stanza(provider, way),
            next,
        });
    }
    None
}

/// Lists the ways that differ from the configured one; those that differ least come first.
fn others(provider: &Provider) -> Vec<Way> {
    use BasicEncoding::{Raw, Rfc6749};
    let methods: &[(ClientAuth, BasicEncoding)] = match provider.client_secret.is_some() {
        true => &[
            (ClientAuth::SecretPost, Rfc6749),
            (ClientAuth::SecretBasic, Rfc6749),
            (ClientAuth::SecretBasic, Raw),
        ],
        false => &[(ClientAuth::None, Rfc6749)],
    };
    let own = &provider.token_request;
    let other = match own.encoding {
        Encoding::Form => Encoding::Json,
        Encoding::Json | Encoding::Query => Encoding::Form,
    };
    let current = (provider.client_auth, own.encoding, own.basic);
    // HTTP Basic alone has two spellings.
    let is_same = |way: &Way| {
        (way.0, way.1) == (current.0, current.1)
            && (way.2 == current.2 || way.0 != ClientAuth::SecretBasic)
    };
    let with = |encoding| {
        methods
            .iter()
            .map(move |(method, basic)| (*method, encoding, *basic))
    };
    let all = with(own.encoding).chain(with(other));
    let mut ways: Vec<_> = all.filter(|way| !is_same(way)).collect();
    // One changed line is the likely mistake, and the shortest fix.
    ways.sort_by_key(|way| settings(provider, *way).len());
    ways
}

fn settings(
    provider: &Provider,
    (method, encoding, basic): Way,
) -> Vec<(&'static str, &'static str)> {
    let own = &provider.token_request;
    let mut settings = Vec::new();
    if method != provider.client_auth {
        settings.push(("token_endpoint_auth_method", word(method)));
    }
    if encoding != own.encoding {
        let word = if encoding == Encoding::Json {
            "json"
        } else {
            "form"
        };
        settings.push(("token_request.encoding", word));
    }
    if method == ClientAuth::SecretBasic && basic != own.basic {
        let word = if basic == BasicEncoding::Raw {
            "raw"
        } else {
            "rfc6749"
        };
        settings.push(("token_request.basic", word));
    }
    settings
}

const fn word(method: ClientAuth) -> &'static str {
    match method {
        ClientAuth::SecretPost => "client_secret_post",
        ClientAuth::SecretBasic => "client_secret_basic",
        _ => "none",
    }
}

fn causes(provider: &Provider, way: Way, refused: FindingKind) -> Vec<Cause> {
    let causes = settings(provider, way).into_iter().map(|(key, value)| {
        // A server that cannot read the parameters says nothing of the client.
        let kind = match (key, refused) {
            ("token_request.encoding", FindingKind::Parameters) => FindingKind::Parameters,
            _ => FindingKind::ClientAuthentication,
        };
        let message = format!("The server accepts the request with `{key} = {value:?}`.");
        Cause::new(kind, message).fixed_by(key, value)
    });
    causes.collect()
}

fn stanza(provider: &Provider, way: Way) -> String {
    let name = &provider.name;
    let settings = settings(provider, way);
    let of_table = |prefix: &str| -> Vec<String> {
        let lines = settings.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix(prefix)?;
            (!key.contains('.')).then(|| format!("{key} = {value:?}\n"))
        });
        lines.collect()
    };
    let mut stanza = String::new();
    for (head, lines) in [
        (format!("[providers.{name}]\n"), of_table("")),
        (
            format!("[providers.{name}.token_request]\n"),
            of_table("token_request."),
        ),
    ] {
        if !lines.is_empty() {
            stanza.push_str(&head);
            stanza.extend(lines);
        }
    }
    stanza
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::fake;

    #[test]
    fn each_other_way_is_tried_once() {
        let mut provider = fake::provider("https://as.example/token");
        let ways = others(&provider);
        assert_eq!(ways.len(), 5);
        assert_eq!(ways[0].0, ClientAuth::SecretPost);
        let changes: Vec<_> = ways
            .iter()
            .map(|way| settings(&provider, *way).len())
            .collect();
        assert!(changes.is_sorted(), "{changes:?}");
        for (index, way) in ways.iter().enumerate() {
            assert!(!ways[..index].contains(way));
        }
        provider.client_secret = None;
        provider.client_auth = ClientAuth::None;
        assert_eq!(others(&provider).len(), 1);
    }

    #[test]
    fn the_stanza_names_what_differs() {
        let provider = fake::provider("https://as.example/token");
        let way = (
            ClientAuth::SecretPost,
            Encoding::Json,
            BasicEncoding::Rfc6749,
        );
        assert_eq!(
            stanza(&provider, way),
            "[providers.fake]\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
             [providers.fake.token_request]\nencoding = \"json\"\n"
        );
    }
}
