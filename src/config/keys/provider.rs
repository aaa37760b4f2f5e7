//! The keys of `[providers.NAME]`. Presets use the same keys.

use serde_json::json;

use super::{KeySpec, Kind, duration, key};
use crate::{
    config::choices::{CHALLENGE_METHODS, CLIENT_AUTHS, ENCODINGS, TOKEN_METHODS, word_for, words},
    oauth::provider::{Authorization, Provider, SignIn, TokenRequest, TokenResponse},
    proxy::route::{Binding, Injection},
};

pub(in crate::config) const PROVIDER: &[KeySpec] = &[
    key(
        "preset",
        Kind::NonEmptyString,
        "A built-in provider. The keys here override its keys; see `bearward presets`.",
    ),
    key(
        "grant_type",
        Kind::NonEmptyString,
        "The grant (RFC 6749 §4). Required, unless the preset sets it.",
    ),
    key(
        "base_url",
        Kind::NonEmptyString,
        "The base of relative endpoints.",
    ),
    key(
        "api_base",
        Kind::NonEmptyString,
        "The default `upstream` of this provider's routes.",
    ),
    key(
        "token_endpoint",
        Kind::NonEmptyString,
        "RFC 6749 §3.2; absolute, or relative to `base_url`.",
    ),
    key(
        "authorization_endpoint",
        Kind::NonEmptyString,
        "RFC 6749 §3.1; absolute, or relative to `base_url`.",
    ),
    key(
        "revocation_endpoint",
        Kind::NonEmptyString,
        "RFC 7009; absolute, or relative to `base_url`.",
    ),
    key(
        "token_endpoint_auth_method",
        Kind::Choice(&words(&CLIENT_AUTHS)),
        "RFC 6749 §2.3. Default: client_secret_basic with a secret, none without.",
    ),
    key("client_id", Kind::NonEmptyString, "RFC 6749 §2.2."),
    key(
        "client_secret",
        Kind::Secret,
        "RFC 6749 §2.3.1. A public client has none.",
    ),
    key(
        "scope",
        Kind::StringOrStrings,
        "The requested scopes (RFC 6749 §3.3): one string, or an array of strings.",
    ),
    key(
        "redirect_uri",
        Kind::NonEmptyString,
        "RFC 6749 §3.1.2. Default: the admin listener's /callback.",
    ),
    key(
        "code_challenge_method",
        Kind::Choice(&words(&CHALLENGE_METHODS)),
        "PKCE (RFC 7636). `none` if the server does not support it.",
    )
    .with_default(|| json!(word_for(&CHALLENGE_METHODS, &Authorization::default().pkce))),
    key(
        "refresh_token",
        Kind::Secret,
        "The first refresh token. The store's newer one is used until this one changes.",
    ),
    key(
        "allow_plaintext",
        Kind::Boolean,
        "Permits `http://` endpoints on other machines.",
    )
    .with_default(|| json!(false)),
    key(
        "authorization",
        Kind::Table(AUTHORIZATION),
        "The authorization request (consent).",
    ),
    key(
        "token_request",
        Kind::Table(TOKEN_REQUEST),
        "Deviations of this server's token requests from RFC 6749.",
    ),
    key(
        "token_response",
        Kind::Table(TOKEN_RESPONSE),
        "The members of the token response (RFC 6901 JSON Pointers).",
    ),
    key(
        "sign_in",
        Kind::Table(SIGN_IN),
        "Headless consent: a sign-in endpoint that returns the code as JSON.",
    ),
    key("refresh", Kind::Table(REFRESH), "The refresh of tokens."),
    key(
        "inject",
        Kind::Table(INJECT),
        "The place of the token in a request.",
    ),
];

const AUTHORIZATION: &[KeySpec] = &[
    key("params", Kind::StringMap, "Additional query parameters."),
    key(
        "code_parameter",
        Kind::NonEmptyString,
        "The callback's parameter that carries the code.",
    )
    .with_default(|| json!(Authorization::default().code_parameter)),
];

const TOKEN_REQUEST: &[KeySpec] = &[
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
        "params",
        Kind::StringMap,
        "Additional parameters of every grant.",
    ),
    key("headers", Kind::StringMap, "Additional header fields."),
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
        "The time for one exchange.",
    )
    .with_default(|| duration(TokenRequest::default().timeout)),
    key(
        "ca_file",
        Kind::NonEmptyString,
        "A PEM file of additional trust roots, relative to this file's folder.",
    ),
    key(
        "proxy",
        Kind::NonEmptyString,
        "An HTTP proxy for token requests. The system's proxy is never used.",
    ),
];

const TOKEN_RESPONSE: &[KeySpec] = &[
    key(
        "access_token",
        Kind::String,
        "The pointer to the access token.",
    )
    .with_default(|| json!(TokenResponse::default().access_token)),
    key(
        "refresh_token",
        Kind::String,
        "The pointer to the refresh token.",
    )
    .with_default(|| json!(TokenResponse::default().refresh_token)),
    key(
        "expires_in",
        Kind::String,
        "The pointer to the lifetime in seconds.",
    )
    .with_default(|| json!(TokenResponse::default().expires_in)),
    key(
        "default_lifetime",
        Kind::Duration { allow_zero: false },
        "The lifetime if the response has none. Default: 5 minutes.",
    ),
];

const SIGN_IN: &[KeySpec] = &[
    key(
        "endpoint",
        Kind::NonEmptyString,
        "The URL that the parameters of the authorization request, email and password are posted \
         to.",
    ),
    key(
        "email",
        Kind::NonEmptyString,
        "The account's email address.",
    ),
    key("password", Kind::Secret, "The account's password."),
    key(
        "encoding",
        Kind::Choice(&words(&ENCODINGS)),
        "The encoding of the parameters.",
    )
    .with_default(|| json!(word_for(&ENCODINGS, &SignIn::DEFAULT_ENCODING))),
    key(
        "state_length",
        Kind::Integer { min: 8, max: 128 },
        "The length of `state` in characters.",
    )
    .with_default(|| json!(SignIn::DEFAULT_STATE_LENGTH)),
];

const REFRESH: &[KeySpec] = &[
    key(
        "before",
        Kind::Duration { allow_zero: false },
        "The time between the refresh and the expiry. Default: a tenth of the lifetime, within 30 \
         s and 5 min.",
    ),
    key(
        "reauthorize_on",
        Kind::Integers { min: 400, max: 599 },
        "The upstream statuses that mean that the token is no longer valid.",
    )
    .with_default(|| json!(Binding::DEFAULT_REAUTHORIZE_ON)),
];

const INJECT: &[KeySpec] = &[
    key("header", Kind::NonEmptyString, "The header field.")
        .with_default(|| json!(Injection::DEFAULT_HEADER.as_str())),
    key("prefix", Kind::String, "The text before the token.")
        .with_default(|| json!(Injection::DEFAULT_PREFIX)),
    key(
        "query",
        Kind::NonEmptyString,
        "A query parameter that replaces the header field (RFC 6750 §2.3).",
    ),
];
