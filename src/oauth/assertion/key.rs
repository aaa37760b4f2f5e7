//! Keys that sign assertions: a private key, or a shared secret.

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};

use super::{AssertionError, SigningAlgorithm, jwk::Jwk, material::KeyMaterial};
use crate::secret::Secret;

/// A key with the algorithm that it signs with.
pub(super) struct SigningKey {
    /// The key as it was configured, which [`super::signer`] parses.
    pub(super) encoding: EncodingKey,
    /// The algorithm.
    pub(super) algorithm: Algorithm,
    /// The `kid` of a JWK.
    pub(super) id: Option<String>,
}

impl SigningKey {
    /// Reads a private key in PEM or as a JWK; `configured` is the configured algorithm.
    ///
    /// With an algorithm of the HMAC family, a text that is neither is a shared secret.
    pub(super) fn parse(
        text: &Secret,
        configured: Option<SigningAlgorithm>,
    ) -> Result<Self, AssertionError> {
        let algorithm = configured.map(supported).transpose()?;
        let plain = text.expose().trim();
        if plain.starts_with('{') {
            let jwk = Jwk::parse(plain)?;
            let material = jwk.material()?;
            let hinted = algorithm.or_else(|| jwk.algorithm());
            return Ok(Self {
                id: jwk.kid.clone(),
                ..Self::new(&material, plain, hinted, configured)?
            });
        }
        let is_shared = algorithm.is_some_and(|it| it.family() == AlgorithmFamily::Hmac);
        if is_shared && !plain.starts_with("-----BEGIN") {
            return Self::of_client_secret(text, configured);
        }
        let material = KeyMaterial::from_pem(plain.as_bytes())?;
        Self::new(&material, plain, algorithm, configured)
    }

    /// Makes a shared secret a key; `configured` is the configured algorithm.
    pub(super) fn of_client_secret(
        secret: &Secret,
        configured: Option<SigningAlgorithm>,
    ) -> Result<Self, AssertionError> {
        let algorithm = configured.map(supported).transpose()?;
        let material = KeyMaterial::Hmac(secret.expose().as_bytes().to_vec().into());
        Self::new(&material, secret.expose(), algorithm, configured)
    }

    fn new(
        material: &KeyMaterial,
        text: &str,
        algorithm: Option<Algorithm>,
        configured: Option<SigningAlgorithm>,
    ) -> Result<Self, AssertionError> {
        let algorithm = algorithm.unwrap_or(material.default_algorithm());
        if !material.fits(algorithm) {
            return Err(match configured {
                Some(algorithm) => AssertionError::OtherAlgorithm {
                    kind: material.kind(),
                    algorithm,
                },
                None => AssertionError::UnusableKey("its `alg` is for another kind of key"),
            });
        }
        let text = text.as_bytes();
        let encoding = match material {
            KeyMaterial::Hmac(bytes) => EncodingKey::from_secret(bytes)
                .map_err(|_| AssertionError::UnusableKey("it is empty"))?,
            KeyMaterial::Rsa(_) => EncodingKey::from_rsa_der(text),
            KeyMaterial::P256(_) | KeyMaterial::P384(_) => EncodingKey::from_ec_der(text),
            KeyMaterial::Ed25519(_) => EncodingKey::from_ed_der(text),
        };
        Ok(Self {
            encoding,
            algorithm,
            id: None,
        })
    }
}

/// Returns the algorithm's implementation; ring has none for ES512.
const fn supported(algorithm: SigningAlgorithm) -> Result<Algorithm, AssertionError> {
    use SigningAlgorithm as A;
    Ok(match algorithm {
        A::Hs256 => Algorithm::HS256,
        A::Hs384 => Algorithm::HS384,
        A::Hs512 => Algorithm::HS512,
        A::Rs256 => Algorithm::RS256,
        A::Rs384 => Algorithm::RS384,
        A::Rs512 => Algorithm::RS512,
        A::Ps256 => Algorithm::PS256,
        A::Ps384 => Algorithm::PS384,
        A::Ps512 => Algorithm::PS512,
        A::Es256 => Algorithm::ES256,
        A::Es384 => Algorithm::ES384,
        A::Es512 => return Err(AssertionError::Es512),
        A::EdDsa => Algorithm::EdDSA,
    })
}
