//! A service whose requests the connection's gate and deadlines know of.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, service::Service};

use super::{
    connection::{ActiveRequest, ConnectionState},
    framing_gate::GateRefusal,
    problem::{Problem, ProblemFormat},
};

/// A service of one connection, which responds to refused heads in the service's place.
#[derive(Clone, Debug)]
pub struct TrackedService<S> {
    service: S,
    state: Arc<ConnectionState>,
}

impl<S> TrackedService<S> {
    /// Wraps the service of the connection with this state.
    pub fn new(service: S, state: Arc<ConnectionState>) -> Self {
        Self { service, state }
    }
}

impl<S, B> Service<Request<Incoming>> for TrackedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<TrackedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let active = ActiveRequest::new(self.state.clone());
        if let Some(refused) = self.state.gate.next_request() {
            let response = refuse(refused).map(|body| TrackedBody::new(Either::Left(body), active));
            return Box::pin(std::future::ready(Ok(response)));
        }
        let response = self.service.call(request);
        Box::pin(async move {
            let response = response.await?;
            Ok(response.map(|body| TrackedBody::new(Either::Right(body), active)))
        })
    }
}

/// Makes the response to a head that the gate refused. It is the last of its connection.
fn refuse(refused: GateRefusal) -> Response<Full<Bytes>> {
    let problem = Problem::new(refused.kind(), refused.to_string());
    let mut response = problem.to_response(ProblemFormat::Json);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// A response body, at whose end the request ends.
#[derive(Debug)]
pub struct TrackedBody<B> {
    // Boxed, so that it can be polled wherever this is.
    body: Pin<Box<Either<Full<Bytes>, B>>>,
    _active: ActiveRequest,
}

impl<B> TrackedBody<B> {
    fn new(body: Either<Full<Bytes>, B>, active: ActiveRequest) -> Self {
        Self {
            body: Box::pin(body),
            _active: active,
        }
    }
}

impl<B> Body for TrackedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
