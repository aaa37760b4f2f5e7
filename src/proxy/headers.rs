//! The heads that are sent on: hop-by-hop fields end here, the token is put in, framing is written afresh.

use super::{
    admission::{ASTERISK, Admitted},
    location::Rewriter,
    path,
    route::{Injection, Route},
};
use crate::{
    http1::{
        body::{Sink, put_field},
        buffer::Buffer,
        field::{Field, Known, Span, list, same_name},
        framing::{self, Framing},
        head::{Head, Version},
    },
    token::access_token::AccessToken,
};

/// Writes the head that goes upstream: the caller's request line and fields, less those that end here, and the token.
///
/// The caller's own field of the injected name never passes, whether there is a token or not.
pub fn write_request(
    wire: &mut Buffer,
    head: &Head,
    admitted: &Admitted,
    route: &Route,
    token: Option<&AccessToken>,
) {
    let inject = route.provider.as_ref().map(|binding| &binding.inject);
    wire.extend_all([head.method(), b" "]);
    write_target(wire, head, admitted, route, token);
    wire.extend(b" HTTP/1.1\r\n");
    put_field(wire, b"host", route.upstream.authority.as_bytes());

    let nominated = Nominated::of(head);
    let mine = Credentials::of(route);
    let mut lines = Lines::of(head);
    for field in head.fields() {
        let name = head.bytes(field.name);
        let ends_here = match field.known {
            Known::BearwardKey
            | Known::Connection
            | Known::ContentLength
            | Known::Expect
            | Known::HopByHop
            | Known::Host
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade => true,
            _ => mine.contains(name),
        };
        if !ends_here && !nominated.contains(name) {
            lines.put(wire, field);
        }
    }
    lines.finish(wire);
    match admitted.framing {
        Framing::Length(_) => put_length(wire, head),
        Framing::Empty if framing::content_length(head).is_some() => put_length(wire, head),
        Framing::Chunked => put_field(wire, b"transfer-encoding", b"chunked"),
        Framing::Empty | Framing::UntilClose => {}
    }
    if let Some(protocols) = tunnel(head, admitted, route) {
        put_field(wire, b"connection", b"upgrade");
        put_field(wire, b"upgrade", &protocols);
    }
    if let (Some(Injection::Header { name, prefix }), Some(token)) = (inject, token) {
        let value = token.secret.expose().as_bytes();
        wire.extend_all([
            name.as_str().as_bytes(),
            b": ",
            prefix.as_bytes(),
            value,
            b"\r\n",
        ]);
    }
    wire.extend(b"\r\n");
}

/// What of the protocols that a request asks to switch to the route allows: a list of them, the one that is preferred
/// first (RFC 9110 §7.8).
pub fn tunnel(head: &Head, admitted: &Admitted, route: &Route) -> Option<Vec<u8>> {
    if !admitted.upgrade {
        return None;
    }
    let is_allowed = |asked: &&[u8]| {
        route
            .upgrade
            .iter()
            .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(asked))
    };
    let protocols: Vec<_> = head
        .values(Known::Upgrade)
        .flat_map(list)
        .filter(is_allowed)
        .collect();
    (!protocols.is_empty()).then(|| protocols.join(&b", "[..]))
}

/// The fields that carry credentials of ours on a route, which a caller may not bring: the injected one, and
/// `Authorization` wherever a token is demanded, since an API may well prefer it to the place where the token is.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    injected: Option<&'a [u8]>,
    demanded: bool,
}

impl<'a> Credentials<'a> {
    /// Those of `route`.
    pub fn of(route: &'a Route) -> Self {
        let injected = match route.provider.as_ref().map(|binding| &binding.inject) {
            Some(Injection::Header { name, .. }) => Some(name.as_str().as_bytes()),
            _ => None,
        };
        Self {
            injected,
            demanded: route.provider.is_some(),
        }
    }

    /// Whether a field of this name is one of them, in any spelling.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.demanded
            && (same_name(name, b"authorization")
                || self
                    .injected
                    .is_some_and(|injected| same_name(name, injected)))
    }
}

