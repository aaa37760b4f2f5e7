//! The parameters of requests to an authorization server.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{provider::ParameterValue, template::MissingVariable, variables::Variables};

/// The parameters of a request in order, each name once (RFC 6749 §3.2). They may be secret: no `Debug`.
#[derive(Default)]
pub struct Parameters(Vec<(String, Values)>);

/// The values of one parameter.
enum Values {
    One(Zeroizing<String>),
    /// They repeat the parameter (RFC 8707 §2), or are an array in JSON.
    List(Vec<Zeroizing<String>>),
}

impl Values {
    fn as_slice(&self) -> &[Zeroizing<String>] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::List(values) => values,
        }
    }
}

impl Parameters {
    /// Adds a parameter, or replaces the one of that name in place.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set_values(name, Values::One(Zeroizing::new(value.to_owned())));
    }

    /// Adds a parameter unless one of that name is there.
    pub fn set_default(&mut self, name: &str, value: &str) {
        if !self.contains(name) {
            self.set(name, value);
        }
    }

    /// Adds configured parameters with their current values. They replace others of their name.
    ///
    /// # Errors
    /// A variable has no value.
    pub fn set_configured(
        &mut self,
        configured: &BTreeMap<String, ParameterValue>,
        variables: &Variables<'_>,
    ) -> Result<(), MissingVariable> {
        for (name, value) in configured {
            let mut values = variables.resolve(value)?;
            let values = match value {
                ParameterValue::List(_) => Values::List(values),
                ParameterValue::Text(_) | ParameterValue::Secret(_) => {
                    Values::One(values.pop().unwrap_or_default())
                }
            };
            self.set_values(name, values);
        }
        Ok(())
    }

    /// Removes the parameters of these names.
    pub fn remove(&mut self, names: &[String]) {
        self.0.retain(|(name, _)| !names.contains(name));
    }

    /// Gives parameters the names of `renamed`. One that has such a name already stays, and the other goes.
    pub fn rename(&mut self, renamed: &BTreeMap<String, String>) {
        let kept: HashSet<String> = self
            .0
            .iter()
            .filter(|(name, _)| !renamed.contains_key(name))
            .map(|(name, _)| name.clone())
            .collect();
        self.0.retain_mut(|(name, _)| match renamed.get(name) {
            Some(new) if kept.contains(new) => false,
            Some(new) => {
                name.clone_from(new);
                true
            }
            None => true,
        });
    }

    /// Returns whether there is a parameter of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Yields names and values in order, the name of a list once for each value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(name, values)| {
            let values = values.as_slice().iter();
            values.map(|value| (name.as_str(), value.as_str()))
        })
    }

    /// Returns a JSON object of strings, and of arrays of strings for lists.
    pub fn to_json(&self) -> Vec<u8> {
        let text = |value: &Zeroizing<String>| Value::String(value.as_str().to_owned());
        let members = self.0.iter().map(|(name, values)| {
            let value = match values {
                Values::One(value) => text(value),
                Values::List(values) => values.iter().map(text).collect(),
            };
            (name.clone(), value)
        });
        let object: Map<_, _> = members.collect();
        Value::Object(object).to_string().into_bytes()
    }

    fn set_values(&mut self, name: &str, values: Values) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = values,
            None => self.0.push((name.to_owned(), values)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, value) in pairs {
            parameters.set(name, value);
        }
        parameters
    }

    fn renamed(pairs: &[(&str, &str)], names: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut parameters = parameters(pairs);
        let names = names
            .iter()
            .map(|(old, new)| ((*old).into(), (*new).into()));
        parameters.rename(&names.collect());
        let all = parameters.iter();
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn parameters_keep_their_order_under_other_names() {
        assert_eq!(
            renamed(
                &[("a", "1"), ("client_id", "2"), ("z", "3")],
                &[("client_id", "client_key"), ("absent", "x")]
            ),
            owned(&[("a", "1"), ("client_key", "2"), ("z", "3")])
        );
        assert_eq!(
            renamed(&[("a", "1"), ("b", "2")], &[("a", "b"), ("b", "a")]),
            owned(&[("b", "1"), ("a", "2")])
        );
    }

    #[test]
    fn a_parameter_that_is_set_under_the_new_name_stays() {
        assert_eq!(
            renamed(
                &[("client_id", "1"), ("client_key", "2")],
                &[("client_id", "client_key")]
            ),
            owned(&[("client_key", "2")])
        );
    }
}
