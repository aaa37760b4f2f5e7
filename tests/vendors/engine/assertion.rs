//! Verifies the JWT of a client (RFC 7523) apart from the code that makes it.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, signature};
use serde_json::{Map, Value};

use super::{
    fixture::{Assertion, KeyKind},
    keys,
    ledger::Ledger,
};

/// Seconds that the clocks may differ by.
const LEEWAY: u64 = 5;

/// Pushes to `reasons` what is wrong with `token`.
pub(crate) fn verify(
    token: &str,
    demanded: &Assertion,
    secret: Option<&str>,
    ledger: &mut Ledger,
    reasons: &mut Vec<String>,
) {
    let Some((signed, header, claims, signature)) = split(token) else {
        reasons.push("the assertion is no signed JWT".to_owned());
        return;
    };
    if header.get("alg") != Some(&Value::from(demanded.alg.as_str())) {
        reasons.push(format!(
            "alg {:?} in place of {}",
            header.get("alg"),
            demanded.alg
        ));
    } else if !is_signed(signed, &signature, demanded, secret) {
        reasons.push("the assertion's signature is wrong".to_owned());
    }
    for (name, value) in &demanded.header {
        check_member(
            "header",
            name,
            &Value::from(value.as_str()),
            &header,
            reasons,
        );
    }
    for (name, value) in &demanded.claims {
        check_member("claim", name, value, &claims, reasons);
    }
    check_times(demanded, &claims, reasons);
    if let Some(id) = claims.get("jti").and_then(Value::as_str)
        && !ledger.is_new_assertion(id)
    {
        reasons.push(format!("the assertion {id} was sent before"));
    }
}

type Members = Map<String, Value>;

/// What is signed, the header, the claims, and the signature.
fn split(token: &str) -> Option<(&str, Members, Members, Vec<u8>)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let members = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    Some((signed, members(header)?, members(claims)?, signature))
}

fn is_signed(signed: &str, found: &[u8], demanded: &Assertion, secret: Option<&str>) -> bool {
    let (message, alg) = (signed.as_bytes(), demanded.alg.as_str());
    if demanded.key == KeyKind::Secret {
        let digest = match alg {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => return false,
        };
        let key = hmac::Key::new(digest, secret.unwrap_or_default().as_bytes());
        return hmac::verify(&key, message, found).is_ok();
    }
    let algorithm: &dyn signature::VerificationAlgorithm = match alg {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
        _ => return false,
    };
    let key = match demanded.key {
        KeyKind::Ec => keys::public(&keys::ec()),
        _ => keys::public(&keys::rsa()),
    };
    signature::UnparsedPublicKey::new(algorithm, key)
        .verify(message, found)
        .is_ok()
}

fn check_member(
    what: &str,
    name: &str,
    demanded: &Value,
    found: &Members,
    reasons: &mut Vec<String>,
) {
    match found.get(name) {
        None => reasons.push(format!("the assertion has no {what} {name}")),
        Some(_) if demanded == "*" => {}
        Some(value) if value == demanded => {}
        Some(value) => reasons.push(format!(
            "the assertion's {what} {name} is {value} in place of {demanded}"
        )),
    }
}

fn check_times(demanded: &Assertion, claims: &Members, reasons: &mut Vec<String>) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let Some(expiry) = claims.get("exp").and_then(Value::as_u64) else {
        reasons.push("the assertion has no claim exp".to_owned());
        return;
    };
    let issued = claims.get("iat").and_then(Value::as_u64).unwrap_or(now);
    if expiry <= now {
        reasons.push("the assertion is expired".to_owned());
    }
    if issued > now + LEEWAY {
        reasons.push("the assertion comes from the future".to_owned());
    }
    if expiry.saturating_sub(issued) > demanded.max_lifetime {
        reasons.push(format!(
            "the assertion lives for {} s",
            expiry.saturating_sub(issued)
        ));
    }
}
