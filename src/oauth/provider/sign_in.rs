//! The settings of a sign-in without a browser.

use std::sync::Arc;

use super::{Encoding, EndpointUrl};
use crate::secret::LiveSecret;

/// A sign-in endpoint that returns the code as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// The URL that the parameters are posted to.
    pub endpoint: EndpointUrl,
    /// The account.
    pub email: String,
    /// Its password.
    pub password: Arc<LiveSecret>,
    /// The encoding of the parameters.
    pub encoding: Encoding,
    /// Characters in `state`, where the vendor demands a length.
    pub state_length: usize,
}

impl SignIn {
    /// The default of `encoding`.
    pub const DEFAULT_ENCODING: Encoding = Encoding::Json;
    /// The default of `state_length`.
    pub const DEFAULT_STATE_LENGTH: usize = 43;
}
