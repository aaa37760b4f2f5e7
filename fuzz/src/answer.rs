//! What an upstream sends: an answer whose length is doubtful is refused, and what the caller gets for another is clean.

use bearward::{
    http1::{
        buffer::Buffer,
        field::Known,
        framing::{self, Framing},
        head::{Head, HeadLimits, Version},
    },
    proxy::headers::{self, Persist},
};

use super::{
    admission,
    reference::{self, Declared, Lines},
};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 100,
};
const SENT: HeadLimits = HeadLimits {
    bytes: 256 * 1024,
    fields: 200,
};

/// Reads `data`, less its first byte, as what came over a connection to an upstream. The first byte says whether the
/// request was a HEAD.
pub fn check(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let to_head = first & 1 == 1;
    let mut head = Head::default();
    head.buffer.extend(data);
    if head.parse_response(LIMITS) != Ok(true) {
        return;
    }
    let Ok(framing) = framing::of_response(&head, to_head) else {
        return;
    };
    one_reading(&data[..head.len()], &head, framing, to_head);
    sent_back(&head, framing, to_head);
    if let Some(consumed) = admission::body(framing, head.rest()) {
        assert!(consumed <= head.rest().len());
    }
}

fn one_reading(bytes: &[u8], head: &Head, framing: Framing, to_head: bool) {
    let lines = Lines::of(bytes);
    assert!((100..=999).contains(&head.status));
    let bodiless = to_head || matches!(head.status, 100..=199 | 204 | 304);
    match (reference::declared(&lines), framing) {
        (_, Framing::Empty) if bodiless => {}
        (Declared::Length(0), Framing::Empty) => {}
        (Declared::Length(length), Framing::Length(ours)) if length == ours => {}
        (Declared::Chunked, Framing::Chunked) => {}
        (Declared::Nothing, Framing::UntilClose) => {}
        (declared, framing) => panic!("{declared:?} was read as {framing:?}"),
    }
}

fn sent_back(head: &Head, framing: Framing, to_head: bool) {
    let ours = headers::answer_framing(framing, Version::Http11);
    let mut wire = Buffer::new();
    headers::write_answer(&mut wire, head, framing, ours.sink, Persist::Silent, None);
    let mut sent = Head::default();
    sent.buffer.extend(wire.filled());
    assert_eq!(sent.parse_response(SENT), Ok(true));
    assert_eq!(sent.len(), wire.len(), "more than a head was written");
    assert_eq!((sent.status, sent.reason()), (head.status, head.reason()));
    let again = framing::of_response(&sent, to_head);
    match framing {
        Framing::Empty | Framing::Length(_) => assert_eq!(again, Ok(framing)),
        Framing::Chunked | Framing::UntilClose => assert_eq!(again, Ok(Framing::Chunked)),
    }
    one_reading(wire.filled(), &sent, again.unwrap_or(framing), to_head);
    for field in sent.fields() {
        let ends_here = matches!(
            field.known,
            Known::AltSvc
                | Known::BearwardKey
                | Known::Connection
                | Known::HopByHop
                | Known::Te
                | Known::Upgrade
        );
        assert!(!ends_here, "a field went back that ends here");
    }
}
