//! The request of a stream: from the bytes of HTTP/1.1 to a head and frames.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, uri};
use http_body::{Body as HttpBody, Frame};

use crate::http1::{
    body::Body,
    field::Known,
    framing,
    head::{Head, HeadLimits, MOST_FIELDS},
};

/// Bytes of a body that wait for the connection.
const MOST_WAITING: usize = 64 * 1024;
/// What we wrote ourselves is a head within the limits already; this is no tighter than any of them.
const LIMITS: HeadLimits = HeadLimits { bytes: 1024 * 1024, fields: MOST_FIELDS };

/// A request on its way out.
pub(super) struct Outgoing {
    scheme: &'static str,
    authority: String,
    state: State,
    is_head: bool,
    ready: Option<Request<Upload>>,
}

enum State {
    Head(Head),
    Body(Body, Rc<RefCell<Waiting>>),
    Sent,
}

impl Outgoing {
    pub(super) fn new(scheme: &'static str, authority: String) -> Self {
        Self { scheme, authority, state: State::Head(Head::default()), is_head: false, ready: None }
    }

    /// The request, once its head is known; once.
    pub(super) fn request(&mut self) -> Option<Request<Upload>> {
        self.ready.take()
    }

    /// Whether its method is HEAD.
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// Takes some of `bytes`.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Head(head) => {
                head.buffer.extend(bytes);
                let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
                if head.parse_request(LIMITS).map_err(|_| invalid())? {
                    let framing = framing::of_request(head).map_err(|_| invalid())?;
                    let waiting = Rc::new(RefCell::new(Waiting::default()));
                    self.is_head = head.method() == b"HEAD";
                    let head_request = request(head, self.scheme, &self.authority).map_err(|_| invalid())?;
                    let mut body = Body::new(framing, None, LIMITS.bytes);
                    let rest = head.rest().to_vec();
                    waiting.borrow_mut().take(&mut body, rest)?;
                    self.ready = Some(head_request.map(|()| Upload(waiting.clone())));
                    self.state = if body.is_done() { State::Sent } else { State::Body(body, waiting) };
                }
                Poll::Ready(Ok(bytes.len()))
            }
            State::Body(body, waiting) => {
                let mut queue = waiting.borrow_mut();
                if queue.is_dropped {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                if queue.bytes >= MOST_WAITING {
                    queue.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                queue.take(body, bytes.to_vec())?;
                drop(queue);
                if body.is_done() {
                    self.state = State::Sent;
                }
                Poll::Ready(Ok(bytes.len()))
            }
            State::Sent => Poll::Ready(Err(io::ErrorKind::InvalidInput.into())),
        }
    }
}

/// A request whose writer goes away before its end is not whole, and must not look so.
impl Drop for Outgoing {
    fn drop(&mut self) {
        if let State::Body(_, waiting) = &self.state {
            let mut waiting = waiting.borrow_mut();
            waiting.is_cut = true;
            waiting.wake_reader();
        }
    }
}

fn request(head: &Head, scheme: &'static str, authority: &str) -> Result<Request<()>, http::Error> {
    let target = uri::PathAndQuery::try_from(head.target())?;
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method())?;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let fields = request.headers_mut();
    let mut is_grpc = false;
    for field in head.fields() {
        match field.known {
            // They say of a connection what HTTP/2 says in its own way (RFC 9113 §8.2.2).
            Known::Host | Known::Connection | Known::TransferEncoding | Known::Upgrade => continue,
            Known::ContentType => is_grpc |= head.bytes(field.value).starts_with(b"application/grpc"),
            _ => {}
        }
        let mut value = HeaderValue::from_bytes(head.bytes(field.value))?;
        // A token among them is not to be remembered by the header compression (RFC 7541 §7.1.3).
        let name = HeaderName::from_bytes(head.bytes(field.name))?;
        value.set_sensitive(name == header::AUTHORIZATION || field.known == Known::BearwardKey);
        fields.append(name, value);
    }
    if is_grpc {
        // Hop by hop, and so removed on the way here; gRPC servers insist on it.
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(request)
}

/// What of a body waits for the connection to take it.
#[derive(Default)]
struct Waiting {
    frames: VecDeque<Frame<Bytes>>,
    bytes: usize,
    is_ended: bool,
    is_cut: bool,
    is_dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Waiting {
    fn take(&mut self, body: &mut Body, mut bytes: Vec<u8>) -> io::Result<()> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let decoded = body.decode(&mut bytes).map_err(invalid)?;
        bytes.truncate(decoded.content);
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.frames.push_back(Frame::data(bytes.into()));
        }
        if body.is_done() {
            let mut trailers = HeaderMap::new();
            body.trailers(None, |name, value| {
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                    trailers.append(name, value);
                }
            })
            .map_err(invalid)?;
            if !trailers.is_empty() {
                self.frames.push_back(Frame::trailers(trailers));
            }
            self.is_ended = true;
        }
        self.wake_reader();
        Ok(())
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The body that hyper sends.
pub(super) struct Upload(Rc<RefCell<Waiting>>);

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut waiting = self.0.borrow_mut();
        if let Some(frame) = waiting.frames.pop_front() {
            waiting.bytes -= frame.data_ref().map_or(0, Bytes::len);
            if let Some(writer) = waiting.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        if waiting.is_ended {
            return Poll::Ready(None);
        }
        if waiting.is_cut {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        waiting.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let waiting = self.0.borrow();
        waiting.is_ended && waiting.frames.is_empty()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut waiting = self.0.borrow_mut();
        waiting.is_dropped = true;
        if let Some(writer) = waiting.writer.take() {
            writer.wake();
        }
    }
}
