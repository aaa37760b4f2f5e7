//! The doctor: makes a provider's real token request once, and says what is wrong and which line fixes it.
//!
//! ```text
//! examination   the requests of one provider, in order
//! ├─ judge      pure: from an exchange and the settings to a cause
//! ├─ detection  the other ways to authenticate the client, each once
//! ├─ redaction  secrets by their fingerprints
//! └─ report     JSON and text
//! ```
//!
//! Nothing is written, and no refresh token is sent.

mod authorities;
mod cause;
mod consent;
mod detection;
mod endpoints;
mod examination;
mod judge;
mod redaction;
mod report;
mod surroundings;
mod verification;

pub use self::{
    cause::FindingKind,
    examination::{Examination, Options, examine},
    report::{DoctorReport, Style},
};
