//! The encoding of records in files: plain JSON, or encrypted with a key from elsewhere.
//!
//! ```json
//! { "version": 2, "provider": "happeo", "sealed": { "cipher": "chacha20-poly1305", "nonce": "…", "text": "…" } }
//! ```
//!
//! The plain record is encrypted, with its provider's name as associated data (RFC 8439 section 2.8). The key is derived
//! from the configured `encryption_key` by HKDF (RFC 5869). Version 1 derived it by SHA-256; such files are still read,
//! and become version 2 when they are next written.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    error::{FileError, StoreError},
    record::Record,
};
use crate::secret::Secret;

/// The name of the only cipher.
const CIPHER: &str = "chacha20-poly1305";

/// The version of an encrypted file whose key is derived by HKDF. It is the one that is written.
const VERSION_HKDF: u64 = 2;
/// The version of an encrypted file whose key is derived by SHA-256. It is only read.
const VERSION_SHA256: u64 = 1;

/// The `info` of the derivation (RFC 5869 section 3.2).
///
/// It separates this key from others of the same secret.
const HKDF_INFO: &[u8] = b"bearward store v2 chacha20-poly1305";

/// The encoder and decoder of records: with keys, or for plain records alone.
pub(super) struct Seal(Option<Keys>);

struct Keys {
    current: LessSafeKey,
    /// The key of [`VERSION_SHA256`].
    sha256: LessSafeKey,
    /// Whether all records are encrypted, as far as this process knows.
    requires_sealed: AtomicBool,
}

impl Seal {
    /// Creates a seal with keys derived from `secret`, if there is one.
    ///
    /// A seal with keys still reads plain records. The folder's mark tells whether there may be any.
    pub(super) fn new(secret: Option<&Secret>) -> Self {
        Self(secret.map(|secret| Keys {
            current: hkdf_key(secret),
            sha256: sha256_key(secret),
            requires_sealed: AtomicBool::new(false),
        }))
    }

    /// Returns whether records are encrypted.
    pub(super) fn has_key(&self) -> bool {
        self.0.is_some()
    }

