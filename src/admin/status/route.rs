//! One route in the document of `/api/status`.

use serde::Serialize;

use crate::admin::{state::RouteView, traffic::RouteTraffic};

#[derive(Debug, Serialize)]
pub(in crate::admin) struct RouteStatus {
    pub(in crate::admin) listen: String,
    pub(in crate::admin) upstream: String,
    pub(in crate::admin) provider: Option<String>,
    pub(in crate::admin) traffic: RouteTraffic,
}

impl RouteStatus {
    pub(super) fn of(route: &RouteView, traffic: RouteTraffic) -> Self {
        Self {
            listen: route.listen.clone(),
            upstream: route.upstream.clone(),
            provider: route.provider.as_deref().map(str::to_owned),
            traffic,
        }
    }
}
