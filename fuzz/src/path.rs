//! Paths and `allow` rules: what they match is what any server would read, and rules mean what they say.

use bearward::proxy::{
    allow::AllowRule,
    path::{after_segments, decode},
};

/// Reads `data` as a path, or as a rule, a line break, and a path.
pub fn check(data: &[u8]) {
    let (rule, path) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (std::str::from_utf8(&data[..at]).ok(), &data[at + 1..]),
        None => (None, data),
    };
    let rule = rule.and_then(|text| text.parse::<AllowRule>().ok());
    if let Some(rule) = &rule {
        assert_eq!(
            rule.to_string().parse().as_ref(),
            Ok(rule),
            "a rule that is not what it shows"
        );
    }
    let Ok(decoded) = decode(path) else { return };
    unambiguous(path, &decoded);
    prefixes(path, &decoded);
    if let Some(rule) = rule {
        let text = rule.to_string();
        let (method, pattern) = text.split_once(' ').expect("a rule is two words");
        let method = if method == "*" { "ANY" } else { method };
        let pattern: Vec<&str> = pattern[1..].split('/').collect();
        let segments: Vec<&str> = decoded
            .strip_prefix('/')
            .unwrap_or(&decoded)
            .split('/')
            .collect();
        if pattern.len() + segments.len() < 200 {
            assert_eq!(
                rule.permits(method, &decoded),
                matches(&pattern, &segments),
                "{text:?} on {decoded:?}"
            );
        }
    }
}

/// No reader who resolves dots, escapes or parameters sees another path.
fn unambiguous(path: &[u8], decoded: &str) {
    assert!(!decoded.contains(|letter: char| letter == '\\' || letter.is_ascii_control()));
    for segment in decoded.split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        assert!(name != "." && name != "..", "a dot segment in {decoded:?}");
    }
    if !path.is_empty() {
        assert_eq!(
            decoded.matches('/').count(),
            path.iter().filter(|byte| **byte == b'/').count()
        );
    }
    let mut escaped = String::new();
    for byte in decoded.bytes() {
        if byte == b'/' {
            escaped.push('/');
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    assert_eq!(
        decode(escaped.as_bytes()).as_deref(),
        Ok(decoded),
        "another spelling of it reads otherwise"
    );
}

/// To take away as many segments as a prefix has takes away the prefix.
fn prefixes(path: &[u8], decoded: &str) {
    if !path.starts_with(b"/") {
        return;
    }
    for (at, _) in decoded
        .match_indices('/')
        .skip(1)
        .chain([(decoded.len(), "")])
        .take(20)
    {
        let (prefix, rest) = decoded.split_at(at);
        let raw = after_segments(path, prefix.matches('/').count());
        assert!(path.ends_with(raw));
        assert_eq!(
            decode(raw).as_deref(),
            Ok(if rest.is_empty() { "/" } else { rest })
        );
    }
}

/// The meaning of a pattern, row by row: which of the first segments it has matched so far.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for segment in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match *segment {
                "**" => reached[..=at].contains(&true),
                "*" => at > 0 && reached[at - 1] && !path[at - 1].is_empty(),
                literal => at > 0 && reached[at - 1] && path[at - 1] == literal,
            };
        }
        reached = next;
    }
    reached[path.len()]
}
