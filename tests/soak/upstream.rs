//! The APIs that the sidecar protects.

pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod websocket;
