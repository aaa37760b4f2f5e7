//! `[routes.NAME]` to [`Route`].

mod guard;
mod timeouts;
mod upstream;

use super::{
    BuildContext, accepted_hosts, check_name, listeners,
    provider::{Providers, RouteDefaults},
};
use crate::{
    config::{
        diagnostics::Diagnostic, location::Location, problem_code::ProblemCode, quote::quote,
        section::Section, spanned::Spanned,
    },
    proxy::{
        allow::AllowRule,
        path::encode,
        route::{Binding, Route},
    },
    server::address::ListenAddress,
};

/// A route, and the locations for the checks between routes.
pub(super) struct BuiltRoute {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) listen: Option<Spanned<ListenAddress>>,
    /// Host and path, unless one of them is invalid.
    pub(super) matches: Option<(Option<String>, Option<String>)>,
    pub(super) upstream_location: Location,
    /// `None` if the route is invalid.
    pub(super) built: Option<Route>,
}

pub(super) fn build_all(
    sections: &[(&str, Section<'_>)],
    providers: &Providers<'_>,
    context: &mut BuildContext<'_>,
) -> Vec<BuiltRoute> {
    sections
        .iter()
        .map(|(name, section)| build(name, section, providers, context))
        .collect()
}

fn build(
    name: &str,
    section: &Section<'_>,
    providers: &Providers<'_>,
    context: &mut BuildContext<'_>,
) -> BuiltRoute {
    context.ok_or_push(check_name(name, section));
    let listen = context.ok_or_push(listen(name, section)).flatten();
    let host = context.ok_or_push(host(section));
    let path = context.ok_or_push(path(section));
    let matches = host.clone().zip(path.clone());
    let (host, path) = (host.flatten(), path.flatten());
    context.ok_or_push(check_strip_path(section));

    let provider = section.string("provider");
    let defaults = provider
        .as_ref()
        .and_then(|provider| find_provider(provider, providers, context));
    let (upstream, upstream_location) = upstream::build(name, section, defaults, context);
    let binding = provider.zip(defaults).map(|(provider, defaults)| Binding {
        provider: provider.value.into(),
        inject: defaults.injection.clone(),
        reauthorize_on: defaults.reauthorize_on.clone(),
        reauthorize_if: defaults.reauthorize_if.clone(),
        api: defaults.api.clone(),
    });
    let allow = allow(section, context);
    let upgrade = upgrade(section, context);

    let guard_section = section.section("guard");
    let address = listen.as_ref().map(|listen| &listen.value);
    let guard = guard::build(&guard_section, address, host.as_deref(), context);
    if let Some(listen) = &listen {
        context.ok_or_push(check_client_key(name, listen, &guard_section));
    }

    let built = listen
        .clone()
        .zip(upstream)
        .map(|(listen, upstream)| Route {
            name: name.into(),
            listen: listen.value,
            host,
            escaped_path: path.as_deref().map(encode),
            path,
            strip_path: section.boolean("strip_path").unwrap_or(false),
            upstream,
            provider: binding,
            allow,
            upgrade,
            timeouts: timeouts::build(&section.section("timeouts")),
            guard,
        });
    BuiltRoute {
        name: name.to_owned(),
        location: section.location().clone(),
        listen,
        matches,
        upstream_location,
        built,
    }
}

fn listen(name: &str, section: &Section<'_>) -> Result<Option<Spanned<ListenAddress>>, Diagnostic> {
    let Some(listen) = section.string("listen") else {
        if section.is_set("listen") {
            return Ok(None);
        }
        return Err(section.error(
            format!("route `{name}` has no `listen`"),
            "add listen = \"127.0.0.1:8080\", the address that clients connect to",
        ));
    };
    Ok(Some(Spanned {
        value: listeners::parse_address("listen", &listen)?,
        location: listen.location,
    }))
}

/// Returns the Host of the route's requests, in lower case.
fn host(section: &Section<'_>) -> Result<Option<String>, Diagnostic> {
    let Some(host) = section.string("host") else {
        return Ok(None);
    };
    match accepted_hosts::parse_host(host.value) {
        Some(name) => Ok(Some(name)),
        None => Err(host.error(
            format!("`host` = {} is not a host name", quote(host.value)),
            "write one name without scheme, port and path, such as \"hapn.localhost\"",
        )),
    }
}

/// Returns the path prefix, without a slash at its end. `/` gives `None`.
fn path(section: &Section<'_>) -> Result<Option<String>, Diagnostic> {
    let Some(path) = section.string("path") else {
        return Ok(None);
    };
    let text = path.value;
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let is_refused =
        |segment: &str| matches!(segment, "" | "." | "..") || segment.starts_with("..;");
    let hint = if !text.starts_with('/') {
        "begin with `/`"
    } else if text.contains(['%', '?', '#', '\\']) || text.contains(char::is_control) {
        "write the path percent-decoded and without a query"
    } else if trimmed.split('/').skip(1).any(is_refused) {
        "remove empty, `.` and `..` segments: requests that have them are refused"
    } else if text.contains('*') {
        "remove the `*`: the prefix \"/v1\" covers /v1 and all paths below it"
    } else {
        return Ok(Some(trimmed.to_owned()).filter(|path| !path.is_empty()));
    };
    Err(path.error(
        format!("`path` = {} is not a path prefix", quote(text)),
        hint,
    ))
}

/// Warns of a prefix to strip that is not set.
fn check_strip_path(section: &Section<'_>) -> Result<(), Diagnostic> {
    if section.boolean("strip_path") != Some(true) || section.is_set("path") {
        return Ok(());
    }
    Err(section.warning(
        ProblemCode::NoEffect,
        "`strip_path` has no effect without `path`",
        "add `path`, or remove `strip_path`",
    ))
}

/// Warns of a listener beyond loopback that every machine can use.
fn check_client_key(
    name: &str,
    listen: &Spanned<ListenAddress>,
    guard: &Section<'_>,
) -> Result<(), Diagnostic> {
    // Where systemd listens shows at the start, which warns then.
    let is_unknown = matches!(listen.value, ListenAddress::Systemd(_));
    if is_unknown || listen.value.is_local() || guard.is_set("client_key") {
        return Ok(());
    }
    let address = &listen.value;
    let table = format!("[routes.{name}.guard]");
    Err(listen.warning(
        ProblemCode::OpenListener,
        format!("every machine that reaches {address} can use this route: it has no `client_key`"),
        format!("add client_key = {{ env = \"NAME\" }} to {table}, or listen on 127.0.0.1"),
    ))
}

fn find_provider<'p>(
    name: &Spanned<&str>,
    providers: &'p Providers<'_>,
    context: &mut BuildContext<'_>,
) -> Option<&'p RouteDefaults> {
    let known = &providers.route_defaults;
    if let Some(defaults) = known.get(name.value) {
        return Some(defaults);
    }
    if !providers.is_complete {
        return None;
    }

    let similar = context.suggest(name.value, known.keys().copied());
    let hint = match similar {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None if known.is_empty() => "add [providers.NAME]; there are no providers".to_owned(),
        None => "use the NAME of a [providers.NAME] table".to_owned(),
    };
    let message = format!("there is no provider {}", quote(name.value));
    context.push(
        name.error(message, hint)
            .with_code(ProblemCode::UndefinedProvider),
    );
    None
}

