//! The keys of `[providers.NAME.token_request]`.

use serde_json::json;

use crate::{
    config::{
        choices::{BASIC_ENCODINGS, ENCODINGS, TOKEN_METHODS, word_for, words},
        keys::{Format, KeySpec, Kind, connection::PROXY, duration, key},
    },
    oauth::provider::{Provider, TokenRequest},
};

pub(super) const TOKEN_REQUEST: &[KeySpec] = &[
    key(
        "method",
        Kind::Choice(&words(&TOKEN_METHODS)),
        "The HTTP method. A GET has its parameters in the query.",
    )
    .with_default(|| json!(word_for(&TOKEN_METHODS, &TokenRequest::default().method))),
    key(
        "encoding",
        Kind::Choice(&words(&ENCODINGS)),
        "The encoding of a POST's parameters.",
    )
    .with_default(|| json!(word_for(&ENCODINGS, &TokenRequest::default().encoding))),
    key(
        "basic",
        Kind::Choice(&words(&BASIC_ENCODINGS)),
        "client_secret_basic: id and secret form-encoded (RFC 6749 §2.3.1), or as they are.",
    )
    .with_default(|| json!(word_for(&BASIC_ENCODINGS, &TokenRequest::default().basic))),
    key(
        "params",
        Kind::Parameters { secrets: true },
        "Additional parameters of every grant.",
    )
    .with_templates(),
    key(
        "params_on_exchange",
        Kind::Parameters { secrets: true },
        "Additional parameters of the exchange of a code.",
    )
    .with_templates(),
    key(
        "params_on_refresh",
        Kind::Parameters { secrets: true },
        "Additional parameters of refresh requests.",
    )
    .with_templates(),
    key(
        "headers",
        Kind::Parameters { secrets: true },
        "Additional headers.",
    )
    .with_format(Format::Token)
    .with_templates(),
    key(
        "rename",
        Kind::StringMap,
        "The vendor's own names of parameters: { client_id = \"client_key\" }.",
    )
    .with_format(Format::NonEmpty),
    key(
        "omit",
        Kind::Strings,
        "Parameters that every request omits.",
    )
    .with_default(|| json!(TokenRequest::default().omit)),
    key(
        "omit_on_refresh",
        Kind::Strings,
        "Parameters that refresh requests omit.",
    )
    .with_default(|| json!(TokenRequest::default().omit_on_refresh)),
    key(
        "omit_on_exchange",
        Kind::Strings,
        "Parameters that the exchange of a code omits.",
    )
    .with_default(|| json!(TokenRequest::default().omit_on_exchange)),
    key(
        "scope_separator",
        Kind::NonEmptyString,
        "The separator between the scopes of an array.",
    )
    .with_default(|| json!(Provider::DEFAULT_SCOPE_SEPARATOR)),
    key(
        "timeout",
        Kind::Duration { allow_zero: false },
        "The time for one token request.",
    )
    .with_default(|| duration(TokenRequest::default().timeout)),
    key(
        "ca_file",
        Kind::NonEmptyString,
        "A PEM file of additional trust roots, relative to this file's folder.",
    ),
    key(
        "proxy",
        Kind::StringOrTable(PROXY),
        "An HTTP proxy for token requests. The system's proxy is never used.",
    )
    .with_format(Format::Proxy),
];
