//! The status page for people: one self-contained document, which its script keeps up to date.
//!
//! Only the server renders. The script fetches the page again at each event, and replaces what has changed.

mod provider;
mod route;
mod summary;
mod words;

use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use self::words::{ago, code_in};
use super::status::{ReloadStatus, Status, rfc3339};
use crate::server::html::Page;

const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// The interval at which a browser without scripts loads the page again, in seconds.
const RELOAD_SECONDS: u32 = 15;

/// Responds with the page, as of `now`.
pub(super) fn respond(status: &Status, now: SystemTime) -> Response {
    page(status, now)
        .to_response(StatusCode::OK)
        .into_response()
}

fn page(status: &Status, now: SystemTime) -> Page {
    let summary = summary::of(status);
    let body = html! {
        header {
            h1 { "bearward" }
            p class={ "state " (summary.tone.class()) } { (summary.text) }
        }
        p id="gone" role="alert" {}
        p id="notice" role="status" {}
        main {
            (last_reload(status))
            section aria-labelledby="providers" {
                h2 id="providers" { "Providers" }
                @if status.providers.is_empty() { p class="quiet" { "There is no provider." } }
                div class="cards" {
                    @for (name, provider) in &status.providers {
                        (provider::card(name, provider, now))
                    }
                }
            }
            section aria-labelledby="routes" {
                h2 id="routes" { "Routes" }
                @if status.routes.is_empty() { p class="quiet" { "There is no route." } }
                @else { p class="quiet" { "Requests of the last five minutes." } }
                ul class="routes" {
                    @for (name, route) in &status.routes { (route::item(name, route)) }
                }
            }
        }
        (footer(status, now))
    };
    Page {
        title: format!("{} · bearward", summary.text),
        head: html! {
            noscript { meta http-equiv="refresh" content=(RELOAD_SECONDS); }
        },
        style: Some(STYLE),
        script: Some(SCRIPT),
        body,
    }
}

/// The problems of the last reload, until one without problems.
fn last_reload(status: &Status) -> Markup {
    let Some(reload) = &status.last_reload else {
        return html! {};
    };
    let (tone, title) = match reload.outcome {
        ReloadStatus::FAILURE => (
            "bad",
            "The configuration file has problems. The earlier configuration stays in force.",
        ),
        _ if reload.problems.is_empty() => return html! {},
        _ => ("due", "The configuration was reloaded with warnings."),
    };
    html! {
        section class={ "box " (tone) } id="reload" role="alert" {
            h2 { (title) }
            ul {
                @for problem in &reload.problems {
                    li {
                        code { (text(problem, "file")) ":" (problem["line"]) ":" (problem["column"]) }
                        " " (text(problem, "message")) " " span class="hint" { (code_in(text(problem, "hint"))) }
                    }
                }
            }
        }
    }
}

fn text<'v>(problem: &'v serde_json::Value, member: &str) -> &'v str {
    problem[member].as_str().unwrap_or_default()
}

