//! A client of `/api/events`.

use std::{
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use super::{
    client::Client,
    patience::{lock, until, until_within},
    wire::Head,
};

/// A stream of server-sent events, read by a thread of its own. Dropping it closes the connection.
pub struct EventStream {
    /// The head of the response.
    pub head: Head,
    received: Arc<Mutex<Received>>,
    socket: TcpStream,
}

#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    /// Whether the body has ended as it should, once it has ended.
    is_whole: Option<bool>,
}

impl EventStream {
    /// Opens a stream at an admin listener, with further header fields.
    #[track_caller]
    pub fn open(admin: SocketAddr, fields: &str) -> Self {
        let mut client = Client::connect(admin);
        client.send(format!(
            "GET /api/events HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
        ));
        let head = client.head();
        let socket = client.socket();
        let received = Arc::<Mutex<Received>>::default();
        thread::spawn({
            let (received, framing) = (received.clone(), head.answer_framing("GET"));
            move || {
                let mut take = |bytes: &[u8]| lock(&received).bytes.extend_from_slice(bytes);
                let ended = client.wire().stream_body(framing, &mut take);
                lock(&received).is_whole = Some(ended.is_ok());
            }
        });
        Self {
            head,
            received,
            socket,
        }
    }

    /// The data of the events so far.
    pub fn documents(&self) -> Vec<Value> {
        let received = lock(&self.received);
        let text = String::from_utf8_lossy(&received.bytes);
        let Some((whole, _)) = text.rsplit_once("\n\n") else {
            return Vec::new();
        };
        whole
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data:"))
            .map(|data| serde_json::from_str(data.trim()).expect("a JSON document in one line"))
            .collect()
    }

    /// Waits for an event whose data `is_right` accepts.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.documents().into_iter().find(&is_right))
    }

    /// Waits for that many events.
    #[track_caller]
    pub fn wait_for_number(&self, number: usize) {
        let bound = super::patience::PATIENCE * 4;
        until_within(bound, &format!("{number} events"), || {
            (self.documents().len() >= number).then_some(())
        });
    }

    /// Waits for its end, and returns whether the body was whole.
    #[track_caller]
    pub fn wait_for_end(&self) -> bool {
        until("the end of the events", || lock(&self.received).is_whole)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
