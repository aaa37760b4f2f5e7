//! What is put out: in turn, no more than waits, and ends that wait for no window.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use super::*;

/// How often somebody was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn streams_take_turns() {
    let mut bench = Bench::server();
    let mut streams = [bench.arrive(1), bench.arrive(3)];
    let content = "x".repeat(40_000);
    for stream in &mut streams {
        let message = format!("HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n{content}");
        write(stream, message.as_bytes()).unwrap();
    }
    let said: Vec<String> = bench
        .out()
        .into_iter()
        .filter(|said| said.contains("data"))
        .collect();
    assert_eq!(
        said[..2],
        ["1: data 16384", "1: data 16384"],
        "while nobody else had anything"
    );
    assert_eq!(
        said[2..5],
        ["1: data 7232 end", "3: data 16384", "3: data 9151"]
    );
    bench.window(0, 100_000).unwrap();
    assert_eq!(bench.out(), ["3: data 14465 end"]);
}

#[test]
fn what_is_written_stops_at_the_window_and_what_may_wait() {
    let mut bench = Bench::new(Side::Server, &[(setting::INITIAL_WINDOW_SIZE, 1000)]);
    let mut stream = bench.arrive(1);
    write(
        &mut stream,
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
    )
    .unwrap();
    assert_eq!(
        write(&mut stream, &vec![b'x'; 200_000]),
        Ok(1000 + MOST_WAITING)
    );
    bench.out();
    assert_eq!(write(&mut stream, &vec![b'x'; 200_000]), Ok(0));
    // Another is not held up.
    let mut other = bench.arrive(3);
    write(&mut other, &answer(&"x".repeat(100))).unwrap();
    assert_eq!(bench.out(), ["3: fields", "3: data 100 end"]);
    bench.window(1, 500).unwrap();
    assert_eq!(bench.out(), ["1: data 500"]);
    assert_eq!(write(&mut stream, &vec![b'x'; 200_000]), Ok(500));
}

#[test]
fn nothing_is_framed_while_much_waits_to_leave() {
    let mut bench = Bench::server();
    bench.window(0, 10_000_000).unwrap();
    let mut streams: Vec<_> = (0..8).map(|at| bench.arrive(2 * at + 1)).collect();
    let content = vec![b'x'; 300_000];
    for stream in &mut streams {
        write(
            stream,
            b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
        )
        .unwrap();
        assert!(write(stream, &content).unwrap() <= 65_535 + MOST_WAITING);
    }
    assert!(
        bench.state().out.len() < MOST_OUT + 20_000,
        "{}",
        bench.state().out.len()
    );
}

#[test]
fn an_end_needs_no_window_and_waits_behind_no_content() {
    let mut bench = Bench::server();
    let (mut first, mut second) = (bench.arrive(1), bench.arrive(3));
    write(
        &mut second,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
    )
    .unwrap();
    write(
        &mut first,
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
    )
    .unwrap();
    bench.window(1, 100_000).unwrap();
    while write(&mut first, &[b'x'; 1000]).unwrap() > 0 || !bench.out().is_empty() {}
    assert_eq!(bench.state().send.room(), 0);
    write(&mut second, b"0\r\ngrpc-status: 0\r\n\r\n").unwrap();
    assert_eq!(bench.out(), ["3: fields end"]);
    bench.window(0, 10).unwrap();
    assert_eq!(bench.out(), ["1: data 10"]);
}

#[test]
fn a_message_that_is_no_message_breaks_its_stream_alone() {
    let mut bench = Bench::server();
    let mut stream = bench.arrive(1);
    assert_eq!(
        write(&mut stream, b"nonsense\r\n\r\n"),
        Err(io::ErrorKind::InvalidInput)
    );
    drop(stream);
    assert_eq!(bench.out(), ["1: reset 2"]);
    let mut stream = bench.arrive(3);
    write(
        &mut stream,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .unwrap();
    assert_eq!(
        write(&mut stream, b"x\r\n"),
        Err(io::ErrorKind::InvalidInput)
    );
    drop(stream);
    assert_eq!(
        bench.out(),
        ["3: fields", "3: reset 2"],
        "and no end that looks whole"
    );
}

#[test]
fn the_first_request_waits_for_nobody_and_further_ones_for_the_settings() {
    let state = State::new(Side::Client, LIMITS);
    let mut bench = Bench {
        state: Rc::new(RefCell::new(state)),
        decoder: Decoder::new(4096),
        fields: Fields::new(LIMITS.head_bytes),
    };
    let (_first, mut second) = (bench.ask(1), bench.ask(1));
    assert_eq!(bench.out(), ["settings", "0: window 34465", "1: fields"]);
    bench
        .settings(&[(setting::MAX_CONCURRENT_STREAMS, 2)])
        .unwrap();
    assert!(second.poll_flush(&mut cx()).is_ready());
    let (mut third, fourth) = (bench.ask(1), bench.ask(1));
    assert_eq!(bench.out(), ["settings ack", "3: fields"]);
    assert!(!bench.state().has_room());
    drop(second);
    drop(fourth);
    assert!(third.poll_flush(&mut cx()).is_ready());
    assert_eq!(bench.out(), ["3: reset 8", "5: fields"]);
}

#[test]
fn whoever_waits_for_a_stream_is_noted_once() {
    let mut bench = Bench::new(Side::Client, &[(setting::MAX_CONCURRENT_STREAMS, 0)]);
    let mut stream = bench.ask(1);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    for _ in 0..100 {
        assert!(
            stream
                .poll_flush(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    bench
        .settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)])
        .unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(stream.poll_flush(&mut cx()).is_ready());
    assert_eq!(bench.out(), ["settings ack", "1: fields"]);
}

#[test]
fn a_changed_table_is_confirmed_in_front_of_the_next_fields() {
    let bench = Bench::new(Side::Client, &[(setting::HEADER_TABLE_SIZE, 100)]);
    let _stream = bench.ask(1);
    let out = bench.state().out.filled().to_vec();
    assert_eq!(out[HEAD], 0x20, "a size update to nothing (RFC 7541 §6.3)");
    assert!(!bench.state().owes_table_size);
}

#[test]
fn a_body_that_is_whole_is_sent_though_nobody_holds_the_stream() {
    let mut bench = Bench::new(Side::Server, &[(setting::INITIAL_WINDOW_SIZE, 40)]);
    bench.head(1, &GET, true).unwrap();
    let mut stream = bench.accept();
    write(&mut stream, &answer(&"x".repeat(100))).unwrap();
    drop(stream);
    assert_eq!(bench.out(), ["1: fields", "1: data 40"]);
    assert!(!bench.state().is_idle());
    bench.window(1, 100).unwrap();
    assert_eq!(bench.out(), ["1: data 60 end"]);
    assert!(bench.state().is_idle());
}

#[test]
fn the_rest_of_a_request_is_refused_behind_its_answer() {
    let mut bench = Bench::new(Side::Server, &[(setting::INITIAL_WINDOW_SIZE, 40)]);
    let mut stream = bench.arrive(1);
    write(&mut stream, &answer(&"x".repeat(100))).unwrap();
    drop(stream);
    bench.data(1, b"more", false).unwrap();
    bench.window(1, 100).unwrap();
    assert_eq!(
        bench.out(),
        ["1: fields", "1: data 40", "1: data 60 end", "1: reset 0"]
    );
    assert!(bench.state().is_idle());
}
