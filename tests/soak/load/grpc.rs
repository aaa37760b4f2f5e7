//! gRPC by tonic, which knows nothing of a sidecar.

use tokio::{sync::mpsc, time::timeout};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codegen::{
        http::uri::PathAndQuery,
        tokio_stream::{StreamExt, wrappers::ReceiverStream},
    },
    transport::{Channel, Endpoint},
};

use super::{Client, PATIENCE, http1::no_end};
use crate::{
    ledger::Outcome,
    pattern::text,
    places::{Kind, Route},
    text_codec::Text,
    world::{FAULT, ID},
};

/// A client with one channel at a time.
pub(super) async fn run(mut client: Client) {
    let mut channel: Option<Grpc<Channel>> = None;
    loop {
        let Some(open) = connect(&client, channel.take()).await else {
            return;
        };
        let kinds = [Kind::GrpcUnary, Kind::GrpcDownload, Kind::GrpcTalk];
        let kind = client.random.pick(&kinds);
        let count = client.random.between(1, 30);
        let id = client.world.ledger.begin(kind, Route::Grpc);
        let mut call = Call { grpc: open, id };
        let ended = match kind {
            Kind::GrpcUnary => timeout(PATIENCE, call.unary()).await,
            Kind::GrpcDownload => timeout(PATIENCE, call.download(count)).await,
            _ => timeout(PATIENCE, call.talk(count)).await,
        };
        let ended = match ended {
            Ok(Ok(true)) => Outcome::Right,
            Ok(Ok(false)) => Outcome::Wrong("messages of another request".into()),
            Ok(Err(status)) => outcome(&status),
            Err(_) => no_end(),
        };
        client.world.ledger.end(id, ended.clone());
        // A channel reconnects by itself, and then it is not known which request was sent.
        channel = (ended == Outcome::Right).then_some(call.grpc);
        client.think().await;
    }
}

/// The channel if it is still open, else another one.
async fn connect(client: &Client, open: Option<Grpc<Channel>>) -> Option<Grpc<Channel>> {
    if let Some(mut open) = open
        && open.ready().await.is_ok()
        && !client.world.is_over()
    {
        return Some(open);
    }
    loop {
        // A connection of our own says whether the sidecar is there.
        drop(client.connect().await?);
        let endpoint = format!("http://localhost:{}", client.world.listen.port());
        let endpoint = Endpoint::from_shared(endpoint).expect("an address");
        if let Ok(channel) = endpoint.connect().await {
            let mut grpc = Grpc::new(channel);
            if grpc.ready().await.is_ok() {
                return Some(grpc);
            }
        }
    }
}

/// One call. Each method returns whether the messages were the right ones.
struct Call {
    grpc: Grpc<Channel>,
    id: u64,
}

impl Call {
    async fn unary(&mut self) -> Result<bool, Status> {
        let sent = text(self.id, 0);
        let request = self.request(sent.clone());
        let response = self.grpc.unary(request, path("Unary"), Text).await?;
        Ok(*response.get_ref() == sent)
    }

    async fn download(&mut self, count: u64) -> Result<bool, Status> {
        let request = self.request(count.to_string());
        let called = self.grpc.server_streaming(request, path("Download"), Text);
        let mut messages = called.await?.into_inner();
        let mut next = 0;
        while let Some(message) = messages.next().await {
            if message? != text(self.id, next) {
                return Ok(false);
            }
            next += 1;
        }
        Ok(next == count)
    }

    async fn talk(&mut self, count: u64) -> Result<bool, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let request = self.request(ReceiverStream::new(receiver));
        let called = self.grpc.streaming(request, path("Talk"), Text);
        let mut messages = called.await?.into_inner();
        for number in 0..count {
            let sent = text(self.id, number);
            // A stream that has ended says why when it is read.
            let _ = sender.send(sent.clone()).await;
            match messages.next().await {
                Some(message) => {
                    if message? != sent {
                        return Ok(false);
                    }
                }
                None => return Ok(false),
            }
        }
        drop(sender);
        match messages.next().await {
            None => Ok(true),
            Some(message) => message.map(|_| false),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let id = self.id.to_string().parse().expect("a number is a value");
        request.metadata_mut().insert(ID, id);
        request
    }
}

fn path(method: &str) -> PathAndQuery {
    let path = format!("{}/{method}", Route::Grpc.path());
    PathAndQuery::try_from(path).expect("a path of letters")
}

/// How a call ended, by its status.
fn outcome(status: &Status) -> Outcome {
    // bearward names the type of its own response in the message.
    const PROBLEMS: [&str; 6] = [
        "upstream-unreachable",
        "upstream-protocol",
        "upstream-timeout",
        "token-unavailable",
        "login-required",
        "request-timeout",
    ];
    let message = status.message();
    if status.metadata().contains_key(FAULT) {
        return Outcome::Fault(500);
    }
    if let Some(problem) = PROBLEMS.iter().find(|problem| message.contains(*problem)) {
        return Outcome::Problem(200, (*problem).to_owned());
    }
    match status.code() {
        Code::Unauthenticated => Outcome::Refused,
        // What tonic says of a connection or a stream that broke.
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal => Outcome::Broken {
            in_response: true,
            error: format!("{status:?}"),
        },
        _ => Outcome::Wrong(format!("{status:?}")),
    }
}
