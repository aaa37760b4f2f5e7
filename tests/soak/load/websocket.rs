//! WebSocket sessions by tungstenite, on threads.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use tungstenite::{
    Error, Message, WebSocket, client::IntoClientRequest, handshake::HandshakeError,
    http::StatusCode,
};

use super::{Client, PATIENCE};
use crate::{
    ledger::Outcome,
    pattern::text,
    places::{Kind, Route},
    world::{FAULT, ID},
};

/// A client that has one session after the other.
pub(super) fn run(mut client: Client) {
    while let Some(stream) = connect(&client) {
        let count = client.random.between(1, 25);
        let id = client.world.ledger.begin(Kind::WebSocket, Route::Ws);
        let ended = session(&mut client, id, count, stream);
        client.world.ledger.end(id, ended);
        thread::sleep(client.random.millis(100, 300));
    }
}

fn connect(client: &Client) -> Option<TcpStream> {
    while !client.world.is_over() {
        let since = Instant::now();
        match TcpStream::connect(client.world.listen) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let _ = stream.set_read_timeout(Some(PATIENCE));
                return Some(stream);
            }
            Err(_) => {
                client.world.ledger.record_unconnected(since);
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    None
}

fn session(client: &mut Client, id: u64, count: u64, stream: TcpStream) -> Outcome {
    let url = format!("ws://localhost:{}/ws/{id}", client.world.listen.port());
    let mut request = url
        .into_client_request()
        .expect("an address of valid parts");
    request
        .headers_mut()
        .insert(ID, id.to_string().parse().expect("a number is a value"));
    let mut socket = match tungstenite::client(request, stream) {
        Ok((socket, _)) => socket,
        Err(HandshakeError::Failure(Error::Http(response))) => return refused(&response),
        Err(HandshakeError::Failure(error)) => return broken(false, &error),
        Err(HandshakeError::Interrupted(_)) => {
            return Outcome::Wrong(format!("no response within {PATIENCE:?}"));
        }
    };
    for number in 0..count {
        match exchange(&mut socket, &text(id, number)) {
            Ok(true) => {}
            Ok(false) => return Outcome::Wrong("a message of another session".into()),
            Err(error) => return broken(true, &error),
        }
        thread::sleep(client.random.millis(10, 60));
    }
    match close(&mut socket) {
        Ok(()) => Outcome::Right,
        Err(error) => broken(true, &error),
    }
}

/// Sends a message and waits for the same one.
fn exchange(socket: &mut WebSocket<TcpStream>, text: &str) -> Result<bool, Error> {
    socket.send(Message::text(text))?;
    loop {
        match socket.read()? {
            Message::Text(found) => return Ok(found.as_str() == text),
            Message::Close(_) => return Err(Error::ConnectionClosed),
            _ => {}
        }
    }
}

/// Closes the session, which the other side confirms.
fn close(socket: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    socket.close(None)?;
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The outcome of a session that was refused with a response.
fn refused(response: &tungstenite::http::Response<Option<Vec<u8>>>) -> Outcome {
    let status = response.status();
    if response.headers().contains_key(FAULT) {
        return match status {
            StatusCode::UNAUTHORIZED => Outcome::Refused,
            _ => Outcome::Fault(status.as_u16()),
        };
    }
    // The library reads no body: the status alone says which problem it may be.
    let field = response.headers().get("proxy-status");
    let field = field.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = match status.as_u16() {
        503 => "token-unavailable",
        504 => "upstream-timeout",
        502 if field.contains("bearward") => "upstream-protocol",
        _ => return Outcome::Wrong(format!("{response:?}")),
    };
    Outcome::Problem(status.as_u16(), kind.to_owned())
}

fn broken(in_response: bool, error: &Error) -> Outcome {
    let error = format!("{error:?}");
    Outcome::Broken { in_response, error }
}
