//! Requests and their answers, of all sizes, over little and much room.

use std::cell::RefCell;

use super::*;

#[test]
fn content_larger_than_all_windows_goes_both_ways() {
    for (between, length) in [
        (7, 200_000),
        (100, 300_000),
        (5000, 1_000_000),
        (1_000_000, 1_000_000),
    ] {
        run(async move {
            let (asking, serving) = pair(between, LIMITS, LIMITS);
            let _server = serving.echo();
            for length in [0, 1, 16_384, length] {
                let content = content(length);
                assert!(
                    asking.post(&content).await.unwrap() == content,
                    "{length} bytes by {between}"
                );
            }
        });
    }
}

#[test]
fn many_requests_go_at_once_and_wait_for_their_turn() {
    run(async {
        let (asking, serving) = pair(
            2000,
            Limits {
                streams: 100,
                ..LIMITS
            },
            Limits {
                streams: 3,
                ..LIMITS
            },
        );
        let _server = serving.echo();
        let client = std::rc::Rc::new(asking);
        let tasks: Vec<_> = (0..40)
            .map(|at| {
                let client = client.clone();
                spawn_local(async move {
                    let content = content(at * 3000);
                    assert!(client.post(&content).await.unwrap() == content);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn trailers_go_both_ways() {
    run(async {
        let (asking, serving) = pair(1000, LIMITS, LIMITS);
        let _server = serving.echo();
        let request =
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\nx-two: 2\r\n\r\n";
        let answer = asking.ask(request).await.unwrap().answer().await.unwrap();
        assert_eq!(answer.content, b"hello");
        let trailers = [("x-sum", "1"), ("x-two", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(answer.trailers, trailers);
    });
}

#[test]
fn interim_answers_come_before_the_last() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let mut wire = asking.ask(GET).await.unwrap();
        let mut served = serving.next().await;
        assert_eq!(
            served.request().await.unwrap().unwrap().head,
            "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"
        );
        served
            .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
            .await
            .unwrap();
        served.write_all(OK).await.unwrap();
        let answer = wire.answer().await.unwrap();
        let expected = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(
            (answer.head.as_str(), answer.content.as_slice()),
            (expected, &b"ok"[..])
        );
    });
}

#[test]
fn an_answer_to_a_head_has_no_content() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let mut wire = asking.ask(b"HEAD / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut served = serving.next().await;
        served.request().await.unwrap();
        served
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
            .await
            .unwrap();
        let mut text = [0; 100];
        let count = wire.read(&mut text).await.unwrap();
        assert_eq!(
            &text[..count],
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
        );
        assert_eq!(wire.read(&mut text).await.unwrap(), 0);
    });
}

#[test]
fn both_sides_speak_in_turn_before_either_is_done() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let mut wire = asking
            .ask(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let mut served = serving.next().await;
        let mut piece = [0; 200];
        served.read(&mut piece).await.unwrap();
        served
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        wire.read(&mut piece).await.unwrap();
        for _ in 0..100 {
            wire.write_all(b"4\r\nping\r\n").await.unwrap();
            let count = served.read(&mut piece).await.unwrap();
            assert_eq!(&piece[..count], b"4\r\nping\r\n");
            served.write_all(b"4\r\npong\r\n").await.unwrap();
            let count = wire.read(&mut piece).await.unwrap();
            assert_eq!(&piece[..count], b"4\r\npong\r\n");
        }
    });
}

#[test]
fn both_sides_speak_at_once() {
    run(async {
        let (asking, mut serving) = pair(3000, LIMITS, LIMITS);
        let length = 500_000;
        spawn_local(async move {
            let mut served = serving.next().await;
            let mut head = [0; 1000];
            let mut count = served.read(&mut head).await.unwrap();
            let head = &head[..count];
            count -= head
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
                .unwrap()
                + 4;
            served
                .write_all(
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes(),
                )
                .await
                .unwrap();
            served.write_all(&head[head.len() - count..]).await.unwrap();
            while count < length {
                let mut piece = vec![0; 5000];
                let read = served.read(&mut piece).await.unwrap();
                served.write_all(&piece[..read]).await.unwrap();
                count += read;
            }
            assert_eq!(served.read(&mut [0]).await.unwrap_or(0), 0);
        });
        let content = content(length);
        let request = posting(&content);
        let wire = RefCell::new(Wire(asking.client.stream()));
        let writing = async {
            let mut at = 0;
            while at < request.len() {
                at += poll_fn(|cx| wire.borrow_mut().0.poll_write(cx, &request[at..]))
                    .await
                    .unwrap();
            }
        };
        let reading = async {
            let (mut read, mut piece) = (Vec::new(), vec![0; 4000]);
            loop {
                match poll_fn(|cx| wire.borrow_mut().0.poll_read(cx, &mut piece))
                    .await
                    .unwrap()
                {
                    0 => return read,
                    count => read.extend_from_slice(&piece[..count]),
                }
            }
        };
        let ((), read) = tokio::join!(writing, reading);
        assert!(read.ends_with(&content));
    });
}
