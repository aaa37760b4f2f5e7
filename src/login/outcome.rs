//! The end of a login in words, as a page for the browser.
//!
//! Of what an authorization server sent, its `error` code and its `error_description` are repeated.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use maud::html;

use super::{ExchangeError, attempts::ClaimError, login_path};
use crate::{
    oauth::{
        authorization::CallbackError,
        error::{ErrorDescription, TokenRequestError},
    },
    server::html::Page,
};

const NOT_LOGGED_IN: &str = "Not logged in";
const NOT_STORED: &str = "The login is not stored";

/// The end of a login, for the browser and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginOutcome {
    /// 200, or the status that says whose fault it is.
    pub status: StatusCode,
    /// The heading of the page.
    pub title: &'static str,
    /// The event and the next step, in sentences.
    pub detail: String,
    /// The authorization server's description of its error.
    pub description: Option<ErrorDescription>,
    /// The path that begins the login again, on the admin listener.
    pub retry: Option<String>,
}

impl LoginOutcome {
    /// The outcome of an exchange at `provider`.
    pub fn from_exchange(provider: &str, result: &Result<(), ExchangeError>) -> Self {
        let (status, title, sentence) = match result {
            Ok(()) => return Self::logged_in(provider),
            Err(ExchangeError::Store(error)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                NOT_STORED,
                format!("the login cannot be stored: {error}."),
            ),
            Err(error @ ExchangeError::Code(_)) => (
                StatusCode::BAD_GATEWAY,
                NOT_LOGGED_IN,
                format!("{error}. Nothing was changed."),
            ),
            Err(ExchangeError::Request(error)) => (
                match error.is_transient() {
                    true => StatusCode::SERVICE_UNAVAILABLE,
                    false => StatusCode::BAD_GATEWAY,
                },
                NOT_LOGGED_IN,
                format!("{}. Nothing was changed.", error.for_operators()),
            ),
            Err(error @ ExchangeError::NotStored(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                NOT_STORED,
                format!(
                    "{error}. It is tried again until it can be, and lost if bearward ends before."
                ),
            ),
            Err(error @ ExchangeError::Lost(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                NOT_STORED,
                format!("{error}."),
            ),
            Err(error @ ExchangeError::WithoutRefreshToken) => (
                StatusCode::OK,
                "Logged in, but not for long",
                format!("{error}."),
            ),
        };
        Self {
            status,
            title,
            detail: format!("Provider {provider:?}: {sentence}"),
            description: result
                .as_ref()
                .err()
                .and_then(ExchangeError::description)
                .cloned(),
            retry: Some(login_path(provider)),
        }
    }

    /// A login that is stored and kept alive.
    pub fn logged_in(provider: &str) -> Self {
        let detail = format!(
            "bearward has a login at {provider:?} and keeps it alive. This page can be closed."
        );
        Self {
            status: StatusCode::OK,
            title: "Logged in",
            detail,
            description: None,
            retry: None,
        }
    }

    /// A callback that claims no attempt.
    pub fn unclaimed(error: ClaimError) -> Self {
        match error {
            ClaimError::UnknownState => Self::unknown(),
            ClaimError::OtherBrowser => Self::bad_request(
                "This login began elsewhere",
                "This login began in another browser, or this browser keeps no cookies. Nothing was changed. Begin and \
                 end it in the same browser.",
            ),
            ClaimError::OtherRedirectUri => Self::bad_request(
                "This login returned to the wrong address",
                "The login that this state belongs to has another redirect_uri. An authorization server may have tried \
                 to get the code of another one. Nothing was changed. Begin again, and log in at a provider that \
                 you trust.",
            ),
        }
    }

    /// A second visit to an address that starts one login in one browser.
    pub fn opened_twice() -> Self {
        Self::bad_request(
            "This login was opened twice",
            "The address that started this login was opened before, perhaps by another program of this machine. So the \
             login cannot end there any more. Nothing was changed. Open the address that the command printed instead.",
        )
    }

    /// A visit to the start of a login while another user of the machine is connected there.
    pub fn opened_by_other_user() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            ..Self::bad_request(
                "This login belongs to another user",
                "A program of another user of this machine is connected to the address that starts this login. Nothing \
                 was changed. Open the address that the command printed instead.",
            )
        }
    }

    /// A callback that is forged, repeated or late.
    pub fn unknown() -> Self {
        Self::bad_request(
            "This login is not known",
            "No login that is under way belongs to this address: it was used already, took longer than ten minutes, or \
             began before bearward was started. Nothing was changed. Begin again.",
        )
    }

