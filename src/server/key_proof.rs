//! The proof of a key that two sides share, by challenge and response: the key itself is not sent.
//!
//! A client with a key cannot know who listens at an address. So it proves the key for one request, with a nonce of the
//! listener and one of its own, and the listener proves it in its response. Neither learns the key from the other.
//!
//! | message | field |
//! | --- | --- |
//! | request | `Authorization: Bearward` |
//! | 401 | `WWW-Authenticate: Bearward nonce="N"` |
//! | request | `Authorization: Bearward nonce="N", cnonce="C", proof="P"` |
//! | response | `Authentication-Info: proof="Q"` (RFC 9110 §11.6.3) |
//!
//! P and Q are HMAC-SHA256 (RFC 2104) under the key. Both cover the nonces, the method and the target; Q the status too.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use ring::hmac;

use crate::{clock::BootInstant, secret::Secret};

/// The authentication scheme.
pub const SCHEME: &str = "Bearward";

/// The time from a nonce to the request that uses it.
const NONCE_TIMEOUT: Duration = Duration::from_secs(60);

/// The nonces that are remembered as used. Only holders of the key use one.
const MAX_USED_NONCES: usize = 1024;

/// The length of a nonce's random part, in bytes.
const RANDOM_BYTES: usize = 16;

/// The length of a nonce's time, in bytes.
const TIME_BYTES: usize = 8;

/// One request for which a key is proved.
#[derive(Clone, Copy, Debug)]
pub struct ProvedRequest<'a> {
    /// The listener's nonce.
    pub nonce: &'a str,
    /// The client's nonce.
    pub client_nonce: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub target: &'a str,
}

impl ProvedRequest<'_> {
    /// The client's proof of `key`.
    pub fn client_proof(&self, key: &Secret) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&hmac_key(key), self.text("request").as_bytes()))
    }

    /// The listener's proof of `key`, in a response with `status`.
    pub fn listener_proof(&self, key: &Secret, status: StatusCode) -> String {
        let text = self.text(status.as_str());
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&hmac_key(key), text.as_bytes()))
    }

    /// Whether `proof` is the client's, compared in constant time.
    pub fn is_client_proof(&self, key: &Secret, proof: &str) -> bool {
        is_proof(key, &self.text("request"), proof)
    }

    /// Whether `proof` is the listener's, compared in constant time.
    pub fn is_listener_proof(&self, key: &Secret, status: StatusCode, proof: &str) -> bool {
        is_proof(key, &self.text(status.as_str()), proof)
    }

    /// The text under the HMAC. No part has a line break, and the first tells both directions apart.
    fn text(&self, direction: &str) -> String {
        let Self {
            nonce,
            client_nonce,
            method,
            target,
        } = self;
        format!("bearward {direction}\n{nonce}\n{client_nonce}\n{method}\n{target}")
    }
}

fn hmac_key(key: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes())
}

fn is_proof(key: &Secret, text: &str, proof: &str) -> bool {
    let Ok(proof) = BASE64_URL_SAFE_NO_PAD.decode(proof) else {
        return false;
    };
    hmac::verify(&hmac_key(key), text.as_bytes(), &proof).is_ok()
}

/// The credentials of a request, or the challenge of a response, in this scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProofFields<'a> {
    /// The listener's nonce.
    pub nonce: Option<&'a str>,
    /// The client's nonce.
    pub client_nonce: Option<&'a str>,
    /// The proof of whichever side sends the field.
    pub proof: Option<&'a str>,
}

impl<'a> ProofFields<'a> {
    /// Parses a value of `Authorization` or `WWW-Authenticate`; `None` for another scheme.
    pub fn parse(field: &'a str) -> Option<Self> {
        let (scheme, parameters) = field.split_once(' ').unwrap_or((field, ""));
        scheme
            .eq_ignore_ascii_case(SCHEME)
            .then(|| Self::parse_parameters(parameters))
    }

    /// Parses the parameters alone, as `Authentication-Info` has them. The last of a name counts, on both sides.
    pub fn parse_parameters(parameters: &'a str) -> Self {
        let mut fields = Self::default();
        for parameter in parameters.split(',') {
            let Some((name, value)) = parameter.trim().split_once('=') else {
                continue;
            };
            let value = value.trim_matches('"');
            match name {
                "nonce" => fields.nonce = Some(value),
                "cnonce" => fields.client_nonce = Some(value),
                "proof" => fields.proof = Some(value),
                _ => {}
            }
        }
        fields
    }
}

/// The nonces of a listener. It remembers those that were used, and recognizes the others as its own.
#[derive(Debug, Default)]
pub struct Nonces {
    key: OnceLock<hmac::Key>,
    used: Mutex<VecDeque<UsedNonce>>,
}

#[derive(Debug)]
struct UsedNonce {
    nonce: String,
    forgotten_at: BootInstant,
}

