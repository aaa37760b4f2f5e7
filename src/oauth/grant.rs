//! Grants and their request parameters.

use zeroize::Zeroizing;

use super::provider::Provider;
use crate::secret::Secret;

/// An authorization grant (RFC 6749 §1.3) with its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant<'a> {
    /// RFC 6749 §4.4.
    ClientCredentials,
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
}

impl Grant<'_> {
    /// Returns the value of `grant_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken { .. } => "refresh_token",
            Self::AuthorizationCode { .. } => "authorization_code",
        }
    }

    /// Tells whether a response may hold a refresh token. Client credentials get none (RFC 6749 §4.4.3).
    pub const fn allows_refresh_token(self) -> bool {
        !matches!(self, Self::ClientCredentials)
    }

    /// Returns the secrets that a request under this grant holds.
    pub fn secrets(self) -> Vec<Zeroizing<String>> {
        let secrets = match self {
            Self::ClientCredentials => [None, None],
            Self::RefreshToken { refresh_token } => [Some(refresh_token), None],
            Self::AuthorizationCode {
                code,
                code_verifier,
                ..
            } => [Some(code), code_verifier],
        };
        let exposed = |secret: &Secret| Zeroizing::new(secret.expose().to_owned());
        secrets.into_iter().flatten().map(exposed).collect()
    }

    /// Lists the parameters of a token request, without those of client authentication.
    ///
    /// The provider's additional parameters come last and replace others of their name.
    pub fn parameters(self, provider: &Provider) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.set("grant_type", self.name());
        match self {
            Self::ClientCredentials => {
                if let Some(scope) = &provider.scope {
                    parameters.set("scope", scope);
                }
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
        }
        for (name, value) in &provider.token_request.params {
            for value in value.resolve(|_| None).unwrap_or_default() {
                parameters.set(name, &value);
            }
        }
        parameters
    }

    /// Lists the parameters that a request under this grant omits, client authentication included.
    pub fn omitted(self, provider: &Provider) -> &[String] {
        match self {
            Self::ClientCredentials => &[],
            Self::RefreshToken { .. } => &provider.token_request.omit_on_refresh,
            Self::AuthorizationCode { .. } => &provider.token_request.omit_on_exchange,
        }
    }
}

/// The parameters of a request in order, each name once (RFC 6749 §3.2). They may be secret: no `Debug`.
#[derive(Default)]
pub struct Parameters(Vec<(String, Zeroizing<String>)>);

impl Parameters {
    /// Adds a parameter, or replaces the one of that name in place.
    pub fn set(&mut self, name: &str, value: &str) {
        let value = Zeroizing::new(value.to_owned());
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Adds a parameter unless one of that name is there.
    pub fn set_default(&mut self, name: &str, value: &str) {
        if !self.0.iter().any(|(known, _)| known == name) {
            self.set(name, value);
        }
    }

    /// Removes the parameters of these names.
    pub fn remove(&mut self, names: &[String]) {
        self.0.retain(|(name, _)| !names.contains(name));
    }

    /// Yields names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::fake;

    #[test]
    fn client_credentials_asks_for_its_scope() {
        let mut provider = fake::provider("http://127.0.0.1/token");
        let names = |provider: &Provider| {
            let parameters = Grant::ClientCredentials.parameters(provider);
            parameters
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&provider), ["grant_type=client_credentials"]);
        provider.scope = Some("a b".into());
        assert_eq!(
            names(&provider),
            ["grant_type=client_credentials", "scope=a b"]
        );
    }

    fn all(grant: Grant<'_>, provider: &Provider) -> Vec<String> {
        grant
            .parameters(provider)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    #[test]
    fn a_refresh_asks_for_the_same_scope_by_naming_none() {
        let mut provider = fake::provider("http://127.0.0.1/token");
        provider.scope = Some("a b".into());
        let grant = Grant::RefreshToken {
            refresh_token: &Secret::new("r"),
        };
        assert_eq!(
            all(grant, &provider),
            ["grant_type=refresh_token", "refresh_token=r"]
        );
    }

    #[test]
    fn a_code_is_sent_with_the_redirect_uri_and_the_verifier() {
        let mut provider = fake::provider("http://127.0.0.1/token");
        provider.scope = Some("a b".into());
        let (code, verifier) = (Secret::new("c"), Secret::new("v"));
        let grant = |redirect_uri, code_verifier| Grant::AuthorizationCode {
            code: &code,
            redirect_uri,
            code_verifier,
        };
        assert_eq!(
            all(grant(Some("app://cb"), Some(&verifier)), &provider),
            [
                "grant_type=authorization_code",
                "code=c",
                "redirect_uri=app://cb",
                "code_verifier=v"
            ]
        );
        assert_eq!(
            all(grant(None, None), &provider),
            ["grant_type=authorization_code", "code=c"]
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = Secret::new(fake::CANARY);
        let refresh = Grant::RefreshToken {
            refresh_token: &secret,
        };
        let exchange = Grant::AuthorizationCode {
            code: &secret,
            redirect_uri: None,
            code_verifier: Some(&secret),
        };
        assert!(!format!("{refresh:?} {exchange:?}").contains(fake::CANARY));
    }

    #[test]
    fn additional_parameters_replace_others_of_their_name() {
        let mut provider = fake::provider("http://127.0.0.1/token");
        provider.token_request.params = [("grant_type", "urn:x"), ("audience", "api")]
            .map(|(name, value)| (name.to_owned(), fake::text(value)))
            .into();
        let parameters = Grant::ClientCredentials.parameters(&provider);
        let all: Vec<_> = parameters.iter().collect();
        assert_eq!(all, [("grant_type", "urn:x"), ("audience", "api")]);
    }
}
