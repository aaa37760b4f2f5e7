//! The methods of client authentication.

/// `token_endpoint_auth_method` (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// A public client: `client_id` in the parameters.
    None,
    /// RFC 6749 §2.3.1, HTTP Basic.
    SecretBasic,
    /// RFC 6749 §2.3.1, in the parameters.
    SecretPost,
    /// RFC 7523 §2.2 with the client secret as the key.
    SecretJwt,
    /// RFC 7523 §2.2 with a private key.
    PrivateKeyJwt,
    /// RFC 8705 §2.1: `client_id` in the parameters, and a client certificate.
    TlsClientAuth,
    /// The assertion as the Bearer token of the token request.
    JwtHeader,
}

/// `basic`: the encoding of identifier and secret before HTTP Basic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BasicEncoding {
    /// Both are form-encoded first (RFC 6749 §2.3.1).
    #[default]
    Rfc6749,
    /// Both are used as they are.
    Raw,
}
