//! The keys of `[routes.NAME]`.

use serde_json::json;

use super::{
    Format, KeySpec, Kind,
    connection::{CLIENT_CERTIFICATE, PROXY},
    duration, key,
};
use crate::{
    config::choices::{HTTP2_MODES, word_for, words},
    proxy::route::{Http2, Timeouts},
};

pub(super) const ROUTE: &[KeySpec] = &[
    key(
        "listen",
        Kind::NonEmptyString,
        "The address and port (0: any free port), `unix:/path`, or `systemd:NAME`. Several routes \
         may share one.",
    )
    .with_format(Format::Listen),
    key(
        "host",
        Kind::NonEmptyString,
        "The exact Host of its requests, without a port. Default: any.",
    )
    .with_format(Format::Host),
    key(
        "path",
        Kind::NonEmptyString,
        "The path prefix of its requests, such as \"/v1\": whole segments, percent-decoded. \
         Default: any.",
    )
    .with_format(Format::PathPrefix),
    key(
        "strip_path",
        Kind::Boolean,
        "Removes `path` before forwarding.",
    )
    .with_default(|| json!(false)),
    key(
        "upstream",
        Kind::NonEmptyString,
        "The URL of the protected API; may have a base path. Default: the provider's `api_base`.",
    )
    .with_format(Format::Upstream),
    key(
        "provider",
        Kind::NonEmptyString,
        "The provider whose token is injected. Without one, requests pass without a token.",
    ),
    key(
        "allow",
        Kind::Strings,
        "The permitted requests, such as \"GET /v1/devices/**\". Default: all.",
    )
    .with_format(Format::AllowRule),
    key(
        "ca_file",
        Kind::NonEmptyString,
        "A PEM file of additional trust roots, relative to this file's folder.",
    ),
    key(
        "client_certificate",
        Kind::Table(CLIENT_CERTIFICATE),
        "The certificate for connections to the upstream.",
    ),
    key(
        "proxy",
        Kind::StringOrTable(PROXY),
        "An HTTP proxy on the way to the upstream.",
    )
    .with_format(Format::Proxy),
    key(
        "allow_plaintext",
        Kind::Boolean,
        "Permits an `http://` upstream on another machine.",
    )
    .with_default(|| json!(false)),
    key(
        "http2",
        Kind::Choice(&words(&HTTP2_MODES)),
        "HTTP/2 to the upstream. `auto` negotiates it by ALPN.",
    )
    .with_default(|| json!(word_for(&HTTP2_MODES, &Http2::default()))),
    key(
        "upgrade",
        Kind::Strings,
        "The protocols that clients may upgrade to, such as \"websocket\".",
    )
    .with_default(|| json!([])),
    key(
        "timeouts",
        Kind::Table(TIMEOUTS),
        "Timeouts of the upstream.",
    ),
    key(
        "guard",
        Kind::Table(GUARD),
        "The checks that a request must pass.",
    ),
];

const TIMEOUTS: &[KeySpec] = &[
    key(
        "connect",
        Kind::Duration { allow_zero: false },
        "The time for name look-up, TCP and TLS together.",
    )
    .with_default(|| duration(Timeouts::default().connect)),
    key(
        "response",
        Kind::Duration { allow_zero: false },
        "The time to the response head. A body may take longer.",
    )
    .with_default(|| duration(Timeouts::default().response)),
    key(
        "idle",
        Kind::Duration { allow_zero: false },
        "The time without a byte of a body in either direction.",
    )
    .with_default(|| duration(Timeouts::default().idle)),
];

const GUARD: &[KeySpec] = &[
    key(
        "hosts",
        Kind::Strings,
        "The accepted Host names. Default: localhost, 127.0.0.1, [::1] and the listen host. \
         `host` is always accepted.",
    )
    .with_format(Format::Host),
    key(
        "client_key",
        Kind::Secret,
        "The key that clients must send in x-bearward-key.",
    ),
    key(
        "max_body",
        Kind::SizeOrUnlimited,
        "The maximum size of a request body.",
    )
    .with_default(|| json!("unlimited")),
];
