//! `token_endpoint_auth_method` and `client_secret` to [`ClientAuth`].

use super::super::BuildContext;
use crate::{
    config::{choices::CLIENT_AUTHS, problem_code::ProblemCode, section::Section},
    oauth::provider::{ClientAuth, GrantType},
};

/// Returns the method in force. Without a secret the client is public, even if its preset sets a
/// method.
pub(super) fn build(
    section: &Section<'_>,
    grant_type: Option<&GrantType>,
    is_complete: bool,
    context: &mut BuildContext<'_>,
) -> ClientAuth {
    let method = section.choice("token_endpoint_auth_method", &CLIENT_AUTHS);
    let is_explicit = section.is_set_in_file("token_endpoint_auth_method");

    if section.is_set_in_file("client_secret") {
        if method == Some(ClientAuth::None) {
            context.push(section.warning(
                ProblemCode::NoEffect,
                "`client_secret` has no effect with token_endpoint_auth_method = \"none\"",
                "remove `client_secret`, or set token_endpoint_auth_method = \
                 \"client_secret_post\"",
            ));
        }
        return method.unwrap_or(ClientAuth::SecretBasic);
    }

    match method {
        Some(
            method
            @ (ClientAuth::PrivateKeyJwt | ClientAuth::TlsClientAuth | ClientAuth::JwtHeader),
        ) => return method,
        Some(ClientAuth::SecretBasic | ClientAuth::SecretPost | ClientAuth::SecretJwt)
            if is_explicit =>
        {
            context.push(section.error(
                "`token_endpoint_auth_method` needs a `client_secret`",
                "add client_secret = { env = \"NAME\" }, or set token_endpoint_auth_method = \
                 \"none\"",
            ));
        }
        // RFC 6749 §4.4 permits this grant to confidential clients only, but some servers do not.
        _ if grant_type == Some(&GrantType::ClientCredentials) && !is_explicit && is_complete => {
            context.push(section.warning(
                ProblemCode::IncompleteClient,
                "grant_type = \"client_credentials\" has no `client_secret`",
                "add client_secret = { env = \"NAME\" }, or set token_endpoint_auth_method = \
                 \"none\"",
            ));
        }
        _ => {}
    }
    ClientAuth::None
}
