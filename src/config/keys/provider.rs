//! The keys of `[providers.NAME]`. Presets use the same keys.

mod api;
mod assertion;
mod login;
mod token_request;
mod token_response;

use serde_json::json;

use self::{
    api::{API, API_BASE, INJECT, REFRESH},
    assertion::ASSERTION,
    login::{AUTHORIZATION, CAPTURE, REVOCATION, SIGN_IN},
    token_request::TOKEN_REQUEST,
    token_response::TOKEN_RESPONSE,
};
use super::{Format, KeySpec, Kind, connection::CLIENT_CERTIFICATE, key};
use crate::{
    config::{
        choices::{CHALLENGE_METHODS, CLIENT_AUTHS, word_for, words},
        variables::DEFAULT_PATTERN,
    },
    oauth::provider::Authorization,
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
    )
    .with_format(Format::BaseUrl)
    .with_vars(),
    key(
        "vars",
        Kind::Variables(VARIABLE),
        "Values of variables, as in \"https://{tenant}.example.com\"; a table declares one.",
    ),
    key(
        "issuer",
        Kind::NonEmptyString,
        "The issuer identifier: the base of discovery (RFC 8414), and what `iss` must equal.",
    )
    .with_format(Format::BaseUrl)
    .with_vars(),
    key(
        "api_base",
        Kind::StringOrTable(API_BASE),
        "The default `upstream` of this provider's routes: a URL, or a member of the token \
         response.",
    )
    .with_format(Format::Url)
    .with_templates(),
    key(
        "token_endpoint",
        Kind::NonEmptyString,
        "RFC 6749 §3.2; absolute, or relative to `base_url`.",
    )
    .with_format(Format::Endpoint)
    .with_templates(),
    key(
        "refresh_endpoint",
        Kind::NonEmptyString,
        "The token endpoint for refreshes, where it has an address of its own.",
    )
    .with_format(Format::Endpoint)
    .with_templates(),
    key(
        "authorization_endpoint",
        Kind::NonEmptyString,
        "RFC 6749 §3.1; absolute, or relative to `base_url`.",
    )
    .with_format(Format::Endpoint)
    .with_vars(),
    key(
        "device_authorization_endpoint",
        Kind::NonEmptyString,
        "RFC 8628 §3.1; absolute, or relative to `base_url`.",
    )
    .with_format(Format::Endpoint)
    .with_vars(),
    key(
        "revocation_endpoint",
        Kind::NonEmptyString,
        "RFC 7009; absolute, or relative to `base_url`.",
    )
    .with_format(Format::Endpoint)
    .with_templates(),
    key(
        "token_endpoint_auth_method",
        Kind::Choice(&words(&CLIENT_AUTHS)),
        "RFC 6749 §2.3. Default: client_secret_basic with a secret, none without.",
    ),
    key("client_id", Kind::NonEmptyString, "RFC 6749 §2.2.").with_vars(),
    key(
        "client_secret",
        Kind::Secret,
        "RFC 6749 §2.3.1. A public client has none.",
    ),
    key(
        "client_certificate",
        Kind::Table(CLIENT_CERTIFICATE),
        "The certificate for connections to this authorization server (RFC 8705).",
    ),
    key(
        "assertion",
        Kind::Table(ASSERTION),
        "The JWT for client authentication or for the grant (RFC 7523).",
    ),
    key(
        "scope",
        Kind::StringOrStrings,
        "The requested scopes (RFC 6749 §3.3): one string, or an array of strings.",
    )
    .with_vars(),
    key(
        "username",
        Kind::NonEmptyString,
        "The resource owner's name, for grant_type \"password\".",
    )
    .with_vars(),
    key(
        "password",
        Kind::Secret,
        "The resource owner's password, for grant_type \"password\".",
    ),
    key(
        "redirect_uri",
        Kind::NonEmptyString,
        "RFC 6749 §3.1.2. Default: the admin listener's /callback.",
    )
    .with_format(Format::RedirectUri)
    .with_vars(),
    key(
        "redirect_uri_value",
        Kind::NonEmptyString,
        "The text that is sent as `redirect_uri` instead, where the vendor wants a name.",
    )
    .with_vars(),
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
    key(
        "capture",
        Kind::NamedTables(CAPTURE),
        "Values that a login brings, stored with it and usable as variables.",
    ),
    key("refresh", Kind::Table(REFRESH), "The refresh of tokens."),
    key(
        "revocation",
        Kind::Table(REVOCATION),
        "Deviations of this server's revocation from RFC 7009.",
    ),
    key(
        "api",
        Kind::Table(API),
        "Fields and parameters of every request to the API.",
    ),
    key(
        "verify",
        Kind::NonEmptyString,
        "A harmless request to the API, such as \"GET /v1/me\".",
    )
    .with_format(Format::Request)
    .with_templates(),
    key(
        "inject",
        Kind::Table(INJECT),
        "The place of the token in a request.",
    ),
];

const VARIABLE: &[KeySpec] = &[
    key("description", Kind::String, "The meaning of the variable."),
    key("example", Kind::String, "An example of a value."),
    key(
        "pattern",
        Kind::NonEmptyString,
        "The regular expression that a value fits.",
    )
    .with_default(|| json!(DEFAULT_PATTERN)),
    key("default", Kind::String, "The value if `vars` has none."),
    key(
        "values",
        Kind::StringMaps,
        "Choices: the texts that each value of the variable sets.",
    ),
];
