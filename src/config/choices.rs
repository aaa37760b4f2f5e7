//! The words of keys with a fixed choice, each with its value.

use crate::{
    oauth::provider::{
        BasicEncoding, ClientAuth, Encoding, ExpiresInUnit, GrantType, RevocationAuth,
        RevocationMethod, RevokedToken, SigningAlgorithm, TokenMethod,
    },
    proxy::route::Http2,
    telemetry::LogFormat,
};

/// `[store] kind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StoreKind {
    /// Files in a folder.
    #[default]
    File,
    /// Memory of the process.
    Memory,
}

pub(super) const STORE_KINDS: [(&str, StoreKind); 2] =
    [("file", StoreKind::File), ("memory", StoreKind::Memory)];

pub(super) const LOG_FORMATS: [(&str, LogFormat); 3] = [
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
    ("auto", LogFormat::Auto),
];

pub(super) const BASIC_ENCODINGS: [(&str, BasicEncoding); 2] = [
    ("rfc6749", BasicEncoding::Rfc6749),
    ("raw", BasicEncoding::Raw),
];

pub(super) const EXPIRES_IN_UNITS: [(&str, ExpiresInUnit); 2] = [
    ("s", ExpiresInUnit::Seconds),
    ("ms", ExpiresInUnit::Milliseconds),
];

pub(super) const REVOCATION_METHODS: [(&str, RevocationMethod); 2] = [
    ("POST", RevocationMethod::Post),
    ("DELETE", RevocationMethod::Delete),
];

pub(super) const REVOKED_TOKENS: [(&str, RevokedToken); 2] = [
    ("refresh_token", RevokedToken::RefreshToken),
    ("access_token", RevokedToken::AccessToken),
];

pub(super) const REVOCATION_AUTHS: [(&str, RevocationAuth); 3] = [
    ("client", RevocationAuth::Client),
    ("bearer", RevocationAuth::Bearer),
    ("none", RevocationAuth::None),
];

/// The names of RFC 7518 §3.1 and RFC 8037 §3.1.
pub(super) const SIGNING_ALGORITHMS: [(&str, SigningAlgorithm); 13] = [
    ("RS256", SigningAlgorithm::Rs256),
    ("RS384", SigningAlgorithm::Rs384),
    ("RS512", SigningAlgorithm::Rs512),
    ("PS256", SigningAlgorithm::Ps256),
    ("PS384", SigningAlgorithm::Ps384),
    ("PS512", SigningAlgorithm::Ps512),
    ("ES256", SigningAlgorithm::Es256),
    ("ES384", SigningAlgorithm::Es384),
    ("ES512", SigningAlgorithm::Es512),
    ("EdDSA", SigningAlgorithm::EdDsa),
    ("HS256", SigningAlgorithm::Hs256),
    ("HS384", SigningAlgorithm::Hs384),
    ("HS512", SigningAlgorithm::Hs512),
];

/// The grants that bearward knows. Every other name is a grant of the vendor's own.
pub(super) const GRANT_TYPES: [GrantType; 8] = [
    GrantType::ClientCredentials,
    GrantType::AuthorizationCode,
    GrantType::RefreshToken,
    GrantType::Password,
    GrantType::JwtBearer,
    GrantType::DeviceCode,
    GrantType::TokenExchange,
    GrantType::None,
];

/// The codes that a vendor's codes may mean (RFC 6749 §5.2). `temporary` is one of bearward's own.
pub(super) const ERROR_CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

pub(super) const CLIENT_AUTHS: [(&str, ClientAuth); 7] = [
    ("client_secret_basic", ClientAuth::SecretBasic),
    ("client_secret_post", ClientAuth::SecretPost),
    ("client_secret_jwt", ClientAuth::SecretJwt),
    ("private_key_jwt", ClientAuth::PrivateKeyJwt),
    ("tls_client_auth", ClientAuth::TlsClientAuth),
    ("jwt_header", ClientAuth::JwtHeader),
    ("none", ClientAuth::None),
];

/// `code_challenge_method` (RFC 7636 §4.3), and whether it is PKCE at all.
pub(super) const CHALLENGE_METHODS: [(&str, bool); 2] = [("S256", true), ("none", false)];

pub(super) const TOKEN_METHODS: [(&str, TokenMethod); 2] =
    [("POST", TokenMethod::Post), ("GET", TokenMethod::Get)];

pub(super) const ENCODINGS: [(&str, Encoding); 3] = [
    ("form", Encoding::Form),
    ("json", Encoding::Json),
    ("query", Encoding::Query),
];

pub(super) const HTTP2_MODES: [(&str, Http2); 3] = [
    ("auto", Http2::Auto),
    ("never", Http2::Never),
    ("prior-knowledge", Http2::PriorKnowledge),
];

/// Returns the words of `choices`.
pub(super) const fn words<T: Copy, const N: usize>(
    choices: &[(&'static str, T); N],
) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = choices[index].0;
        index += 1;
    }
    words
}

/// Returns the word for `value`.
pub(super) fn word_for<T: PartialEq>(choices: &[(&'static str, T)], value: &T) -> &'static str {
    let choice = choices.iter().find(|(_, choice)| choice == value);
    choice.map_or("", |(word, _)| word)
}
