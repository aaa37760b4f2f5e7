//! Compares fields and parameters with what an entry of the fixture demands.

use std::collections::BTreeMap;

use super::{
    ledger::{Ledger, Life},
    request::{Parameters, Request},
};

/// What the right values are at this moment.
pub(crate) struct Demands<'a> {
    pub(crate) ledger: &'a Ledger,
    /// What `{redirect_uri}` stands for.
    pub(crate) redirect_uri: &'a str,
}

impl Demands<'_> {
    /// Every demanded field with its value.
    pub(crate) fn check_fields(
        &self,
        demanded: &BTreeMap<String, String>,
        request: &Request,
        reasons: &mut Vec<String>,
    ) {
        for (name, template) in demanded {
            match request.field(name) {
                None => reasons.push(format!("no field {name}")),
                Some(value) => self.check_value(name, template, value, None, reasons),
            }
        }
    }

    /// Every demanded parameter with its value, and none that is neither demanded nor optional.
    pub(crate) fn check_parameters(
        &self,
        demanded: &BTreeMap<String, String>,
        optional: &[String],
        found: &Parameters,
        reasons: &mut Vec<String>,
    ) {
        for (name, template) in demanded {
            match found.get(name) {
                None => reasons.push(format!("no {name}")),
                Some(value) => self.check_value(name, template, value, Some(found), reasons),
            }
        }
        let is_any = optional.iter().any(|name| name == "{any}");
        for (name, value) in found {
            if !demanded.contains_key(name) && !optional.contains(name) && !is_any {
                reasons.push(format!(
                    "{name} = {value:?}, which the vendor does not know"
                ));
            }
        }
    }

    fn check_value(
        &self,
        name: &str,
        template: &str,
        value: &str,
        among: Option<&Parameters>,
        reasons: &mut Vec<String>,
    ) {
        let wrong = match template {
            "*" => value.is_empty().then(|| format!("{name} is empty")),
            "{code}" => self.ledger.refuse_code(value),
            "{code_verifier}" => {
                let code = among.and_then(|all| all.get("code"));
                let is_right = code.is_some_and(|code| self.ledger.is_verifier(code, value));
                (!is_right).then(|| format!("{name} does not fit the challenge"))
            }
            // Dead ones have a response of their own at the token endpoint.
            "{refresh_token}" => (self.ledger.refresh_token(value) == Life::Unknown)
                .then(|| format!("{name} is {value:?}, which is no refresh token")),
            "{redirect_uri}" => (self.redirect_uri != value)
                .then(|| format!("{name} is {value:?} in place of {:?}", self.redirect_uri)),
            _ => match inside(template, "{access_token}", value) {
                Some(token) => match self.ledger.access_token(token) {
                    Life::Live if self.ledger.newest_access_token() == Some(token) => None,
                    Life::Live => {
                        Some(format!("{name} has an access token that is not the newest"))
                    }
                    life => Some(format!(
                        "{name} has an access token that is {life:?}: {value:?}"
                    )),
                },
                None => (template != value)
                    .then(|| format!("{name} is {value:?} in place of {template:?}")),
            },
        };
        reasons.extend(wrong);
    }
}

/// What stands in `value` for `placeholder`; `None` where the template has none or its surroundings differ.
pub(crate) fn inside<'a>(template: &str, placeholder: &str, value: &'a str) -> Option<&'a str> {
    let (before, after) = template.split_once(placeholder)?;
    value.strip_prefix(before)?.strip_suffix(after)
}