impl Nonces {
    /// A new nonce, valid for [`NONCE_TIMEOUT`].
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn issue(&self, now: BootInstant) -> Result<String, getrandom::Error> {
        let mut bytes = vec![0; TIME_BYTES + RANDOM_BYTES];
        getrandom::fill(&mut bytes[TIME_BYTES..])?;
        bytes[..TIME_BYTES].copy_from_slice(&millis(now).to_be_bytes());
        let tag = hmac::sign(self.key()?, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whether `nonce` is one of these, still valid, and not used before. From now on it is used.
    pub fn redeem(&self, now: BootInstant, nonce: &str) -> bool {
        if !self.is_own(now, nonce) {
            return false;
        }
        let mut used = self.lock();
        used.retain(|used| used.forgotten_at > now);
        if used.len() == MAX_USED_NONCES || used.iter().any(|used| used.nonce == nonce) {
            return false;
        }
        used.push_back(UsedNonce {
            nonce: nonce.to_owned(),
            forgotten_at: now + NONCE_TIMEOUT,
        });
        true
    }

    fn is_own(&self, now: BootInstant, nonce: &str) -> bool {
        let (Ok(bytes), Ok(key)) = (BASE64_URL_SAFE_NO_PAD.decode(nonce), self.key()) else {
            return false;
        };
        let Some((signed, tag)) = bytes.split_at_checked(TIME_BYTES + RANDOM_BYTES) else {
            return false;
        };
        let Some(issued_at) = signed.first_chunk().copied().map(u64::from_be_bytes) else {
            return false;
        };
        let age = millis(now).checked_sub(issued_at);
        age.is_some_and(|age| u128::from(age) < NONCE_TIMEOUT.as_millis())
            && hmac::verify(key, signed, tag).is_ok()
    }

    fn key(&self) -> Result<&hmac::Key, getrandom::Error> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        Ok(self
            .key
            .get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, &*bytes)))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<UsedNonce>> {
        // A panic leaves nothing in here half done.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time since boot in milliseconds.
fn millis(now: BootInstant) -> u64 {
    let elapsed = now.since(BootInstant::from_boot(Duration::ZERO));
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

    const REQUEST: ProvedRequest<'static> = ProvedRequest {
        nonce: "n",
        client_nonce: "c",
        method: "GET",
        target: "/api/status",
    };

    #[test]
    fn a_proof_is_for_one_key_one_request_and_one_direction() {
        let (key, other) = (Secret::new("canary"), Secret::new("other"));
        let proof = REQUEST.client_proof(&key);
        assert!(REQUEST.is_client_proof(&key, &proof));
        assert!(!REQUEST.is_client_proof(&other, &proof));
        assert!(!REQUEST.is_client_proof(&key, "") && !REQUEST.is_client_proof(&key, "canary"));
        let nonce = ProvedRequest {
            nonce: "m",
            ..REQUEST
        };
        let method = ProvedRequest {
            method: "POST",
            ..REQUEST
        };
        let target = ProvedRequest {
            target: "/api/reload",
            ..REQUEST
        };
        for changed in [nonce, method, target] {
            assert!(!changed.is_client_proof(&key, &proof), "{changed:?}");
        }
        assert!(!REQUEST.is_listener_proof(&key, StatusCode::OK, &proof));
        let proof = REQUEST.listener_proof(&key, StatusCode::OK);
        assert!(REQUEST.is_listener_proof(&key, StatusCode::OK, &proof));
        assert!(!REQUEST.is_listener_proof(&key, StatusCode::BAD_GATEWAY, &proof));
        assert!(!REQUEST.is_client_proof(&key, &proof));
    }

    #[test]
    fn a_nonce_is_used_once_and_within_a_minute() {
        let nonces = Nonces::default();
        let nonce = nonces.issue(NOW).unwrap();
        assert!(nonces.redeem(NOW, &nonce));
        assert!(!nonces.redeem(NOW, &nonce), "twice");
        let nonce = nonces.issue(NOW).unwrap();
        assert!(!nonces.redeem(NOW + NONCE_TIMEOUT, &nonce), "late");
        assert!(
            !nonces.redeem(NOW - Duration::from_secs(1), &nonce),
            "early"
        );
        let others = Nonces::default().issue(NOW).unwrap();
        for forged in ["", "AAAA", &others, &nonce[..nonce.len() - 4]] {
            assert!(!nonces.redeem(NOW, forged), "{forged}");
        }
    }

    #[test]
    fn fields_are_read_as_they_are_written() {
        assert_eq!(ProofFields::parse("Bearward"), Some(ProofFields::default()));
        assert_eq!(
            ProofFields::parse("bearward nonce=\"n\", cnonce=c,proof=\"p\", x"),
            Some(ProofFields {
                nonce: Some("n"),
                client_nonce: Some("c"),
                proof: Some("p"),
            })
        );
        assert_eq!(ProofFields::parse("Bearer nonce=\"n\""), None);
        assert_eq!(
            ProofFields::parse_parameters("proof=\"p\"").proof,
            Some("p")
        );
    }
}
