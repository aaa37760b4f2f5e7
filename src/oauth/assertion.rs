//! JWT assertions (RFC 7523).

use super::{
    error::{Fault, TokenRequestError},
    provider::Provider,
    variables::Variables,
};
use crate::{clock::Clock, secret::Secret};

/// Makes the assertion of `provider` for one request.
///
/// # Errors
/// It cannot be made.
pub fn make(
    _provider: &Provider,
    _variables: &Variables<'_>,
    _clock: &dyn Clock,
) -> Result<Secret, TokenRequestError> {
    Err(TokenRequestError::new(Fault::Setup(
        "this version makes no assertions",
    )))
}