/// Returns the permitted requests, or `None` for all.
fn allow(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<Vec<AllowRule>> {
    let rules = section.strings("allow")?;
    if rules.value.is_empty() {
        context.push(rules.warning(
            ProblemCode::RefusesEverything,
            "`allow` is empty, so every request is refused",
            "add rules, or remove `allow` to permit all requests",
        ));
    }
    let mut allow = Vec::with_capacity(rules.value.len());
    for rule in &rules.value {
        allow.extend(context.ok_or_push(parse_rule(rule)));
    }
    Some(allow)
}

fn parse_rule(rule: &Spanned<&str>) -> Result<AllowRule, Diagnostic> {
    rule.value.parse().map_err(|_| {
        rule.error(
            format!("{} in `allow` is not a rule", quote(rule.value)),
            "write a method and a path such as \"GET /v1/devices/**\"; `*` is one segment, `**` \
             any number",
        )
    })
}

/// Returns the protocols of `upgrade` in lower case, each once.
fn upgrade(section: &Section<'_>, context: &mut BuildContext<'_>) -> Vec<String> {
    let mut protocols = Vec::new();
    let Some(found) = section.strings("upgrade") else {
        return protocols;
    };
    for protocol in &found.value {
        match context.ok_or_push(parse_protocol(protocol)) {
            Some(protocol) if !protocols.contains(&protocol) => protocols.push(protocol),
            _ => {}
        }
    }
    protocols
}

fn parse_protocol(found: &Spanned<&str>) -> Result<String, Diagnostic> {
    let protocol = found.value.to_ascii_lowercase();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
    if protocol.is_empty() || !protocol.chars().all(is_allowed) {
        return Err(found.error(
            format!("{} in `upgrade` is not a protocol", quote(found.value)),
            "write it like upgrade = [\"websocket\"]",
        ));
    }
    // Requests in a tunnel of HTTP would bypass the route's guard and rules.
    let is_http = ["h2", "http/", "tls/"]
        .iter()
        .any(|start| protocol.starts_with(start));
    if is_http {
        return Err(found.error(
            format!("{} in `upgrade` is a form of HTTP", quote(found.value)),
            "remove it; clients can use HTTP/2 with prior knowledge instead",
        ));
    }
    Ok(protocol)
}
