//! One provider on the page: its state, the life of its token and its login, what went wrong, and what can be done.

use std::time::SystemTime;

use maud::{Markup, html};

use super::{
    summary::{Tone, of_provider},
    words::{ago, code_in, left, relative},
};
use crate::{
    admin::status::{ErrorStatus, ProviderStatus, TokenClaims},
    login::{login_path, path_segment},
};

pub(super) fn card(name: &str, provider: &ProviderStatus, now: SystemTime) -> Markup {
    let state = of_provider(provider);
    let id = format!("provider-{}", path_segment(name));
    html! {
        article class={ "card " (state.tone.class()) } aria-labelledby=(id) {
            div class="title" {
                h3 id=(id) { (name) }
                span class={ "state " (state.tone.class()) } { (state.text) }
            }
            p class="lead" { (lead(provider, now)) }
            (lifetime_bar(provider, now))
            (last_error(provider, now))
            dl {
                @if let Some(refresh_at) = provider.refresh_at && refresh_at > now {
                    dt { @if provider.state == "ready" { "Next refresh" } @else { "Next attempt" } } dd { (relative(refresh_at, now)) }
                }
                @if let Some(renewed_at) = provider.renewed_at {
                    dt { "Renewed" } dd { (ago(renewed_at, now)) }
                }
                @if let Some(runway) = login_runway(provider, now) {
                    dt { "Login" } dd { (runway) }
                }
                dt { "Token requests" } dd { (provider.token_requests) }
            }
            @if let Some(claims) = &provider.token { (token_claims(claims, now)) }
            (settings(provider))
            (actions(name, provider))
        }
    }
}

/// The time that the token is good for, in a sentence.
fn lead(provider: &ProviderStatus, now: SystemTime) -> Markup {
    html! {
        @match (provider.state, provider.expires_at) {
            ("ready", Some(end)) => { "The token is good for " strong { (left(end, now)) } "." },
            ("ready", None) => "The token never expires.",
            ("pending", _) => "The first token is being requested.",
            ("login_required", _) => "No token until a person logs in.",
            ("refused", _) => "No token: the authorization server refuses this client.",
            _ => "No usable token.",
        }
        @if provider.state == "ready" && provider.login_is_due { " Then requests fail, unless a person has logged in." }
    }
}

/// The part of the token's lifetime that is left, and the refresh in it. The words beside it say the same.
fn lifetime_bar(provider: &ProviderStatus, now: SystemTime) -> Markup {
    let (Some(start), Some(end)) = (provider.renewed_at, provider.expires_at) else {
        return html! {};
    };
    let Ok(lifetime) = end.duration_since(start) else {
        return html! {};
    };
    let part_before_end = |time: SystemTime| {
        let left = end.duration_since(time).unwrap_or_default();
        let part = left.as_secs_f64() / lifetime.as_secs_f64().max(1.0);
        (part.min(1.0) * 1000.0).round() / 10.0
    };
    html! {
        svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
            rect class="bar-left" width=(part_before_end(now)) height="4" {}
            @if let Some(refresh_at) = provider.refresh_at && refresh_at < end {
                rect class="bar-refresh" x=(part_before_end(refresh_at)) width="0.6" height="4" {}
            }
        }
    }
}

fn last_error(provider: &ProviderStatus, now: SystemTime) -> Markup {
    let Some(error) = &provider.last_error else {
        return html! {
            @if let Some(hint) = &provider.hint {
                div class="box due" { p { "To do: " (code_in(hint)) "." } }
            }
        };
    };
    let ErrorStatus {
        kind,
        message,
        description,
        help,
        at,
    } = error;
    let tone = match of_provider(provider).tone {
        Tone::Bad => "bad",
        _ => "due",
    };
    html! {
        div class={ "box " (tone) } {
            p {
                strong { (kind.replace('_', " ")) } ": " (code_in(message))
                @if !message.ends_with(['.', '?', '!']) { "." }
            }
            @if let Some(description) = description {
                p { "The authorization server says: " q { (description) } }
            }
            @if let Some(hint) = &provider.hint { p { "To do: " (code_in(hint)) "." } }
            p class="quiet" {
                @if let Some(at) = at { (ago(*at, now)) }
                @if !message.contains(help.as_str()) { " · explained in " code { (help) } }
            }
        }
    }
}

/// The time that the login lasts; `None` where no login is needed.
fn login_runway(provider: &ProviderStatus, now: SystemTime) -> Option<Markup> {
    if !provider.needs_login {
        return None;
    }
    Some(html! {
        @match provider.login_expires_at {
            Some(end) if provider.is_login_extended => {
                "each refresh extends it; without one it ends " (relative(end, now))
            },
            Some(end) => { "log in again within " (left(end, now)) },
            None if provider.login_is_due => "log in now",
            None if provider.has_refresh_token => "lasts; its end is not known",
            None => "unknown",
        }
    })
}

fn token_claims(claims: &TokenClaims, now: SystemTime) -> Markup {
    let audience = claims.audience.join(", ");
    html! {
        h4 { "The token says" }
        dl {
            (text_row("Issuer", claims.issuer.as_deref()))
            (text_row("Subject", claims.subject.as_deref()))
            (text_row("Audience", Some(&audience)))
            (text_row("Scope", claims.scope.as_deref()))
            @if let Some(expires_at) = claims.expires_at {
                dt { "Expires" } dd { (relative(expires_at, now)) }
            }
        }
    }
}

fn settings(provider: &ProviderStatus) -> Markup {
    html! {
        details {
            summary { "Settings" }
            dl {
                (text_row("Grant", Some(&provider.grant_type)))
                (text_row("Client ID", Some(&provider.client_id)))
                (text_row("Scope", provider.scope.as_deref()))
                (text_row("Token endpoint", provider.token_endpoint.as_deref()))
                (text_row("Redirect URI to register", provider.redirect_uri.as_deref()))
            }
        }
    }
}

fn text_row(name: &str, value: Option<&str>) -> Markup {
    html! {
        @if let Some(value) = value.filter(|value| !value.is_empty()) {
            dt { (name) } dd { code { (value) } }
        }
    }
}

fn actions(name: &str, provider: &ProviderStatus) -> Markup {
    let refresh_path = format!("/api/providers/{}/refresh", path_segment(name));
    let is_due = provider.has_browser_login && provider.login_is_due;
    // Where the token is lacking, a login is worth a try.
    let is_needed = is_due || (provider.can_log_in && provider.state != "ready");
    html! {
        div class="actions" {
            // Not a form: `form-action` covers the redirects after it, which lead to another site.
            @if is_needed {
                a class="button first" aria-label={ "Connect " (name) } href=(login_path(name)) { "Connect" }
            } @else if provider.can_log_in {
                a class="button" aria-label={ "Log in again: " (name) } href=(login_path(name)) { "Log in again" }
            }
            @if provider.can_refresh {
                form method="post" action=(refresh_path) data-renew=(name) {
                    button class="button" aria-label={ "Renew " (name) } { "Renew" }
                }
            }
        }
    }
}
