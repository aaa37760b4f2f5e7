//! Signatures of JWTs by ring, which the crate has for TLS already.
//!
//! The backends that come with `jsonwebtoken` would add a second library of cryptography.

use std::sync::Once;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind, Result},
    signature::{self, Signer},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaEncoding,
    },
};

use super::{jwk::Jwk, material::KeyMaterial};

/// Makes ring the process's provider for signatures of JWTs. Repeating it changes nothing.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: signer,
        verifier_factory: no_verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Only this module installs one.
        let _ = PROVIDER.install_default();
    });
}

/// Parses the configured text of a key, which [`super::key`] has accepted before.
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let invalid = |_| Error::from(ErrorKind::InvalidKeyFormat);
    let content = key.as_bytes();
    let material = match (key.family(), content.first()) {
        (AlgorithmFamily::Hmac, _) => KeyMaterial::Hmac(content.to_vec().into()),
        (_, Some(b'{')) => std::str::from_utf8(content)
            .map_err(|_| Error::from(ErrorKind::InvalidKeyFormat))
            .and_then(|text| {
                Jwk::parse(text)
                    .and_then(|jwk| jwk.material())
                    .map_err(invalid)
            })?,
        _ => KeyMaterial::from_pem(content).map_err(invalid)?,
    };
    Ok(Box::new(RingSigner {
        material,
        algorithm: *algorithm,
    }))
}

/// Nothing verifies a JWT here: assertions are for authorization servers.
fn no_verifier(_: &Algorithm, _: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

struct RingSigner {
    material: KeyMaterial,
    algorithm: Algorithm,
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        match &self.material {
            KeyMaterial::Hmac(secret) => {
                let key = hmac::Key::new(hmac_algorithm(self.algorithm), secret);
                Ok(hmac::sign(&key, message).as_ref().to_vec())
            }
            KeyMaterial::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(
                    rsa_encoding(self.algorithm),
                    &random,
                    message,
                    &mut signature,
                )
                .map_err(|_| signature::Error::new())?;
                Ok(signature)
            }
            KeyMaterial::P256(key) | KeyMaterial::P384(key) => {
                let signature = key.sign(&random, message);
                let signature = signature.map_err(|_| signature::Error::new())?;
                Ok(signature.as_ref().to_vec())
            }
            KeyMaterial::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::RS384 => &RSA_PKCS1_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_SHA512,
        Algorithm::PS256 => &RSA_PSS_SHA256,
        Algorithm::PS384 => &RSA_PSS_SHA384,
        Algorithm::PS512 => &RSA_PSS_SHA512,
        _ => &RSA_PKCS1_SHA256,
    }
}
