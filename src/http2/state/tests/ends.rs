//! How streams and connections end, for whom, and with which words.

use super::*;

#[test]
fn an_answer_that_is_not_whole_is_reset() {
    let mut bench = Bench::server();
    bench.head(1, &GET, true).unwrap();
    drop(bench.accept());
    assert_eq!(bench.out(), ["1: reset 2"]);
    bench
        .settings(&[(setting::INITIAL_WINDOW_SIZE, 3)])
        .unwrap();
    let mut stream = bench.arrive(3);
    write(&mut stream, &answer("half")).unwrap();
    drop(stream);
    assert_eq!(
        bench.out(),
        ["settings ack", "3: fields", "3: data 3", "3: reset 2"],
        "what waits is not sent"
    );
    assert!(bench.state().is_idle());
}

#[test]
fn a_request_that_is_not_wanted_any_more_is_cancelled() {
    let mut bench = Bench::client();
    drop(bench.ask(10));
    assert_eq!(bench.out(), ["1: fields", "1: reset 8"]);
    let stream = bench.ask(10);
    bench.head(3, &OK, false).unwrap();
    drop(stream);
    assert_eq!(bench.out(), ["3: fields", "3: reset 8"]);
    bench.data(3, b"late", true).unwrap();
    assert_eq!((bench.out(), bench.state().is_idle()), (vec![], true));
}

#[test]
fn a_request_that_was_answered_ends_in_peace() {
    let mut bench = Bench::client();
    let mut stream = bench.ask(2);
    write(&mut stream, b"hi").unwrap();
    bench.head(1, &OK, true).unwrap();
    assert_eq!(
        read(&mut stream),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(),
            Poll::Ready(Ok(()))
        )
    );
    drop(stream);
    assert_eq!(bench.out(), ["1: fields", "1: data 2 end"]);
}

#[test]
fn the_end_of_an_early_answer_is_no_fault() {
    let mut bench = Bench::client();
    let mut stream = bench.ask(10);
    bench.head(1, &OK, true).unwrap();
    bench
        .take(&Frame::Reset {
            stream: 1,
            reason: Reason::NO_ERROR,
        })
        .unwrap();
    assert_eq!(write(&mut stream, b"more"), Err(io::ErrorKind::BrokenPipe));
    let (text, end) = read(&mut stream);
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") && end == Poll::Ready(Ok(())),
        "{text} {end:?}"
    );
    drop(stream);
    assert_eq!(bench.out(), ["1: fields"]);
}

#[test]
fn an_answer_that_is_cut_is_no_clean_end() {
    let mut bench = Bench::client();
    let mut stream = bench.ask(0);
    bench.head(1, &OK, false).unwrap();
    bench.data(1, b"half", false).unwrap();
    bench.reset(1).unwrap();
    let (text, end) = read(&mut stream);
    assert!(text.ends_with("4\r\nhalf\r\n"), "{text}");
    assert_eq!(end, Poll::Ready(Err(io::ErrorKind::ConnectionReset)));
    assert!(stream.was_reset() && !stream.was_refused());
}

#[test]
fn a_refused_request_is_known_as_such() {
    let mut bench = Bench::client();
    let mut stream = bench.ask(0);
    bench
        .take(&Frame::Reset {
            stream: 1,
            reason: Reason::REFUSED_STREAM,
        })
        .unwrap();
    assert_eq!(
        read(&mut stream).1,
        Poll::Ready(Err(io::ErrorKind::ConnectionRefused))
    );
    assert!(stream.was_refused() && !stream.was_reset());
}

#[test]
fn a_goodbye_refuses_what_is_behind_its_last_and_finishes_the_rest() {
    let mut bench = Bench::client();
    let (mut first, mut second) = (bench.ask(0), bench.ask(0));
    bench
        .take(&Frame::Goaway {
            last: 1,
            reason: Reason::NO_ERROR,
        })
        .unwrap();
    assert!(second.was_refused() && !first.was_refused());
    assert_eq!(
        read(&mut second).1,
        Poll::Ready(Err(io::ErrorKind::ConnectionRefused))
    );
    assert!(!bench.state().has_room() && !bench.state().is_open());
    let mut third = bench.stream();
    assert_eq!(
        write(&mut third, b"GET / HTTP/1.1\r\n\r\n"),
        Err(io::ErrorKind::ConnectionRefused)
    );
    assert!(third.was_refused());
    bench.head(1, &OK, true).unwrap();
    assert_eq!(read(&mut first).1, Poll::Ready(Ok(())));
    bench
        .take(&Frame::Goaway {
            last: 0,
            reason: Reason::NO_ERROR,
        })
        .unwrap();
    drop((first, second, third));
    assert!(bench.state().is_idle());
}

#[test]
fn a_goodbye_reaches_those_who_wait_for_a_stream() {
    let mut bench = Bench::new(Side::Client, &[(setting::MAX_CONCURRENT_STREAMS, 1)]);
    let (_first, mut second) = (bench.ask(0), bench.ask(0));
    bench
        .take(&Frame::Goaway {
            last: 1,
            reason: Reason::NO_ERROR,
        })
        .unwrap();
    assert_eq!(
        read(&mut second).1,
        Poll::Ready(Err(io::ErrorKind::ConnectionRefused))
    );
    assert!(second.was_refused());
}

