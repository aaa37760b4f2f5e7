//! The keys of `[routes.NAME]`.

use super::{Key, Kind, defaulted, key};

pub(super) const ROUTE: &[Key] = &[
    key(
        "listen",
        Kind::Text,
        "Address and port (0: any free one), or `unix:/path`; several routes may share one.",
    ),
    key(
        "host",
        Kind::Text,
        "The exact Host it answers, without a port.",
    ),
    key(
        "path",
        Kind::Text,
        "The prefix it answers, on whole segments, as it reads when percent-decoded.",
    ),
    defaulted(
        "strip_path",
        Kind::Switch,
        "false",
        "Removes `path` before forwarding.",
    ),
    key(
        "upstream",
        Kind::Text,
        "The protected API; may have a base path. Default: the provider's `api_base`.",
    ),
    key(
        "provider",
        Kind::Text,
        "Whose token is injected; left out: pass through without a token.",
    ),
    key(
        "allow",
        Kind::Texts,
        "What may pass, as in \"GET /v1/devices/**\"; anything else is refused.",
    ),
    key(
        "ca_file",
        Kind::Text,
        "Extra trust roots, PEM; relative to this file's folder.",
    ),
    defaulted(
        "allow_plaintext",
        Kind::Switch,
        "false",
        "Permits an `http://` upstream that is not on this machine.",
    ),
    defaulted(
        "http2",
        Kind::Choice(&["auto", "never", "prior-knowledge"]),
        r#""auto""#,
        "HTTP/2 to the upstream; `auto` is by ALPN.",
    ),
    defaulted(
        "upgrade",
        Kind::Texts,
        "[]",
        "Protocols that may be tunnelled, such as \"websocket\".",
    ),
    key(
        "timeouts",
        Kind::Table(TIMEOUTS),
        "How long the upstream may take.",
    ),
    key("guard", Kind::Table(GUARD), "Who may pass."),
];

const TIMEOUTS: &[Key] = &[
    defaulted(
        "connect",
        Kind::Duration { zero: false },
        r#""5s""#,
        "Name look-up, TCP and TLS together.",
    ),
    defaulted(
        "response",
        Kind::Duration { zero: false },
        r#""60s""#,
        "To the response head; a body may take longer.",
    ),
    defaulted(
        "idle",
        Kind::Duration { zero: false },
        r#""60s""#,
        "No byte of a body moved, in either direction.",
    ),
];

const GUARD: &[Key] = &[
    key(
        "hosts",
        Kind::Texts,
        "Accepted Host names. Default: localhost, 127.0.0.1, [::1], the listen host and `host`, which is always accepted.",
    ),
    key("client_key", Kind::Secret, "Must come in x-bearward-key."),
    defaulted(
        "max_body",
        Kind::SizeOrUnlimited,
        r#""unlimited""#,
        "The largest request body.",
    ),
];
