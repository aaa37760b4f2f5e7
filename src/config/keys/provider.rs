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
        "The way to a token (RFC 6749 §4). Required, unless the preset sets it.",
    ),
    key(
        "base_url",
        Kind::NonEmptyString,
        "The address that endpoints given as a path are below.",
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
        "The address that returns tokens (RFC 6749 §3.2): a URL, or a path below `base_url`.",
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
        "The address of the vendor's login page (RFC 6749 §3.1): a URL, or a path below \
         `base_url`.",
    )
    .with_format(Format::Endpoint)
    .with_vars(),
    key(
        "device_authorization_endpoint",
        Kind::NonEmptyString,
        "The address that gives codes to devices (RFC 8628 §3.1): a URL, or a path below \
         `base_url`.",
    )
    .with_format(Format::Endpoint)
    .with_vars(),
    key(
        "revocation_endpoint",
        Kind::NonEmptyString,
        "The address that ends a login (RFC 7009): a URL, or a path below `base_url`.",
    )
    .with_format(Format::Endpoint)
    .with_templates(),
    key(
        "token_endpoint_auth_method",
        Kind::Choice(&words(&CLIENT_AUTHS)),
        "The form in which the client secret is sent. Default: client_secret_basic with a secret, \
         none without.",
    ),
    key(
        "client_id",
        Kind::NonEmptyString,
        "The name that the vendor gave to this application (client id, app id).",
    )
    .with_vars(),
    key(
        "client_secret",
        Kind::Secret,
        "The secret that the vendor gave to this application. A public client has none.",
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
        "The permissions to ask for: one string with blanks between them, or an array of strings.",
    )
    .with_vars(),
    key(
        "username",
        Kind::NonEmptyString,
        "The account's name, for grant_type \"password\".",
    )
    .with_vars(),
    key(
        "password",
        Kind::Secret,
        "The account's password, for grant_type \"password\".",
    ),
    key(
        "redirect_uri",
        Kind::NonEmptyString,
        "The address that the vendor sends the browser back to. Register exactly this text with \
         the vendor. Default: the admin listener's /callback.",
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
        "Extra protection of the login (PKCE, RFC 7636). Leave it on; set \"none\" only if the \
         vendor rejects `code_challenge`.",
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
        "The request that opens the vendor's login page.",
    ),
    key(
        "token_request",
        Kind::Table(TOKEN_REQUEST),
        "What is special about this server's token requests.",
    ),
    key(
        "token_response",
        Kind::Table(TOKEN_RESPONSE),
        "The places of the values in the token response (JSON Pointers, RFC 6901).",
    ),
    key(
        "sign_in",
        Kind::Table(SIGN_IN),
        "A login without a browser: an endpoint that takes an account and returns the code as \
         JSON.",
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
        "What is special about this server's revocation.",
    ),
    key(
        "api",
        Kind::Table(API),
        "Headers and query parameters of every request to the API.",
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
