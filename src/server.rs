//! Listening, accepting, counting, draining: serves any service and knows nothing of proxying.

pub mod address;
pub mod limits;
pub mod problem;
