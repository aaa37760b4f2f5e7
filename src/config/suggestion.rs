//! Suggestions for misspelt words.

use super::keys::{self, KeySpec};

/// The longest word that is compared, in characters.
const MAX_WORD: usize = 64;

/// Words of other programs and of vendors, with the key of a provider that they stand for.
const SYNONYMS: &[(&str, &str)] = &[
    ("auth_method", "token_endpoint_auth_method"),
    ("auth_url", "authorization_endpoint"),
    ("authorization_url", "authorization_endpoint"),
    ("authorize_url", "authorization_endpoint"),
    ("callback_url", "redirect_uri"),
    ("redirect_url", "redirect_uri"),
    ("secret", "client_secret"),
    ("token_uri", "token_endpoint"),
    ("token_url", "token_endpoint"),
];

/// Parameters of a token request that are no keys of their own.
const PARAMETERS: &[&str] = &[
    "audience",
    "resource",
    "subject_token",
    "subject_token_type",
];

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
    let first = match table.split_once('.') {
        None if table.is_empty() => similar(),
        Some(("providers", provider)) if !provider.contains('.') => {
            suggest_for_provider(name, table)
        }
        _ => None,
    };
    first
        .or_else(|| suggest_table(name, specs, table))
        .or_else(similar)
        .or_else(|| suggest_table(name, keys::ROOT, ""))
}

/// Suggests the key of a provider's `table` that a word of another program, or of a token request, stands for.
fn suggest_for_provider(name: &str, table: &str) -> Option<String> {
    if PARAMETERS.contains(&name) {
        return Some(format!(
            "write params = {{ {name} = \"…\" }} into [{table}.token_request]"
        ));
    }
    // The consent request has one of the same name, which is needed less often.
    if name == "params" {
        return Some(format!("move `{name}` to [{table}.token_request]"));
    }
    let (_, key) = SYNONYMS.iter().find(|(word, _)| *word == name)?;
    Some(format!("did you mean `{key}`?"))
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
    fn a_word_of_another_program_finds_the_key_of_a_provider() {
        let hint = |name| suggest_key(name, &[], "providers.hapn").unwrap();
        assert_eq!(hint("token_url"), "did you mean `token_endpoint`?");
        assert_eq!(
            hint("audience"),
            "write params = { audience = \"…\" } into [providers.hapn.token_request]"
        );
        assert_eq!(
            hint("params"),
            "move `params` to [providers.hapn.token_request]"
        );
    }

    #[test]
    fn every_synonym_stands_for_a_key() {
        let mut keys = Vec::new();
        keys::walk(keys::ROOT, "", &mut |_, spec| keys.push(spec.name));
        for (word, key) in SYNONYMS {
            assert!(keys.contains(key), "{word}");
        }
    }

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
