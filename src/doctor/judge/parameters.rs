//! Refused or missing parameters: scope, audience, grant type, encoding and others.

use super::{Evidence, client, scope};
use crate::{
    config::{nearest, text_value},
    doctor::cause::{Cause, FindingKind},
    oauth::provider::{Encoding, GrantType, Provider},
};

/// Words that speak of an audience or a resource.
const AUDIENCE_WORDS: [&str; 4] = ["audience", "resource", "invalid_target", "api identifier"];

/// Grants without a login, as the configuration names them.
const GRANTS: [&str; 5] = [
    "client_credentials",
    "password",
    "jwt_bearer",
    "token_exchange",
    "none",
];

/// Parameters of RFC 6749 and its extensions that a message may name.
const KNOWN_PARAMETERS: [&str; 12] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "username",
    "password",
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "subject_token",
    "subject_token_type",
    "redirect_uri",
];

/// Finds a missing or refused audience (RFC 8707); `None` if the response does not speak of one.
pub(super) fn audience(evidence: &Evidence<'_>, words: &str) -> Option<Cause> {
    if !AUDIENCE_WORDS.iter().any(|word| words.contains(word)) {
        // Auth0 says so of a client without an audience.
        let is_denied =
            words.contains("access_denied") && words.contains("not authorized to access");
        if !is_denied {
            return None;
        }
    }
    let params = &evidence.provider.token_request.params;
    let name = match ["audience", "resource"]
        .iter()
        .find(|name| params.contains_key(**name))
    {
        Some(name) => name,
        None if words.contains("resource") && !words.contains("audience")
            || words.contains("invalid_target") =>
        {
            "resource"
        }
        None => "audience",
    };
    let what = match params.contains_key(name) {
        true => format!("does not accept the `{name}` of `token_request.params`"),
        false => format!("wants the parameter `{name}`, which names the API"),
    };
    let named = named_url(evidence).or_else(|| evidence.surroundings.api.clone());
    let message = format!(
        "{} {what}: set it to what the vendor documents.{}",
        evidence.address(),
        evidence.says()
    );
    let value = named.unwrap_or_else(|| "https://api.example.com".to_owned());
    let key = format!("token_request.params.{name}");
    Some(
        Cause::new(FindingKind::Audience, message)
            .about(&["token_request.params", "token_request"])
            .fixed_by(&key, &value),
    )
}

/// The URL that a description names.
fn named_url(evidence: &Evidence<'_>) -> Option<String> {
    let json = evidence.json()?;
    let text = json
        .get("error_description")
        .or_else(|| json.get("message"))?;
    let is_end = |c: char| c.is_whitespace() || "\"'`<>()[],;".contains(c);
    let mut words = text.as_str()?.split(is_end);
    let sent: Vec<&str> = evidence
        .provider
        .token_request
        .params
        .values()
        .flat_map(|value| value.texts())
        .collect();
    let found = words.find(|word| {
        let is_url =
            word.starts_with("https://") || word.starts_with("urn:") || word.starts_with("api://");
        is_url && !sent.contains(word)
    })?;
    Some(found.trim_end_matches('.').to_owned())
}

pub(super) fn grant_type(code: &str, evidence: &Evidence<'_>) -> Cause {
    let grant = evidence.provider.grant_type.as_str();
    let message = format!(
        "{} does not allow this client the grant {grant} ({code}): check `grant_type`, or allow it in the client's \
         registration.{}",
        evidence.address(),
        evidence.says()
    );
    let supported = evidence.supported("grant_types_supported");
    let others = GRANTS.iter().copied().filter(|other| *other != grant);
    let other = match &evidence.provider.grant_type {
        GrantType::Other(name) => nearest(name, others).or(Some("client_credentials")),
        GrantType::ClientCredentials => None,
        _ => Some("client_credentials"),
    };
    let other = other.filter(|other| {
        supported.is_empty() || supported.contains(other) || supported.contains(&grant)
    });
    Cause::new(FindingKind::GrantType, message)
        .about(&["grant_type"])
        .perhaps_fixed_by("grant_type", other)
}

/// The server does not read the parameters as they are encoded.
pub(super) fn encoding(evidence: &Evidence<'_>) -> Cause {
    let other = other_encoding(evidence.provider);
    let sent = match evidence.provider.token_request.encoding {
        Encoding::Json => "a JSON body",
        Encoding::Query => "a query",
        Encoding::Form => "a form",
    };
    let message = format!(
        "{} does not read the parameters in {sent}: set `token_request.encoding`.{}",
        evidence.address(),
        evidence.says()
    );
    Cause::new(FindingKind::ClientAuthentication, message).fixed_by("token_request.encoding", other)
}

