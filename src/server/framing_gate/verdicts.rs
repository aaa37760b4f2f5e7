//! The state of a connection's gate, shared with its service and with outer layers.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use thiserror::Error;

use crate::server::problem::ProblemKind;

/// Why a request head never reaches the parser. The text suits the `detail` of a problem response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GateRefusal {
    /// The request line breaks the grammar of RFC 9112 §3.
    #[error("the request line is malformed")]
    MalformedRequestLine,
    /// The client began a TLS handshake (RFC 8446 §5.1).
    #[error(
        "a TLS handshake on a listener of plain HTTP: use http://, or put a TLS server in front"
    )]
    TlsHandshake,
    /// The request target has a `#` (RFC 9112 §3.2).
    #[error("the request target has a fragment (#)")]
    FragmentInTarget,
    /// `Content-Length` stands beside `Transfer-Encoding` (RFC 9112 §6.1).
    #[error("Content-Length stands beside Transfer-Encoding")]
    LengthBesideCoding,
    /// There is more than one `Content-Length` field.
    #[error("Content-Length is repeated")]
    RepeatedLength,
    /// `Content-Length` is not one number of bytes.
    #[error("Content-Length is not one number")]
    InvalidLength,
    /// There is another transfer coding than one `chunked`.
    #[error("only the transfer coding chunked is supported, and only once")]
    UnsupportedCoding,
    /// HTTP/1.0 has no transfer codings.
    #[error("HTTP/1.0 has no transfer codings")]
    CodingInHttp10,
    /// The head is longer than the gate's limit; the status is 431.
    #[error("the request head is longer than `limits.head_bytes`")]
    HeadTooLong,
    /// The head has more fields than the gate's limit; the status is 431.
    #[error("the request head has more fields than `limits.head_fields`")]
    TooManyFields,
    /// The head did not become whole in time; the status is 408.
    #[error("the request head did not come within `limits.head_timeout`")]
    HeadTimeout,
}

impl GateRefusal {
    /// The kind of the problem response.
    pub fn kind(self) -> ProblemKind {
        match self {
            Self::HeadTooLong | Self::TooManyFields => ProblemKind::HeadersTooLarge,
            Self::HeadTimeout => ProblemKind::RequestTimeout,
            _ => ProblemKind::BadRequest,
        }
    }
}

/// The progress of the messages on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatePhase {
    /// The last message has arrived whole, and nothing of the next one.
    BetweenMessages,
    /// A head has begun and is incomplete.
    Head,
    /// A body is incomplete.
    Body,
    /// A head was refused, or a chunk is malformed; no more is read.
    Stopped,
    /// All bytes pass untouched: HTTP/2 or an upgraded connection.
    PassThrough,
}

/// A handle to the state of one connection's gate, for its service and for outer layers.
#[derive(Clone, Debug, Default)]
pub struct GateVerdicts(Arc<Shared>);

/// Atomic only because hyper hands upgraded connections to other tasks; there is no contention.
#[derive(Debug, Default)]
struct Shared {
    refused: OnceLock<(u64, GateRefusal)>,
    heads: AtomicU64,
    requests: AtomicU64,
    phase: AtomicU8,
    head_bytes: AtomicUsize,
    passes_through: AtomicBool,
    has_raw_paths: AtomicBool,
    /// The numbers of the heads whose path had bytes outside ASCII.
    raw_paths: Mutex<Vec<u64>>,
}

impl GateVerdicts {
    /// Counts a request that the service receives; a refusal means it stands for a refused head.
    ///
    /// The service calls this exactly once for each request, before its first await. A refused request is always the
    /// last one of its connection. On HTTP/2 connections there is never a refusal.
    pub fn next_request(&self) -> Option<GateRefusal> {
        let number = self.0.requests.load(Relaxed) + 1;
        self.0.requests.store(number, Relaxed);
        let (refused, why) = self.0.refused.get()?;
        (*refused == number).then_some(*why)
    }

    /// Whether the path of the request that the service received last came with bytes outside ASCII.
    pub fn had_raw_path(&self) -> bool {
        if !self.0.has_raw_paths.load(Relaxed) {
            return false;
        }
        let number = self.0.requests.load(Relaxed);
        let mut raw_paths = (self.0.raw_paths.lock()).unwrap_or_else(PoisonError::into_inner);
        raw_paths.retain(|raw| *raw >= number);
        self.0.has_raw_paths.store(!raw_paths.is_empty(), Relaxed);
        raw_paths.first() == Some(&number)
    }

    /// Lets all later bytes pass untouched. The service calls this before it returns a 101.
    ///
    /// Bytes that the client has sent behind a request with `Upgrade` and without a body pass untouched too.
    pub fn pass_through(&self) {
        self.0.passes_through.store(true, Relaxed);
    }

    /// The progress of the messages.
    pub fn phase(&self) -> GatePhase {
        match self.0.phase.load(Relaxed) {
            0 => GatePhase::BetweenMessages,
            1 => GatePhase::Head,
            2 => GatePhase::Body,
            3 => GatePhase::Stopped,
            _ => GatePhase::PassThrough,
        }
    }

    /// Whether the last message has arrived whole, and nothing of the next one.
    pub fn is_between_messages(&self) -> bool {
        self.phase() == GatePhase::BetweenMessages
    }

    /// The number of bytes of an incomplete head that are held back. Not zero from the head's first byte on.
    pub fn head_bytes_pending(&self) -> usize {
        self.0.head_bytes.load(Relaxed)
    }

    /// The number of heads that have arrived whole, a refused one included.
    pub fn heads(&self) -> u64 {
        self.0.heads.load(Relaxed)
    }

    /// Whether a whole head has arrived behind the message that is served, on an HTTP/1 connection.
    pub fn has_request_behind(&self) -> bool {
        self.heads() > self.requests()
    }

    pub(super) fn requests(&self) -> u64 {
        self.0.requests.load(Relaxed)
    }

    pub(super) fn passes_through(&self) -> bool {
        self.0.passes_through.load(Relaxed)
    }

    pub(super) fn mark_raw_path(&self, number: u64) {
        let mut raw_paths = (self.0.raw_paths.lock()).unwrap_or_else(PoisonError::into_inner);
        raw_paths.push(number);
        self.0.has_raw_paths.store(true, Relaxed);
    }

    pub(super) fn refuse(&self, number: u64, why: GateRefusal) {
        // The gate reads nothing after its first refusal.
        let _ = self.0.refused.set((number, why));
    }

    pub(super) fn publish(&self, phase: GatePhase, heads: u64, head_bytes: usize) {
        self.0.phase.store(phase as u8, Relaxed);
        self.0.heads.store(heads, Relaxed);
        self.0.head_bytes.store(head_bytes, Relaxed);
    }
}
