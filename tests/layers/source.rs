//! Reads the paths that a Rust source file mentions, with line, inline module and whether it is test code.
//!
//! It works on tokens, not on a syntax tree, since a tree does not show what macros are given.

/// A path that a file mentions: `crate::tls::Trust`, `super::route`, `hyper::body`.
#[derive(Debug, PartialEq)]
pub(crate) struct Mention {
    /// The names in their order; a use tree is unfolded into one mention a leaf.
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    /// The inline modules around it, outermost first.
    pub(crate) inside: Vec<String>,
    /// Whether it is under `#[cfg(test)]`.
    pub(crate) test: bool,
}

/// The findings in one file.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) mentions: Vec<Mention>,
    /// `mod name;` under `#[cfg(test)]`: files that hold test code alone.
    pub(crate) test_modules: Vec<String>,
    /// Every `mod name`, inline ones too, with its line.
    pub(crate) modules: Vec<(String, usize)>,
    /// `#![cfg(test)]`.
    pub(crate) all_test: bool,
}

/// Reads one file.
pub(crate) fn read(text: &str) -> Reading {
    Reader {
        tokens: tokens(text),
        at: 0,
        reading: Reading::default(),
    }
    .run()
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    reading: Reading,
}

impl Reader {
    fn run(mut self) -> Reading {
        let mut depth = 0usize;
        let mut inside: Vec<(String, usize)> = Vec::new();
        // The end of the current test code, as a token's index.
        let mut test_until = 0;
        while self.at < self.tokens.len() {
            let test = self.at < test_until;
            match self.word(self.at) {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if inside.last().is_some_and(|(_, opened)| *opened > depth) {
                        inside.pop();
                    }
                }
                "#" => {
                    let inner = self.word(self.at + 1) == "!";
                    let open = self.at + if inner { 2 } else { 1 };
                    if self.word(open) == "[" && self.is_cfg_test(open) {
                        if inner && depth == 0 {
                            self.reading.all_test = true;
                        } else {
                            test_until = test_until.max(self.end_of_item(self.closing(open) + 1));
                        }
                    }
                }
                "mod" if is_name(self.word(self.at + 1)) => {
                    let name = self.word(self.at + 1).to_owned();
                    self.reading
                        .modules
                        .push((name.clone(), self.tokens[self.at].line));
                    match self.word(self.at + 2) {
                        "{" => inside.push((name, depth + 1)),
                        _ if test => self.reading.test_modules.push(name),
                        _ => {}
                    }
                    self.at += 1;
                }
                "use" if self.word(self.at + 1) != "<" => {
                    self.at += 1;
                    let names: Vec<String> = inside.iter().map(|(name, _)| name.clone()).collect();
                    self.tree(&mut Vec::new(), &names, test);
                    continue;
                }
                word if is_name(word)
                    && self.word(self.at + 1) == "::"
                    && !self.continues_a_path() =>
                {
                    let line = self.tokens[self.at].line;
                    let mut path = vec![word.to_owned()];
                    while self.word(self.at + 1) == "::" && is_name(self.word(self.at + 2)) {
                        self.at += 2;
                        path.push(self.word(self.at).to_owned());
                    }
                    let inside = inside.iter().map(|(name, _)| name.clone()).collect();
                    self.reading.mentions.push(Mention {
                        path,
                        line,
                        inside,
                        test,
                    });
                }
                _ => {}
            }
            self.at += 1;
        }
        self.reading
    }

    /// Unfolds a use tree from here to what ends it.
    fn tree(&mut self, before: &mut Vec<String>, inside: &[String], test: bool) {
        let length = before.len();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            let word = self.word(self.at).to_owned();
            match word.as_str() {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.word(self.at), "}" | ";" | "") {
                        self.tree(before, inside, test);
                        if self.word(self.at) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    break;
                }
                "as" => self.at += 2,
                "," | "}" | ";" | "" => {
                    if !before.is_empty() {
                        let (path, inside) = (before.clone(), inside.to_vec());
                        self.reading.mentions.push(Mention {
                            path,
                            line,
                            inside,
                            test,
                        });
                    }
                    break;
                }
                _ => {
                    before.push(word);
                    self.at += 1;
                }
            }
        }
        before.truncate(length);
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.word.as_str())
    }

    /// Whether the name here follows a `::` that itself follows something: not the start of a path.
    fn continues_a_path(&self) -> bool {
        self.at >= 2
            && self.word(self.at - 1) == "::"
            && (is_name(self.word(self.at - 2)) || self.word(self.at - 2) == ">")
    }

    /// Whether the attribute that opens here is a `cfg` that holds in tests alone.
    fn is_cfg_test(&self, open: usize) -> bool {
        let words: Vec<&str> = (open..self.closing(open)).map(|at| self.word(at)).collect();
        words.get(1) == Some(&"cfg")
            && words.contains(&"test")
            && !words.contains(&"not")
            && !words.contains(&"any")
    }

    /// The token that closes the bracket which opens here.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for at in open..self.tokens.len() {
            match self.word(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    /// One past the item that begins here: past its `;`, or past the brace that closes its body.
    fn end_of_item(&self, begin: usize) -> usize {
        let mut at = begin;
        let mut is_use = false;
        while at < self.tokens.len() {
            match self.word(at) {
                ";" => return at + 1,
                "use" => is_use = true,
                "{" if !is_use => return self.closing(at) + 1,
                "(" | "[" | "{" => at = self.closing(at),
                _ => {}
            }
            at += 1;
        }
        at
    }
}

/// A name, a sign or a number, with its line.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) word: String,
    pub(crate) line: usize,
}

/// Names, `::` and single signs; no comment, no literal but numbers.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest) {
            length
        } else if first == '\'' {
            quote(rest)
        } else if is_name_start(first) || first.is_ascii_digit() {
            rest.find(|c: char| !is_name_start(c) && !c.is_ascii_digit())
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        if is_name(word) || word == "::" || (length == 1 && first.is_ascii_punctuation()) {
            found.push(Token {
                word: word.to_owned(),
                line,
            });
        }
        line += word.matches('\n').count();
        rest = after;
    }
    found
}

fn is_name_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_name(word: &str) -> bool {
    word.chars().next().is_some_and(is_name_start)
}

/// The length of the block comment that begins here; they nest.
pub(crate) fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0usize);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest.starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of the string literal of any kind that begins here.
pub(crate) fn string(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes[0], b'b' | b'c'));
    let raw = bytes.get(at) == Some(&b'r');
    at += usize::from(raw);
    let hashes = if raw {
        bytes[at..].iter().take_while(|byte| **byte == b'#').count()
    } else {
        0
    };
    at += hashes;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    at += 1;
    let end = format!("\"{}", "#".repeat(hashes));
    while at < bytes.len() {
        if bytes[at..].starts_with(end.as_bytes()) {
            return Some(at + end.len());
        }
        at += if bytes[at] == b'\\' && !raw { 2 } else { 1 };
    }
    Some(text.len())
}

/// The length of the character literal, or of the quote of a lifetime, that begins here.
pub(crate) fn quote(text: &str) -> usize {
    let mut inner = text[1..].chars();
    match inner.next() {
        Some('\\') => text[3..].find('\'').map_or(text.len(), |end| end + 4),
        Some(c) if inner.next() == Some('\'') => c.len_utf8() + 2,
        _ => 1,
    }
}
