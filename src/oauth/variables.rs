//! The values of the variables in templates, at the time of one request.

use std::borrow::Cow;

use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    api_context::ApiContext,
    provider::{EndpointUrl, EndpointUrlError, ParameterValue, Provider},
    template::MissingVariable,
};

/// The variables that every provider has. Names of `vars` and captured values are others.
pub const BUILT_IN: [&str; 5] = [
    "client_id",
    "token_endpoint",
    "redirect_uri",
    "scope",
    "uuid",
];

/// The values of the variables for one request, which gets a `{uuid}` of its own.
#[derive(Clone, Debug)]
pub struct Variables<'a> {
    provider: &'a Provider,
    context: &'a ApiContext,
    token_endpoint: Option<Cow<'a, str>>,
    redirect_uri: Option<&'a str>,
    uuid: String,
}

impl<'a> Variables<'a> {
    /// Creates the values for a request of `provider`, with the captured values in `context`.
    pub fn new(provider: &'a Provider, context: &'a ApiContext) -> Self {
        let authorization = provider.authorization.as_ref();
        let redirect_uri =
            authorization.and_then(|settings| settings.sent_redirect_uri(settings.callback()));
        let mut variables = Self {
            provider,
            context,
            token_endpoint: None,
            redirect_uri,
            uuid: Uuid::new_v4().to_string(),
        };
        let endpoint = provider.token_endpoint.as_ref();
        let text = endpoint.and_then(|endpoint| match endpoint.as_fixed() {
            Some(_) => Some(Cow::Borrowed(endpoint.as_str())),
            None => Some(Cow::Owned(variables.complete(endpoint).ok()?.into())),
        });
        variables.token_endpoint = text;
        variables
    }

    /// Replaces `{token_endpoint}`, for an endpoint that discovery supplied.
    #[must_use]
    pub fn with_token_endpoint(self, url: &Url) -> Self {
        Self {
            token_endpoint: Some(Cow::Owned(url.to_string())),
            ..self
        }
    }

    /// Replaces `{redirect_uri}` by that of one login.
    #[must_use]
    pub fn with_redirect_uri(self, redirect_uri: Option<&'a str>) -> Self {
        Self {
            redirect_uri: redirect_uri.or(self.redirect_uri),
            ..self
        }
    }

    /// Returns the value of a variable, if it has one.
    pub fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = match name {
            "client_id" => Some(&*self.provider.client_id),
            "token_endpoint" => self.token_endpoint.as_deref(),
            "redirect_uri" => self.redirect_uri,
            "scope" => self.provider.scope.as_deref(),
            "uuid" => Some(&*self.uuid),
            _ => self.context.captured.get(name).map(String::as_str),
        };
        text.map(Cow::Borrowed)
    }

    /// Returns the current values of a parameter or header, with its variables replaced.
    ///
    /// # Errors
    /// A variable has no value.
    pub fn resolve(
        &self,
        value: &ParameterValue,
    ) -> Result<Vec<Zeroizing<String>>, MissingVariable> {
        value.resolve(|name| self.value(name))
    }

    /// Completes the URL of an endpoint.
    ///
    /// # Errors
    /// A variable has no value, or the values do not lead to an allowed URL.
    pub fn complete(&self, endpoint: &EndpointUrl) -> Result<Url, EndpointUrlError> {
        endpoint.resolve(|name| self.value(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::oauth::{fake, provider::HostList};

    fn context() -> ApiContext {
        ApiContext {
            captured: [("realm".to_owned(), "r1".to_owned())].into(),
            ..ApiContext::default()
        }
    }

    #[test]
    fn every_variable_of_a_request_has_its_value() {
        let mut provider = fake::with_consent("https://as.example/token");
        provider.scope = Some("a b".into());
        let context = context();
        let variables = Variables::new(&provider, &context);
        let value = |name: &str| variables.value(name).map(Cow::into_owned);
        assert_eq!(value("client_id").as_deref(), Some("client"));
        assert_eq!(
            value("token_endpoint").as_deref(),
            Some("https://as.example/token")
        );
        assert_eq!(
            value("redirect_uri").as_deref(),
            Some("http://127.0.0.1:9900/callback")
        );
        assert_eq!(value("scope").as_deref(), Some("a b"));
        assert_eq!(value("realm").as_deref(), Some("r1"));
        assert_eq!(value("other"), None);
        assert!(BUILT_IN.iter().all(|name| value(name).is_some()));
        let other = variables.clone().with_redirect_uri(Some("app://x"));
        assert_eq!(other.value("redirect_uri").as_deref(), Some("app://x"));
    }

    #[test]
    fn a_captured_value_completes_the_token_endpoint() {
        let mut provider = fake::provider("https://as.example/token");
        let allow = HostList::new(["*.as.example"]);
        let endpoint = EndpointUrl::template("https://{realm}.as.example/token", allow).unwrap();
        provider.token_endpoint = Some(endpoint);
        let context = context();
        let variables = Variables::new(&provider, &context);
        assert_eq!(
            variables.value("token_endpoint").as_deref(),
            Some("https://r1.as.example/token")
        );
    }

    #[test]
    fn every_request_has_another_uuid() {
        let provider = fake::provider("https://as.example/token");
        let context = ApiContext::default();
        let all: HashSet<_> = (0..3)
            .map(|_| Variables::new(&provider, &context))
            .map(|variables| variables.value("uuid").map(Cow::into_owned))
            .collect();
        assert_eq!(all.len(), 3);
        let variables = Variables::new(&provider, &context);
        assert_eq!(variables.value("uuid"), variables.value("uuid"));
    }
}
