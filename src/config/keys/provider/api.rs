//! The keys of a provider that concern requests to the API.

use serde_json::json;

use crate::{
    config::keys::{Format, KeySpec, Kind, key},
    oauth::provider::RefreshPolicy,
    proxy::route::{Binding, Injection},
};

pub(super) const REFRESH: &[KeySpec] = &[
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
        "A member of a JSON response of up to 16 KiB that means the same.",
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
        "The pointer to the member to look at.",
    )
    .with_format(Format::MemberPointer),
    key(
        "in",
        Kind::Strings,
        "The values of the member that mean it.",
    ),
];

pub(super) const API: &[KeySpec] = &[
    key(
        "headers",
        Kind::Parameters { secrets: true },
        "Headers that replace the client's.",
    )
    .with_format(Format::Token)
    .with_templates(),
    key(
        "default_headers",
        Kind::Parameters { secrets: true },
        "Headers for requests that have none of the name.",
    )
    .with_format(Format::Token)
    .with_templates(),
    key(
        "query",
        Kind::Parameters { secrets: true },
        "Query parameters that replace the client's.",
    )
    .with_templates(),
];

pub(super) const API_BASE: &[KeySpec] = &[
    key(
        "from",
        Kind::NonEmptyString,
        "The pointer to the address in the token response.",
    )
    .with_format(Format::MemberPointer),
    key(
        "allow",
        Kind::Strings,
        "The hosts that the address may name, such as \"*.example.com\".",
    )
    .with_format(Format::HostPattern)
    .with_vars(),
    key("append", Kind::String, "The path after the address.")
        .with_format(Format::OptionalPath)
        .with_vars(),
];

pub(super) const INJECT: &[KeySpec] = &[
    key("header", Kind::NonEmptyString, "The header.")
        .with_format(Format::Token)
        .with_default(|| json!(Injection::DEFAULT_HEADER.as_str())),
    key("prefix", Kind::String, "The text before the token.")
        .with_format(Format::Prefix)
        .with_default(|| json!(Injection::DEFAULT_PREFIX)),
    key(
        "query",
        Kind::NonEmptyString,
        "A query parameter instead of the header (RFC 6750 §2.3).",
    )
    .with_format(Format::QueryName),
];