#[test]
fn what_never_left_was_refused_when_the_connection_is_lost() {
    let mut bench = Bench::client();
    let mut first = bench.ask(0);
    bench.out();
    let mut second = bench.ask(0);
    bench.state.borrow_mut().lose();
    assert!(!first.was_refused() && second.was_refused());
    assert_eq!(
        read(&mut first).1,
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted))
    );
    assert_eq!(
        read(&mut second).1,
        Poll::Ready(Err(io::ErrorKind::ConnectionRefused))
    );
}

#[test]
fn a_whole_answer_is_read_though_the_connection_is_lost() {
    let mut bench = Bench::client();
    let mut stream = bench.ask(0);
    bench.head(1, &OK, false).unwrap();
    bench.data(1, b"all", true).unwrap();
    bench.state.borrow_mut().lose();
    let (text, end) = read(&mut stream);
    assert!(
        text.ends_with("3\r\nall\r\n0\r\n\r\n") && end == Poll::Ready(Ok(())),
        "{text}"
    );
}

#[test]
fn the_end_is_announced_confirmed_and_told() {
    let mut bench = Bench::server();
    bench.state.borrow_mut().announce_end();
    assert_eq!(bench.out(), [format!("goaway {MOST} 0"), "ping".into()]);
    let mut stream = bench.arrive(5);
    bench
        .take(&Frame::Ping {
            is_ack: true,
            payload: *b"whatever",
        })
        .unwrap();
    assert_eq!(bench.out(), [""; 0]);
    bench
        .take(&Frame::Ping {
            is_ack: true,
            payload: *b"goodbye!",
        })
        .unwrap();
    assert_eq!(bench.out(), ["goaway 5 0"]);
    // What comes now is neither served nor a fault: it may have been on its way.
    bench.head(7, &GET, false).unwrap();
    bench.data(7, b"x", false).unwrap();
    bench.window(7, 5).unwrap();
    bench.head(7, &[("x", "y")], true).unwrap();
    bench.reset(7).unwrap();
    assert!(bench.state.borrow_mut().seat().is_none());
    bench.data(5, b"", true).unwrap();
    write(&mut stream, &answer(&"x".repeat(100))).unwrap();
    assert_eq!(bench.out(), ["5: fields", "5: data 100 end"]);
    assert_eq!(
        read(&mut stream).1,
        Poll::Ready(Ok(())),
        "there is no next one"
    );
    assert_eq!(bench.state().receive.held(), 0);
}

#[test]
fn requests_beyond_the_limit_are_refused_and_leave_no_trace() {
    let mut bench = Bench::server();
    let streams: Vec<_> = (0..8).map(|at| bench.arrive(2 * at + 1)).collect();
    bench.head(17, &GET, false).unwrap();
    assert_eq!(bench.out(), ["17: reset 7"]);
    bench.data(17, b"late", true).unwrap();
    assert_eq!((bench.out(), bench.state().receive.held()), (vec![], 0));
    drop(streams);
    bench.out();
    drop(bench.arrive(19));
}

#[test]
fn a_malformed_request_is_reset_and_leaves_no_trace() {
    for bad in [("x", "a\nb"), (":path", "/"), ("connection", "close")] {
        let mut bench = Bench::server();
        bench.head(1, &[&GET[..], &[bad]].concat(), true).unwrap();
        assert_eq!(
            (bench.out(), bench.state().streams.len()),
            (vec!["1: reset 1".into()], 0)
        );
    }
    let mut bench = Bench::client();
    let mut stream = bench.ask(0);
    bench.head(1, &[(":status", "x")], true).unwrap();
    assert_eq!(bench.out(), ["1: fields end", "1: reset 1"]);
    assert_eq!(
        read(&mut stream),
        (
            String::new(),
            Poll::Ready(Err(io::ErrorKind::ConnectionReset))
        )
    );
}

#[test]
fn streams_that_come_to_nothing_have_an_end() {
    let mut bench = Bench::server();
    bench.take(&Frame::SettingsAck).unwrap();
    let taken = (0..1000).map_while(|at| {
        bench.head(2 * at + 1, &GET, false).ok()?;
        bench.reset(2 * at + 1).ok()
    });
    assert_eq!(taken.count(), 256);
    assert!(bench.state.borrow_mut().seat().is_none());
    assert_eq!(bench.state().streams.len(), 0);

    // One that is answered makes up for one that was not.
    let mut bench = Bench::server();
    for at in 0..1000 {
        bench.head(4 * at + 1, &GET, true).unwrap();
        let mut stream = bench.accept();
        write(&mut stream, &answer(&"x".repeat(100))).unwrap();
        bench.window(0, 100).unwrap();
        bench.out();
        drop(stream);
        bench.head(4 * at + 3, &GET, false).unwrap();
        bench.reset(4 * at + 3).unwrap();
        assert!(bench.state.borrow_mut().seat().is_none());
    }
}

