//! What a caller sends: whatever is admitted has one reading, and what goes upstream for it is clean and means the same.

use std::sync::LazyLock;

use bearward::{
    clock::{Clock, ManualClock},
    config,
    http1::{
        body::{Body, Sink},
        buffer::Buffer,
        field::{Known, list, same_name},
        framing::Framing,
        head::{Head, HeadLimits, Version},
    },
    proxy::{
        admission::{ASTERISK, Admitted, admit},
        headers,
        route::Route,
    },
    secret::Secret,
    server::limits::Limits,
    token::{access_token::AccessToken, schedule::TokenDeadlines},
};

use super::reference::{self, Declared, Lines, dechunk};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 100,
};
/// What is sent on has a few fields more.
const SENT: HeadLimits = HeadLimits {
    bytes: 256 * 1024,
    fields: 200,
};
const MOST_TRAILER_BYTES: usize = 64 * 1024;
const TOKEN: &str = "the-token-of-the-route";

const CONFIGURATION: &str = r#"
[providers.p]
token_endpoint = "https://login.example.com/token"
grant_type = "client_credentials"
client_id = "id"
client_secret = { env = "S" }
[routes.r]
listen = "127.0.0.1:8080"
upstream = "https://api.example.com/base"
provider = "p"
upgrade = ["websocket"]
"#;

static ROUTE: LazyLock<Route> = LazyLock::new(|| {
    let (config, _) =
        config::parse(CONFIGURATION, "fuzz.toml", &|_| Some("secret".into())).expect("it is good");
    config.routes[0].clone()
});

static ISSUED: LazyLock<AccessToken> = LazyLock::new(|| {
    let clock = ManualClock::new();
    let deadlines =
        TokenDeadlines::new(clock.now(), std::time::Duration::from_secs(3600), None, 0.0);
    AccessToken::new(Secret::new(TOKEN), deadlines, &clock)
});

/// Reads `data` as what came over a connection: a request, and whatever is behind it.
pub fn check(data: &[u8]) {
    let mut head = Head::default();
    head.buffer.extend(data);
    let parsed = head.parse_request(LIMITS);
    in_pieces(data, parsed == Ok(true), head.len());
    if parsed != Ok(true) {
        return;
    }
    assert!(head.len() <= LIMITS.bytes && head.fields().len() <= LIMITS.fields);
    let Ok(admitted) = admit(&head, &Limits::default()) else {
        return;
    };
    one_reading(&data[..head.len()], &head, &admitted);
    sent_on(&head, &admitted);
    let consumed = body(admitted.framing, head.rest());
    if let Some(consumed) = consumed {
        let behind = &data[head.len() + consumed..];
        head.next(consumed);
        assert_eq!(
            head.buffer.filled(),
            behind,
            "the next head does not begin where the message ended"
        );
    }
}

/// A head that comes in pieces is the same head.
fn in_pieces(data: &[u8], whole: bool, len: usize) {
    let piece = 1 + data.len() % 31;
    let mut head = Head::default();
    let mut parsed = Ok(false);
    for part in data.chunks(piece) {
        head.buffer.extend(part);
        parsed = head.parse_request(LIMITS);
        if parsed != Ok(false) {
            break;
        }
    }
    assert_eq!(
        parsed == Ok(true),
        whole,
        "in pieces of {piece} it is {parsed:?}"
    );
    assert!(!whole || head.len() == len);
}

/// Whoever reads the head sees one host, one length and one path.
pub(super) fn one_reading(bytes: &[u8], head: &Head, admitted: &Admitted) {
    let lines = Lines::of(bytes);
    let is_11 = lines.start.ends_with(b"HTTP/1.1");
    assert_eq!(is_11, head.version == Version::Http11);
    let hosts = lines.values("host").len();
    assert!(hosts == 1 || (hosts == 0 && !is_11), "{hosts} hosts");
    match (reference::declared(&lines), admitted.framing) {
        (Declared::Nothing | Declared::Length(0), Framing::Empty) => {}
        (Declared::Length(length), Framing::Length(ours)) if length == ours => {}
        (Declared::Chunked, Framing::Chunked) if is_11 => {}
        (declared, framing) => panic!("{declared:?} was read as {framing:?}"),
    }
    let (path, query) = (head.bytes(admitted.path), head.bytes(admitted.query));
    assert!(
        path.is_empty()
            || path.starts_with(b"/")
            || (path == ASTERISK && head.method() == b"OPTIONS")
    );
    assert!(query.is_empty() || query.starts_with(b"?"));
    assert!(!path.contains(&b'?'));
    assert!(
        !path
            .iter()
            .chain(query)
            .any(|byte| *byte <= b' ' || *byte == 0x7F || *byte == b'#')
    );
    assert!(head.target().ends_with(&[path, query].concat()));
    if let Some(host) = admitted.host {
        assert!(!head.bytes(host).is_empty());
    }
    assert!(!admitted.upgrade || (is_11 && admitted.framing == Framing::Empty));
}

