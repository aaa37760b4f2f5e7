//! The tables that concern the whole process: `[admin]`, `[store]`, `[log]`, `[limits]`, `[drain]`, `[runtime]`.

use std::{path::PathBuf, thread, time::Duration};

use super::{
    super::{
        raw::{At, Found, Section},
        value::quote,
    },
    Context, listeners, secret,
};
use crate::{
    admin::Admin,
    secret::Secret,
    server::limits::{Drain, Limits},
    telemetry::{LogFormat, LogSettings, tracing::validate_level},
    token::store::{MIN_KEY_LENGTH, StoreLocation},
};

pub(super) fn admin(root: &Section<'_>, context: &mut Context<'_>) -> Option<Found<Admin>> {
    let section = root.section("admin");
    let key = secret::read(&section, "key", context);
    let Found { value, at } = section.text("listen").unwrap_or_else(|| Found {
        value: "127.0.0.1:9900",
        at: section.at(),
    });
    if value == "off" {
        return None;
    }
    let listen = listeners::address(value, &at, context)?;
    Some(Found {
        value: Admin { listen, key },
        at,
    })
}

pub(super) fn store(root: &Section<'_>, context: &mut Context<'_>) -> StoreLocation {
    let section = root.section("store");
    if section.choice("kind") == Some("memory") {
        if let Some(Found { at, .. }) = section.text("path") {
            context.drafts.warning(
                &at,
                "`path` has no effect on a store in memory",
                "leave it out, or say kind = \"file\"",
            );
        }
        return StoreLocation::Memory;
    }
    let path = match section.text("path") {
        Some(found) => context.path(found.value),
        None => default_store(context),
    };
    match secret::read(&section, "encryption_key", context) {
        Some(key) => {
            if key.current().expose().len() < MIN_KEY_LENGTH {
                let message = format!("`encryption_key` has less than {MIN_KEY_LENGTH} characters");
                context.error(
                    &section.at(),
                    message,
                    "`openssl rand -base64 32` makes a good one",
                );
            }
            StoreLocation::SealedFile {
                path,
                key: Secret::clone(&key.current()),
            }
        }
        None => StoreLocation::File(path),
    }
}

/// $STATE_DIRECTORY, else $XDG_STATE_HOME/bearward, else ~/.local/state/bearward, else /var/lib/bearward.
fn default_store(context: &Context<'_>) -> PathBuf {
    let folder = |name: &str| {
        (context.environment)(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    // systemd separates several folders by colons.
    let state = (context.environment)("STATE_DIRECTORY")
        .and_then(|folders| folders.split(':').next().map(PathBuf::from))
        .filter(|path| path.is_absolute());
    state
        .or_else(|| folder("XDG_STATE_HOME").map(|home| home.join("bearward")))
        .or_else(|| folder("HOME").map(|home| home.join(".local/state/bearward")))
        .unwrap_or_else(|| "/var/lib/bearward".into())
}

pub(super) fn log(root: &Section<'_>, context: &mut Context<'_>) -> LogSettings {
    let section = root.section("log");
    let format = match section.choice("format") {
        Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        _ => LogFormat::Auto,
    };
    let level = section.text("level");
    if let Some(Found { value, at }) = &level {
        check_level(value, at, context);
    }
    LogSettings {
        format,
        level: level.map_or("info", |found| found.value).to_owned(),
    }
}

fn check_level(level: &str, at: &At, context: &mut Context<'_>) {
    if validate_level(level).is_err() {
        let hint = "one of error, warn, info, debug, trace, off; or directives such as \"bearward::oauth=debug,info\"";
        context.error(at, format!("{} is not a log level", quote(level)), hint);
    }
}

pub(super) fn limits(root: &Section<'_>) -> Limits {
    let section = root.section("limits");
    let default = Limits::default();
    let count = |value: Option<u64>, default| {
        value
            .and_then(|value| usize::try_from(value).ok())
            .unwrap_or(default)
    };
    Limits {
        connections: count(section.number("connections"), default.connections),
        head_timeout: section
            .duration("head_timeout")
            .unwrap_or(default.head_timeout),
        head_bytes: count(section.size("head_bytes"), default.head_bytes),
        head_fields: count(section.number("head_fields"), default.head_fields),
        path_bytes: count(section.size("path_bytes"), default.path_bytes),
        keep_alive: section.duration("keep_alive").unwrap_or(default.keep_alive),
    }
}

pub(super) fn drain(root: &Section<'_>) -> Drain {
    let section = root.section("drain");
    Drain {
        timeout: section
            .duration("timeout")
            .unwrap_or(Duration::from_secs(30)),
        lame_duck: section.duration("lame_duck").unwrap_or_default(),
    }
}

pub(super) fn workers(root: &Section<'_>) -> usize {
    let given = root
        .section("runtime")
        .number("workers")
        .and_then(|number| usize::try_from(number).ok());
    given.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}
