//! What the pure steps of a request cost: `cargo bench`, or `cargo bench -- WORD` for those whose name has the word in it.
//!
//! Nanoseconds of a quiet machine are worth comparing on that machine alone. The last column is a ratio that holds
//! anywhere: how a step's cost grows with what should not matter to it.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "nobody is outside of a benchmark"
)]
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a benchmark ends where it cannot go on"
)]

#[path = "steps/stopwatch.rs"]
mod stopwatch;
#[path = "steps/world.rs"]
mod world;

use std::{hint::black_box, io};

use bearward::{
    http1::{
        body::{Body, Sink},
        buffer::{Buffer, SMALL},
        framing::Framing,
        head::{Head, Version},
    },
    http2::hpack::{Decoder, encode},
    proxy::{
        admission::admit,
        guard,
        headers::{self, Persist},
        path,
        service::prepare,
    },
    server::limits::Limits,
};
use stopwatch::Stopwatch;
use world::{
    ANSWER, FIELDS_ADDED, FIELDS_INDEXED, FIELDS_LITERAL, HEAD_LIMITS, REQUEST, World, answer,
    request,
};

fn main() -> io::Result<()> {
    // `cargo bench` hands `--bench` on; whatever is no option narrows the choice.
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let mut stopwatch = Stopwatch::new(only);
    heads(&mut stopwatch);
    field_blocks(&mut stopwatch);
    paths(&mut stopwatch);
    bodies(&mut stopwatch);
    tables(&mut stopwatch)
}

fn heads(stopwatch: &mut Stopwatch) {
    let mut head = Head::default();
    stopwatch.time("parse a request head", 0, || {
        head.clear();
        head.buffer.extend(black_box(REQUEST));
        head.parse_request(HEAD_LIMITS)
    });
    stopwatch.time("parse an answer's head", 0, || {
        head.clear();
        head.buffer.extend(black_box(ANSWER));
        head.parse_response(HEAD_LIMITS)
    });
    let (head, limits) = (request(), Limits::default());
    stopwatch.time("admit", 0, || admit(black_box(&head), &limits).is_ok());
    let answer = answer();
    let mut wire = Buffer::with_size(SMALL);
    stopwatch.time("write an answer's head", 0, || {
        wire.reset(0);
        let framing = headers::answer_framing(Framing::Length(256), Version::Http11);
        headers::write_answer(
            &mut wire,
            black_box(&answer),
            Framing::Length(256),
            framing.sink,
            Persist::Silent,
            None,
        );
    });
}

fn field_blocks(stopwatch: &mut Stopwatch) {
    let read = |decoder: &mut Decoder, block: &[u8]| {
        let mut bytes = 0;
        let read = decoder.decode(black_box(block), |name, value| {
            bytes += black_box(name).len() + black_box(value).len()
        });
        assert!(read.is_ok());
        bytes
    };
    let mut decoder = Decoder::new(4096);
    stopwatch.time("read a field block of literals", 0, || {
        read(&mut decoder, FIELDS_LITERAL)
    });
    stopwatch.time("read a field block that is added", 0, || {
        read(&mut decoder, FIELDS_ADDED)
    });
    read(&mut decoder, FIELDS_ADDED);
    stopwatch.time("read a field block of indexes", 0, || {
        read(&mut decoder, FIELDS_INDEXED)
    });

    let head = request();
    let token = ["Bearer ", &"t".repeat(640)].concat();
    let mut wire = Buffer::with_size(SMALL);
    stopwatch.time("write a request's field block", 0, || {
        wire.reset(0);
        encode::field(&mut wire, b":method", black_box(b"GET"), false);
        encode::field(&mut wire, b":scheme", black_box(b"https"), false);
        encode::field(
            &mut wire,
            b":authority",
            black_box(b"api.example.com"),
            false,
        );
        encode::field(&mut wire, b":path", black_box(head.target()), false);
        for field in head.fields() {
            encode::field(
                &mut wire,
                head.bytes(field.name),
                head.bytes(field.value),
                false,
            );
        }
        encode::field(
            &mut wire,
            b"authorization",
            black_box(token.as_bytes()),
            true,
        );
    });
}

fn paths(stopwatch: &mut Stopwatch) {
    stopwatch.time("read a plain path", 0, || {
        path::read(black_box(b"/v1/devices/42/commands/7")).is_ok()
    });
    stopwatch.time("read an escaped path", 0, || {
        path::read(black_box(b"/v1/devices/caf%C3%A9/commands/7")).is_ok()
    });
}

fn bodies(stopwatch: &mut Stopwatch) {
    let mut chunked = Vec::new();
    for _ in 0..16 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b'x'; 4096]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let mut input = chunked.clone();
    stopwatch.time("decode 64 KiB in 4 KiB chunks", 0, || {
        // The decoder moves the content to the front, and so leaves something else behind.
        input.copy_from_slice(black_box(&chunked));
        Body::new(Framing::Chunked, None, 64 * 1024)
            .decode(&mut input)
            .map(|decoded| decoded.content)
    });
    let small = b"100\r\n"
        .iter()
        .chain(&[b'x'; 256])
        .chain(b"\r\n0\r\n\r\n")
        .copied()
        .collect::<Vec<u8>>();
    let mut wire = Buffer::with_size(SMALL);
    stopwatch.time("frame a chunked 256 bytes afresh", 0, || {
        wire.reset(0);
        Body::new(Framing::Chunked, None, 64 * 1024).begin(
            black_box(&small),
            &mut wire,
            Sink::Chunked,
            None,
        )
    });
}

/// The steps that a table of any size has a part in.
fn tables(stopwatch: &mut Stopwatch) -> io::Result<()> {
    for count in [1, 100, 10_000] {
        let world = World::new(count)?;
        let head = request();
        let admitted = world.admitted(&head);
        let table = world.ingress.table.load_full();
        stopwatch.time("look a route up by path", count, || {
            table.select(black_box(&head), &admitted).is_ok()
        });
        let by_host = world.by_host(&head);
        stopwatch.time("look a route up by host", count, || {
            by_host.select(black_box(&head), &admitted).is_ok()
        });
        let active = world.active(&head);
        stopwatch.time("check the guard", count, || {
            guard::check(black_box(&active.route), &head, &admitted, None, Some(8080)).is_ok()
        });
        let credential = world.credential();
        stopwatch.time("take the token from the cache", count, || {
            black_box(&credential).current().is_some()
        });
        let token = world.token();
        let mut wire = Buffer::with_size(SMALL);
        stopwatch.time("write the head that goes upstream", count, || {
            wire.reset(0);
            headers::write_request(
                &mut wire,
                black_box(&head),
                &admitted,
                &active.route,
                Some(&token),
            );
        });
        let (runtime, ingress) = (&world.runtime, &world.ingress);
        let mut parsed = Head::default();
        runtime.block_on(async {
            stopwatch
                .time_async("all of it, from bytes to bytes", count, async || {
                    parsed.clear();
                    parsed.buffer.extend(black_box(REQUEST));
                    let whole = parsed.parse_request(HEAD_LIMITS);
                    let Ok(prepared) = prepare(ingress, &parsed).await else {
                        return false;
                    };
                    wire.reset(0);
                    let (admitted, route) = (&prepared.admitted, &prepared.active.route);
                    headers::write_request(
                        &mut wire,
                        &parsed,
                        admitted,
                        route,
                        prepared.token.as_deref(),
                    );
                    whole == Ok(true)
                })
                .await;
        });
    }
    stopwatch.growth();
    Ok(())
}
