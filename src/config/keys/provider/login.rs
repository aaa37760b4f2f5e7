//! The keys of a provider that concern logins.

use serde_json::json;

use crate::{
    config::{
        choices::{
            ENCODINGS, REVOCATION_AUTHS, REVOCATION_METHODS, REVOKED_TOKENS, word_for, words,
        },
        keys::{Format, KeySpec, Kind, key},
    },
    oauth::provider::{Authorization, Revocation, SignIn},
};

pub(super) const AUTHORIZATION: &[KeySpec] = &[
    key(
        "params",
        Kind::Parameters { secrets: true },
        "Additional query parameters.",
    )
    .with_templates(),
    key(
        "rename",
        Kind::StringMap,
        "The vendor's own names of parameters: { client_id = \"client_key\" }.",
    )
    .with_format(Format::NonEmpty),
    key("omit", Kind::Strings, "Parameters that are not sent.")
        .with_default(|| json!(Authorization::default().omit)),
    key(
        "code_parameter",
        Kind::NonEmptyString,
        "The callback's parameter that carries the code.",
    )
    .with_default(|| json!(Authorization::default().code_parameter)),
];

pub(super) const SIGN_IN: &[KeySpec] = &[
    key(
        "endpoint",
        Kind::NonEmptyString,
        "The URL that the parameters of the authorization request, email and password are posted \
         to.",
    )
    .with_format(Format::Endpoint)
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

pub(super) const CAPTURE: &[KeySpec] = &[
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
    .with_format(Format::Endpoint)
    .with_templates(),
    key(
        "pointer",
        Kind::String,
        "The pointer to the value in that response.",
    )
    .with_format(Format::Pointer),
    key(
        "allow",
        Kind::Strings,
        "The hosts that the value may lead to, such as \"*.example.com\".",
    )
    .with_format(Format::HostPattern),
];

pub(super) const REVOCATION: &[KeySpec] = &[
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
