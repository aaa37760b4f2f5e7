//! The keys of outgoing connections, which providers and routes share.

use super::{Format, KeySpec, Kind, key};

/// `proxy` as a table.
pub(super) const PROXY: &[KeySpec] = &[
    key("url", Kind::NonEmptyString, "The address of the proxy.").with_format(Format::Proxy),
    key(
        "username",
        Kind::NonEmptyString,
        "The user name for HTTP Basic.",
    ),
    key("password", Kind::Secret, "The password for HTTP Basic."),
];

/// `client_certificate`.
pub(super) const CLIENT_CERTIFICATE: &[KeySpec] = &[
    key(
        "cert",
        Kind::NonEmptyString,
        "A PEM file: the certificate, and its intermediates behind it.",
    ),
    key("key", Kind::Secret, "The private key in PEM."),
];
