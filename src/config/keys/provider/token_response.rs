//! The keys of `[providers.NAME.token_response]`.

use serde_json::json;

use crate::{
    config::{
        choices::{EXPIRES_IN_UNITS, word_for, words},
        keys::{Format, KeySpec, Kind, key},
    },
    oauth::provider::TokenResponse,
};

pub(super) const TOKEN_RESPONSE: &[KeySpec] = &[
    key(
        "access_token",
        Kind::String,
        "The pointer to the access token.",
    )
    .with_format(Format::MemberPointer)
    .with_default(|| json!(TokenResponse::default().access_token)),
    key(
        "refresh_token",
        Kind::String,
        "The pointer to the refresh token.",
    )
    .with_format(Format::Pointer)
    .with_default(|| json!(TokenResponse::default().refresh_token)),
    key("expires_in", Kind::String, "The pointer to the lifetime.")
        .with_format(Format::Pointer)
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
    )
    .with_format(Format::Pointer),
    key(
        "refresh_expires_in",
        Kind::String,
        "The pointer to the lifetime of the refresh token in seconds.",
    )
    .with_format(Format::Pointer),
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
        .with_format(Format::Pointer)
        .with_default(|| json!(TokenResponse::default().error)),
    key(
        "error_map",
        Kind::StringMap,
        "The code of RFC 6749, or \"temporary\", for each of the vendor's own error codes.",
    )
    .with_format(Format::ErrorCode),
];

const SUCCESS: &[KeySpec] = &[
    key(
        "pointer",
        Kind::NonEmptyString,
        "The pointer to the member.",
    )
    .with_format(Format::MemberPointer),
    key("equals", Kind::Scalar, "Its value in a success."),
];
