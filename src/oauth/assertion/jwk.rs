//! Private JWKs (RFC 7517).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use ring::{
    rsa::{KeyPair, KeyPairComponents, PublicKeyComponents},
    signature::Ed25519KeyPair,
};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    AssertionError,
    material::{Curve, KeyMaterial},
};

/// The members of a private JWK (RFC 7518 §6, RFC 8037 §2). They are secret: no `Debug`.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    pub(super) kid: Option<String>,
    n: Option<Member>,
    e: Option<Member>,
    d: Option<Member>,
    p: Option<Member>,
    q: Option<Member>,
    dp: Option<Member>,
    dq: Option<Member>,
    qi: Option<Member>,
    x: Option<Member>,
    y: Option<Member>,
    k: Option<Member>,
}

/// A member in Base64 without padding.
type Member = Zeroizing<String>;

impl Jwk {
    pub(super) fn parse(text: &str) -> Result<Self, AssertionError> {
        serde_json::from_str(text).map_err(|_| AssertionError::NotAKey)
    }

    /// Returns the algorithm of `alg`, if it is supported.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.alg.as_deref()?.parse().ok()
    }

    pub(super) fn material(&self) -> Result<KeyMaterial, AssertionError> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => self.rsa(),
            ("EC", Some("P-256")) => self.ec(Curve::P256),
            ("EC", Some("P-384")) => self.ec(Curve::P384),
            ("EC", Some("P-521")) => Err(AssertionError::Es512),
            ("OKP", Some("Ed25519")) => self.ed25519(),
            ("oct", _) => Ok(KeyMaterial::Hmac(bytes(&self.k)?)),
            _ => Err(AssertionError::UnusableKey(
                "its `kty` and `crv` are not supported",
            )),
        }
    }

    fn rsa(&self) -> Result<KeyMaterial, AssertionError> {
        let components = KeyPairComponents {
            public_key: PublicKeyComponents {
                n: bytes(&self.n)?,
                e: bytes(&self.e)?,
            },
            d: bytes(&self.d)?,
            p: bytes(&self.p)?,
            q: bytes(&self.q)?,
            dP: bytes(&self.dp)?,
            dQ: bytes(&self.dq)?,
            qInv: bytes(&self.qi)?,
        };
        let key = KeyPair::from_components(&components);
        key.map(KeyMaterial::rsa).map_err(AssertionError::rejected)
    }

    fn ec(&self, curve: Curve) -> Result<KeyMaterial, AssertionError> {
        let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
        // SEC 1 §2.3.3: an uncompressed point.
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        KeyMaterial::ec(curve, &bytes(&self.d)?, &point)
    }

    fn ed25519(&self) -> Result<KeyMaterial, AssertionError> {
        let key = Ed25519KeyPair::from_seed_and_public_key(&bytes(&self.d)?, &bytes(&self.x)?);
        key.map(KeyMaterial::Ed25519)
            .map_err(AssertionError::rejected)
    }
}

fn bytes(member: &Option<Member>) -> Result<Zeroizing<Vec<u8>>, AssertionError> {
    let text = member
        .as_ref()
        .ok_or(AssertionError::UnusableKey("it has no private part"))?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    bytes.map(Zeroizing::new).map_err(|_| {
        AssertionError::UnusableKey("one of its members is not Base64 for URLs (RFC 7515 §2)")
    })
}
