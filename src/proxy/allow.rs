//! `allow` rules: a method and a path pattern.
//!
//! In a pattern `*` stands for exactly one segment and `**` for any number of them, none included, so that
//! `GET /v1/devices/**` covers `/v1/devices` as well as `/v1/devices/7/state`. `*` as the method stands for any.

use std::{fmt, str::FromStr};

/// One rule, such as `GET /v1/devices/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRule {
    method: Option<String>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    One,
    Many,
}

impl AllowRule {
    /// Whether `method` on `path` may pass; `path` is percent-decoded and begins with `/`. Case counts.
    pub fn permits(&self, method: &str, path: &str) -> bool {
        if self.method.as_ref().is_some_and(|ours| ours != method) {
            return false;
        }
        let path: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        matches(&self.segments, &path)
    }
}

/// Greedy matching with one backtrack point, so that its time is bounded by the product of the lengths.
fn matches(pattern: &[Segment], path: &[&str]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at) {
            Some(Segment::Many) => {
                retry = Some((at + 1, read));
                at += 1;
                continue;
            }
            Some(Segment::One) if path.get(read).is_some_and(|segment| !segment.is_empty()) => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            Some(Segment::Literal(literal))
                if path.get(read).is_some_and(|segment| segment == literal) =>
            {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            None if read == path.len() => return true,
            _ => {}
        }
        match retry {
            Some((after, from)) if from < path.len() => {
                retry = Some((after, from + 1));
                (at, read) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

impl FromStr for AllowRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed =
            || format!("{text:?} is not a method and a path, such as \"GET /v1/devices/**\"");
        let mut words = text.split_ascii_whitespace();
        let (Some(method), Some(path), None) = (words.next(), words.next(), words.next()) else {
            return Err(malformed());
        };
        if method.chars().any(|letter| letter.is_ascii_lowercase()) {
            return Err(format!(
                "methods are told by case: {} instead of {method}",
                method.to_ascii_uppercase()
            ));
        }
        let path = path.strip_prefix('/').ok_or_else(malformed)?;
        let is_unreadable = |letter: char| "%?#\\".contains(letter) || letter.is_control();
        if path.contains(is_unreadable) || !path.is_ascii() {
            return Err(format!(
                "{text:?} can match nothing: rules are for paths as they read decoded, without a query"
            ));
        }
        let method = match method {
            "*" => None,
            _ if http::Method::from_bytes(method.as_bytes()).is_ok() => Some(method.to_owned()),
            _ => return Err(malformed()),
        };
        let segments = path.split('/').map(|segment| match segment {
            "." | ".." => Err(format!("a dot segment in {text:?}")),
            "*" => Ok(Segment::One),
            "**" => Ok(Segment::Many),
            literal if literal.contains('*') => {
                Err(format!("`*` has to be a whole segment in {text:?}"))
            }
            literal => Ok(Segment::Literal(literal.to_owned())),
        });
        Ok(Self {
            method,
            segments: segments.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method.as_deref().unwrap_or("*"))?;
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => write!(f, "/{literal}")?,
                Segment::One => f.write_str("/*")?,
                Segment::Many => f.write_str("/**")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(rule: &str, method: &str, path: &str) -> bool {
        rule.parse::<AllowRule>().unwrap().permits(method, path)
    }

    #[test]
    fn two_stars_cover_the_folder_itself_and_all_below() {
        for path in [
            "/v1/devices",
            "/v1/devices/",
            "/v1/devices/7",
            "/v1/devices/7/state",
        ] {
            assert!(permits("GET /v1/devices/**", "GET", path), "{path}");
        }
        for path in [
            "/v1",
            "/v1/devicesx",
            "/v1/commands",
            "/v2/devices",
            "//v1/devices",
        ] {
            assert!(!permits("GET /v1/devices/**", "GET", path), "{path}");
        }
    }

    #[test]
    fn one_star_is_one_segment() {
        assert!(permits("GET /a/*/c", "GET", "/a/b/c"));
        assert!(!permits("GET /a/*/c", "GET", "/a//c"));
        assert!(!permits("GET /a/*/c", "GET", "/a/b/b/c"));
        assert!(!permits("GET /a/*", "GET", "/a"));
    }

    #[test]
    fn stars_in_the_middle_find_their_end() {
        assert!(permits("GET /a/**/z", "GET", "/a/z"));
        assert!(permits("GET /a/**/z", "GET", "/a/b/z/c/z"));
        assert!(!permits("GET /a/**/z", "GET", "/a/b/z/c"));
    }

    #[test]
    fn the_method_counts_and_so_does_case() {
        assert!(!permits("POST /v1/commands", "GET", "/v1/commands"));
        assert!(!permits("GET /v1", "get", "/v1"));
        assert!(!permits("GET /v1", "GET", "/V1"));
        assert!(permits("* /v1", "PURGE", "/v1"));
    }

    #[test]
    fn malformed_rules_are_named() {
        for rule in [
            "get /x",
            "GET /a%20b",
            "GET /a/../b",
            "GET /x?y",
            "",
            "GET",
            "GET v1",
            "GET /a b",
            "GET /a\u{1}b",
            "GET /a*",
            "G@T /a",
        ] {
            assert!(rule.parse::<AllowRule>().is_err(), "{rule}");
        }
    }
}
