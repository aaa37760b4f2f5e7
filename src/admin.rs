//! The admin listener: health, metrics, status, consent.

use std::sync::Arc;

use crate::{secret::LiveSecret, server::address::ListenAddress};

/// `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub listen: ListenAddress,
    /// What opens the listener's private part when others than this machine can reach it.
    pub key: Option<Arc<LiveSecret>>,
}
