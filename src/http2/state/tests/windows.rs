//! Windows: what may come and what may go, and that nothing of either is ever lost.

use proptest::{collection::vec, prelude::*};

use super::*;

const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/"),
    ("content-length", "500"),
];

/// How much of the connection's window is taken by what nobody can read any more: has to be nothing.
fn leaked(bench: &Bench) -> i64 {
    bench.state().receive.held()
}

#[test]
fn what_is_read_is_given_back() {
    let mut bench = Bench::server();
    let mut stream = bench.arrive(1);
    bench.data(1, &[b'x'; 499], false).unwrap();
    assert_eq!(leaked(&bench), 499);
    assert!(read(&mut stream).1.is_pending());
    assert_eq!(
        (leaked(&bench), bench.out()),
        (0, vec![]),
        "less than half a window is worth no frame"
    );
    bench.data(1, b"x", false).unwrap();
    assert!(read(&mut stream).1.is_pending());
    assert_eq!(bench.out(), ["1: window 500"]);
}

#[test]
fn padding_is_given_back_at_once() {
    let mut bench = Bench::server();
    let _stream = bench.arrive(1);
    for _ in 0..1000 {
        bench
            .take(&Frame::Data {
                stream: 1,
                content: b"",
                flow: 200,
                is_end: false,
            })
            .unwrap();
        bench.out();
    }
    assert_eq!(leaked(&bench), 0);
}

#[test]
fn more_than_a_window_allows_ends_the_stream_or_the_connection() {
    let mut bench = Bench::server();
    let mut stream = bench.arrive(1);
    bench.data(1, &[b'x'; 1000], false).unwrap();
    bench.data(1, b"x", false).unwrap();
    assert_eq!(bench.out(), ["1: reset 3"]);
    assert_eq!(
        read(&mut stream),
        (
            String::new(),
            Poll::Ready(Err(io::ErrorKind::ConnectionReset))
        )
    );
    assert_eq!(leaked(&bench), 0);

    let flow = LIMITS.connection_window + 1;
    let broken = bench.take(&Frame::Data {
        stream: 1,
        content: b"",
        flow,
        is_end: false,
    });
    assert_eq!(reason(broken), Some(Reason::FLOW_CONTROL_ERROR));
}

#[test]
fn content_that_breaks_its_length_is_given_back_once() {
    for (sent, is_end) in [(499, true), (501, false), (501, true), (0, true)] {
        let mut bench = Bench::server();
        bench.head(1, &POST, false).unwrap();
        let stream = bench.accept();
        bench.data(1, &vec![b'x'; sent], is_end).unwrap();
        assert_eq!(bench.out(), ["1: reset 1"]);
        assert_eq!(leaked(&bench), 0, "{sent} of 500 bytes");
        drop(stream);
        assert_eq!(leaked(&bench), 0, "{sent} of 500 bytes");
    }
}

#[test]
fn content_behind_the_end_is_given_back() {
    let mut bench = Bench::server();
    bench.head(1, &GET, true).unwrap();
    let stream = bench.accept();
    bench.data(1, &[b'x'; 100], false).unwrap();
    assert_eq!(
        (bench.out(), leaked(&bench)),
        (vec!["1: reset 5".into()], 0)
    );
    drop(stream);
    bench.data(1, &[b'x'; 100], false).unwrap();
    assert_eq!((bench.out(), leaked(&bench)), (vec![], 0));
}

#[test]
fn a_window_that_opens_by_nothing_or_too_far_ends_what_it_belongs_to() {
    for (increment, code) in [(0, 1), (MOST, 3)] {
        let mut bench = Bench::server();
        let _stream = bench.arrive(1);
        bench.window(1, increment).unwrap();
        assert_eq!(bench.out(), [format!("1: reset {code}")]);
        bench.window(1, increment).unwrap();
        assert_eq!(bench.out(), [""; 0], "it is told once");
        assert_eq!(reason(bench.window(0, increment)), Some(Reason(code)));
    }
}