/// The target: the upstream's base path, the caller's path and query byte for byte.
fn write_target(
    wire: &mut Buffer,
    head: &Head,
    admitted: &Admitted,
    route: &Route,
    token: Option<&AccessToken>,
) {
    if is_for_server(head, admitted, route) {
        return wire.extend(ASTERISK);
    }
    let base = route.upstream.base_path.as_bytes();
    let mut path = head.bytes(admitted.path);
    // A prefix that is stripped and all that there was stands for the base path alone.
    let mut is_complete = !path.is_empty();
    if let Some(prefix) = route.path.as_ref().filter(|_| route.strip_path) {
        path = path::behind(path, prefix.matches('/').count());
        is_complete = !path.is_empty() || !base.is_empty();
    }
    wire.extend_all([base, if is_complete { path } else { b"/" }]);
    let query = head.bytes(admitted.query);
    match route.provider.as_ref().map(|binding| &binding.inject) {
        Some(Injection::Query { name }) => write_query(wire, query, name, token),
        _ => wire.extend(query),
    }
}

/// Whether the request is for the server as a whole, of which a URL without a path speaks too (RFC 9112 §3.2.4).
fn is_for_server(head: &Head, admitted: &Admitted, route: &Route) -> bool {
    let has_no_path =
        admitted.path.is_empty() && admitted.query.is_empty() && head.method() == b"OPTIONS";
    head.bytes(admitted.path) == ASTERISK || (has_no_path && route.is_whole())
}

/// The caller's query as it came, less any parameter of the injected name, and the token (RFC 6750 §2.3).
fn write_query(wire: &mut Buffer, query: &[u8], injected: &str, token: Option<&AccessToken>) {
    let mut separator = b"?";
    let mut put = |wire: &mut Buffer, parameter: &[u8]| {
        wire.extend_all([separator, parameter]);
        separator = b"&";
    };
    if let Some(parameters) = query.get(1..).filter(|parameters| !parameters.is_empty()) {
        for parameter in parameters.split(|byte| *byte == b'&') {
            let is_injected = url::form_urlencoded::parse(parameter)
                .next()
                .is_some_and(|(name, _)| name == injected);
            if !is_injected {
                put(wire, parameter);
            }
        }
    }
    if let Some(token) = token {
        put(wire, query_pair(injected, token).as_bytes());
    }
}

/// The token as a parameter of a query.
pub fn query_pair(name: &str, token: &AccessToken) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, token.secret.expose())
        .finish()
}

/// How the answer goes back to a caller that speaks HTTP/1.
#[derive(Clone, Copy, Debug)]
pub struct AnswerFraming {
    /// How the content is framed.
    pub sink: Sink,
    /// Whether the end of the connection is the end of the body.
    pub until_close: bool,
}

/// How an answer framed like this goes to a caller of `version`.
pub fn answer_framing(framing: Framing, version: Version) -> AnswerFraming {
    match framing {
        Framing::Empty | Framing::Length(_) => AnswerFraming {
            sink: Sink::Plain,
            until_close: false,
        },
        Framing::Chunked | Framing::UntilClose if version == Version::Http11 => AnswerFraming {
            sink: Sink::Chunked,
            until_close: false,
        },
        Framing::Chunked | Framing::UntilClose => AnswerFraming {
            sink: Sink::Plain,
            until_close: true,
        },
    }
}

