//! Records as they lie on the disk: plain, or sealed with a key from elsewhere, so that a copy of the disk is of no use.
//!
//! ```json
//! { "version": 1, "provider": "happeo", "sealed": { "cipher": "chacha20-poly1305", "nonce": "…", "text": "…" } }
//! ```
//!
//! What is sealed is the plain record, with its provider's name as associated data (RFC 8439 §2.8).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    error::{Flaw, StoreError},
    record::{Record, VERSION},
};
use crate::secret::Secret;

/// The name of the one cipher there is.
const CIPHER: &str = "chacha20-poly1305";

/// How records are written, and which can be read.
pub(super) struct Seal(Option<LessSafeKey>);

impl Seal {
    /// Seals with a key made from `secret`, if there is one. Plain records are read all the same, and sealed when they
    /// are next written.
    pub(super) fn new(secret: Option<&Secret>) -> Self {
        Self(secret.map(|secret| {
            // The secret is long and random: it needs no stretching, only the right length, and a use of its own.
            let digest = Zeroizing::new(<[u8; 32]>::from(
                Sha256::new()
                    .chain_update(b"bearward store v1\0")
                    .chain_update(secret.expose())
                    .finalize(),
            ));
            let key = UnboundKey::new(&CHACHA20_POLY1305, &*digest)
                .expect("the digest is as long as the key");
            LessSafeKey::new(key)
        }))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub(super) fn write(
        &self,
        record: &Record,
        provider: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut text = record.to_json(provider);
        let Some(key) = &self.0 else { return Ok(text) };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| StoreError::NoRandomness)?;
        let aad = Aad::from(provider.as_bytes());
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .expect("a record is much shorter than the cipher's limit");
        text.extend(tag.as_ref());
        let sealed = Sealed {
            cipher: CIPHER.into(),
            nonce: STANDARD.encode(nonce),
            text: STANDARD.encode(&*text),
        };
        let envelope = Envelope {
            version: VERSION,
            provider: provider.into(),
            sealed,
        };
        let mut json = serde_json::to_vec_pretty(&envelope)
            .expect("strings and numbers always have a JSON form");
        json.push(b'\n');
        Ok(Zeroizing::new(json))
    }

    /// The record in a file.
    pub(super) fn read(&self, json: &[u8], provider: &str) -> Result<Record, Flaw> {
        // What is no envelope is a plain record, or damaged, or of another version: reading it tells.
        let Ok(Envelope {
            version: VERSION,
            sealed,
            ..
        }) = serde_json::from_slice(json)
        else {
            return Record::parse(json, provider);
        };
        let key = self.0.as_ref().ok_or(Flaw::Sealed)?;
        let damaged = || Flaw::Corrupt("not what was sealed".into());
        if sealed.cipher != CIPHER {
            return Err(damaged());
        }
        let nonce = STANDARD.decode(sealed.nonce).map_err(|_| damaged())?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| damaged())?;
        let mut text = Zeroizing::new(STANDARD.decode(sealed.text).map_err(|_| damaged())?);
        let aad = Aad::from(provider.as_bytes());
        let plain = key
            .open_in_place(nonce, aad, &mut text)
            .map_err(|_| Flaw::OtherKey)?;
        Record::parse(plain, provider)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Seal(…)"
        } else {
            "Seal(none)"
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u64,
    provider: String,
    sealed: Sealed,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    cipher: String,
    nonce: String,
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary9f8e7d6c";

    fn seal(key: &str) -> Seal {
        Seal::new(Some(&Secret::new(key)))
    }

    fn record() -> Record {
        Record {
            refresh_token: Some(Secret::new(CANARY)),
            ..Record::default()
        }
    }

    #[test]
    fn a_sealed_record_shows_nothing_and_comes_back_whole() {
        let first = seal("key").write(&record(), "a").unwrap();
        let text = std::str::from_utf8(&first).unwrap();
        assert!(
            !text.contains("canary") && !text.contains("refresh_token"),
            "{text}"
        );
        assert_eq!(seal("key").read(&first, "a").unwrap(), record());
        assert_ne!(
            first,
            seal("key").write(&record(), "a").unwrap(),
            "no nonce is used twice"
        );
        let mut with_blanks = first.to_vec();
        with_blanks.extend([b' '; 100]);
        assert_eq!(seal("key").read(&with_blanks, "a").unwrap(), record());
    }

    #[test]
    fn another_key_another_provider_or_a_changed_byte_opens_nothing() {
        let sealed = seal("key").write(&record(), "a").unwrap();
        assert!(matches!(
            seal("other").read(&sealed, "a"),
            Err(Flaw::OtherKey)
        ));
        assert!(matches!(
            seal("key").read(&sealed, "b"),
            Err(Flaw::OtherKey)
        ));
        assert!(matches!(
            Seal::new(None).read(&sealed, "a"),
            Err(Flaw::Sealed)
        ));
        for at in 0..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            if let Ok(read) = seal("key").read(&changed, "a") {
                // In the blanks, or the names, between what is sealed.
                assert_eq!(read, record());
            }
        }
        for length in 0..sealed.len() - 1 {
            assert!(seal("key").read(&sealed[..length], "a").is_err());
        }
    }

    #[test]
    fn a_plain_record_is_read_and_sealed_when_it_is_written_again() {
        let plain = Seal::new(None).write(&record(), "a").unwrap();
        assert_eq!(plain, record().to_json("a"));
        assert_eq!(seal("key").read(&plain, "a").unwrap(), record());
    }

    #[test]
    fn no_key_is_shown() {
        assert_eq!(format!("{:?}", seal(CANARY)), "Seal(…)");
    }
}