#[test]
fn a_setting_that_makes_windows_too_large_ends_the_connection() {
    let mut bench = Bench::server();
    let _stream = bench.arrive(1);
    bench.window(1, 1).unwrap();
    assert_eq!(
        reason(bench.settings(&[(setting::INITIAL_WINDOW_SIZE, MOST)])),
        Some(Reason::FLOW_CONTROL_ERROR)
    );
    let broken = Bench::server().settings(&[(setting::INITIAL_WINDOW_SIZE, MOST + 1)]);
    assert_eq!(reason(broken), Some(Reason::FLOW_CONTROL_ERROR));
}

#[test]
fn a_changed_setting_moves_the_windows_of_streams_that_have_begun() {
    let mut bench = Bench::new(Side::Server, &[(setting::INITIAL_WINDOW_SIZE, 10)]);
    let mut stream = bench.arrive(1);
    write(&mut stream, &answer(&"x".repeat(100))).unwrap();
    assert_eq!(bench.out(), ["1: fields", "1: data 10"]);
    bench
        .settings(&[(setting::INITIAL_WINDOW_SIZE, 30)])
        .unwrap();
    assert_eq!(bench.out(), ["settings ack", "1: data 20"]);
    bench
        .settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])
        .unwrap();
    bench.window(1, 29).unwrap();
    assert_eq!(bench.out(), ["settings ack"], "it was 30 below nothing");
    bench.window(1, 2).unwrap();
    assert_eq!(bench.out(), ["1: data 1"]);
    bench
        .settings(&[
            (setting::INITIAL_WINDOW_SIZE, 1000),
            (setting::INITIAL_WINDOW_SIZE, 5),
        ])
        .unwrap();
    assert_eq!(bench.out(), ["settings ack", "1: data 5"]);
    bench.window(1, 1000).unwrap();
    assert_eq!(bench.out(), ["1: data 64 end"]);
}

