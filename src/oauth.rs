//! The OAuth 2.0 protocol (RFC 6749): requests to an authorization server, and its responses.
//!
//! One exchange goes [`grant`] → [`client_auth`] → [`request`] → [`endpoint`] → [`response`], and only `endpoint` does
//! input and output. A login comes before it: [`authorization`] in a browser, or [`sign_in`] without one. [`revocation`]
//! ends it. Caching, refreshing and proxying belong to other modules.

pub mod api_context;
pub mod assertion;
pub mod authorization;
pub mod capture;
pub mod client_auth;
pub mod content_coding;
pub mod device;
pub mod endpoint;
pub mod error;
pub mod grant;
pub mod parameters;
pub mod provider;
pub mod redirect_uri;
pub mod request;
pub mod response;
pub mod revocation;
pub mod sign_in;
pub mod template;
pub mod variables;

#[cfg(test)]
pub(crate) mod fake;
