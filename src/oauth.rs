//! The OAuth 2.0 protocol (RFC 6749): what is asked of an authorization server and how its answers are read.
//!
//! Knows nothing of caching, renewing or proxying. One exchange goes
//! [`grant`] → [`client_auth`] → [`request`] → [`endpoint`] → [`response`], and all but `endpoint` are pure. A login goes before it
//! once: [`authorization`] in a browser, or [`sign_in`] without one; [`revocation`] ends it.

pub mod authorization;
pub mod client_auth;
pub mod endpoint;
pub mod error;
pub mod grant;
pub mod provider;
pub mod redirect_uri;
pub mod request;
pub mod response;
pub mod revocation;
pub mod sign_in;

#[cfg(test)]
pub(crate) mod fake;
