//! Promises, tested from outside on the built binary: each file is a group of them, each test is one.

#![allow(
    clippy::disallowed_methods,
    reason = "a test aborts its tasks with its runtime, and may measure real time"
)]
#![allow(unreachable_pub, reason = "nobody is outside of a test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

// The tools: the binary as a process, scripted servers, clients that show every byte.
mod deploy_tools;
mod doctor_tools;
mod http2_tools;
mod login_tools;
mod support;
mod tools;

// Tokens: how they are asked for, what is made of the answer, how they are kept fresh.
mod certified_clients;
mod certified_program;
mod certified_provider;
mod coalescing;
mod doctor;
mod doctor_certified;
mod expired_token;
mod failure_reasons;
mod refused_by_body;
mod refused_token;
mod removed_listeners;
mod renewal;
mod tls;
mod token_codings;
mod token_proxy;
mod token_request;
mod token_response;

// Logins: how a person gives consent, and how what came of it is kept for ever.
mod certified_device;
mod certified_login;
mod killed;
mod login_browser;
mod login_command;
mod login_secrecy;
mod login_start;
mod login_terminal;
mod logins;
mod refresh_tokens;
mod shared_store;
mod store;
mod store_put_back;
mod unreadable_refreshes;

// A request's way in: what is taken, by which route, and by whom.
mod admission;
mod http2;
mod http2_abuse;
mod http2_connections;
mod http2_endings;
mod http2_streams;
mod limits;
mod localhost;
mod mutated_requests;
mod paths;
mod requests_in_flight;
mod routing;
mod slow_callers;
mod unix_listener;

// Its way on and the answer's way back.
mod api_base;
mod api_fields;
mod connections;
mod deploy_compose;
mod deploy_kubernetes;
mod deploy_metrics;
mod deploy_units;
mod descriptors;
mod forwarding;
mod full_listeners;
mod gone_clients;
mod grpc;
mod injection;
mod own_responses;
mod responses;
mod route_certificate;
mod route_proxy;
mod streaming;
mod tunnels;
mod upstream_http2;
mod upstream_http2_failures;
mod upstream_http2_order;
mod upstream_http2_repeats;
mod upstream_http2_streaming;

// The process: what it tells, what it keeps to itself, how it is used and how it ends.
mod admin;
mod admin_events;
mod admin_key;
mod commands;
mod core_dumps;
mod demo;
mod log_lines;
mod notify;
mod reload;
mod reload_under_load;
mod run_terminal;
mod secrecy;
mod secret_files;
mod shutdown;
mod socket_activation;
mod status_page;
mod status_page_states;
mod traces;