/// What may happen on a connection, from either side.
#[derive(Clone, Debug)]
enum Step {
    Open {
        ends: bool,
        has_length: bool,
    },
    Data {
        at: usize,
        size: usize,
        padding: usize,
        ends: bool,
    },
    Trailers {
        at: usize,
    },
    Reset {
        at: usize,
    },
    Window {
        at: usize,
        by: u32,
    },
    ConnectionWindow {
        by: u32,
    },
    InitialWindow {
        size: u32,
    },
    Read {
        at: usize,
        size: usize,
    },
    Write {
        at: usize,
        size: usize,
    },
    Close {
        at: usize,
    },
    Drop {
        at: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0_usize..6;
    prop_oneof![
        2 => any::<(bool, bool)>().prop_map(|(ends, has_length)| Step::Open { ends, has_length }),
        5 => (at(), 0_usize..700, 0_usize..40, prop::bool::weighted(0.2))
            .prop_map(|(at, size, padding, ends)| Step::Data { at, size, padding, ends }),
        1 => at().prop_map(|at| Step::Trailers { at }),
        1 => at().prop_map(|at| Step::Reset { at }),
        2 => (at(), 0_u32..3000).prop_map(|(at, by)| Step::Window { at, by }),
        1 => (1_u32..3000).prop_map(|by| Step::ConnectionWindow { by }),
        1 => (0_u32..3000).prop_map(|size| Step::InitialWindow { size }),
        4 => (at(), 1_usize..900).prop_map(|(at, size)| Step::Read { at, size }),
        4 => (at(), 1_usize..40_000).prop_map(|(at, size)| Step::Write { at, size }),
        1 => at().prop_map(|at| Step::Close { at }),
        1 => at().prop_map(|at| Step::Drop { at }),
    ]
}

/// What the other side counts that it may be sent.
struct Allowed {
    initial: i64,
    connection: i64,
    streams: Vec<(u32, i64)>,
}

impl Allowed {
    fn take(&mut self, said: &[String]) {
        for frame in said {
            let words: Vec<&str> = frame
                .split([':', ' '])
                .filter(|word| !word.is_empty())
                .collect();
            let [stream, "data", count, ..] = words[..] else {
                continue;
            };
            let (stream, count): (u32, i64) = (stream.parse().unwrap(), count.parse().unwrap());
            let window = self
                .streams
                .iter_mut()
                .find(|(id, _)| *id == stream)
                .unwrap();
            window.1 -= count;
            self.connection -= count;
            assert!(
                count == 0 || (window.1 >= 0 && self.connection >= 0),
                "{frame} is more than was allowed"
            );
        }
    }
}

fn run(side: Side, steps: Vec<Step>) {
    let mut bench = Bench::new(side, &[]);
    let mut allowed = Allowed {
        initial: 65_535,
        connection: 65_535,
        streams: Vec::new(),
    };
    let mut streams: Vec<(u32, Stream)> = Vec::new();
    let (mut next, mut bytes) = (1, vec![0; 900]);
    for step in steps {
        let pick = |at: usize| streams.get(at).map(|(id, _)| *id);
        let taken = match step {
            Step::Open { ends, has_length } if streams.len() < LIMITS.streams => {
                if side == Side::Server {
                    bench
                        .head(next, if has_length { &POST } else { &GET }, ends)
                        .unwrap();
                    if bench.state().arrived.is_empty() {
                        // It ends before its length, or there are too many: those that are left and not yet sent count.
                        next += 2;
                        continue;
                    }
                    let mut stream = bench.accept();
                    write(
                        &mut stream,
                        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
                    )
                    .unwrap();
                    streams.push((next, stream));
                } else {
                    let stream = bench.ask(100_000);
                    if bench.state().last < next {
                        continue;
                    }
                    streams.push((next, stream));
                    bench.head(next, &OK, ends).unwrap();
                }
                allowed.streams.push((next, allowed.initial));
                next += 2;
                Ok(())
            }
            Step::Data {
                at,
                size,
                padding,
                ends,
            } if let Some(stream) = pick(at) => {
                let content = vec![b'x'; size];
                bench.take(&Frame::Data {
                    stream,
                    content: &content,
                    flow: (size + padding) as u32,
                    is_end: ends,
                })
            }
            Step::Trailers { at } if let Some(stream) = pick(at) => {
                bench.head(stream, &[("x", "y")], true)
            }
            Step::Reset { at } if let Some(stream) = pick(at) => bench.reset(stream),
            Step::Window { at, by } if let Some(stream) = pick(at) => {
                allowed
                    .streams
                    .iter_mut()
                    .filter(|(id, _)| *id == stream)
                    .for_each(|window| window.1 += i64::from(by));
                bench.window(stream, by)
            }
            Step::ConnectionWindow { by } => {
                allowed.connection += i64::from(by);
                bench.window(0, by)
            }
            Step::InitialWindow { size } => {
                let by = i64::from(size) - allowed.initial;
                allowed.initial = i64::from(size);
                allowed.streams.iter_mut().for_each(|window| window.1 += by);
                bench.settings(&[(setting::INITIAL_WINDOW_SIZE, size)])
            }
            Step::Read { at, size } if at < streams.len() => {
                let _ = streams[at]
                    .1
                    .poll_read(&mut cx(), &mut bytes[..size])
                    .map(drop);
                Ok(())
            }
            Step::Write { at, size } if at < streams.len() => {
                let _ = streams[at]
                    .1
                    .poll_write(&mut cx(), &vec![b'y'; size])
                    .map(drop);
                Ok(())
            }
            Step::Close { at } if at < streams.len() => {
                streams[at].1.close();
                Ok(())
            }
            Step::Drop { at } if at < streams.len() => {
                drop(streams.remove(at));
                Ok(())
            }
            _ => Ok(()),
        };
        if taken.is_err() {
            return;
        }
        allowed.take(&bench.out());
        let state = bench.state();
        assert!(state.streams.len() <= LIMITS.streams);
        let held = state.receive.held();
        let unread: i64 = state
            .streams
            .iter()
            .map(|(_, entry)| entry.receive.held())
            .sum();
        assert!(
            (0..=unread).contains(&held),
            "{held} bytes are held, and {unread} may be"
        );
    }
    drop(streams);
    // What is written and waits is sent once it may be.
    bench.window(0, MOST / 2).unwrap();
    for (stream, _) in &allowed.streams {
        bench.window(*stream, MOST / 2).unwrap();
    }
    while !bench.out().is_empty() {}
    assert_eq!(leaked(&bench), 0);
    assert!(
        bench.state().is_idle(),
        "streams that nobody holds are kept"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_window_leaks_on_the_side_that_answers(steps in vec(step(), 1..80)) {
        run(Side::Server, steps);
    }

    #[test]
    fn no_window_leaks_on_the_side_that_asks(steps in vec(step(), 1..80)) {
        run(Side::Client, steps);
    }
}
