//! The settings of JWT assertions (RFC 7523).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{oauth::template::Template, secret::LiveSecret};

/// `[providers.NAME.assertion]`: a JWT that the client makes (RFC 7523 §3), or a ready one.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// Where the JWT comes from.
    pub source: AssertionSource,
    /// `alg`; without one it follows from the kind of the key.
    pub algorithm: Option<SigningAlgorithm>,
    /// The header's `kid`.
    pub kid: Option<Arc<LiveSecret>>,
    /// The certificate in DER whose thumbprints the header has (`x5t`, `x5t#S256`).
    pub certificate: Option<Vec<u8>>,
    /// The time from the signing to `exp`.
    pub lifetime: Duration,
    /// The time that `iat` is set back.
    pub backdate: Duration,
    /// Claims that replace or join the defaults; an empty text removes one.
    pub claims: BTreeMap<String, ClaimValue>,
}

/// A configured claim.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimValue {
    /// A text with variables.
    Text(Template),
    /// An array of such texts.
    List(Vec<Template>),
}

/// The origin of an assertion.
#[derive(Clone, Debug, PartialEq)]
pub enum AssertionSource {
    /// Signed with the client secret (`client_secret_jwt`).
    ClientSecret,
    /// Signed with this key: PEM (PKCS#8, PKCS#1, SEC1) or a JWK.
    Key(Arc<LiveSecret>),
    /// A ready assertion in a file, which is read at every use and need not be there before.
    File(Arc<LiveSecret>),
}

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 7518")]
pub enum SigningAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Assertion {
    /// The default of `lifetime`.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

    /// Returns the secrets, which may change in their files.
    pub fn secrets(&self) -> impl Iterator<Item = &Arc<LiveSecret>> {
        let key = match &self.source {
            AssertionSource::Key(secret) | AssertionSource::File(secret) => Some(secret),
            AssertionSource::ClientSecret => None,
        };
        key.into_iter().chain(&self.kid)
    }

    /// Returns the assertion of a provider that configures none: signed with the client secret, with the defaults.
    pub const fn of_client_secret() -> Self {
        Self {
            source: AssertionSource::ClientSecret,
            algorithm: None,
            kid: None,
            certificate: None,
            lifetime: Self::DEFAULT_LIFETIME,
            backdate: Duration::ZERO,
            claims: BTreeMap::new(),
        }
    }
}

impl SigningAlgorithm {
    /// Returns the name in RFC 7518 or RFC 8037.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }
}