/// Whether a field of an answer goes to the caller; framing is not decided here.
fn passes_back(field: &Field) -> bool {
    !matches!(
        field.known,
        Known::AltSvc
            | Known::BearwardKey
            | Known::Connection
            | Known::ContentLength
            | Known::HopByHop
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

/// Writes the head of an upstream's answer for a caller that speaks HTTP/1. `persist`: what to say of the connection;
/// `rewriter`: what becomes of URLs that lead into the upstream.
pub fn write_answer(
    wire: &mut Buffer,
    answer: &Head,
    framing: Framing,
    sink: Sink,
    persist: Persist<'_>,
    rewriter: Option<&Rewriter<'_>>,
) {
    wire.extend_all([
        b"HTTP/1.1 ",
        &status_digits(answer.status),
        b" ",
        answer.reason(),
        b"\r\n",
    ]);
    let nominated = Nominated::of(answer);
    let mut lines = Lines::of(answer);
    for field in answer.fields() {
        let name = answer.bytes(field.name);
        if passes_back(field) && !nominated.contains(name) {
            match rewritten(field, answer.bytes(field.value), rewriter) {
                Some(value) => {
                    lines.finish(wire);
                    put_field(wire, name, &value);
                }
                None => lines.put(wire, field),
            }
        }
    }
    lines.finish(wire);
    if matches!(answer.status, 100..=199 | 204) {
        // Neither may say how long its body is (RFC 9110 §8.6).
    } else if sink == Sink::Chunked {
        put_field(wire, b"transfer-encoding", b"chunked");
    } else if matches!(framing, Framing::Empty | Framing::Length(_))
        && framing::content_length(answer).is_some()
    {
        put_length(wire, answer);
    }
    match persist {
        Persist::Silent => {}
        Persist::Upgrade(protocol) => {
            put_field(wire, b"connection", b"upgrade");
            put_field(wire, b"upgrade", protocol);
        }
        Persist::KeepAlive => put_field(wire, b"connection", b"keep-alive"),
        Persist::Close => put_field(wire, b"connection", b"close"),
    }
    wire.extend(b"\r\n");
}

/// Fields that pass as they came: those that stand one behind the other, written as we would write them, go in one piece.
struct Lines<'a> {
    head: &'a Head,
    run: Span,
}

impl<'a> Lines<'a> {
    fn of(head: &'a Head) -> Self {
        Self {
            head,
            run: Span::default(),
        }
    }

    fn put(&mut self, wire: &mut Buffer, field: &Field) {
        match self.head.line(field) {
            Some(line) if line.start() == self.run.end() => {
                self.run = Span::new(self.run.start(), line.end())
            }
            Some(line) => {
                self.finish(wire);
                self.run = line;
            }
            None => {
                self.finish(wire);
                put_field(
                    wire,
                    self.head.bytes(field.name),
                    self.head.bytes(field.value),
                );
            }
        }
    }

    /// Writes what was put and is not written yet.
    fn finish(&mut self, wire: &mut Buffer) {
        wire.extend(self.head.bytes(self.run));
        self.run = Span::default();
    }
}

/// The value that a field gets instead of its own, if it is a URL that leads into the upstream.
pub fn rewritten(field: &Field, value: &[u8], rewriter: Option<&Rewriter<'_>>) -> Option<Vec<u8>> {
    match field.known {
        Known::Location | Known::ContentLocation => rewriter?.rewrite(value),
        _ => None,
    }
}

/// What an answer says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist<'a> {
    /// It speaks another protocol from here on.
    Upgrade(&'a [u8]),
    /// Nothing: HTTP/1.1 goes on by itself.
    Silent,
    /// HTTP/1.0 has to be told.
    KeepAlive,
    /// It ends.
    Close,
}

impl Persist<'_> {
    /// What to say to a caller of `version` of a connection that `ends` or does not.
    pub fn of(ends: bool, version: Version) -> Self {
        match (ends, version) {
            (true, _) => Persist::Close,
            (false, Version::Http10) => Persist::KeepAlive,
            (false, Version::Http11) => Persist::Silent,
        }
    }
}

/// The names that `Connection` nominates (RFC 9110 §7.6.1).
pub struct Nominated<'a>(Vec<&'a [u8]>);

impl<'a> Nominated<'a> {
    /// Those of this head. Allocates nothing in the usual case that there are none.
    pub fn of(head: &'a Head) -> Self {
        let names_field = |option: &&[u8]| {
            !option.eq_ignore_ascii_case(b"close") && !option.eq_ignore_ascii_case(b"keep-alive")
        };
        let mut names = Vec::new();
        // Mostly there is none, or one that says nothing but this; a list is read only where there is one.
        for value in head.values(Known::Connection).filter(names_field) {
            names.extend(list(value).filter(names_field));
        }
        Self(names)
    }

    /// Whether a field of this name ends here.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.0
            .iter()
            .any(|nominated| nominated.eq_ignore_ascii_case(name))
    }
}

fn put_length(wire: &mut Buffer, head: &Head) {
    if let Some(length) = framing::content_length(head) {
        put_field(wire, b"content-length", length);
    }
}

fn status_digits(status: u16) -> [u8; 3] {
    // Three digits always: the parser takes nothing else.
    [status / 100, status / 10, status].map(|digit| b'0' + (digit % 10) as u8)
}
