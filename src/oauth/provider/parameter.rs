//! The values of parameters and headers.

use std::{borrow::Cow, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    oauth::template::{MissingVariable, Template},
    secret::LiveSecret,
};

/// The configured value of a parameter or a header.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// A text with variables.
    Text(Template),
    /// A secret from the environment or a file.
    Secret(Arc<LiveSecret>),
    /// Several values. They repeat the parameter, or are an array in JSON.
    List(Vec<Template>),
}

impl ParameterValue {
    /// Returns the configured texts. A secret has none.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let templates = match self {
            Self::Text(template) => std::slice::from_ref(template),
            Self::Secret(_) => &[],
            Self::List(templates) => templates,
        };
        templates.iter().map(Template::as_str)
    }

    /// Returns the secret, if the value is one.
    pub const fn secret(&self) -> Option<&Arc<LiveSecret>> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Returns the current values, with variables replaced by what `value` returns: one, unless it is a list.
    ///
    /// # Errors
    /// A variable has no value.
    pub fn resolve<'v>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Vec<Zeroizing<String>>, MissingVariable> {
        let render = |template: &Template| {
            let rendered = template.render(&value)?;
            Ok(Zeroizing::new(rendered.into_owned()))
        };
        match self {
            Self::Text(template) => Ok(vec![render(template)?]),
            Self::Secret(secret) => Ok(vec![secret.current().exposed_copy()]),
            Self::List(templates) => templates.iter().map(render).collect(),
        }
    }
}
