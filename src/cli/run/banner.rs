//! The banner of a sidecar that a person starts at a terminal: what to try, and what still has to be done.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};

use crate::{
    app::Running,
    cli::terminal::{printable, state_style},
    login::{login_hint, redirect::admin_origin},
    proxy::route::Route,
    server::address::ListenAddress,
    token::{
        Tokens,
        status::{CredentialState, CredentialStatus},
    },
};

/// The time that the first tokens have, so that the banner shows what came of them.
const FIRST_TOKEN_TIMEOUT: Duration = Duration::from_secs(3);

/// The pause between two looks at the tokens.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until no provider is requesting its first token, for at most [`FIRST_TOKEN_TIMEOUT`] since the start.
///
/// Without tokens it waits for ever. Cancel-safe.
pub(super) async fn wait_for(first_tokens: Option<&(Arc<Tokens>, Instant)>) {
    let Some((tokens, started)) = first_tokens else {
        return std::future::pending().await;
    };
    let is_pending = || {
        let mut all = tokens.iter();
        all.any(|one| one.status().state == CredentialState::Pending)
    };
    while is_pending() && started.elapsed() < FIRST_TOKEN_TIMEOUT {
        sleep(POLL_INTERVAL).await;
    }
}

/// Writes the banner, with states in colours if `is_coloured`.
pub(super) fn text(running: &Running, is_coloured: bool) -> String {
    let addresses = running.addresses();
    let mut text = format!("\nbearward {} is running.\n", env!("CARGO_PKG_VERSION"));
    let tokens = running.tokens();
    let names = running.routes().map(|route| &route.name);
    let names = names.chain(tokens.iter().map(|one| &one.provider().name));
    let width = names.map(|name| name.len()).max().unwrap_or(0);

    let mut section = |title: &str, lines: Vec<(String, String)>| {
        if lines.is_empty() {
            return;
        }
        // Writing to a String does not fail.
        let _ = writeln!(text, "\n{title}");
        for (name, line) in lines {
            let _ = writeln!(text, "  {name:<width$}  {line}");
        }
    };
    let routes = running.routes().filter_map(|route| {
        let listen = addresses.routes.get(&route.name)?;
        Some((route.name.to_string(), curl(route, listen)))
    });
    section("Routes, to try with", routes.collect());
    let providers = tokens.iter().map(|one| {
        let hint = login_hint(one.provider(), addresses.admin.as_ref());
        let line = provider_line(&one.status(), &hint, is_coloured);
        (one.provider().name.to_string(), line)
    });
    section("Providers", providers.collect());

    if let Some(admin) = &addresses.admin {
        let page = match admin_origin(admin) {
            Some(origin) => format!("{origin}/"),
            None => admin.to_string(),
        };
        let _ = write!(text, "\nStatus page: {page}\n");
    }
    text.push_str("Press Ctrl-C to stop.\n\n");
    text
}

/// The command that sends a request to a route.
fn curl(route: &Route, listen: &ListenAddress) -> String {
    let mut command = "curl ".to_owned();
    if route.guard.client_key.is_some() {
        command.push_str("-H \"x-bearward-key: $KEY\" ");
    }
    if let Some(host) = &route.host {
        let _ = write!(command, "-H 'Host: {host}' ");
    }
    let origin = match (admin_origin(listen), listen) {
        (Some(origin), _) => origin,
        (None, ListenAddress::Unix(path)) => {
            let _ = write!(command, "--unix-socket {} ", path.display());
            "http://localhost".into()
        }
        (None, other) => other.to_string(),
    };
    let path = route.escaped_path.as_deref().unwrap_or_default();
    let _ = write!(command, "{origin}{path}/");
    if route.allow.is_some() {
        command.push_str("    (only what its `allow` lists)");
    }
    command
}

/// The state of a provider, and what to do about it.
fn provider_line(status: &CredentialStatus, hint: &str, is_coloured: bool) -> String {
    let state = status.state.as_str();
    let style = state_style(state, is_coloured);
    let state = format!("{style}{state}{style:#}");
    let error = status.last_error.as_ref();
    let error = error.map(|error| format!(": {}", printable(&error.message)));
    match status.state {
        CredentialState::LoginRequired => format!("{state}: {hint}"),
        CredentialState::Ready => match status.expires_at.map(remaining) {
            Some(left) => format!("{state}, its token expires in {left}"),
            None => state,
        },
        _ => format!("{state}{}", error.unwrap_or_default()),
    }
}

/// The time until `expires_at`, in whole seconds.
fn remaining(expires_at: SystemTime) -> String {
    let left = expires_at.duration_since(SystemTime::now());
    let seconds = left.unwrap_or_default().as_secs();
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