fn footer(status: &Status, now: SystemTime) -> Markup {
    let configuration = &status.configuration;
    let stamp = rfc3339(now);
    html! {
        footer {
            p {
                "bearward " (status.version)
                @if let Some(started_at) = status.started_at { ", started " (ago(started_at, now)) }
                "."
                @if let Some(file) = configuration.files.first() {
                    " Configuration: " code { (file) }
                    @if configuration.files.len() > 1 { " and " (configuration.files.len() - 1) " more" }
                    @if let Some(loaded_at) = configuration.loaded_at { ", in force since " (ago(loaded_at, now)) }
                    "."
                }
                " Logins: " code { (status.store) } "."
            }
            p {
                "As of " time id="as-of" datetime=(stamp) { (stamp) } ". "
                a href="/api/status" { "JSON" } " · " a href="/metrics" { "metrics" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admin::status::{ErrorStatus, TokenClaims, tests::status};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn render_page(status: &Status) -> String {
        page(status, NOW).render()
    }

    /// A status in which every text is `name`.
    fn full_status(name: &str) -> Status {
        let mut status = status(name);
        let provider = &mut status.providers[0].1;
        provider.state = "login_required";
        provider.login_is_due = true;
        provider.has_browser_login = true;
        provider.needs_login = true;
        provider.can_log_in = true;
        provider.hint = Some(name.into());
        provider.redirect_uri = Some(name.into());
        provider.last_error = Some(ErrorStatus {
            kind: name.into(),
            message: name.into(),
            description: Some(name.into()),
            help: name.into(),
            at: Some(NOW),
        });
        provider.token = Some(TokenClaims {
            issuer: Some(name.into()),
            subject: Some(name.into()),
            audience: vec![name.into()],
            scope: Some(name.into()),
            expires_at: None,
        });
        status
    }

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let page = render_page(&full_status(
            "\"'><script>alert(1)</script><img src=x onerror=y>&",
        ));
        assert_eq!(page.matches("<script").count(), 1, "the page's own");
        assert!(!page.contains("<img"));
        assert!(page.contains("&quot;'&gt;&lt;script&gt;alert(1)"));
        assert!(page.contains("href=\"/login/%22%27%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E"));
        assert!(
            page.contains(
                "action=\"/api/providers/%22%27%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E"
            )
        );
    }

    #[test]
    fn no_attribute_is_one_that_the_policy_blocks() {
        let page = render_page(&full_status("x"));
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
    }

    #[test]
    fn a_provider_shows_what_an_operator_wants_to_know() {
        let mut status = status("hapn");
        let provider = &mut status.providers[0].1;
        provider.refresh_at = Some(NOW + Duration::from_secs(200));
        let page = render_page(&status);
        for expected in [
            "<title>Every provider is ready · bearward</title>",
            ">hapn<",
            ">ready<",
            ">4 min 12 s<",
            ">in 3 min 20 s<",
            "/api/providers/hapn/refresh",
            "Renew",
        ] {
            assert!(page.contains(expected), "{expected} is missing from {page}");
        }
        assert!(!page.contains("Connect"));
    }

    #[test]
    fn where_only_a_login_helps_it_is_what_is_offered() {
        let mut status = full_status("hapn");
        status.providers[0].1.can_refresh = false;
        let page = render_page(&status);
        assert!(page.contains("href=\"/login/hapn\">Connect<"), "{page}");
        assert!(!page.contains("/refresh"), "{page}");
        assert!(page.contains("Login required: hapn · bearward"), "{page}");
        // A refresh token that may be good after all is tried again.
        status.providers[0].1.can_refresh = true;
        assert!(render_page(&status).contains("/refresh"));
    }

    #[test]
    fn a_login_that_is_due_is_offered_before_the_token_has_expired() {
        let mut status = full_status("hapn");
        status.providers[0].1.state = "ready";
        let page = render_page(&status);
        assert!(page.contains("href=\"/login/hapn\">Connect<"), "{page}");
        assert!(page.contains("Login due: hapn"), "{page}");
    }

    #[test]
    fn a_login_without_need_is_offered_in_other_words() {
        let mut status = full_status("hapn");
        let provider = &mut status.providers[0].1;
        (provider.state, provider.login_is_due) = ("ready", false);
        provider.last_error = None;
        provider.login_expires_at = Some(NOW + Duration::from_secs(12 * 86_400 + 5));
        let page = render_page(&status);
        assert!(
            page.contains("href=\"/login/hapn\">Log in again<"),
            "{page}"
        );
        assert!(page.contains(">12 days<"), "{page}");
        // Shortly before its end it is due.
        status.providers[0].1.login_is_due = true;
        let page = render_page(&status);
        assert!(page.contains(">Connect<") && page.contains(">12 days<"));
    }

    #[test]
    fn a_reload_that_failed_is_shown_with_its_problems() {
        let mut status = status("hapn");
        status.last_reload = Some(ReloadStatus {
            at: Some(NOW),
            outcome: ReloadStatus::FAILURE,
            problems: vec![serde_json::json!({
                "file": "b.toml", "line": 3, "column": 1, "message": "no upstream", "hint": "write `upstream`",
            })],
        });
        let page = render_page(&status);
        assert!(
            page.contains("<code>b.toml:3:1</code> no upstream"),
            "{page}"
        );
        assert!(page.contains("write <code>upstream</code>"), "{page}");
    }

    #[test]
    fn a_route_shows_its_rate_errors_and_latency() {
        let mut status = status("devices");
        let traffic = &mut status.routes[0].1.traffic;
        traffic.rate = 1.5;
        (traffic.requests, traffic.server_errors) = (200, 3);
        (traffic.p50_ms, traffic.p99_ms) = (Some(12.3), Some(1234.0));
        traffic.series = vec![0, 4, 1];
        let page = render_page(&status);
        for expected in ["1.5/s", "3 (1.5 %)", "12 ms", "1.2 s", "<polyline"] {
            assert!(page.contains(expected), "{expected} is missing from {page}");
        }
    }
}
