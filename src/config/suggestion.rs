//! Suggestions for misspelt words.

/// The longest word that is compared, in characters.
const MAX_WORD: usize = 64;

/// Returns the candidate that `text` probably stands for.
///
/// Up to four edits are allowed: one for every three characters. A swap of neighbours is one edit.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
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
