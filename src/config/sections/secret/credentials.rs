//! Credentials of systemd: files of a unit that exist while it runs.

use std::path::{Path, PathBuf};

use super::BuildContext;

/// The folder in which systemd has a folder of credentials for each unit.
const CREDENTIALS: &str = "/run/credentials";

/// Resolves the path of a secret.
///
/// A credential of a unit is read from $CREDENTIALS_DIRECTORY where it is there: so another unit can check the
/// configuration of this one.
pub(super) fn resolve(path: &str, context: &BuildContext<'_>) -> PathBuf {
    let provided = folder(context)
        .zip(credential(path))
        .map(|(folder, name)| folder.join(name))
        .filter(|path| path.exists());
    provided.unwrap_or_else(|| context.resolve(path))
}

/// Returns whether `path` is a credential, and this process has none from systemd.
pub(super) fn is_absent(path: &str, context: &BuildContext<'_>) -> bool {
    credential(path).is_some() && folder(context).is_none()
}

/// Returns how the configuration is checked before the unit runs.
pub(super) fn hint(path: &str) -> String {
    let name = credential(path).unwrap_or(Path::new("NAME")).display();
    format!(
        "systemd creates this file while the unit runs; before that, check with: systemd-run --pipe \
         --wait -p LoadCredential={name}:FILE bearward check -c CONFIGURATION, both with absolute paths"
    )
}

fn folder(context: &BuildContext<'_>) -> Option<PathBuf> {
    let folder = (context.environment)("CREDENTIALS_DIRECTORY")?;
    Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute())
}

/// Returns the name of the credential at `path`.
fn credential(path: &str) -> Option<&Path> {
    let below = Path::new(path).strip_prefix(CREDENTIALS).ok()?;
    let mut parts = below.components();
    let _unit = parts.next()?;
    let name = parts.as_path();
    let is_name = name.components().count() == 1 && name.file_name().is_some();
    is_name.then_some(name)
}
