//! HTTP/2 with prior knowledge: several requests at a time on one connection.

use http::{Uri, header::HOST};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use super::{
    Client, PATIENCE,
    http1::{Body, no_end, request},
    response::{Expected, outcome},
};
use crate::places::{Kind, Route};

/// Requests at a time.
const STREAMS: usize = 4;

/// A client with one connection at a time.
pub(super) async fn run(mut client: Client) {
    let mut connection: Option<SendRequest<Body>> = None;
    loop {
        let Some(open) = connect(&client, connection.take()).await else {
            return;
        };
        let choices: Vec<_> = (0..STREAMS)
            .map(|_| {
                let route = client.random.pick(&[Route::Two, Route::Two, Route::Web]);
                let kind = client.random.pick(&[Kind::Http2Get, Kind::Http2Post]);
                (kind, route, client.random.between(0, 40_000) as usize)
            })
            .collect();
        let mut exchanges = tokio::task::JoinSet::new();
        for (kind, route, length) in choices {
            let id = client.world.ledger.begin(kind, route);
            let mut request = request(&client, kind, route, id, length);
            request.headers_mut().remove(HOST);
            let authority = format!("localhost:{}", client.world.listen.port());
            let target = format!("http://{authority}{}", request.uri());
            *request.uri_mut() = target.parse::<Uri>().expect("a target of valid parts");
            let (mut open, world) = (open.clone(), client.world.clone());
            exchanges.spawn(async move {
                let expected = Expected::Pattern(length);
                let exchange =
                    async { outcome(id, &expected, open.send_request(request).await).await };
                let ended = timeout(PATIENCE, exchange).await;
                world.ledger.end(id, ended.unwrap_or_else(|_| no_end()));
            });
        }
        exchanges.join_all().await;
        connection = Some(open);
        client.think().await;
        client.think().await;
    }
}

/// The connection if it is still open, else another one.
async fn connect(client: &Client, open: Option<SendRequest<Body>>) -> Option<SendRequest<Body>> {
    if let Some(mut open) = open
        && open.ready().await.is_ok()
        && !client.world.is_over()
    {
        return Some(open);
    }
    loop {
        let stream = client.connect().await?;
        let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        if let Ok((sender, connection)) = shaken {
            tokio::spawn(connection);
            return Some(sender);
        }
    }
}
