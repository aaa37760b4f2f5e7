//! The status page for people: one self-contained document.

use std::time::{Duration, SystemTime};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::status::{ErrorStatus, ProviderStatus, RouteStatus, Status, rfc3339};
use crate::{
    login::{login_path, path_segment},
    server::html::Page,
};

const SCRIPT: &str = include_str!("page/page.js");

/// Responds with the page, as of `now`.
pub(super) fn respond(status: &Status, now: SystemTime) -> Response {
    page(status, now)
        .to_response(StatusCode::OK)
        .into_response()
}

fn page(status: &Status, now: SystemTime) -> Page {
    let body = html! {
        header {
            h1 { "bearward" }
            p { (status.version) " · " (summary(status)) }
        }
        main {
            p id="notice" role="status" {}
            (last_reload(status))
            h2 { "Providers" }
            (providers(status, now))
            h2 { "Routes" }
            (routes(status))
        }
        footer {
            "As of " (rfc3339(now)) ". "
            a href="/api/status" { "JSON" }
            " · "
            a href="/metrics" { "metrics" }
        }
    };
    Page {
        title: "bearward".into(),
        body,
        script: Some(SCRIPT),
    }
}

fn summary(status: &Status) -> String {
    let is_ready = |provider: &&(String, ProviderStatus)| provider.1.state == "ready";
    let ready = status.providers.iter().filter(is_ready).count();
    match status.providers.len() {
        0 => "no providers".into(),
        all if ready == all => "every provider is ready".into(),
        all => format!("{ready} of {all} providers ready"),
    }
}

/// The problems of the last reload, until one without problems.
fn last_reload(status: &Status) -> Markup {
    let Some(reload) = &status.last_reload else {
        return html! {};
    };
    let title = match reload.outcome {
        "failure" => {
            "The configuration file has problems. The earlier configuration stays in force."
        }
        _ if reload.problems.is_empty() => return html! {},
        _ => "The configuration was reloaded with warnings.",
    };
    html! {
        section id="reload" role="alert" {
            h2 { (title) }
            ul {
                @for problem in &reload.problems {
                    li {
                        code { (text(problem, "file")) ":" (problem["line"]) ":" (problem["column"]) }
                        " " (text(problem, "message")) small { (text(problem, "hint")) }
                    }
                }
            }
        }
    }
}

fn text<'v>(problem: &'v serde_json::Value, member: &str) -> &'v str {
    problem[member].as_str().unwrap_or_default()
}

fn providers(status: &Status, now: SystemTime) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th { "Name" }
                    th { "State" }
                    th { "Token expires" }
                    th { "Refresh" }
                    th { "Login ends" }
                    th { "Requests" }
                    th { "Last error" }
                    th {}
                }
            }
            tbody {
                @for (name, provider) in &status.providers {
                    (provider_row(name, provider, now))
                }
            }
        }
    }
}

fn provider_row(name: &str, provider: &ProviderStatus, now: SystemTime) -> Markup {
    let refresh_path = format!("/api/providers/{}/refresh", path_segment(name));
    html! {
        tr {
            th scope="row" { (name) small { (provider.grant_type) } }
            td { span class={ "state " (provider.state) } { (provider.state.replace('_', " ")) } }
            td { (instant(provider.expires_at, now)) }
            td { (instant(provider.refresh_at, now)) }
            td { (instant(provider.login_expires_at, now)) }
            td class="number" { (provider.token_requests) }
            td { (last_error(provider.last_error.as_ref(), now)) }
            td class="actions" {
                @if provider.login_is_due {
                    // Not a form: `form-action` covers the redirects after it, which lead to another site.
                    a class="button" role="button" href=(login_path(name)) { "Connect" }
                }
                form method="post" action=(refresh_path) { button { "Renew" } }
            }
        }
    }
}

fn last_error(error: Option<&ErrorStatus>, now: SystemTime) -> Markup {
    html! {
        @match error {
            Some(ErrorStatus { kind, message, at, description, .. }) => {
                strong { (kind) } " " (message) " "
                @if let Some(description) = description { q { (description) } " " }
                small { (instant(*at, now)) }
            }
            None => "–",
        }
    }
}

fn routes(status: &Status) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th { "Name" }
                    th { "Listener" }
                    th { "Upstream" }
                    th { "Provider" }
                }
            }
            tbody {
                @for (name, route) in &status.routes {
                    (route_row(name, route))
                }
            }
        }
    }
}

fn route_row(name: &str, route: &RouteStatus) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td { code { (route.listen) } }
            td { code { (route.upstream) } }
            td { (route.provider.as_deref().unwrap_or("– (no token)")) }
        }
    }
}

/// A time relative to `now`, such as `in 4m 12s`, with the time stamp as a tooltip.
fn instant(time: Option<SystemTime>, now: SystemTime) -> Markup {
    let Some(time) = time else {
        return html! { "–" };
    };
    let stamp = rfc3339(time);
    let whole_seconds = |duration: Duration| {
        humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
    };
    let relative = match time.duration_since(now) {
        Ok(left) => format!("in {}", whole_seconds(left)),
        Err(past) => format!("{} ago", whole_seconds(past.duration())),
    };
    html! { time datetime=(stamp) title=(stamp) { (relative) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{login::StoreIdentity, token::store::StoreLocation};

    fn status(name: &str) -> Status {
        let error = ErrorStatus {
            kind: name.into(),
            message: name.into(),
            description: Some(name.into()),
            help: name.into(),
            at: Some(SystemTime::UNIX_EPOCH),
        };
        Status {
            version: "0.1.0",
            admin: name.into(),
            store: StoreIdentity::at(&StoreLocation::Memory),
            last_reload: None,
            providers: vec![(
                name.into(),
                ProviderStatus {
                    grant_type: "client_credentials".into(),
                    state: "login_required",
                    expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(252)),
                    refresh_at: None,
                    has_refresh_token: false,
                    login_expires_at: None,
                    token_requests: 3,
                    last_error: Some(error),
                    can_log_in: true,
                    login_is_due: true,
                },
            )],
            routes: vec![(
                name.into(),
                RouteStatus {
                    listen: name.into(),
                    upstream: name.into(),
                    provider: Some(name.into()),
                },
            )],
        }
    }

    fn render_page(status: &Status, now: SystemTime) -> String {
        page(status, now).render()
    }

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let page = render_page(
            &status("\"'><script>alert(1)</script><img src=x onerror=y>&"),
            SystemTime::UNIX_EPOCH,
        );
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
    fn a_provider_shows_what_an_operator_wants_to_know() {
        let page = render_page(&status("hapn"), SystemTime::UNIX_EPOCH);
        for expected in [
            ">hapn<",
            "login required",
            ">in 4m 12s<",
            "0 of 1 providers ready",
            "/api/providers/hapn/refresh",
            "Renew",
            "href=\"/login/hapn\">Connect<",
        ] {
            assert!(page.contains(expected), "{expected} is missing from {page}");
        }
        let mut status = status("hapn");
        status.providers[0].1.login_is_due = false;
        assert!(!render_page(&status, SystemTime::UNIX_EPOCH).contains("Connect"));
    }

    #[test]
    fn no_attribute_is_one_that_the_policy_blocks() {
        let page = render_page(&status("x"), SystemTime::UNIX_EPOCH);
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
    }
}
