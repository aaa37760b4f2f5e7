//! A harmless request to the API.

use http::Method;

/// `verify`: a harmless request to the API, for the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The method.
    pub method: Method,
    /// The path below the API's base, with its query.
    pub path: String,
}
