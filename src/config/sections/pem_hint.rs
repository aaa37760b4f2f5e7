//! Hints for files that should be PEM and are binary.

use std::path::Path;

use crate::{config::quote::is_safe_to_display, regular_file};

/// The largest file that is looked at, in bytes.
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;
/// The tag of a sequence in DER (X.690 §8.9), with which certificates, keys and archives begin.
const SEQUENCE: u8 = 0x30;
/// The version that a PKCS#12 archive begins with (RFC 7292 §4), as an integer in DER.
const PKCS12_VERSION: [u8; 3] = [0x02, 0x01, 0x03];

/// Returns how to convert the file at `path` to PEM if it is binary, else `otherwise`.
///
/// `written` is the path in the configuration.
pub(super) fn of_certificate(path: &Path, written: &str, otherwise: &str) -> String {
    match command(path, "openssl x509 -inform DER") {
        Some(command) if is_safe_to_display(written) && !written.contains(' ') => {
            format!("this file is binary; convert it: {command} -in {written} -out {written}.pem")
        }
        _ => otherwise.to_owned(),
    }
}

/// Returns how to convert a private key to PEM, if the file at `path` is binary.
pub(super) fn of_key(path: &Path) -> Option<String> {
    let command = command(path, "openssl pkey -inform DER")?;
    Some(format!(
        "this file is binary; convert it: {command} -in FILE -out FILE.pem"
    ))
}

fn command(path: &Path, for_der: &'static str) -> Option<&'static str> {
    let bytes = regular_file::read(path, MAX_FILE_SIZE).ok()?;
    // A long form of the length follows: no text begins so.
    let is_der = bytes.len() > 8 && bytes[0] == SEQUENCE && bytes[1] > 0x80;
    let header = 2 + usize::from(*bytes.get(1)? & 0x7f);
    let is_archive = bytes
        .get(header..)
        .is_some_and(|rest| rest.starts_with(&PKCS12_VERSION));
    match (is_der, is_archive) {
        (false, _) => None,
        (true, true) => Some("openssl pkcs12"),
        (true, false) => Some(for_der),
    }
}
