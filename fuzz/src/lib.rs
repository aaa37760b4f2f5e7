//! What holds for every input that reaches the program from outside. Each module has one `check`, which panics where its
//! promise is broken.
//!
//! The fuzz targets call these with libFuzzer's inputs, and `tests/fuzz.rs` with the seeds and with random mutations of them.

pub mod configuration;
pub mod framing_gate;
pub mod path;
pub mod token_response;
