//! The ways in which a token endpoint fails.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::{places::Provider, random::Random};

/// A fault of a token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    /// 500.
    Error,
    /// 503 with an HTML page.
    Unavailable,
    /// 429 with `Retry-After`.
    Limited,
    /// 200 with an HTML page.
    Html,
    /// 200 with half a JSON text.
    Truncated,
    /// The connection is closed before anything is issued.
    Cut,
    /// No response until the fault is over.
    Hang,
    /// The request is processed late.
    Slow,
    /// The response comes late: a kill meanwhile loses it.
    SlowResponse,
    /// The tokens are issued, and the connection is closed.
    LostResponse,
}

impl TokenFault {
    /// A fault that a provider has to live with.
    pub(crate) fn pick(provider: Provider, random: &mut Random) -> Self {
        use TokenFault::{
            Cut, Error, Hang, Html, Limited, LostResponse, Slow, SlowResponse, Truncated,
            Unavailable,
        };
        const ALL: [TokenFault; 10] = [
            Error,
            Unavailable,
            Limited,
            Html,
            Truncated,
            Cut,
            Hang,
            Slow,
            SlowResponse,
            LostResponse,
        ];
        // With reuse detection, a lost response ends the login whatever the client does.
        let count = match provider {
            Provider::Strict => ALL.len() - 1,
            _ => ALL.len(),
        };
        random.pick(&ALL[..count])
    }

    /// Fails before the request is processed: `Some(None)` closes the connection, `None` lets the request through.
    ///
    /// `end` is the end of the fault.
    pub(super) async fn before(self, end: Instant) -> Option<Option<Response<Full<Bytes>>>> {
        match self {
            Self::Error => Some(Some(response(500, "text/plain", "oops"))),
            Self::Unavailable => Some(Some(response(503, "text/html", "<html>maintenance"))),
            Self::Limited => {
                let mut limited = response(429, "text/plain", "slow down");
                let value = http::HeaderValue::from_static("1");
                limited.headers_mut().insert("retry-after", value);
                Some(Some(limited))
            }
            Self::Html => Some(Some(response(200, "text/html", "<html>welcome</html>"))),
            Self::Truncated => Some(Some(response(
                200,
                "application/json",
                "{\"token_type\": \"Bearer\", \"expires_in\": 3, \"access_tok",
            ))),
            Self::Cut => Some(None),
            Self::Hang => {
                tokio::time::sleep_until(end.into()).await;
                Some(None)
            }
            Self::Slow => {
                tokio::time::sleep(Duration::from_millis(900)).await;
                None
            }
            Self::SlowResponse | Self::LostResponse => None,
        }
    }

    /// Delays the response.
    pub(super) async fn after(self) {
        if self == Self::SlowResponse {
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    }
}

fn response(status: u16, kind: &'static str, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert("content-type", kind);
    response
}
