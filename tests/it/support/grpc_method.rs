//! Functions as the methods of a gRPC service.

use std::{
    future::Future,
    task::{Context, Poll},
};

use tonic::{Request, Response, Status, codegen::Service};

/// A function as a method.
pub struct Method<F>(pub F);

impl<F, R, M, Called> Service<Request<R>> for Method<F>
where
    F: FnMut(Request<R>) -> Called,
    Called: Future<Output = Result<Response<M>, Status>>,
{
    type Response = Response<M>;
    type Error = Status;
    type Future = Called;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Called {
        (self.0)(request)
    }
}
