//! The keys of `[providers.NAME]`. Presets use the same keys.

mod assertion;

use serde_json::json;

use super::{
    KeySpec, Kind,
    connection::{CLIENT_CERTIFICATE, PROXY},
    duration, key,
};
use crate::{
    config::{
        choices::{
            BASIC_ENCODINGS, CHALLENGE_METHODS, CLIENT_AUTHS, ENCODINGS, EXPIRES_IN_UNITS,
            REVOCATION_AUTHS, REVOCATION_METHODS, REVOKED_TOKENS, TOKEN_METHODS, word_for, words,
        },
        variables::DEFAULT_PATTERN,
    },
    oauth::provider::{
        Authorization, Provider, RefreshPolicy, Revocation, SignIn, TokenRequest, TokenResponse,
    },
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
    )
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
    .with_vars(),
    key(
        "api_base",
        Kind::StringOrTable(API_BASE),
        "The default `upstream` of this provider's routes: a URL, or a member of the token \
         response.",
    )
    .with_templates(),
    key(
        "token_endpoint",
        Kind::NonEmptyString,
        "RFC 6749 §3.2; absolute, or relative to `base_url`.",
    )
    .with_templates(),
    key(
        "refresh_endpoint",
        Kind::NonEmptyString,
        "The token endpoint for refreshes, where it has an address of its own.",
    )
    .with_templates(),
    key(
        "authorization_endpoint",
        Kind::NonEmptyString,
        "RFC 6749 §3.1; absolute, or relative to `base_url`.",
    )
    .with_vars(),
    key(
        "device_authorization_endpoint",
        Kind::NonEmptyString,
        "RFC 8628 §3.1; absolute, or relative to `base_url`.",
    )
    .with_vars(),
    key(
        "revocation_endpoint",
        Kind::NonEmptyString,
        "RFC 7009; absolute, or relative to `base_url`.",
    )
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
        Kind::Table(assertion::ASSERTION),
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
    .with_templates(),
    key(
        "inject",
        Kind::Table(INJECT),
        "The place of the token in a request.",
    ),
];

const AUTHORIZATION: &[KeySpec] = &[
    key(
        "params",
        Kind::Parameters { secrets: true },
        "Additional query parameters.",
    )
    .with_templates(),
    key(
        "rename",
        Kind::StringMap,
        "The vendor's names of parameters, by those of RFC 6749.",
    ),
    key("omit", Kind::Strings, "Parameters that are left out.")
        .with_default(|| json!(Authorization::default().omit)),
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
        "basic",
        Kind::Choice(&words(&BASIC_ENCODINGS)),
        "client_secret_basic: identifier and secret form-encoded (RFC 6749 §2.3.1), or as they are.",
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
        "Additional header fields.",
    )
    .with_templates(),
    key(
        "rename",
        Kind::StringMap,
        "The vendor's names of parameters, by those of RFC 6749.",
    ),
    key("omit", Kind::Strings, "Parameters that every request omits.")
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
        Kind::StringOrTable(PROXY),
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
    key("expires_in", Kind::String, "The pointer to the lifetime.")
        .with_default(|| json!(TokenResponse::default().expires_in)),
    key(
        "expires_in_unit",
        Kind::Choice(&words(&EXPIRES_IN_UNITS)),
        "The unit of `expires_in`.",
    )
    .with_default(|| {
        json!(word_for(
            &EXPIRES_IN_UNITS,
            &TokenResponse::default().expires_in_unit
        ))
    }),
    key(
        "expires_at",
        Kind::String,
        "The pointer to the expiry: RFC 3339, or seconds or milliseconds since 1970.",
    ),
    key(
        "refresh_expires_in",
        Kind::String,
        "The pointer to the lifetime of the refresh token in seconds.",
    ),
    key(
        "default_lifetime",
        Kind::DurationOrNever,
        "The lifetime if the response has none. Default: 5 minutes, or \"never\" if a new token \
         takes a login.",
    ),
    key(
        "max_lifetime",
        Kind::Duration { allow_zero: false },
        "The time after which a token is no longer used. Default: none.",
    ),
    key(
        "token_types",
        Kind::Strings,
        "The accepted token_type. Default: all but dpop, mac and pop.",
    ),
    key(
        "success",
        Kind::Table(SUCCESS),
        "The member that tells a success from an error.",
    ),
    key("error", Kind::String, "The pointer to the error code.")
        .with_default(|| json!(TokenResponse::default().error)),
    key(
        "error_map",
        Kind::StringMap,
        "The vendor's error codes to those of RFC 6749, or to \"temporary\".",
    ),
];

