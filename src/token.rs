//! A token's life: fetched, cached, renewed before it expires, and given up only when it is no longer good.
//!
//! Knows nothing of requests in flight; callers ask a [`Credential`](credential::Credential).

pub mod access_token;
pub mod credential;
pub mod store;
