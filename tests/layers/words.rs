//! The vocabulary: words that no text of the project uses, and how a doc comment begins.

use super::{
    prose::{self, Block, Kind},
    source,
};

/// Words that are not used, and what to write instead. An entry of several words is a phrase.
const WORDS: &[(&str, &str)] = &[
    (
        "whoever",
        "name the subject: the client, the operator, the process",
    ),
    (
        "somebody",
        "name the subject: the client, the operator, the process",
    ),
    ("nobody", "name the subject: no client, no process"),
    ("anybody", "name the subject: any client, any process"),
    ("in hand", "say what is there: \"the current token\""),
    ("at the most", "write \"at most\""),
    (
        "is none",
        "say what it is: \"an invalid …\", \"there is no …\"",
    ),
    ("mend", "write \"fix\" or \"retry\""),
    ("mends", "write \"fixes\" or \"retries\""),
    ("mended", "write \"fixed\" or \"retried\""),
    (
        "farewell",
        "write \"the last response\" or \"the GOAWAY frame\"",
    ),
    ("caller", "write \"client\""),
    ("callers", "write \"clients\""),
    ("caller's", "write \"client's\""),
    ("answer", "write \"response\" or \"respond\""),
    ("answers", "write \"responses\" or \"responds\""),
    ("answered", "write \"responded\""),
    ("answering", "write \"responding\""),
    ("unanswered", "write \"without a response\""),
];

/// Words that pages for operators do not use either, although contributors know them.
const OPERATOR_WORDS: &[(&str, &str)] = &[
    ("header field", "write \"header\""),
    ("header fields", "write \"headers\""),
    ("request head", "write \"headers of the request\""),
    ("response head", "write \"headers of the response\""),
    ("beyond loopback", "write \"that other machines can reach\""),
    ("leads to", "write \"goes to\", \"names\" or \"opens\""),
    ("led to", "write \"ended up at\""),
    ("stands for", "write \"is\" or \"means\""),
    ("stands in", "write \"is in\""),
    ("spent", "write \"used\" or \"no longer works\""),
    ("way in", "name the address or the command"),
    ("byte for byte", "write \"exactly so\""),
    ("where there is none", "say what is missing"),
];

/// Words that no identifier contains, in snake case or camel case.
const IDENTIFIER_WORDS: &[&str] = &[
    "answer", "answers", "answered", "caller", "callers", "farewell", "nobody", "somebody",
    "whoever",
];

/// Identifiers that contain such a word all the same: a configuration key, and names of the standard library.
const ALLOWED_IDENTIFIERS: &[&str] = &["retry_lost_answer", "track_caller"];

/// A limit is named `MAX_…` or `MIN_…`.
const CONSTANT_PREFIXES: &[&str] = &["MOST_", "LONGEST_", "SHORTEST_", "LARGEST_", "LEAST_"];

/// A doc comment begins with the noun that it documents, or with a verb.
const DOC_BEGINNINGS: &[&str] = &["What", "Who", "Whose", "How", "Whoever", "The same"];

/// Words of a doc comment's first sentence. Fifteen are enough for most.
const MAX_FIRST_SENTENCE_WORDS: usize = 20;

/// Checks a Rust file; each finding is `FILE:LINE: text`.
pub(crate) fn check_rust(file: &str, text: &str) -> Vec<String> {
    let blocks = prose::rust(text);
    let mut findings: Vec<Finding> = blocks
        .iter()
        .flat_map(|block| unwanted(block, WORDS))
        .collect();
    for block in blocks.iter().filter(|block| block.kind == Kind::Doc) {
        findings.extend(doc_comment(block));
    }
    findings.extend(identifiers(text));
    in_order(file, findings)
}

/// Checks a file of prose or configuration; each finding is `FILE:LINE: text`.
pub(crate) fn check_text(file: &str, text: &str) -> Vec<String> {
    let blocks = prose::plain(text);
    let found = blocks.iter().flat_map(|block| unwanted(block, WORDS));
    in_order(file, found.collect())
}

/// Checks a page for operators, beside [`check_text`].
pub(crate) fn check_page(file: &str, text: &str) -> Vec<String> {
    let blocks = prose::plain(text);
    let found = blocks
        .iter()
        .flat_map(|block| unwanted(block, OPERATOR_WORDS));
    in_order(file, found.collect())
}

/// A line and the rule that it breaks.
type Finding = (usize, String);

fn in_order(file: &str, mut findings: Vec<Finding>) -> Vec<String> {
    findings.sort();
    findings.dedup();
    findings
        .into_iter()
        .map(|(line, text)| format!("{file}:{line}: {text}"))
        .collect()
}

fn unwanted(block: &Block, phrases: &[(&str, &str)]) -> Vec<Finding> {
    let words = block.words();
    let mut findings = Vec::new();
    for (phrase, instead) in phrases {
        let phrase_words: Vec<&str> = phrase.split(' ').collect();
        for found in words.windows(phrase_words.len()) {
            let is_phrase = found
                .iter()
                .zip(&phrase_words)
                .all(|(word, wanted)| word.text == *wanted);
            if is_phrase {
                findings.push((found[0].line, format!("\"{phrase}\": {instead}")));
            }
        }
    }
    findings
}

