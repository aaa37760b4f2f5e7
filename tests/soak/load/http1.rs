//! HTTP/1.1: connections that are kept, and one connection a request.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{
    Client, PATIENCE,
    response::{Expected, outcome},
};
use crate::{
    ledger::Outcome,
    pattern,
    places::{Kind, Route},
    world::ID,
};

/// A request body.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection of a client.
pub(super) type Connection = SendRequest<Body>;

/// A client whose connection serves many requests.
pub(super) async fn keep_alive(mut client: Client) {
    let mut connection = None;
    while let Some(mut open) = connect(&client, connection.take()).await {
        let route = client.random.pick(&[Route::Web, Route::Own]);
        let kind = client
            .random
            .pick(&[Kind::Get, Kind::Get, Kind::Get, Kind::Put, Kind::Post]);
        let length = client.random.between(0, 6000) as usize;
        exchange(&client, &mut open, kind, route, length).await;
        connection = Some(open);
        client.think().await;
    }
}

/// A client that opens a connection for each request.
pub(super) async fn one_shot(mut client: Client) {
    while let Some(mut open) = connect(&client, None).await {
        let route = client.random.pick(&[Route::Web, Route::Own]);
        let length = client.random.between(0, 6000) as usize;
        exchange(&client, &mut open, Kind::OneShot, route, length).await;
        drop(open);
        client.think().await;
    }
}

/// The connection if it is still open, else another one.
pub(super) async fn connect(client: &Client, open: Option<Connection>) -> Option<Connection> {
    if let Some(mut open) = open
        && open.ready().await.is_ok()
        && !client.world.is_over()
    {
        return Some(open);
    }
    loop {
        let stream = client.connect().await?;
        if let Ok((sender, connection)) = handshake(TokioIo::new(stream)).await {
            tokio::spawn(connection);
            return Some(sender);
        }
    }
}

/// One request with a body of up to some KiB each way, entered in the ledger.
async fn exchange(
    client: &Client,
    connection: &mut Connection,
    kind: Kind,
    route: Route,
    length: usize,
) {
    let ledger = &client.world.ledger;
    let id = ledger.begin(kind, route);
    let request = request(client, kind, route, id, length);
    let expected = Expected::Pattern(length);
    let exchange = async { outcome(id, &expected, connection.send_request(request).await).await };
    let ended = timeout(PATIENCE, exchange).await;
    ledger.end(id, ended.unwrap_or_else(|_| no_end()));
}

/// The request `id` of a kind: a GET for `length` bytes, or a body of `length` bytes.
pub(super) fn request(
    client: &Client,
    kind: Kind,
    route: Route,
    id: u64,
    length: usize,
) -> Request<Body> {
    let (method, body) = match kind {
        Kind::Put => (Method::PUT, pattern::part(id, 0, length)),
        Kind::Post | Kind::Http2Post => (Method::POST, pattern::part(id, 0, length)),
        _ => (Method::GET, Bytes::new()),
    };
    let target = format!("{}/item/{id}?{length}", route.path());
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", format!("localhost:{}", client.world.listen.port()))
        .header(ID, id);
    let body = Full::new(body).boxed_unsync();
    request.body(body).expect("a request of valid parts")
}

/// The outcome of a request that has no end.
pub(super) fn no_end() -> Outcome {
    Outcome::Wrong(format!("no end within {PATIENCE:?}"))
}
