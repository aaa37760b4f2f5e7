//! The other side is another implementation: the crate `h2`.

use bytes::Bytes;
use h2::{RecvStream, SendStream};

use super::*;

async fn send(mut stream: SendStream<Bytes>, content: Vec<u8>, trailers: Option<http::HeaderMap>) {
    let mut content = Bytes::from(content);
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx))
            .await
            .unwrap()
            .unwrap();
        stream
            .send_data(content.split_to(room.min(content.len())), false)
            .unwrap();
    }
    match trailers {
        Some(trailers) => stream.send_trailers(trailers).unwrap(),
        None => stream.send_data(Bytes::new(), true).unwrap(),
    }
}

async fn receive(mut stream: RecvStream) -> (Vec<u8>, Option<http::HeaderMap>) {
    let mut content = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.unwrap();
        stream.flow_control().release_capacity(piece.len()).unwrap();
        content.extend_from_slice(&piece);
    }
    (content, stream.trailers().await.unwrap())
}

fn trailers() -> http::HeaderMap {
    http::HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        http::HeaderValue::from_static("1"),
    )])
}

#[test]
fn another_client_is_served() {
    run(async {
        let (here, there) = tokio::io::duplex(5000);
        let _server = Serving::begin(here, LIMITS).echo();
        let (client, connection) = h2::client::handshake(there).await.unwrap();
        spawn_local(async move { connection.await.unwrap() });
        let tasks: Vec<_> = (0..100_usize)
            .map(|at| {
                let client = client.clone();
                spawn_local(async move {
                    let request = http::Request::post("http://a.example/x").body(()).unwrap();
                    let mut client = client.ready().await.unwrap();
                    let content = content(at * at * 40);
                    let (answer, stream) = client.send_request(request, false).unwrap();
                    let trailers = (at % 2 == 1).then(trailers);
                    spawn_local(send(stream, content.clone(), trailers.clone()));
                    let answer = answer.await.unwrap();
                    assert_eq!(answer.status(), 200);
                    assert!(
                        receive(answer.into_body()).await == (content, trailers),
                        "{at}"
                    );
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Answers like [`Serving::echo`].
fn echo(
    io: DuplexStream,
    configure: impl FnOnce(&mut h2::server::Builder) + 'static,
) -> JoinHandle<()> {
    spawn_local(async move {
        let mut builder = h2::server::Builder::new();
        configure(&mut builder);
        let mut connection = builder.handshake(io).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            spawn_local(async move {
                let (content, trailers) = receive(request.into_body()).await;
                let stream = respond
                    .send_response(http::Response::new(()), false)
                    .unwrap();
                send(stream, content, trailers).await;
            });
        }
    })
}

#[test]
fn another_server_is_asked() {
    run(async {
        let (here, there) = tokio::io::duplex(5000);
        let asking = std::rc::Rc::new(Asking::begin(here, LIMITS));
        let ended = echo(there, |builder| {
            builder
                .max_concurrent_streams(5)
                .initial_window_size(10_000)
                .header_table_size(0);
        });
        let tasks: Vec<_> = (0..100_usize)
            .map(|at| {
                let asking = asking.clone();
                spawn_local(async move {
                    let content = content(at * at * 40);
                    let mut request =
                        format!("POST /{at} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
                            .into_bytes();
                    if !content.is_empty() {
                        request.extend(format!("{:x}\r\n", content.len()).bytes());
                        request.extend(&content);
                        request.extend(b"\r\n");
                    }
                    request.extend(if at % 2 == 1 {
                        &b"0\r\nx-sum: 1\r\n\r\n"[..]
                    } else {
                        b"0\r\n\r\n"
                    });
                    let answer = asking.ask(&request).await.unwrap().answer().await.unwrap();
                    assert!(answer.content == content, "{at}");
                    assert_eq!(answer.trailers.len(), at % 2);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        drop(asking);
        timeout(SECOND, ended).await.unwrap().unwrap();
    });
}

#[test]
fn another_client_that_gives_up_takes_no_window_with_it() {
    run(async {
        let (here, there) = tokio::io::duplex(5000);
        let mut serving = Serving::begin(here, LIMITS);
        let (mut client, connection) = h2::client::handshake(there).await.unwrap();
        spawn_local(async move { connection.await.unwrap() });
        for _ in 0..100 {
            let request = http::Request::post("http://a.example/x").body(()).unwrap();
            let (answer, mut stream) = client.send_request(request, false).unwrap();
            let mut served = serving.next().await;
            stream.send_data(vec![b'x'; 30_000].into(), false).unwrap();
            served.read(&mut vec![0; 5000]).await.unwrap();
            drop((answer, stream));
            poll_fn(|cx| served.0.poll_reset(cx)).await;
        }
        let _server = serving.echo();
        let request = http::Request::post("http://a.example/x").body(()).unwrap();
        let (answer, stream) = client.send_request(request, false).unwrap();
        let content = content(500_000);
        spawn_local(send(stream, content.clone(), None));
        assert!(receive(answer.await.unwrap().into_body()).await.0 == content);
    });
}

#[test]
fn another_client_hears_of_the_end_and_is_served_to_it() {
    run(async {
        let (here, there) = tokio::io::duplex(5000);
        let mut serving = Serving::begin(here, LIMITS);
        let (mut client, connection) = h2::client::handshake(there).await.unwrap();
        let connection = spawn_local(connection);
        let request = http::Request::get("http://a.example/x").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let mut served = serving.next().await;
        served.request().await.unwrap();
        serving.server.announce_end();
        tokio::time::sleep(SECOND).await;
        served.write_all(OK).await.unwrap();
        assert_eq!(receive(answer.await.unwrap().into_body()).await.0, b"ok");
        drop(served);
        timeout(SECOND, serving.task).await.unwrap().unwrap();
        timeout(SECOND, connection).await.unwrap().unwrap().unwrap();
    });
}
