//! The beginning of a response's body, read before it is passed on.

use std::{collections::VecDeque, future::poll_fn, time::Duration};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::BodyError;
use crate::proxy::upstream::Checkout;

/// Bytes of a body that are read before it is passed on.
const MAX_PEEKED_BYTES: usize = 16 * 1024;

/// The frames that were read of a body.
#[derive(Debug, Default)]
pub struct Peeked {
    frames: VecDeque<Frame<Bytes>>,
    length: usize,
    is_whole: bool,
    error: Option<BodyError>,
}

impl Peeked {
    /// Reads a body that has no more than 16 KiB. A longer one is read as far as needed to know that.
    ///
    /// Waits no longer than `bound`.
    pub async fn read(checkout: &mut Checkout, body: &mut Incoming, bound: Duration) -> Self {
        let mut peeked = Self::default();
        if body.size_hint().lower() <= MAX_PEEKED_BYTES as u64 {
            // What has come until then is kept, and the rest follows.
            let _ = timeout(bound, peeked.fill(checkout, body)).await;
        }
        peeked
    }

    async fn fill(&mut self, checkout: &mut Checkout, body: &mut Incoming) {
        while self.length <= MAX_PEEKED_BYTES {
            match poll_fn(|cx| checkout.poll_body(cx, body)).await {
                Some(Ok(frame)) => {
                    self.length += frame.data_ref().map_or(0, Bytes::len);
                    self.frames.push_back(frame);
                }
                Some(Err(error)) => return self.error = Some(error.into()),
                None => return self.is_whole = true,
            }
        }
    }

    /// The content, when all of the body was read.
    pub fn content(&self) -> Option<Vec<u8>> {
        let data = self.frames.iter().filter_map(Frame::data_ref);
        let content = || data.flat_map(|data| data.iter().copied()).collect();
        (self.is_whole && self.length <= MAX_PEEKED_BYTES).then(content)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.error.is_none()
    }

    /// The bytes that are left.
    pub(super) fn length(&self) -> u64 {
        self.length as u64
    }

    pub(super) fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        let frame = self.frames.pop_front()?;
        self.length -= frame.data_ref().map_or(0, Bytes::len);
        Some(frame)
    }

    pub(super) fn take_error(&mut self) -> Option<BodyError> {
        self.error.take()
    }
}
