//! `[routes.NAME]` to [`Route`].

mod guard;
mod upstream;

use super::{
    super::{
        raw::{At, Found, Section},
        value::{nearest, quote},
    },
    Context, check_name, listeners,
    provider::Providers,
};
use crate::{
    proxy::{
        allow::AllowRule,
        path::encode as escape,
        route::{Binding, Route, Timeouts},
    },
    server::address::ListenAddress,
};

/// A route, and the places that the checks between routes point at.
pub(super) struct BuiltRoute {
    pub(super) name: String,
    pub(super) at: At,
    pub(super) listen: Option<Found<ListenAddress>>,
    /// Host and path, unless they were refused.
    pub(super) matches: Option<(Option<String>, Option<String>)>,
    pub(super) upstream_at: At,
    /// Absent when something is wrong with it.
    pub(super) built: Option<Route>,
}

pub(super) fn build_all(
    sections: &[(&str, Section<'_>)],
    providers: &Providers<'_>,
    context: &mut Context<'_>,
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
    context: &mut Context<'_>,
) -> BuiltRoute {
    check_name(name, &section.at(), context);
    let listen = listen(name, section, context);
    let (host, path) = (host(section, context), path(section, context));
    let matches = host.clone().zip(path.clone());
    let (host, path) = (host.flatten(), path.flatten());
    if path.is_none() && section.switch("strip_path") == Some(true) && !section.has_own("path") {
        let hint = "add `path`, or leave `strip_path` out";
        context.drafts.warning(
            &section.at(),
            "`strip_path` has no effect without `path`",
            hint,
        );
    }
    let provider = section.text("provider");
    let known = provider.as_ref().and_then(|found| {
        let known = providers.known.get(found.value);
        if known.is_none() {
            unknown_provider(found, providers, context);
        }
        known
    });
    let (upstream, upstream_at) = upstream::build(name, section, known, context);
    let binding = provider.zip(known).map(|(found, known)| Binding {
        provider: found.value.into(),
        inject: known.injection.clone(),
        reauthorize_on: known.reauthorize_on.clone(),
    });
    let allow = allow(section, context);
    let upgrade = upgrade(section, context);
    let guard = guard::build(
        section,
        listen.as_ref().map(|found| &found.value),
        host.as_deref(),
        context,
    );
    let open = listen.as_ref().filter(|found| !found.value.is_local());
    if let Some(Found { value, at }) =
        open.filter(|_| !section.section("guard").has_own("client_key"))
    {
        let hint = format!(
            "add [routes.{name}.guard] client_key = {{ env = \"NAME\" }}, or listen on 127.0.0.1"
        );
        let message =
            format!("whoever reaches {value} can use this route's token: there is no `client_key`");
        context.drafts.warning(at, message, hint);
    }
    let built = listen
        .as_ref()
        .zip(upstream)
        .map(|(listen, upstream)| Route {
            name: name.into(),
            listen: listen.value.clone(),
            host: host.clone(),
            path: path.clone(),
            escaped_path: path.as_deref().map(escape),
            strip_path: section.switch("strip_path").unwrap_or(false),
            upstream,
            provider: binding,
            allow,
            upgrade,
            timeouts: timeouts(section),
            guard,
        });
    BuiltRoute {
        name: name.to_owned(),
        at: section.at(),
        listen,
        matches,
        upstream_at,
        built,
    }
}

fn listen(
    name: &str,
    section: &Section<'_>,
    context: &mut Context<'_>,
) -> Option<Found<ListenAddress>> {
    let Some(Found { value, at }) = section.text("listen") else {
        if !section.has_own("listen") {
            let hint = "add listen = \"127.0.0.1:8080\", the address that callers are pointed at";
            context.error(
                &section.at(),
                format!("route `{name}` has no `listen`"),
                hint,
            );
        }
        return None;
    };
    listeners::address(value, &at, context).map(|value| Found { value, at })
}

fn unknown_provider(found: &Found<&str>, providers: &Providers<'_>, context: &mut Context<'_>) {
    let names = || providers.known.keys().copied();
    context.guesses = context.guesses.saturating_sub(1);
    let guess = if context.guesses > 0 {
        nearest(found.value, names())
    } else {
        None
    };
    let hint = match guess {
        Some(name) => format!("did you mean \"{name}\"?"),
        None if providers.known.is_empty() => {
            "there are no providers: add [providers.NAME]".to_owned()
        }
        None => "it has to be the NAME of a [providers.NAME] table".to_owned(),
    };
    context.error(
        &found.at,
        format!("there is no provider {}", quote(found.value)),
        hint,
    );
}

/// The Host asked for, if any; nothing at all when it was refused.
fn host(section: &Section<'_>, context: &mut Context<'_>) -> Option<Option<String>> {
    let Some(Found { value, at }) = section.text("host") else {
        return Some(None);
    };
    let name = guard::host_name(value);
    if name.is_none() {
        let hint = "one name without scheme, port and path, as in \"hapn.localhost\"";
        context.error(
            &at,
            format!("{} is not the name of a host", quote(value)),
            hint,
        );
    }
    name.map(Some)
}

/// The prefix, if any, without a slash at its end; `/` alone is none. Nothing at all when it was refused.
fn path(section: &Section<'_>, context: &mut Context<'_>) -> Option<Option<String>> {
    let Some(Found { value, at }) = section.text("path") else {
        return Some(None);
    };
    let trimmed = value.strip_suffix('/').unwrap_or(value);
    let segments = || trimmed.split('/').skip(1);
    let hint = if !value.starts_with('/') {
        "it begins with `/`"
    } else if value.contains(['%', '?', '#', '\\']) || value.chars().any(char::is_control) {
        "write it as it reads when percent-decoded; a query takes no part in it"
    } else if segments().any(|segment| {
        segment.is_empty() || segment == "." || segment == ".." || segment.starts_with("..;")
    }) {
        "leave out empty, `.` and `..` segments: requests that have them are refused"
    } else if value.contains('*') {
        "a prefix needs no `*`: \"/v1\" covers /v1 and all below it"
    } else {
        return Some(Some(trimmed.to_owned()).filter(|path| !path.is_empty()));
    };
    context.error(&at, format!("{} is not a path prefix", quote(value)), hint);
    None
}

fn allow(section: &Section<'_>, context: &mut Context<'_>) -> Option<Vec<AllowRule>> {
    let Found { value: rules, at } = section.texts("allow")?;
    if rules.is_empty() && section.has_own("allow") {
        context.drafts.warning(
            &at,
            "an empty `allow` refuses every request",
            "leave it out to let everything pass",
        );
    }
    let mut allow = Vec::new();
    for Found { value, at } in rules {
        match value.parse() {
            Ok(rule) => allow.push(rule),
            Err(_) => {
                let hint = "a method and a path, as in \"GET /v1/devices/**\"; `*` is one segment, `**` any number";
                context.error(&at, format!("{} is not a rule", quote(value)), hint);
            }
        }
    }
    Some(allow)
}

fn upgrade(section: &Section<'_>, context: &mut Context<'_>) -> Vec<String> {
    let mut protocols = Vec::new();
    for Found { value, at } in section
        .texts("upgrade")
        .map(|found| found.value)
        .unwrap_or_default()
    {
        let protocol = value.to_ascii_lowercase();
        let token = !value.is_empty()
            && value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c));
        if !token {
            context.error(
                &at,
                format!("{} is not a protocol", quote(value)),
                "as in upgrade = [\"websocket\"]",
            );
        } else if protocol.starts_with("h2")
            || protocol.starts_with("http/")
            || protocol.starts_with("tls/")
        {
            // A tunnel of HTTP would carry requests that nothing here has looked at.
            let message = format!("{} cannot be tunnelled", quote(value));
            context.error(
                &at,
                message,
                "callers may speak HTTP/2 with prior knowledge without it",
            );
        } else if !protocols.contains(&protocol) {
            protocols.push(protocol);
        }
    }
    protocols
}

fn timeouts(section: &Section<'_>) -> Timeouts {
    let section = section.section("timeouts");
    let default = Timeouts::default();
    Timeouts {
        connect: section.duration("connect").unwrap_or(default.connect),
        response: section.duration("response").unwrap_or(default.response),
        idle: section.duration("idle").unwrap_or(default.idle),
    }
}
