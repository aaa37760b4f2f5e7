//! The material of keys: from PEM and DER to ring's types.

use jsonwebtoken::Algorithm;
use ring::{
    error::KeyRejected,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair,
    },
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::AssertionError;

/// A key by its kind. It has no `Debug`.
pub(super) enum KeyMaterial {
    Hmac(Zeroizing<Vec<u8>>),
    Rsa(Box<rsa::KeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A curve of ECDSA.
#[derive(Clone, Copy)]
pub(super) enum Curve {
    P256,
    P384,
}

/// The object identifier of the curve P-521 in DER (RFC 5480 §2.1.1.1).
const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

impl KeyMaterial {
    /// Reads a private key in PEM.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, AssertionError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| AssertionError::NotAKey)?;
        let der = key.secret_der();
        if der.windows(P521.len()).any(|window| window == P521) {
            return Err(AssertionError::Es512);
        }
        match &key {
            PrivateKeyDer::Pkcs1(_) => rsa::KeyPair::from_der(der)
                .map(Self::rsa)
                .map_err(AssertionError::rejected),
            PrivateKeyDer::Sec1(_) => Self::from_sec1(der),
            PrivateKeyDer::Pkcs8(_) => Self::from_pkcs8(der),
            _ => Err(AssertionError::NotAKey),
        }
    }

    /// Reads PKCS#8 (RFC 5958). The first kind that is the key's decides.
    fn from_pkcs8(der: &[u8]) -> Result<Self, AssertionError> {
        let ec = |curve: Curve| {
            EcdsaKeyPair::from_pkcs8(curve.algorithm(), der, &SystemRandom::new()).ok()
        };
        let rejected = match rsa::KeyPair::from_pkcs8(der) {
            Ok(key) => return Ok(Self::rsa(key)),
            Err(rejected) => rejected,
        };
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::Ed25519(key));
        }
        if let Some(key) = ec(Curve::P256) {
            return Ok(Self::P256(key));
        }
        match ec(Curve::P384) {
            Some(key) => Ok(Self::P384(key)),
            None => Err(AssertionError::rejected(rejected)),
        }
    }

    /// Reads SEC 1 (RFC 5915). The curve is known by the length of the private key.
    fn from_sec1(der: &[u8]) -> Result<Self, AssertionError> {
        let key = EcPrivateKey::try_from(der).map_err(|_| AssertionError::NotAKey)?;
        let public = key.public_key.ok_or(AssertionError::UnusableKey(
            "it holds no public key; convert it with `openssl pkcs8 -topk8 -nocrypt`",
        ))?;
        match key.private_key.len() {
            32 => Self::ec(Curve::P256, key.private_key, public),
            48 => Self::ec(Curve::P384, key.private_key, public),
            _ => Err(AssertionError::UnusableKey("its curve is not supported")),
        }
    }

    pub(super) fn rsa(key: rsa::KeyPair) -> Self {
        Self::Rsa(Box::new(key))
    }

    /// Makes a key of a private number and an uncompressed point.
    pub(super) fn ec(curve: Curve, private: &[u8], public: &[u8]) -> Result<Self, AssertionError> {
        let algorithm = curve.algorithm();
        let random = SystemRandom::new();
        let key =
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random);
        let key = key.map_err(AssertionError::rejected)?;
        Ok(match curve {
            Curve::P256 => Self::P256(key),
            Curve::P384 => Self::P384(key),
        })
    }

    /// Returns the kind in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "a shared secret",
            Self::Rsa(_) => "an RSA key",
            Self::P256(_) => "a key on P-256",
            Self::P384(_) => "a key on P-384",
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }

    /// Returns the algorithm that goes with the kind.
    pub(super) const fn default_algorithm(&self) -> Algorithm {
        match self {
            Self::Hmac(_) => Algorithm::HS256,
            Self::Rsa(_) => Algorithm::RS256,
            Self::P256(_) => Algorithm::ES256,
            Self::P384(_) => Algorithm::ES384,
            Self::Ed25519(_) => Algorithm::EdDSA,
        }
    }

    /// Returns whether the key can sign with `algorithm`.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        let default = self.default_algorithm();
        match self {
            Self::Hmac(_) | Self::Rsa(_) => default.family() == algorithm.family(),
            Self::P256(_) | Self::P384(_) | Self::Ed25519(_) => default == algorithm,
        }
    }
}

impl Curve {
    const fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }
}

impl AssertionError {
    pub(super) fn rejected(error: KeyRejected) -> Self {
        // ring has no type for the reason, only these words.
        Self::UnusableKey(match error.to_string().as_str() {
            "TooSmall" => "an RSA key must have at least 2048 bits",
            "TooLarge" => "an RSA key must have at most 4096 bits",
            "InconsistentComponents" => "its parts do not belong together",
            _ => "it is damaged, or of a kind other than RSA, P-256, P-384 and Ed25519",
        })
    }
}
