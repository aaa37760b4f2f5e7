//! The OAuth 2.0 protocol (RFC 6749): what is asked of an authorization server and how its answers are read.
//!
//! Knows nothing of caching, renewing or proxying.

pub mod provider;
