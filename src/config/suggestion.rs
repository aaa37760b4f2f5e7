//! Suggestions for misspelt words.

use super::keys::{self, KeySpec};

/// The longest word that is compared, in characters.
const MAX_WORD: usize = 64;

/// Returns the candidate that `text` probably stands for.
///
/// Up to four edits are allowed: one for every three characters. A swap of neighbours is one edit.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = text.chars().count();
    if length > MAX_WORD {
        return None;
    }
    let max_distance = (length / 3).clamp(1, 4);
    let text = text.to_lowercase();

    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= max_distance)
        .map(|candidate| {
            (
                strsim::osa_distance(&text, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the candidate that differs from `text` by one or two edits.
///
/// It is for texts that may as well be meant as they are.
pub(super) fn misspelt<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let candidate = nearest(text, candidates)?;
    (strsim::osa_distance(&text.to_lowercase(), candidate) <= 2).then_some(candidate)
}

/// Suggests what `name` may mean. Tried in order: the same key in a table below this one, a similar
/// key in this table, the same key in any table. In the whole file the similar key comes first: a table.
pub(super) fn suggest_key(name: &str, specs: &'static [KeySpec], table: &str) -> Option<String> {
    let similar = || {
        let key = nearest(name, keys::names(specs))?;
        Some(format!("did you mean `{key}`?"))
    };
    let first = if table.is_empty() { similar() } else { None };
    first
        .or_else(|| suggest_table(name, specs, table))
        .or_else(similar)
        .or_else(|| suggest_table(name, keys::ROOT, ""))
}

/// Suggests the first table below `path` that has the key `name`.
fn suggest_table(name: &str, specs: &'static [KeySpec], path: &str) -> Option<String> {
    let mut found = None;
    keys::walk(specs, path, &mut |path, spec| {
        if spec.name == name && found.is_none() {
            found = path
                .rsplit_once('.')
                .map(|(table, _)| table.replace('*', "NAME"));
        }
    });
    found.map(|table| format!("move `{name}` to [{table}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_the_word_that_was_meant() {
        let keys = ["client_id", "client_secret", "scope"];
        assert_eq!(nearest("client_secrt", keys), Some("client_secret"));
        assert_eq!(nearest("clinet_id", keys), Some("client_id"));
        assert_eq!(nearest("Scope", keys), Some("scope"));
        assert_eq!(nearest("upstream", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
