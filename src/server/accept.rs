//! The accept loop of one listener on one worker.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::spawn_local, time::sleep};

use super::{
    drain::Watch,
    listener::Listener,
    share::{Place, Share},
    stream::Stream,
};

/// Waits after an `accept` that failed for want of descriptors or memory.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until it is time to end, and serves each connection in a task of its own, on the worker that has the fewest.
///
/// `places` bounds the connections of the listener over all workers: where none is free, further connections wait in
/// the kernel. A panic in one connection ends that connection alone.
pub async fn accept_loop<S, F>(
    listener: Listener,
    places: Arc<Semaphore>,
    mut share: Share,
    mut watch: Watch,
    serve: S,
) where
    S: Fn(Stream, Watch) -> F + Clone + 'static,
    F: Future<Output = ()>,
{
    let working = watch.clone();
    let begin = |(stream, place): (Stream, Place)| {
        let (serve, watch) = (serve.clone(), working.clone());
        spawn_local(async move {
            // Called in here: a future that is moved in from outside takes its room in the task twice.
            serve(stream, watch).await;
            drop(place);
        });
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = watch.draining() => break,
            handed = share.handed() => handed.map(Some),
            accepted = next(&listener, &places) => accepted.and_then(|(stream, place)| share.assign(stream, place)),
        };
        match accepted {
            Ok(kept) => {
                pause = FIRST_PAUSE;
                kept.into_iter().for_each(begin);
            }
            Err(error) if is_about_one_connection(&error) => {
                tracing::debug!(%error, "a connection was not accepted")
            }
            Err(error) => {
                tracing::warn!(%error, "connections cannot be accepted for now");
                tokio::select! {
                    () = watch.draining() => break,
                    () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                }
            }
        }
    }
    // The kernel counts them as accepted: whoever connected waits for an answer.
    share.close().into_iter().for_each(begin);
}

async fn next(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> io::Result<(Stream, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // The semaphore is never closed.
    let place = places.clone().acquire_owned().await.ok();
    Ok((listener.accept().await?, place))
}

/// Whether the connection had an error, and not the listener (accept(2)).
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected
    )
}
