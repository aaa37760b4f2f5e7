//! The command line: one file a command below this one. Results go to standard output, diagnostics to standard error.

pub mod status;