fn doc_comment(block: &Block) -> Vec<Finding> {
    let mut findings = Vec::new();
    let line = block.lines[0].0;
    let sentence = block.first_sentence();
    let start = sentence[..sentence.len().min(2)].join(" ");
    for beginning in DOC_BEGINNINGS {
        let rest = start.strip_prefix(beginning);
        if rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)) {
            let text = format!("a doc comment begins with \"{beginning}\": name the thing first");
            findings.push((line, text));
        }
    }
    if sentence.len() > MAX_FIRST_SENTENCE_WORDS {
        let text = format!(
            "the first sentence has {} words, and {MAX_FIRST_SENTENCE_WORDS} are allowed",
            sentence.len()
        );
        findings.push((line, text));
    }
    findings
}

fn identifiers(text: &str) -> Vec<Finding> {
    let tokens = source::tokens(text);
    let mut findings = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let name = token.word.as_str();
        let before = |distance: usize| {
            let at = index.checked_sub(distance)?;
            Some(tokens[at].word.as_str())
        };

        let prefix = CONSTANT_PREFIXES
            .iter()
            .find(|prefix| name.starts_with(**prefix));
        if let Some(prefix) = prefix.filter(|_| matches!(before(1), Some("const" | "static"))) {
            let text =
                format!("the constant `{name}` begins with {prefix}: MAX_, MIN_ or …_TIMEOUT");
            findings.push((token.line, text));
        }

        // `Location::caller()` belongs to the standard library.
        if ALLOWED_IDENTIFIERS.contains(&name) || before(2) == Some("Location") {
            continue;
        }
        let parts = parts(name);
        let word = IDENTIFIER_WORDS
            .iter()
            .find(|word| parts.iter().any(|part| part == *word));
        if let Some(word) = word {
            findings.push((token.line, format!("`{name}` contains \"{word}\"")));
        }
    }
    findings
}

/// The words of an identifier, in lower case.
fn parts(identifier: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut after_lower_case = false;
    for c in identifier.chars() {
        if c == '_' || c.is_uppercase() && after_lower_case {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| c != '_') {
            part.extend(c.to_lowercase());
        }
        after_lower_case = c.is_lowercase();
    }
    parts
}

mod rules {
    use super::*;

    #[track_caller]
    fn finds(text: &str, expected: &str) {
        let findings = check_rust("a.rs", text);
        assert_eq!(findings.len(), 1, "{text}: {findings:?}");
        assert!(findings[0].starts_with(expected), "{text}: {findings:?}");
    }

    #[track_caller]
    fn accepts(text: &str) {
        assert_eq!(check_rust("a.rs", text), [""; 0], "{text}");
    }

    #[test]
    fn unwanted_words_are_found_in_comments_docs_and_strings() {
        finds("fn f() {} // Nobody reads it.", "a.rs:1: \"nobody\"");
        finds("/* a\nfarewell */", "a.rs:2: \"farewell\"");
        finds(
            "/// A token.\n///\n/// It is the answer.\nfn f() {}",
            "a.rs:3: \"answer\"",
        );
        finds(
            "const A: &str = \"\n the caller's\";",
            "a.rs:2: \"caller's\"",
        );
        finds("// a token in\n// hand\nfn f() {}", "a.rs:1: \"in hand\"");
        assert_eq!(
            check_text("a.md", "# At\n\nat the\nmost\n"),
            ["a.md:3: \"at the most\": write \"at most\""]
        );
    }

    #[test]
    fn pages_for_operators_have_plainer_words() {
        let page = "A header\nfield that leads to it.\n";
        assert_eq!(
            check_page("a.md", page),
            [
                "a.md:1: \"header field\": write \"header\"",
                "a.md:2: \"leads to\": write \"goes to\", \"names\" or \"opens\""
            ]
        );
        assert_eq!(check_text("a.md", page), [""; 0]);
    }

    #[test]
    fn code_spans_and_keys_are_not_words() {
        accepts("/// Gives `None` where it is `None`; see `caller`.\nfn f() {}");
        accepts("// retry_lost_answer is a key.\nfn f(retry_lost_answer: bool) {}");
        accepts("fn f() -> bool { a.is_none() }");
        accepts("// amended");
    }

    #[test]
    fn identifiers_use_the_words_of_the_field() {
        finds("fn send_answer() {}", "a.rs:1: `send_answer`");
        finds("struct\nRawAnswer;", "a.rs:2: `RawAnswer`");
        finds(
            "const MOST_BYTES: usize = 1;",
            "a.rs:1: the constant `MOST_BYTES`",
        );
        accepts(
            "#[track_caller]\nfn f() { std::panic::Location::caller(); let most_of = MAX_BYTES; }",
        );
    }

    #[test]
    fn a_doc_comment_names_its_thing_in_a_short_sentence() {
        finds(
            "/// What it does.\nfn f() {}",
            "a.rs:1: a doc comment begins",
        );
        finds("//! The same for `B`.", "a.rs:1: a doc comment begins");
        accepts("/// Whatever. However.\nfn f() {}\n// How it works.\n");
        let long = "word ".repeat(MAX_FIRST_SENTENCE_WORDS);
        finds(
            &format!("fn f() {{}}\n/// {long}word.\nfn g() {{}}"),
            "a.rs:2: the first",
        );
        finds(
            &format!("/// {long}\n/// word.\nfn g() {{}}"),
            "a.rs:1: the first",
        );
        accepts(&format!("/// {long}\n///\n/// {long}{long}\nfn g() {{}}"));
        accepts(&format!("/// A word. {long}{long}\nfn g() {{}}"));
    }
}