#[test]
fn frames_on_streams_that_have_not_begun_end_the_connection() {
    type Send = fn(&mut Bench, u32) -> Result<(), Broken>;
    let frames: [Send; 4] = [
        |bench, stream| bench.data(stream, b"x", false),
        |bench, stream| bench.window(stream, 1),
        |bench, stream| bench.reset(stream),
        |bench, stream| bench.head(stream, &OK, true),
    ];
    for (number, frame) in frames.iter().enumerate() {
        for stream in [2, 3] {
            let mut bench = Bench::client();
            let _stream = bench.ask(1);
            assert_eq!(
                reason(frame(&mut bench, stream)),
                Some(Reason::PROTOCOL_ERROR),
                "{number} on {stream}"
            );
            let mut bench = Bench::server();
            let _stream = bench.arrive(1);
            let is_request = number == 3 && stream == 3;
            let expected = (!is_request).then_some(Reason::PROTOCOL_ERROR);
            assert_eq!(
                reason(frame(&mut bench, stream)),
                expected,
                "{number} on {stream}"
            );
        }
    }
    // On those that have ended they mean nothing.
    let mut bench = Bench::server();
    drop(bench.arrive(5));
    bench.out();
    for frame in &frames[..3] {
        for stream in [1, 3, 5] {
            frame(&mut bench, stream).unwrap();
        }
    }
    assert_eq!(bench.out(), [""; 0]);
    // But a head: numbers only grow (RFC 9113 §5.1.1), and whoever sent it would wait for an answer for ever.
    assert_eq!(
        reason(bench.head(3, &GET, true)),
        Some(Reason::STREAM_CLOSED)
    );
}

#[test]
fn settings_come_first_and_say_what_is_allowed() {
    let mut bench = Bench {
        state: Rc::new(RefCell::new(State::new(Side::Server, LIMITS))),
        decoder: Decoder::new(4096),
        fields: Fields::new(LIMITS.head_bytes),
    };
    assert_eq!(
        reason(bench.take(&Frame::SettingsAck)),
        Some(Reason::PROTOCOL_ERROR)
    );
    assert_eq!(
        reason(bench.take(&Frame::Nothing)),
        Some(Reason::PROTOCOL_ERROR)
    );
    for (name, value) in [
        (setting::ENABLE_PUSH, 2),
        (setting::MAX_FRAME_SIZE, 16_383),
        (setting::MAX_FRAME_SIZE, 1 << 24),
    ] {
        assert_eq!(
            reason(Bench::server().settings(&[(name, value)])),
            Some(Reason::PROTOCOL_ERROR),
            "{name} {value}"
        );
    }
    // A server does not speak of pushes that it would take (RFC 9113 §6.5.2).
    assert_eq!(
        reason(Bench::client().settings(&[(setting::ENABLE_PUSH, 1)])),
        Some(Reason::PROTOCOL_ERROR)
    );
    for (name, value) in [
        (setting::ENABLE_PUSH, 0),
        (setting::MAX_FRAME_SIZE, 16_384),
        (99, 99),
    ] {
        assert_eq!(Bench::client().settings(&[(name, value)]), Ok(()));
    }
}

#[test]
fn fields_that_cannot_be_unpacked_end_the_connection() {
    let mut bench = Bench::server();
    let broken = bench.take(&Frame::Fields {
        stream: 1,
        block: &[0x80],
        is_end: true,
    });
    assert_eq!(reason(broken), Some(Reason::COMPRESSION_ERROR));
}

#[test]
fn fields_that_nobody_wants_are_unpacked_all_the_same() {
    let mut bench = Bench::server();
    drop(bench.arrive(1));
    // Remembered from a stream that is gone, and used on one that is not.
    bench
        .take(&Frame::Fields {
            stream: 1,
            block: b"\x40\x01n\x01v",
            is_end: true,
        })
        .unwrap();
    let mut request = block(&GET).filled().to_vec();
    request.push(0x80 | 62);
    bench
        .take(&Frame::Fields {
            stream: 3,
            block: &request,
            is_end: true,
        })
        .unwrap();
    let mut stream = bench.accept();
    assert_eq!(read(&mut stream).0, "GET / HTTP/1.1\r\nn: v\r\n\r\n");
}

#[test]
fn a_head_that_is_too_large_is_there_to_be_answered_and_such_trailers_are_not() {
    let mut bench = Bench::server();
    let long = "v".repeat(5000);
    bench
        .head(1, &[&GET[..], &[("x", &long)]].concat(), true)
        .unwrap();
    let mut stream = bench.accept();
    assert!(read(&mut stream).0.len() > LIMITS.head_bytes);
    write(
        &mut stream,
        b"HTTP/1.1 431 Too Large\r\ncontent-length: 0\r\n\r\n",
    )
    .unwrap();
    assert_eq!(bench.out(), ["1: fields end"]);
    let mut stream = bench.arrive(3);
    bench.head(3, &[("x", &long)], true).unwrap();
    assert_eq!(bench.out(), ["3: reset 1"]);
    assert_eq!(
        read(&mut stream).1,
        Poll::Ready(Err(io::ErrorKind::ConnectionReset))
    );
}