    /// Remembers that all records are encrypted, whatever becomes of the folder's mark.
    pub(super) fn require_sealed(&self) {
        if let Some(keys) = &self.0 {
            keys.requires_sealed.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether all records are known to be encrypted.
    pub(super) fn requires_sealed(&self) -> bool {
        let keys = self.0.as_ref();
        keys.is_some_and(|keys| keys.requires_sealed.load(Ordering::Relaxed))
    }

    /// Returns whether the bytes of a file are those of an encrypted record.
    pub(super) fn is_sealed(json: &[u8]) -> bool {
        serde_json::from_slice::<Envelope>(json).is_ok()
    }

    /// Encodes a record as the bytes of a file.
    ///
    /// # Errors
    /// The system provides no randomness.
    pub(super) fn write(
        &self,
        record: &Record,
        provider: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut text = record.to_json(provider);
        let Some(keys) = &self.0 else {
            return Ok(text);
        };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| StoreError::NoRandomness)?;
        let aad = Aad::from(provider.as_bytes());
        let tag = keys
            .current
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .expect("a record is much shorter than the cipher's limit");
        text.extend(tag.as_ref());

        let envelope = Envelope {
            version: VERSION_HKDF,
            provider: provider.into(),
            sealed: Sealed {
                cipher: CIPHER.into(),
                nonce: STANDARD.encode(nonce),
                text: STANDARD.encode(&*text),
            },
        };
        let mut json = serde_json::to_vec_pretty(&envelope)
            .expect("strings and numbers always have a JSON form");
        json.push(b'\n');
        Ok(Zeroizing::new(json))
    }

    /// Decodes the record in the bytes of a file.
    pub(super) fn read(&self, json: &[u8], provider: &str) -> Result<Record, FileError> {
        // A file that is no envelope is a plain record, or damaged, or of a later version: the parser decides.
        let Ok(Envelope {
            version: version @ (VERSION_SHA256 | VERSION_HKDF),
            sealed,
            ..
        }) = serde_json::from_slice(json)
        else {
            return Record::parse(json, provider);
        };
        let keys = self.0.as_ref().ok_or(FileError::Encrypted)?;
        let key = match version {
            VERSION_HKDF => &keys.current,
            _ => &keys.sha256,
        };

        let damaged = || FileError::Corrupt("its encrypted text is not valid".into());
        if sealed.cipher != CIPHER {
            return Err(damaged());
        }
        let nonce = STANDARD.decode(sealed.nonce).map_err(|_| damaged())?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| damaged())?;
        let mut text = Zeroizing::new(STANDARD.decode(sealed.text).map_err(|_| damaged())?);
        let aad = Aad::from(provider.as_bytes());
        let plain = key
            .open_in_place(nonce, aad, &mut text)
            .map_err(|_| FileError::OtherKey)?;
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

/// Derives the key of [`VERSION_HKDF`].
fn hkdf_key(secret: &Secret) -> LessSafeKey {
    // The secret is long and random, so it needs no stretching.
    let derived = Salt::new(HKDF_SHA256, b"bearward store").extract(secret.expose().as_bytes());
    let key = derived
        .expand(&[HKDF_INFO], &CHACHA20_POLY1305)
        .expect("the key is much shorter than the limit of HKDF");
    LessSafeKey::new(UnboundKey::from(key))
}

/// Derives the key of [`VERSION_SHA256`].
fn sha256_key(secret: &Secret) -> LessSafeKey {
    let digest = Zeroizing::new(<[u8; 32]>::from(
        Sha256::new()
            .chain_update(b"bearward store v1\0")
            .chain_update(secret.expose())
            .finalize(),
    ));
    let key =
        UnboundKey::new(&CHACHA20_POLY1305, &*digest).expect("the digest has the key's length");
    LessSafeKey::new(key)
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
            Err(FileError::OtherKey)
        ));
        assert!(matches!(
            seal("key").read(&sealed, "b"),
            Err(FileError::OtherKey)
        ));
        assert!(matches!(
            Seal::new(None).read(&sealed, "a"),
            Err(FileError::Encrypted)
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

    /// The file that the first version wrote for [`record`] with the key `key`.
    const VERSION_1: &str = r#"{"version": 1, "provider": "a", "sealed": {"cipher": "chacha20-poly1305", "nonce": "BwcHBwcHBwcHBwcH", "text": "Sbc+ZsjCO+zGNXLxqsm0Qgcmme7xENbBNotz81ZwDtjMK94ddHYcbf1PrIWRJCxcB5b/2zCoF4v2xk2DLjTorxUCYVR8ofDu6VOYQtw+XoUXfPy2u7xgGOT92mQ0RNbUKY8luQheaf9H38DZ+Igp0VhRxw2uSRk7r0jg2EhM1buSxijx/+KFhreGBEcQPstzvoYvcE8jO+omt1Oqk2YA78if6np2/sxiF1GhFq3OYLo1nfmhOaqgj0KMvn+6K2bWodpts403X6m9"}}"#;

    #[test]
    fn a_record_sealed_by_the_first_version_is_read_and_sealed_anew_when_it_is_written_again() {
        let old = VERSION_1.as_bytes();
        assert_eq!(seal("key").read(old, "a").unwrap(), record());
        assert!(matches!(
            seal("other").read(old, "a"),
            Err(FileError::OtherKey)
        ));
        assert!(matches!(
            Seal::new(None).read(old, "a"),
            Err(FileError::Encrypted)
        ));
        let new = seal("key").write(&record(), "a").unwrap();
        assert!(
            std::str::from_utf8(&new)
                .unwrap()
                .contains(r#""version": 2"#)
        );
        assert_eq!(seal("key").read(&new, "a").unwrap(), record());
    }

    #[test]
    fn a_file_that_claims_another_version_does_not_open() {
        let new = seal("key").write(&record(), "a").unwrap();
        let text = std::str::from_utf8(&new).unwrap();
        let downgraded = text.replace(r#""version": 2"#, r#""version": 1"#);
        assert!(matches!(
            seal("key").read(downgraded.as_bytes(), "a"),
            Err(FileError::OtherKey)
        ));
        let later = text.replace(r#""version": 2"#, r#""version": 3"#);
        assert!(matches!(
            seal("key").read(later.as_bytes(), "a"),
            Err(FileError::NewerFormat(3))
        ));
    }

    #[test]
    fn no_key_is_shown() {
        assert_eq!(format!("{:?}", seal(CANARY)), "Seal(…)");
    }
}
