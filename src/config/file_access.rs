//! Access to files: the user, owner and mode behind a refusal.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use nix::unistd::{Uid, User};

/// The permission of other users to read a file.
const READ_BY_OTHERS: u32 = 0o004;
/// The permission of other users to reach the files of a folder.
const SEARCH_BY_OTHERS: u32 = 0o001;

/// Returns the text of `error`, which reading `path` gave, with the user and the mode behind a refusal.
///
/// It does not repeat the path, which may be a secret written in the wrong place.
pub(super) fn explain(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    let user = described(Uid::effective());
    let refused = match fs::metadata(path) {
        Ok(about) => format!("the file {}", owner_and_mode(&about)),
        Err(_) => match nearest_visible(path) {
            Some(about) => format!("a folder above it {}", owner_and_mode(&about)),
            None => "a folder above it is closed".to_owned(),
        },
    };
    format!("{error}: bearward runs as {user}, and {refused}")
}

/// Returns the name of the user that this process runs as, or the number.
pub(super) fn current_user() -> String {
    let user = Uid::effective();
    name_of(user).unwrap_or_else(|| user.to_string())
}

/// Returns the mode of a file that every user of the machine can read.
pub(super) fn mode_if_readable_by_others(path: &Path) -> Option<u32> {
    let path = fs::canonicalize(path).ok()?;
    let mode = |path: &Path| Some(fs::metadata(path).ok()?.mode() & 0o7777);
    let own = mode(&path)?;
    let is_reachable = path
        .ancestors()
        .skip(1)
        .all(|folder| mode(folder).is_some_and(|mode| mode & SEARCH_BY_OTHERS != 0));
    (own & READ_BY_OTHERS != 0 && is_reachable).then_some(own)
}

fn owner_and_mode(about: &Metadata) -> String {
    let owner = described(Uid::from_raw(about.uid()));
    format!("belongs to {owner} with mode {:04o}", about.mode() & 0o7777)
}

/// Returns the deepest folder above `path` that this user can see.
fn nearest_visible(path: &Path) -> Option<Metadata> {
    path.ancestors()
        .skip(1)
        .find_map(|folder| fs::metadata(folder).ok())
}

fn described(user: Uid) -> String {
    match name_of(user) {
        Some(name) => format!("user {name} ({user})"),
        None => format!("user {user}"),
    }
}

fn name_of(user: Uid) -> Option<String> {
    let found = User::from_uid(user).ok()??;
    Some(found.name)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_refusal_names_the_user_the_owner_and_the_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o200)).unwrap();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let user = described(Uid::effective());
        assert_eq!(
            explain(&path, &denied),
            format!(
                "permission denied: bearward runs as {user}, and the file belongs to {user} with mode 0200"
            )
        );
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(explain(&path, &missing), "entity not found");
        assert!(described(Uid::from_raw(0)).starts_with("user "));
    }

    #[test]
    fn a_file_is_open_to_others_if_every_folder_above_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        let path = folder.path().join("secret");
        fs::write(&path, "x").unwrap();
        mode(folder.path(), 0o755);
        for (bits, found) in [
            (0o644, Some(0o644)),
            (0o640, None),
            (0o600, None),
            (0o604, Some(0o604)),
        ] {
            mode(&path, bits);
            assert_eq!(mode_if_readable_by_others(&path), found, "{bits:o}");
        }
        mode(&path, 0o644);
        mode(folder.path(), 0o750);
        assert_eq!(mode_if_readable_by_others(&path), None);
    }
}