/// The head that goes upstream is one head, has the token and nothing of what ends here, and declares the same length.
fn sent_on(head: &Head, admitted: &Admitted) {
    let mut wire = Buffer::new();
    headers::write_request(&mut wire, head, admitted, &ROUTE, Some(&ISSUED));
    let mut sent = Head::default();
    sent.buffer.extend(wire.filled());
    assert_eq!(sent.parse_request(SENT), Ok(true));
    assert_eq!(sent.len(), wire.len(), "more than a head was written");
    let (path, query) = (head.bytes(admitted.path), head.bytes(admitted.query));
    let path = if path.is_empty() { b"/" } else { path };
    assert_eq!(sent.method(), head.method());
    let base: &[u8] = if path == ASTERISK { b"" } else { b"/base" };
    assert_eq!(sent.target(), [base, path, query].concat());

    let again = match admit(
        &sent,
        &Limits {
            path_bytes: 2 * 8 * 1024,
            ..Limits::default()
        },
    ) {
        Ok(again) => again,
        Err(refusal) => panic!("what is sent on would not be admitted: {}", refusal.detail),
    };
    assert_eq!(again.framing, admitted.framing);
    one_reading(wire.filled(), &sent, &again);

    let mut left = head.fields().iter();
    let (mut hosts, mut tokens) = (0, 0);
    for field in sent.fields() {
        let (name, value) = (sent.bytes(field.name), sent.bytes(field.value));
        match field.known {
            Known::Host => {
                assert_eq!(value, b"api.example.com");
                hosts += 1;
            }
            Known::ContentLength | Known::TransferEncoding => {}
            Known::Connection | Known::Upgrade => {
                let is_ours =
                    list(value).all(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
                assert!(admitted.upgrade && (value == b"upgrade" || is_ours));
            }
            Known::HopByHop | Known::Te | Known::Expect | Known::BearwardKey => {
                panic!("a field went on that ends here")
            }
            _ if same_name(name, b"authorization") => {
                assert_eq!(value, format!("Bearer {TOKEN}").as_bytes());
                tokens += 1;
            }
            _ => {
                let same = |field: &bearward::http1::field::Field| {
                    head.bytes(field.name) == name && head.bytes(field.value) == value
                };
                assert!(
                    left.any(same),
                    "a field that nobody sent, or in another order"
                );
            }
        }
    }
    assert_eq!((hosts, tokens), (1, 1));
}

/// The body is what a plain reader reads, however it comes in, and framed afresh it is the same. Gives how many bytes
/// of `rest` are its own, if it is there to its end.
pub(super) fn body(framing: Framing, rest: &[u8]) -> Option<usize> {
    let expected = match framing {
        Framing::Empty => Some(reference::Decoded {
            done: true,
            ..Default::default()
        }),
        Framing::Length(length) => {
            let there = usize::try_from(length)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let done = there as u64 == length;
            Some(reference::Decoded {
                content: rest[..there].to_vec(),
                consumed: there,
                done,
                ..Default::default()
            })
        }
        Framing::Chunked => dechunk(rest),
        Framing::UntilClose => Some(reference::Decoded {
            content: rest.to_vec(),
            consumed: rest.len(),
            ..Default::default()
        }),
    };
    let whole = decode(framing, rest, usize::MAX);
    let pieces = decode(framing, rest, 1 + rest.len() % 13);
    assert_eq!(whole, pieces, "it matters how the body comes in");
    if let Some((content, consumed, done)) = &whole {
        let expected = expected
            .as_ref()
            .expect("a body was taken that breaks the grammar");
        assert!(*done == expected.done && *content == expected.content);
        assert!(!done || *consumed == expected.consumed);
    } else {
        // A limit was passed, or what is incomplete cannot become a body any more.
        let fits = rest.len() < 16 * 1024;
        assert!(
            !expected.is_some_and(|expected| expected.done && fits),
            "a good body was refused"
        );
    }

    let chunked = matches!(framing, Framing::Chunked | Framing::UntilClose);
    let sink = if chunked { Sink::Chunked } else { Sink::Plain };
    let mut wire = Buffer::new();
    let mut body = Body::new(framing, None, MOST_TRAILER_BYTES);
    let begun = body.begin(rest, &mut wire, sink, Some(b"authorization"));
    let (Ok(consumed), Some((content, _, done))) = (begun, whole) else {
        return None;
    };
    if !chunked {
        assert_eq!(wire.filled(), content);
    } else {
        let afresh = dechunk(wire.filled()).expect("what is framed afresh is a chunked body");
        assert_eq!(
            (afresh.content, afresh.consumed, afresh.done),
            (content, wire.len(), done)
        );
        if done {
            trailers(&afresh.trailers);
        }
    }
    done.then_some(consumed)
}

fn decode(framing: Framing, rest: &[u8], piece: usize) -> Option<(Vec<u8>, usize, bool)> {
    let mut body = Body::new(framing, None, MOST_TRAILER_BYTES);
    let (mut content, mut consumed) = (Vec::new(), 0);
    for part in rest.chunks(piece.min(rest.len()).max(1)) {
        let mut part = part.to_vec();
        let decoded = body.decode(&mut part).ok()?;
        assert!(decoded.content <= decoded.consumed && decoded.consumed <= part.len());
        content.extend_from_slice(&part[..decoded.content]);
        consumed += decoded.consumed;
    }
    assert_eq!(body.content(), content.len() as u64);
    Some((content, consumed, body.is_done()))
}

/// Nothing in a trailer section frames, routes or authenticates.
fn trailers(section: &[u8]) {
    for line in section
        .split(|byte| *byte == b'\n')
        .filter(|line| !matches!(line, [] | [b'\r']))
    {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        for never in [
            "authorization",
            "content-length",
            "transfer-encoding",
            "host",
            "trailer",
            "set-cookie",
        ] {
            assert!(
                !same_name(name, never.as_bytes()),
                "{never} in the trailers"
            );
        }
    }
}
