//! The keys of the tests. They are public, and good for nothing else.

use ring::signature::{EcdsaKeyPair, KeyPair, RsaKeyPair};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

const RSA_PEM: &str = include_str!("../keys/only_for_tests_rsa.pem");
const EC_PEM: &str = include_str!("../keys/only_for_tests_ec.pem");
const CERTIFICATE_PEM: &str = include_str!("../keys/only_for_tests_certificate.pem");

/// The content of a fixture's file, with keys in place of `{rsa_pem}` and its like.
pub(crate) fn fill(text: &str) -> String {
    // The inside of a JSON string.
    let quoted = serde_json::Value::from(RSA_PEM).to_string();
    text.replace("{rsa_pem}", RSA_PEM)
        .replace("{rsa_pem_json}", quoted.trim_matches('"'))
        .replace("{ec_pem}", EC_PEM)
        .replace("{certificate_pem}", CERTIFICATE_PEM)
}

fn der(pem: &str) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).expect("a PKCS#8 key")
}

pub(crate) fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(der(RSA_PEM).secret_pkcs8_der()).expect("an RSA key")
}

pub(crate) fn ec() -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        der(EC_PEM).secret_pkcs8_der(),
        &ring::rand::SystemRandom::new(),
    )
    .expect("a P-256 key")
}

/// The public part, as ring verifies with it.
pub(crate) fn public(pair: &impl KeyPair<PublicKey: AsRef<[u8]>>) -> Vec<u8> {
    pair.public_key().as_ref().to_vec()
}
