//! The tools of the tests: the binary as a process, scripted servers on loopback, and clients that show every byte.
//!
//! Servers and clients are blocking threads with deadlines on every read, so that a test reads from top to bottom
//! and none can hang. No wait is a guess about speed: [`patience::until`] polls for what has to come.

pub mod authorization_server;
pub mod browser;
pub mod certificates;
pub mod certified;
pub mod client;
pub mod collector;
pub mod either;
pub mod events;
pub mod forward_proxy;
pub mod frame_server;
pub mod frames;
pub mod grpc;
pub mod grpc_method;
pub mod h2_upstream;
pub mod h2c;
pub mod home;
pub mod in_process;
pub mod navigator;
pub mod openssl;
pub mod page;
pub mod patience;
pub mod peers;
pub mod ports;
pub mod problem;
pub mod protected_api;
pub mod random;
pub mod server;
pub mod setup;
pub mod sidecar;
pub mod socket_unit;
pub mod terminal;
pub mod text_codec;
pub mod token_endpoint;
pub mod upstream;
pub mod wire;
