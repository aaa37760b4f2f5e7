//! The request path: admit → route → guard → token → forward → respond.

pub mod allow;
pub mod path;
pub mod route;
