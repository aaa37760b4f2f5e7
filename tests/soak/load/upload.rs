//! Large bodies, streamed: uploads in chunks, which the upstream checks, and downloads, which the client checks.

use std::convert::Infallible;

use http::{Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::timeout;
use tonic::codegen::tokio_stream;

use super::{
    Client, PATIENCE,
    http1::{Connection, connect, no_end, request},
    response::{Expected, outcome},
};
use crate::{
    ledger::Outcome,
    pattern::pieces,
    places::{Kind, Route},
    upstream::http::report,
    world::ID,
};

/// Bytes of a body: more than what is kept for a replay.
const MIN_BYTES: u64 = 100_000;

/// Less than what bearward still reads after an early response: of a longer body, the end may meet a closed connection.
const MAX_BYTES: u64 = 1_000_000;

/// A client that uploads and downloads in turn.
pub(super) async fn run(mut client: Client) {
    let mut connection = None;
    while let Some(mut open) = connect(&client, connection.take()).await {
        let route = client.random.pick(&[Route::Web, Route::Own]);
        let length = client.random.between(MIN_BYTES, MAX_BYTES) as usize;
        let ended = match client.random.one_in(2) {
            true => upload(&client, &mut open, route, length).await,
            false => download(&client, &mut open, route, length).await,
        };
        // After an early response, the rest of an upload has no reader.
        connection = (ended == Outcome::Right).then_some(open);
        client.think().await;
    }
}

async fn upload(
    client: &Client,
    connection: &mut Connection,
    route: Route,
    length: usize,
) -> Outcome {
    let ledger = &client.world.ledger;
    let id = ledger.begin(Kind::Upload, route);
    let frames = pieces(id, length).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let body = StreamBody::new(tokio_stream::iter(frames)).boxed_unsync();
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/item/{id}/upload", route.path()))
        .header("host", format!("localhost:{}", client.world.listen.port()))
        .header(ID, id)
        .body(body)
        .expect("a request of valid parts");
    let expected = Expected::Text(report(length, true));
    let exchange = async { outcome(id, &expected, connection.send_request(request).await).await };
    let ended = timeout(PATIENCE, exchange).await;
    let ended = ended.unwrap_or_else(|_| no_end());
    ledger.end(id, ended.clone());
    ended
}

async fn download(
    client: &Client,
    connection: &mut Connection,
    route: Route,
    length: usize,
) -> Outcome {
    let ledger = &client.world.ledger;
    let id = ledger.begin(Kind::Download, route);
    let request = request(client, Kind::Download, route, id, length);
    let expected = Expected::Pattern(length);
    let exchange = async { outcome(id, &expected, connection.send_request(request).await).await };
    let ended = timeout(PATIENCE, exchange).await;
    let ended = ended.unwrap_or_else(|_| no_end());
    ledger.end(id, ended.clone());
    ended
}
