//! Listening, accepting, counting, draining: serves any service and knows nothing of proxying.

pub mod address;
#[cfg(test)]
pub(crate) mod exchange;
pub mod limits;
pub mod listener;
pub mod problem;
pub mod stream;
