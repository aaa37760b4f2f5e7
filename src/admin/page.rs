//! The status page for people: one self-contained document, everything in it escaped.

use std::{
    fmt::{self, Display, Write},
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::{
    segment,
    status::{ErrorStatus, ProviderStatus, RouteStatus, Status, rfc3339},
};

/// The style of every page.
pub(super) const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Allows the page's own style and script, by their hashes, and nothing else from anywhere.
pub(super) fn content_security_policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        HeaderValue::try_from(policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    });
    POLICY.clone()
}

/// The page, as of `now`.
pub(super) fn render(status: &Status, now: SystemTime) -> String {
    let mut page = String::with_capacity(8 * 1024);
    // Writing to a String does not fail.
    let _ = write_page(&mut page, status, now);
    page
}

fn write_page(out: &mut String, status: &Status, now: SystemTime) -> fmt::Result {
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>bearward</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>bearward</h1><p>{version} · {summary}</p></header>\n<main>\n\
         <p id=\"notice\" role=\"status\"></p>\n",
        version = Text(status.version),
        summary = Text(&summary(status)),
    )?;
    out.push_str(
        "<h2>Providers</h2>\n<table>\n<thead><tr><th>Name</th><th>State</th><th>Token ends</th><th>Renewal</th>\
         <th>Requests</th><th>Last error</th><th></th></tr></thead>\n<tbody>\n",
    );
    for (name, provider) in &status.providers {
        write_provider(out, name, provider, now)?;
    }
    out.push_str(
        "</tbody>\n</table>\n<h2>Routes</h2>\n<table>\n<thead><tr><th>Name</th><th>Listens on</th><th>Leads to</th>\
         <th>Provider</th></tr></thead>\n<tbody>\n",
    );
    for (name, route) in &status.routes {
        write_route(out, name, route)?;
    }
    write!(
        out,
        "</tbody>\n</table>\n</main>\n<footer>As of {now}. <a href=\"/api/status\">JSON</a> · \
         <a href=\"/metrics\">metrics</a></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        now = Text(&rfc3339(now)),
    )
}

fn write_provider(
    out: &mut String,
    name: &str,
    provider: &ProviderStatus,
    now: SystemTime,
) -> fmt::Result {
    write!(
        out,
        "<tr><th scope=\"row\">{name}<small>{grant}</small></th><td><span class=\"state {state}\">{label}</span></td>\
         <td>{ends}</td><td>{renewal}</td><td class=\"number\">{requests}</td><td>",
        name = Text(name),
        grant = Text(provider.grant_type),
        state = Text(provider.state),
        label = Text(&provider.state.replace('_', " ")),
        ends = Instant(provider.expires_at, now),
        renewal = Instant(provider.refresh_at, now),
        requests = provider.token_requests,
    )?;
    match &provider.last_error {
        Some(ErrorStatus { kind, message, at }) => {
            write!(
                out,
                "<strong>{}</strong> {} <small>{}</small>",
                Text(kind),
                Text(message),
                Instant(*at, now)
            )?;
        }
        None => out.push('–'),
    }
    let segment = segment::encoded(name);
    out.push_str("</td><td class=\"actions\">");
    if provider.login_is_due {
        // Not a form: `form-action` holds for the redirects after it too, and these lead to another site.
        write!(
            out,
            "<a class=\"button\" role=\"button\" href=\"/login/{segment}\">Connect</a>"
        )?;
    }
    writeln!(
        out,
        "<form method=\"post\" action=\"/api/providers/{segment}/refresh\"><button>Renew</button></form></td></tr>"
    )
}

fn write_route(out: &mut String, name: &str, route: &RouteStatus) -> fmt::Result {
    writeln!(
        out,
        "<tr><th scope=\"row\">{}</th><td><code>{}</code></td><td><code>{}</code></td><td>{}</td></tr>",
        Text(name),
        Text(&route.listen),
        Text(&route.upstream),
        Text(route.provider.as_deref().unwrap_or("– (no token)")),
    )
}

fn summary(status: &Status) -> String {
    let ready = status
        .providers
        .iter()
        .filter(|(_, provider)| provider.state == "ready")
        .count();
    let all = status.providers.len();
    match all {
        0 => "no providers".into(),
        _ if ready == all => "every provider is ready".into(),
        _ => format!("{ready} of {all} providers ready"),
    }
}

/// An instant as seen from another: `in 4m 12s`, with the time stamp to hover for.
struct Instant(Option<SystemTime>, SystemTime);

impl Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Some(time), now) = self else {
            return f.write_str("–");
        };
        let whole = |duration: Duration| {
            humantime::format_duration(Duration::from_secs(duration.as_secs()))
        };
        write!(
            f,
            "<time datetime=\"{stamp}\" title=\"{stamp}\">",
            stamp = Text(&rfc3339(*time))
        )?;
        match time.duration_since(*now) {
            Ok(left) => write!(f, "in {}", whole(left))?,
            Err(past) => write!(f, "{} ago", whole(past.duration()))?,
        }
        f.write_str("</time>")
    }
}

/// Text that stays text, between tags and within quotes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admin::kept::Kept, token::store::StoreLocation};

    fn status(name: &str) -> Status {
        let error = ErrorStatus {
            kind: name.into(),
            message: name.into(),
            at: Some(SystemTime::UNIX_EPOCH),
        };
        Status {
            version: "0.1.0",
            admin: name.into(),
            store: Kept::at(&StoreLocation::Memory),
            providers: vec![(
                name.into(),
                ProviderStatus {
                    grant_type: "client_credentials",
                    state: "login_required",
                    expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(252)),
                    refresh_at: None,
                    has_refresh_token: false,
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

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let page = render(
            &status("\"'><script>alert(1)</script><img src=x onerror=y>&"),
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(page.matches("<script").count(), 1, "the page's own");
        assert!(!page.contains("<img"));
        assert!(page.contains("&quot;&#39;&gt;&lt;script&gt;alert(1)"));
        assert!(page.contains("href=\"/login/%22%27%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E"));
        assert!(
            page.contains(
                "action=\"/api/providers/%22%27%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E"
            )
        );
    }

    #[test]
    fn a_provider_shows_what_an_operator_wants_to_know() {
        let page = render(&status("hapn"), SystemTime::UNIX_EPOCH);
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
        assert!(!render(&status, SystemTime::UNIX_EPOCH).contains("Connect"));
    }

    #[test]
    fn style_and_script_are_the_ones_the_policy_allows() {
        let page = render(&status("x"), SystemTime::UNIX_EPOCH);
        let policy = content_security_policy();
        for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
            let (_, rest) = page.split_once(open).unwrap();
            let (text, _) = rest.split_once(close).unwrap();
            let hash = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
            assert!(
                policy
                    .to_str()
                    .unwrap()
                    .contains(&format!("'sha256-{hash}'"))
            );
        }
        assert!(
            !page.contains(" style=") && !page.contains(" onclick="),
            "inline attributes would be blocked"
        );
    }
}