const SIGN_IN: &[KeySpec] = &[
    key(
        "endpoint",
        Kind::NonEmptyString,
        "The URL that the parameters of the authorization request, email and password are posted \
         to.",
    )
    .with_vars(),
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
    key(
        "jitter",
        Kind::Duration { allow_zero: true },
        "The upper bound of the random lead. Default: a tenth of the lifetime, at most 60 s.",
    ),
    key(
        "reauthorize_if",
        Kind::Table(REAUTHORIZE_IF),
        "A JSON body of up to 16 KiB that means the same.",
    ),
    key(
        "retry_lost_answer",
        Kind::Boolean,
        "Whether a refresh whose response was lost is requested once more at once.",
    )
    .with_default(|| json!(RefreshPolicy::default().retry_lost_answer)),
    key(
        "idle",
        Kind::Duration { allow_zero: false },
        "The time that a refresh token lives unused.",
    ),
    key(
        "absolute",
        Kind::Duration { allow_zero: false },
        "The time that a login lives at most.",
    ),
];

const REAUTHORIZE_IF: &[KeySpec] = &[
    key(
        "status",
        Kind::Integer { min: 200, max: 599 },
        "The status of the response.",
    )
    .with_default(|| json!(200)),
    key(
        "pointer",
        Kind::NonEmptyString,
        "The pointer to the member that tells.",
    ),
    key("in", Kind::Strings, "The values of the member."),
];

const SUCCESS: &[KeySpec] = &[
    key(
        "pointer",
        Kind::NonEmptyString,
        "The pointer to the member.",
    ),
    key("equals", Kind::Scalar, "Its value in a success."),
];

const CAPTURE: &[KeySpec] = &[
    key(
        "callback",
        Kind::NonEmptyString,
        "The parameter of the callback that has the value.",
    ),
    key(
        "get",
        Kind::NonEmptyString,
        "The URL of one GET with the new token, whose response has the value.",
    )
    .with_templates(),
    key(
        "pointer",
        Kind::String,
        "The pointer to the value in that response.",
    ),
    key(
        "allow",
        Kind::Strings,
        "The hosts that the value may lead to, such as \"*.example.com\".",
    ),
];

const REVOCATION: &[KeySpec] = &[
    key(
        "method",
        Kind::Choice(&words(&REVOCATION_METHODS)),
        "The HTTP method.",
    )
    .with_default(|| json!(word_for(&REVOCATION_METHODS, &Revocation::default().method))),
    key(
        "encoding",
        Kind::Choice(&words(&ENCODINGS)),
        "The encoding of the parameters.",
    )
    .with_default(|| json!(word_for(&ENCODINGS, &Revocation::default().encoding))),
    key(
        "token",
        Kind::Choice(&words(&REVOKED_TOKENS)),
        "The token that is revoked. Default: the refresh token, else the access token.",
    ),
    key(
        "auth",
        Kind::Choice(&words(&REVOCATION_AUTHS)),
        "The authentication: the client's, the access token, or none.",
    )
    .with_default(|| json!(word_for(&REVOCATION_AUTHS, &Revocation::default().auth))),
    key(
        "params",
        Kind::Parameters { secrets: true },
        "Additional parameters.",
    )
    .with_templates(),
];

const API: &[KeySpec] = &[
    key(
        "headers",
        Kind::Parameters { secrets: true },
        "Header fields that replace the client's.",
    )
    .with_templates(),
    key(
        "default_headers",
        Kind::Parameters { secrets: true },
        "Header fields for requests that have none of the name.",
    )
    .with_templates(),
    key(
        "query",
        Kind::Parameters { secrets: true },
        "Query parameters that replace the client's.",
    )
    .with_templates(),
];

const API_BASE: &[KeySpec] = &[
    key(
        "from",
        Kind::NonEmptyString,
        "The pointer to the address in the token response.",
    ),
    key(
        "allow",
        Kind::Strings,
        "The hosts that the address may name, such as \"*.example.com\".",
    )
    .with_vars(),
    key("append", Kind::String, "The path behind the address.").with_vars(),
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
