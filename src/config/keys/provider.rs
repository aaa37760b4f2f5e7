//! The keys of `[providers.NAME]`; a preset is written with the same ones.

use super::{Key, Kind, defaulted, key};

pub(in crate::config) const PROVIDER: &[Key] = &[
    key(
        "preset",
        Kind::Text,
        "A provider built in, whose keys these override: see `bearward presets`.",
    ),
    key(
        "grant_type",
        Kind::Choice(&["client_credentials", "authorization_code", "refresh_token"]),
        "How tokens are obtained (RFC 6749 §4). Required, unless a preset says it.",
    ),
    key(
        "base_url",
        Kind::Text,
        "What relative endpoints are relative to.",
    ),
    key(
        "api_base",
        Kind::Text,
        "The `upstream` of this provider's routes that give none.",
    ),
    key(
        "token_endpoint",
        Kind::Text,
        "RFC 6749 §3.2; absolute, or relative to `base_url`.",
    ),
    key(
        "authorization_endpoint",
        Kind::Text,
        "RFC 6749 §3.1; absolute, or relative to `base_url`.",
    ),
    key(
        "revocation_endpoint",
        Kind::Text,
        "RFC 7009; absolute, or relative to `base_url`.",
    ),
    key(
        "token_endpoint_auth_method",
        Kind::Choice(&["client_secret_basic", "client_secret_post", "none"]),
        "RFC 6749 §2.3. Default: client_secret_basic with a secret, none without.",
    ),
    key("client_id", Kind::Text, "RFC 6749 §2.2."),
    key(
        "client_secret",
        Kind::Secret,
        "RFC 6749 §2.3.1; left out for a public client.",
    ),
    key(
        "scope",
        Kind::TextOrTexts,
        "The scopes asked for (RFC 6749 §3.3): one string, or an array of them.",
    ),
    key(
        "redirect_uri",
        Kind::Text,
        "RFC 6749 §3.1.2. Default: the admin listener's /callback.",
    ),
    defaulted(
        "code_challenge_method",
        Kind::Choice(&["S256", "none"]),
        r#""S256""#,
        "PKCE (RFC 7636); `none` where the server knows nothing of it.",
    ),
    key(
        "refresh_token",
        Kind::Secret,
        "A first refresh token; the store's newer one wins until this one is changed.",
    ),
    defaulted(
        "allow_plaintext",
        Kind::Switch,
        "false",
        "Permits `http://` endpoints that are not on this machine.",
    ),
    key(
        "authorization",
        Kind::Table(AUTHORIZATION),
        "The consent redirect.",
    ),
    key(
        "token_request",
        Kind::Table(TOKEN_REQUEST),
        "How this authorization server deviates from RFC 6749.",
    ),
    key(
        "token_response",
        Kind::Table(TOKEN_RESPONSE),
        "Where the members of its answers are (RFC 6901 JSON Pointers).",
    ),
    key(
        "sign_in",
        Kind::Table(SIGN_IN),
        "Headless consent: a sign-in endpoint that answers with the code as JSON.",
    ),
    key("refresh", Kind::Table(REFRESH), "When tokens are renewed."),
    key(
        "inject",
        Kind::Table(INJECT),
        "How the token is put on a request.",
    ),
];

const AUTHORIZATION: &[Key] = &[
    key("params", Kind::Pairs, "Extra query parameters."),
    defaulted(
        "code_parameter",
        Kind::Text,
        r#""code""#,
        "The callback's parameter that carries the code.",
    ),
];

const TOKEN_REQUEST: &[Key] = &[
    defaulted(
        "method",
        Kind::Choice(&["POST", "GET"]),
        r#""POST""#,
        "With GET the parameters go into the query.",
    ),
    defaulted(
        "encoding",
        Kind::Choice(&["form", "json", "query"]),
        r#""form""#,
        "How the parameters of a POST are written; of a GET always as the query.",
    ),
    key("params", Kind::Pairs, "Extra parameters of every grant."),
    key("headers", Kind::Pairs, "Extra header fields."),
    defaulted(
        "omit_on_refresh",
        Kind::Texts,
        "[]",
        "Parameters left out of refresh requests.",
    ),
    defaulted(
        "omit_on_exchange",
        Kind::Texts,
        "[]",
        "Parameters left out of the exchange of a code.",
    ),
    defaulted(
        "scope_separator",
        Kind::Text,
        r#"" ""#,
        "What stands between two scopes of an array.",
    ),
    defaulted(
        "timeout",
        Kind::Duration { zero: false },
        r#""10s""#,
        "The bound on one exchange.",
    ),
    key(
        "ca_file",
        Kind::Text,
        "Extra trust roots, PEM; relative to this file's folder.",
    ),
    key(
        "proxy",
        Kind::Text,
        "An HTTP proxy for token calls; the system's is never used.",
    ),
];

const TOKEN_RESPONSE: &[Key] = &[
    defaulted(
        "access_token",
        Kind::Any,
        r#""/access_token""#,
        "Where the access token is.",
    ),
    defaulted(
        "refresh_token",
        Kind::Any,
        r#""/refresh_token""#,
        "Where the refresh token is.",
    ),
    defaulted(
        "expires_in",
        Kind::Any,
        r#""/expires_in""#,
        "Where the lifetime in seconds is.",
    ),
    key(
        "default_lifetime",
        Kind::Duration { zero: false },
        "The lifetime when the answer gives none; else 5 minutes.",
    ),
];

const SIGN_IN: &[Key] = &[
    key(
        "endpoint",
        Kind::Text,
        "Where the parameters of the consent redirect, and these two, are posted.",
    ),
    key("email", Kind::Text, "The account."),
    key("password", Kind::Secret, "Its password."),
    defaulted(
        "encoding",
        Kind::Choice(&["json", "form", "query"]),
        r#""json""#,
        "How the parameters are written.",
    ),
    defaulted(
        "state_length",
        Kind::Number {
            least: 8,
            most: 128,
        },
        "43",
        "Characters of `state`, where the vendor demands a length.",
    ),
];

const REFRESH: &[Key] = &[
    key(
        "before",
        Kind::Duration { zero: false },
        "How long before the expiry a renewal is due. Default: a tenth of the lifetime, within 30 s and 5 min.",
    ),
    defaulted(
        "reauthorize_on",
        Kind::Numbers {
            least: 400,
            most: 599,
        },
        "[401]",
        "Upstream statuses that mean that this token is no longer good.",
    ),
];

const INJECT: &[Key] = &[
    defaulted(
        "header",
        Kind::Text,
        r#""authorization""#,
        "The header field.",
    ),
    defaulted(
        "prefix",
        Kind::Any,
        r#""Bearer ""#,
        "What stands before the token.",
    ),
    key(
        "query",
        Kind::Text,
        "A query parameter instead of a header field (RFC 6750 §2.3).",
    ),
];
