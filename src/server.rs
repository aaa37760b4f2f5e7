//! Listening, accepting, counting, draining: serves any service and knows nothing of proxying.

pub mod accept;
pub mod address;
pub mod drain;
#[cfg(test)]
pub(crate) mod exchange;
pub mod html;
pub mod limits;
pub mod listener;
pub mod origin_guard;
pub mod preface;
pub mod problem;
pub mod share;
pub mod stream;