const fn other_encoding(provider: &Provider) -> &'static str {
    match provider.token_request.encoding {
        Encoding::Json | Encoding::Query => "form",
        Encoding::Form => "json",
    }
}

/// A request that the server calls invalid: what is missing, or not understood?
pub(super) fn invalid_request(evidence: &Evidence<'_>) -> Cause {
    let words = evidence.words();
    let provider = evidence.provider;
    if is_left_out(provider, "grant_type") {
        return left_out(evidence, "grant_type");
    }
    if speaks_of_encoding(&words, provider.token_request.encoding) {
        return encoding(evidence);
    }
    let missing = missing_parameter(&words);
    match missing.as_deref() {
        Some(name) if is_left_out(provider, name) => left_out(evidence, name),
        Some("grant_type") => encoding(evidence),
        Some("scope") => scope::refused(evidence),
        Some("client_id" | "client_secret" | "client_assertion") => client::refused(evidence),
        Some(name) => {
            let message = format!(
                "{} misses the parameter `{name}`: set it in `token_request.params`.{}",
                evidence.address(),
                evidence.says()
            );
            Cause::new(FindingKind::Parameters, message).about(&[
                name,
                "token_request.params",
                "token_request",
            ])
        }
        None => {
            let message = format!(
                "{}. Compare the request with the vendor's documentation: parameters, names, encoding.{}",
                evidence.error.for_operators(),
                evidence.says()
            );
            let cause = Cause::new(FindingKind::Parameters, message).about(&[
                "token_request.params",
                "token_request",
                evidence.endpoint,
            ]);
            // A server that says nothing most likely found no parameter at all.
            match evidence.error.description().is_none() {
                true => cause.fixed_by("token_request.encoding", other_encoding(provider)),
                false => cause,
            }
        }
    }
}

fn speaks_of_encoding(words: &str, encoding: Encoding) -> bool {
    let is_said = |said: &[&str]| said.iter().any(|said| words.contains(said));
    let content_type = ["content-type", "content type", "media type", "mediatype"];
    match encoding {
        Encoding::Form if words.contains("x-www-form-urlencoded") => false,
        Encoding::Form => {
            is_said(&["json"])
                && is_said(&[
                    "parse",
                    "valid",
                    "expect",
                    "unexpected",
                    "must",
                    "only",
                    "body",
                ])
                || is_said(&content_type)
        }
        _ => {
            is_said(&["x-www-form-urlencoded", "form-urlencoded", "form encoded"])
                || is_said(&content_type)
        }
    }
}

/// The parameter that a message calls missing.
fn missing_parameter(words: &str) -> Option<String> {
    const SIGNS: [&str; 5] = [
        "missing",
        "required",
        "must be",
        "not provided",
        "must contain",
    ];
    if !SIGNS.iter().any(|sign| words.contains(sign)) {
        return None;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut names = words.split(|c: char| !is_name(c));
    if let Some(known) = names.clone().find(|name| KNOWN_PARAMETERS.contains(name)) {
        return Some(known.to_owned());
    }
    // `missing required parameter(s): tenant`, `the parameter 'tenant' is required`
    let skipped = |name: &&str| {
        ![
            "parameter",
            "parameters",
            "is",
            "a",
            "the",
            "required",
            "s",
            "missing",
            "",
        ]
        .contains(name)
    };
    let mut after = names
        .by_ref()
        .skip_while(|name| !name.starts_with("parameter"));
    let name = after.find(skipped)?;
    (name.len() > 1).then(|| name.to_owned())
}

/// Whether the settings leave a parameter out, or send it by another name.
fn is_left_out(provider: &Provider, name: &str) -> bool {
    let settings = &provider.token_request;
    settings.omit.iter().any(|omitted| omitted == name)
        || settings.rename.get(name).is_some_and(|other| other != name)
}

fn left_out(evidence: &Evidence<'_>, name: &str) -> Cause {
    let settings = &evidence.provider.token_request;
    let is_omitted = settings.omit.iter().any(|omitted| omitted == name);
    let key = if is_omitted { "omit" } else { "rename" };
    let message = format!(
        "{} misses the parameter `{name}`, which `token_request.{key}` takes away.{}",
        evidence.address(),
        evidence.says()
    );
    let cause = Cause::new(FindingKind::Parameters, message);
    match is_omitted {
        true => {
            let kept = settings.omit.iter().filter(|omitted| *omitted != name);
            let kept: Vec<String> = kept.map(|omitted| text_value(omitted)).collect();
            let key = vec!["token_request".into(), "omit".into()];
            cause.fixed_by_value(key, format!("[{}]", kept.join(", ")))
        }
        false => cause.fixed_by(&format!("token_request.rename.{name}"), name),
    }
}
