//! Upstreams in service: connections to the protected APIs, opened, pooled per worker, and closed when no longer good.

mod connect;
mod connection;
mod dial;
mod driver;
mod failure;
mod io;
mod pool;
mod route_upstream;

pub use self::{
    connect::ActiveUpstream,
    connection::{Checkout, SendError},
    pool::Pool,
    route_upstream::{RouteUpstream, TokenUpstream},
};
