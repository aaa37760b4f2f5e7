//! How a login ended, in words for whoever looks at the browser. Nothing that an authorization server sent is repeated
//! but its `error` code.

use std::fmt::{self, Display};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::{
    admin::{
        page::{STYLE, Text},
        respond,
    },
    oauth::{authorization::CallbackError, error::TokenRequestError},
};

/// What is wrong with a login that brought no refresh token, and what to do.
pub const WITHOUT_REFRESH_TOKEN: &str = "the login brought no refresh token, so that it ends with its access token and \
     cannot be kept alive, and any earlier one is not kept either; ask the authorization server for one (scope offline_access, \
     or authorization.params access_type = \"offline\" and prompt = \"consent\") and log in again";

/// The page at the end of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 200, or whose fault it is.
    pub status: StatusCode,
    /// In a few words.
    pub title: &'static str,
    /// What happened, and what to do.
    pub detail: String,
}

impl Outcome {
    /// There is a login, and it is stored.
    pub fn logged_in(provider: &str) -> Self {
        let detail = format!(
            "bearward has a login at {provider:?} and keeps it alive. This page can be closed."
        );
        Self {
            status: StatusCode::OK,
            title: "Logged in",
            detail,
        }
    }

    /// A callback of no login: forged, repeated, late.
    pub fn unknown() -> Self {
        let detail = "No login that is under way belongs to this address: it was used already, took longer than ten \
                      minutes, or began before bearward was started. Nothing was changed. Begin again.";
        Self::bad_request("This login is not known", detail)
    }

    /// A callback of a login that began elsewhere.
    pub(super) fn other_browser() -> Self {
        let detail = "This login began in another browser, or this browser keeps no cookies. Nothing was changed. Begin \
                      and end it in the same browser.";
        Self::bad_request("This login began elsewhere", detail)
    }

    /// The provider is not any more the one that the login set out to.
    pub(super) fn reconfigured(provider: &str) -> Self {
        let detail =
            format!("The configuration of {provider:?} was changed on the way. Begin again.");
        Self::bad_request("This login is out of date", detail)
    }

    /// A callback that brings no code.
    pub fn declined(provider: &str, error: &CallbackError) -> Self {
        Self::bad_request(
            "Not logged in",
            format!("{}: {error}. Nothing was changed.", Quoted(provider)),
        )
    }

    /// A code that brought no token.
    pub fn not_exchanged(provider: &str, error: &TokenRequestError) -> Self {
        let status = match error.is_transient() {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::BAD_GATEWAY,
        };
        let detail = format!("{}: {error}. Nothing was changed.", Quoted(provider));
        Self {
            status,
            title: "Not logged in",
            detail,
        }
    }

    /// A token that cannot be kept; `error` says why.
    pub fn not_stored(provider: &str, error: &impl Display) -> Self {
        let detail = format!("{}: the login cannot be stored: {error}.", Quoted(provider));
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "The login is not stored",
            detail,
        }
    }

    /// Nobody would wait for what the code brings.
    pub(super) fn ending(provider: &str) -> Self {
        let detail = format!(
            "{}: bearward is ending. Nothing was changed. Begin again once it runs.",
            Quoted(provider)
        );
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Not logged in",
            detail,
        }
    }

    /// A login that is in use, and in memory alone; `error` says why.
    pub(super) fn unsaved(provider: &str, error: &impl Display) -> Self {
        let detail = format!(
            "{}: the login is in use, but cannot be stored: {error}. It is tried again until it can be, and lost if \
             bearward ends before.",
            Quoted(provider)
        );
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "The login is not stored",
            detail,
        }
    }

    /// A login that ends with its access token.
    pub fn without_refresh_token(provider: &str) -> Self {
        let detail = format!("{}: {WITHOUT_REFRESH_TOKEN}.", Quoted(provider));
        Self {
            status: StatusCode::OK,
            title: "Logged in, but not for long",
            detail,
        }
    }

    /// Something that should not happen.
    pub(super) fn interrupted(provider: &str) -> Self {
        let detail = format!(
            "{}: the login was interrupted; the log says more.",
            Quoted(provider)
        );
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Not logged in",
            detail,
        }
    }

    fn bad_request(title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            title,
            detail: detail.into(),
        }
    }

    /// The answer to the browser, which may be kept by nobody and tells no other site where it came from. With `home` the
    /// page leads on to the status page.
    pub fn answer(&self, home: bool) -> Response<Full<Bytes>> {
        respond::html(self.status, self.page(home))
    }

    fn page(&self, home: bool) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title} · bearward</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <header><h1>{title}</h1></header>\n<main>\n<p>{detail}</p>\n{home}</main>\n</body>\n</html>\n",
            title = Text(self.title),
            detail = Text(&self.detail),
            home = if home {
                "<p><a href=\"/\">Status of all providers</a></p>\n"
            } else {
                ""
            },
        )
    }
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider {:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::{Fault, Refusal};

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let page = Outcome::logged_in("<script>alert(1)</script>").page(true);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    }

    #[test]
    fn a_failed_exchange_says_whose_fault_it_is() {
        let status = |fault| {
            Outcome::not_exchanged("x", &TokenRequestError::new(fault))
                .status
                .as_u16()
        };
        assert_eq!(status(Fault::Refused(Refusal::InvalidGrant)), 502);
        assert_eq!(status(Fault::Refused(Refusal::InvalidClient)), 502);
        assert_eq!(status(Fault::Connect), 503);
        assert_eq!(status(Fault::Server(500)), 503);
    }
}
