//! Reading of a request path.
