//! Grants and their request parameters.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{
    assertion,
    error::{Fault, TokenRequestError},
    parameters::Parameters,
    provider::{GrantType, ParameterValue, Provider},
    variables::Variables,
};
use crate::{clock::Clock, secret::Secret};

/// An authorization grant (RFC 6749 §1.3) with its credentials, as far as they are not the provider's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant<'a> {
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §4.3, with the configured name and password.
    Password,
    /// RFC 7523 §2.1, with the provider's assertion.
    JwtBearer,
    /// RFC 8693 §2.1; the subject token is among the configured parameters.
    TokenExchange,
    /// No `grant_type` is sent.
    Unnamed,
    /// A grant of the vendor's own.
    Other(&'a str),
    /// RFC 6749 §6, for the same scope again.
    RefreshToken {
        /// The refresh token of the last response.
        refresh_token: &'a Secret,
    },
    /// RFC 6749 §4.1.3, RFC 7636 §4.5.
    AuthorizationCode {
        /// The code of the callback.
        code: &'a Secret,
        /// The `redirect_uri` of the authorization request, if it had one.
        redirect_uri: Option<&'a str>,
        /// The secret behind the code challenge of the authorization request.
        code_verifier: Option<&'a Secret>,
    },
    /// RFC 8628 §3.4.
    DeviceCode {
        /// The device verification code.
        device_code: &'a Secret,
    },
}

impl<'a> Grant<'a> {
    /// Returns the grant of a provider that needs no login; `None` for one that needs it.
    pub fn without_login(provider: &'a Provider) -> Option<Self> {
        match &provider.grant_type {
            GrantType::ClientCredentials => Some(Self::ClientCredentials),
            GrantType::Password => Some(Self::Password),
            GrantType::JwtBearer => Some(Self::JwtBearer),
            GrantType::TokenExchange => Some(Self::TokenExchange),
            GrantType::None => Some(Self::Unnamed),
            GrantType::Other(name) => Some(Self::Other(name)),
            GrantType::AuthorizationCode | GrantType::RefreshToken | GrantType::DeviceCode => None,
        }
    }

    /// Returns the grant's name as in the configuration, for metrics.
    pub const fn name(self) -> &'a str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::JwtBearer => "jwt_bearer",
            Self::TokenExchange => "token_exchange",
            Self::Unnamed => "none",
            Self::Other(name) => name,
            Self::RefreshToken { .. } => "refresh_token",
            Self::AuthorizationCode { .. } => "authorization_code",
            Self::DeviceCode { .. } => "device_code",
        }
    }

    /// Returns the value of the parameter `grant_type`, if one is sent.
    const fn grant_type(self) -> Option<&'a str> {
        match self {
            Self::Unnamed => None,
            Self::JwtBearer => Some("urn:ietf:params:oauth:grant-type:jwt-bearer"),
            Self::TokenExchange => Some("urn:ietf:params:oauth:grant-type:token-exchange"),
            Self::DeviceCode { .. } => Some("urn:ietf:params:oauth:grant-type:device_code"),
            _ => Some(self.name()),
        }
    }

    /// Returns whether a response may hold a refresh token: after a login alone (RFC 6749 §4.4.3).
    pub const fn allows_refresh_token(self) -> bool {
        matches!(
            self,
            Self::RefreshToken { .. } | Self::AuthorizationCode { .. } | Self::DeviceCode { .. }
        )
    }

    /// Returns whether the request names the scope. A login has named it before.
    const fn names_scope(self) -> bool {
        !self.allows_refresh_token()
    }

    /// Returns the secrets that a request under this grant holds.
    pub fn secrets(self) -> Vec<Zeroizing<String>> {
        let secrets = match self {
            Self::RefreshToken { refresh_token } => [Some(refresh_token), None],
            Self::AuthorizationCode {
                code,
                code_verifier,
                ..
            } => [Some(code), code_verifier],
            Self::DeviceCode { device_code } => [Some(device_code), None],
            _ => [None, None],
        };
        let secrets = secrets.into_iter().flatten();
        secrets.map(Secret::exposed_copy).collect()
    }

    /// Lists the parameters of a token request, without those of client authentication.
    ///
    /// The provider's additional parameters come last and replace others of their name.
    ///
    /// # Errors
    /// A credential or a variable has no value.
    pub fn parameters(
        self,
        provider: &Provider,
        variables: &Variables<'_>,
        clock: &dyn Clock,
    ) -> Result<Parameters, TokenRequestError> {
        let mut parameters = Parameters::default();
        if let Some(grant_type) = self.grant_type() {
            parameters.set("grant_type", grant_type);
        }
        self.set_credentials(&mut parameters, provider, variables, clock)?;
        if self.names_scope()
            && let Some(scope) = &provider.scope
        {
            parameters.set("scope", scope);
        }
        parameters.set_configured(&provider.token_request.params, variables)?;
        if let Some(params) = self.phase_parameters(provider) {
            parameters.set_configured(params, variables)?;
        }
        Ok(parameters)
    }

    fn set_credentials(
        self,
        parameters: &mut Parameters,
        provider: &Provider,
        variables: &Variables<'_>,
        clock: &dyn Clock,
    ) -> Result<(), TokenRequestError> {
        match self {
            Self::ClientCredentials | Self::TokenExchange | Self::Unnamed | Self::Other(_) => {}
            Self::Password => {
                let setup = |reason| TokenRequestError::new(Fault::Setup(reason));
                let username = provider.username.as_deref();
                let password = provider.password.as_ref();
                parameters.set(
                    "username",
                    username.ok_or_else(|| setup("configure `username`"))?,
                );
                let password = password.ok_or_else(|| setup("configure `password`"))?;
                parameters.set("password", password.current().expose());
            }
            Self::JwtBearer => {
                let assertion = assertion::make(provider, variables, clock)?;
                parameters.set("assertion", assertion.expose());
            }
            Self::RefreshToken { refresh_token } => {
                parameters.set("refresh_token", refresh_token.expose());
            }
            Self::AuthorizationCode {
                code,
                redirect_uri,
                code_verifier,
            } => {
                parameters.set("code", code.expose());
                if let Some(redirect_uri) = redirect_uri {
                    parameters.set("redirect_uri", redirect_uri);
                }
                if let Some(verifier) = code_verifier {
                    parameters.set("code_verifier", verifier.expose());
                }
            }
            Self::DeviceCode { device_code } => {
                parameters.set("device_code", device_code.expose());
            }
        }
        Ok(())
    }

    /// Returns the additional parameters of requests under this grant alone.
    const fn phase_parameters(
        self,
        provider: &Provider,
    ) -> Option<&BTreeMap<String, ParameterValue>> {
        match self {
            Self::RefreshToken { .. } => Some(&provider.token_request.params_on_refresh),
            Self::AuthorizationCode { .. } => Some(&provider.token_request.params_on_exchange),
            _ => None,
        }
    }

    /// Lists the parameters that requests under this grant alone omit, client authentication included.
    pub fn omitted(self, provider: &Provider) -> &[String] {
        match self {
            Self::RefreshToken { .. } => &provider.token_request.omit_on_refresh,
            Self::AuthorizationCode { .. } => &provider.token_request.omit_on_exchange,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
