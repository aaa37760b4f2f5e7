//! The keys of `[providers.NAME.assertion]`.

use crate::{
    config::{
        choices::{SIGNING_ALGORITHMS, words},
        keys::{KeySpec, Kind, duration, key},
    },
    oauth::provider::Assertion,
};

pub(super) const ASSERTION: &[KeySpec] = &[
    key(
        "key",
        Kind::SecretOrMember,
        "The private key: PEM or a JWK, or a member of a JSON key file.",
    ),
    key(
        "file",
        Kind::NonEmptyString,
        "A file with a ready assertion, instead of `key`. It is read at every use.",
    ),
    key(
        "alg",
        Kind::Choice(&words(&SIGNING_ALGORITHMS)),
        "The signature algorithm (RFC 7518). Default: the one that fits the key.",
    ),
    key(
        "kid",
        Kind::SecretOrMember,
        "The identifier of the key, in the header of the JWT.",
    ),
    key(
        "certificate",
        Kind::NonEmptyString,
        "A PEM file whose certificate the header names (x5t, x5t#S256).",
    ),
    key(
        "lifetime",
        Kind::Duration { allow_zero: false },
        "The time from the signing to `exp`.",
    )
    .with_default(|| duration(Assertion::DEFAULT_LIFETIME)),
    key(
        "backdate",
        Kind::Duration { allow_zero: true },
        "The time that `iat` is set back.",
    )
    .with_default(|| duration(std::time::Duration::ZERO)),
    key(
        "claims",
        Kind::Parameters { secrets: false },
        "Claims that replace or add to the defaults iss, sub, aud, iat, exp and jti. An empty \
         text removes one.",
    )
    .with_templates(),
];
