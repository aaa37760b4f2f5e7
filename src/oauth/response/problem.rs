//! Errors in responses: the code where the vendor puts it, and what it means.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::oauth::{
    error::{ErrorCode, Fault, TokenRefusal},
    provider::{MappedError, SuccessCondition, TokenResponse},
};

/// Codes of vendors for a refresh token that is no longer good, without regard to case.
const ENDED_LOGIN: [&str; 5] = [
    "invalid_refresh_token",
    "bad_refresh_token",
    "interaction_required",
    "login_required",
    "consent_required",
];

/// Further members that hold a vendor's code; one there counts if its meaning is known.
const FURTHER_MEMBERS: [&str; 7] = [
    "/error",
    "/status",
    "/code",
    "/error_code",
    "/error/code",
    "/error/status",
    "/error/type",
];

/// The layout of errors, and whether the response is that of a refresh.
#[derive(Clone, Copy)]
pub(super) struct ErrorLayout<'a> {
    pub(super) response: &'a TokenResponse,
    pub(super) is_refresh: bool,
}

impl ErrorLayout<'_> {
    /// Finds the error in a response whose status is a success or a client error.
    pub(super) fn find(self, status: StatusCode, response: Option<&Value>) -> Option<Fault> {
        let condition = self.response.success.as_ref();
        let satisfies = |condition: &SuccessCondition| {
            response.is_some_and(|response| is_satisfied(condition, response))
        };
        let succeeds = status.is_success() && condition.is_none_or(satisfies);
        // One member may be both: 0 is a success, and any other number an error.
        let is_judged = condition.is_some_and(|one| one.pointer == self.response.error);
        let error = response
            .and_then(|response| self.error(response))
            .filter(|_| !(succeeds && is_judged));
        if succeeds && error.is_none() {
            return None;
        }
        let code = error.and_then(scalar_text);
        let meaning = code.as_deref().and_then(|code| self.meaning(code, status));
        let meaning = meaning.or_else(|| self.further_meaning(response?, status));
        Some(meaning.unwrap_or_else(|| {
            code.as_deref()
                .and_then(TokenRefusal::parse)
                .map_or_else(|| rejected(status, code.as_deref()), Fault::Refused)
        }))
    }

    /// Returns the member that holds the error, if it says that there is one.
    fn error(self, response: &Value) -> Option<&Value> {
        let is_default = self.response.error == "/error";
        let named = response.pointer(&self.response.error);
        named
            .filter(|error| is_set(error))
            .or_else(|| response.get("error").filter(|_| !is_default))
            .filter(|error| is_set(error))
    }

    fn further_meaning(self, response: &Value, status: StatusCode) -> Option<Fault> {
        FURTHER_MEMBERS
            .iter()
            .filter_map(|pointer| scalar_text(response.pointer(pointer)?))
            .find_map(|code| self.meaning(&code, status))
    }

    /// Returns the meaning of a vendor's code, by `error_map` or by common use.
    fn meaning(self, code: &str, status: StatusCode) -> Option<Fault> {
        match self.response.error_map.get(code) {
            Some(MappedError::Temporary) => Some(Fault::Temporary(status.as_u16())),
            Some(MappedError::Code(mapped)) => Some(
                TokenRefusal::parse(mapped)
                    .map_or_else(|| rejected(status, Some(mapped)), Fault::Refused),
            ),
            None => {
                let ends = ENDED_LOGIN.iter().any(|end| code.eq_ignore_ascii_case(end));
                (self.is_refresh && ends).then_some(Fault::Refused(TokenRefusal::InvalidGrant))
            }
        }
    }
}

fn rejected(status: StatusCode, code: Option<&str>) -> Fault {
    Fault::Rejected {
        status: status.as_u16(),
        code: code.map(|text| ErrorCode::parse(text).unwrap_or_else(ErrorCode::unknown)),
    }
}

/// Hides a code that holds one of the `secrets`.
pub(super) fn without_secrets(fault: Fault, secrets: &[Zeroizing<String>]) -> Fault {
    match fault {
        Fault::Rejected {
            status,
            code: Some(code),
        } => Fault::Rejected {
            status,
            code: Some(code.without_secrets(secrets)),
        },
        fault => fault,
    }
}

/// Tells whether `error` is one. Some servers send `null`, `""` or `0` with every token.
fn is_set(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !matches!(text.as_str(), "" | "0"),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

/// Compares by the text, since every value of a form is one.
fn is_satisfied(condition: &SuccessCondition, response: &Value) -> bool {
    let Some(found) = response.pointer(&condition.pointer) else {
        return condition.equals.is_null();
    };
    *found == condition.equals
        || scalar_text(found).is_some_and(|text| Some(text) == scalar_text(&condition.equals))
}

fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        _ => None,
    }
}
