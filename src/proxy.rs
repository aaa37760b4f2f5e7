//! The request path: admit → route → guard → token → forward → respond.
//!
//! [`service`] is the whole of it on one screen. [`admission`] refuses what HTTP allows and we do not, [`table`] selects
//! the route, [`guard`] checks the client, [`inject`] obtains the token, [`forward`] sends the request that [`request`]
//! builds, [`reauthorize`] replays one whose token was refused, and [`response`] or [`respond`] makes the response.

pub mod admission;
pub mod allow;
pub mod api;
pub mod body;
pub mod client_connection;
pub mod error;
pub mod exchange;
pub mod forward;
pub mod guard;
pub mod hop;
pub mod inject;
pub mod location;
pub mod path;
pub mod reauthorize;
pub mod redact;
pub mod request;
pub mod respond;
pub mod response;
pub mod route;
pub mod service;
pub mod table;
pub mod upgrade;
pub mod upstream;
pub mod worker;
