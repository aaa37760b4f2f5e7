//! `[store]` to [`StoreLocation`].

use std::path::PathBuf;

use super::{BuildContext, secret};
use crate::{
    config::{
        choices::{STORE_KINDS, StoreKind},
        problem_code::ProblemCode,
        section::Section,
    },
    secret::Secret,
    token::store::{MIN_KEY_LENGTH, StoreLocation},
};

pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> StoreLocation {
    match section.choice("kind", &STORE_KINDS).unwrap_or_default() {
        StoreKind::Memory => {
            if let Some(path) = section.string("path") {
                context.push(path.warning(
                    ProblemCode::NoEffect,
                    "`path` has no effect with kind = \"memory\"",
                    "remove `path`, or set kind = \"file\"",
                ));
            }
            StoreLocation::Memory
        }
        StoreKind::File => {
            let path = match section.string("path") {
                Some(path) => context.resolve(path.value),
                None => default_folder(context),
            };
            match encryption_key(section, context) {
                Some(key) => StoreLocation::SealedFile { path, key },
                None => StoreLocation::File(path),
            }
        }
    }
}

fn encryption_key(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<Secret> {
    let key = secret::read(section, "encryption_key", context)?;
    let key = Secret::clone(&key.current());
    if key.expose().len() < MIN_KEY_LENGTH {
        context.push(
            section
                .error(
                    format!("`encryption_key` has less than {MIN_KEY_LENGTH} characters"),
                    "use a longer key, such as the output of `openssl rand -base64 32`",
                )
                .with_code(ProblemCode::InvalidValue),
        );
    }
    Some(key)
}

/// Returns $STATE_DIRECTORY, else $XDG_STATE_HOME/bearward, else ~/.local/state/bearward, else
/// /var/lib/bearward.
fn default_folder(context: &BuildContext<'_>) -> PathBuf {
    let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let folder = |variable: &str| (context.environment)(variable).and_then(absolute);
    // systemd separates the folders of $STATE_DIRECTORY by colons.
    let state_directory = (context.environment)("STATE_DIRECTORY")
        .and_then(|folders| folders.split(':').next().map(str::to_owned))
        .and_then(absolute);

    state_directory
        .or_else(|| folder("XDG_STATE_HOME").map(|home| home.join("bearward")))
        .or_else(|| folder("HOME").map(|home| home.join(".local/state/bearward")))
        .unwrap_or_else(|| "/var/lib/bearward".into())
}