    /// A callback for a provider whose configuration has changed since the login started.
    pub fn reconfigured(provider: &str) -> Self {
        Self::bad_request(
            "This login is out of date",
            format!("The configuration of {provider:?} was changed on the way. Begin again."),
        )
    }

    /// A callback without a code.
    pub fn declined(provider: &str, error: &CallbackError) -> Self {
        Self {
            description: error.description().cloned(),
            retry: Some(login_path(provider)),
            ..Self::bad_request(
                NOT_LOGGED_IN,
                format!("Provider {provider:?}: {error}. Nothing was changed."),
            )
        }
    }

    /// A login for which no authorization request can be made.
    pub fn not_started(provider: &str, error: &TokenRequestError) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: NOT_LOGGED_IN,
            detail: format!(
                "Provider {provider:?}: {}. Nothing was changed.",
                error.for_operators()
            ),
            description: error.description().cloned(),
            retry: Some(login_path(provider)),
        }
    }

    /// A callback during shutdown, when the exchange would be cut off.
    pub fn shutting_down(provider: &str) -> Self {
        Self::unavailable(format!(
            "Provider {provider:?}: bearward is ending. Nothing was changed. Begin again once it runs."
        ))
    }

    /// An exchange that ended by a panic.
    pub fn interrupted(provider: &str) -> Self {
        Self::unavailable(format!(
            "Provider {provider:?}: the login was interrupted; the log says more."
        ))
    }

    fn unavailable(detail: String) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: NOT_LOGGED_IN,
            detail,
            description: None,
            retry: None,
        }
    }

    fn bad_request(title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            title,
            detail: detail.into(),
            description: None,
            retry: None,
        }
    }

    /// The page for the browser; with `status_link` it leads on to the status page.
    pub fn to_response(&self, status_link: bool) -> Response<Full<Bytes>> {
        self.page(status_link).to_response(self.status)
    }

    fn page(&self, status_link: bool) -> Page {
        let body = html! {
            header { h1 { (self.title) } }
            main {
                p { (self.detail) }
                @if let Some(description) = &self.description {
                    p { "The authorization server says: " q { (description.as_str()) } }
                }
                @if status_link {
                    @if let Some(path) = &self.retry {
                        p { a href=(path) { "Try again" } }
                    }
                    p { a href="/" { "Status of all providers" } }
                }
            }
        };
        Page {
            title: format!("{} · bearward", self.title),
            head: html! {},
            style: None,
            body,
            script: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::{Fault, TokenRefusal};

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let page = LoginOutcome::logged_in("<script>alert(1)</script>")
            .page(true)
            .render();
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_page_of_a_refusal_shows_the_description_as_text() {
        let description = ErrorDescription::new("<b>not</b> today", &[]);
        let denied = CallbackError::Denied {
            code: None,
            description: description.clone(),
        };
        let refused = TokenRequestError::new(Fault::Refused(TokenRefusal::InvalidGrant));
        let refused = ExchangeError::Request(refused.with_description(description));
        for outcome in [
            LoginOutcome::declined("x", &denied),
            LoginOutcome::from_exchange("x", &Err(refused)),
        ] {
            let page = outcome.page(true).render();
            assert!(
                page.contains("<q>&lt;b&gt;not&lt;/b&gt; today</q>"),
                "{page}"
            );
        }
    }

    #[test]
    fn a_login_that_failed_can_be_begun_again_on_the_admin_listener_alone() {
        let denied = CallbackError::Denied {
            code: None,
            description: None,
        };
        let outcome = LoginOutcome::declined("my-api", &denied);
        let link = r#"<a href="/login/my-api">Try again</a>"#;
        assert!(outcome.page(true).render().contains(link));
        assert!(!outcome.page(false).render().contains("Try again"));
        let logged_in = LoginOutcome::logged_in("my-api");
        assert!(!logged_in.page(true).render().contains("Try again"));
    }

    #[test]
    fn a_failed_exchange_says_whose_fault_it_is() {
        let status = |fault| {
            let error = ExchangeError::Request(TokenRequestError::new(fault));
            LoginOutcome::from_exchange("x", &Err(error))
                .status
                .as_u16()
        };
        assert_eq!(status(Fault::Refused(TokenRefusal::InvalidGrant)), 502);
        assert_eq!(status(Fault::Refused(TokenRefusal::InvalidClient)), 502);
        assert_eq!(status(Fault::Connect), 503);
        assert_eq!(status(Fault::Server(500)), 503);
    }
}
