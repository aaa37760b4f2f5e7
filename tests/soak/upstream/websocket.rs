//! The WebSocket upstream: it sends each message back.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
    http::StatusCode,
};

use crate::{
    ledger::RequestFault,
    places::{Provider, Upstream},
    world::{FAULT, World},
};

/// The longest wait for a client's next message.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts the upstream, on threads that end with the process.
pub(crate) fn start(world: Arc<World>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let world = world.clone();
            thread::spawn(move || serve(stream, &world));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream, world: &World) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_nodelay(true);
    let mut messages_until_cut = u32::MAX;
    #[expect(
        clippy::result_large_err,
        reason = "the signature that the crate demands"
    )]
    let admit = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let received = world.receive(request.headers(), Provider::Strict, Upstream::WebSocket);
        if received.refused {
            return Err(refusal(StatusCode::UNAUTHORIZED));
        }
        match received.fault {
            Some(RequestFault::Status500) => {
                return Err(refusal(StatusCode::INTERNAL_SERVER_ERROR));
            }
            Some(RequestFault::CutBeforeResponse | RequestFault::Hang) => {
                // An error response cannot be left out here: the session ends at once.
                messages_until_cut = 0;
            }
            Some(RequestFault::CutInBody) => messages_until_cut = 3,
            Some(RequestFault::Slow) => thread::sleep(Duration::from_millis(700)),
            None => {}
        }
        Ok(response)
    };
    let Ok(mut socket) = tungstenite::accept_hdr(stream, admit) else {
        return;
    };
    while messages_until_cut > 0 {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                if socket.send(message).is_err() {
                    return;
                }
                messages_until_cut = messages_until_cut.saturating_sub(1);
            }
            Ok(_) => {}
            // After a close frame, the library reports the end as an error.
            Err(_) => return,
        }
    }
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(FAULT, "1".parse().expect("a value"));
    headers.insert("content-length", "0".parse().expect("a value"));
    response
}
