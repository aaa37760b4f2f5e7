//! A sidecar that is already running on the address where a login has to come back to.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use url::Url;

use super::{LoginError, load};
use crate::{
    cli::status::{AdminAddress, status},
    secret::Secret,
    token::store::{Record, Store},
};

/// For the whole question whether it is one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the store is read while a login is waited for.
const PERIOD: Duration = Duration::from_millis(500);

/// Whether the admin listener of a sidecar answers at the address in `uri`.
pub(super) async fn answers(uri: &Url) -> bool {
    timeout(PATIENCE, livez(uri)).await.ok().flatten().is_some_and(|body| body == "ok\n")
}

async fn livez(uri: &Url) -> Option<Bytes> {
    let (name, port) = (uri.host_str()?, uri.port_or_known_default()?);
    let stream = TcpStream::connect((name.trim_matches(['[', ']']), port)).await.ok()?;
    let request = Request::get("/livez")
        .header(header::HOST, format!("{name}:{port}"))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let answer = async {
        let answer = sender.send_request(request).await.ok()?;
        let is_fine = answer.status().is_success();
        let body = Limited::new(answer.into_body(), 1024).collect().await.ok()?;
        is_fine.then(|| body.to_bytes())
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // It ends when it has handed over all it had, which may be before the answer was read.
        _ = connection => answer.await,
    }
}

/// Waits until the store holds a login that it did not hold `before`.
pub(super) async fn arrival(
    store: &Arc<dyn Store>,
    provider: &Arc<str>,
    before: Option<&Record>,
) -> Result<(), LoginError> {
    loop {
        sleep(PERIOD).await;
        if is_new(before, load(store, provider).await?.as_ref()) {
            return Ok(());
        }
    }
}

/// A sidecar that has to be asked for what it keeps, since its store is in its memory.
pub(super) struct Asked {
    admin: AdminAddress,
    key: Option<Secret>,
    provider: Arc<str>,
}

impl Asked {
    /// The one at the address in `uri`, which `key` opens.
    pub(super) fn new(uri: &Url, key: Option<Secret>, provider: Arc<str>) -> Option<Self> {
        let admin = format!("http://{}:{}", uri.host_str()?, uri.port_or_known_default()?).parse().ok()?;
        Some(Self { admin, key, provider })
    }

    /// Whether it has a login.
    pub(super) async fn has_login(&self) -> Result<bool, LoginError> {
        let answer = status(&self.admin, self.key.clone(), true, SystemTime::now()).await;
        let document: serde_json::Value =
            serde_json::from_str(&answer.map_err(LoginError::Sidecar)?).unwrap_or_default();
        let provider = &document["providers"][&*self.provider];
        Ok(provider["has_refresh_token"] == true || provider["state"] == "ready")
    }

    /// Waits until it has one.
    pub(super) async fn arrival(&self) -> Result<(), LoginError> {
        while !self.has_login().await? {
            sleep(PERIOD).await;
        }
        Ok(())
    }
}

fn is_new(before: Option<&Record>, now: Option<&Record>) -> bool {
    let Some(now) = now.filter(|now| !now.is_forgotten() && !now.refused) else { return false };
    before.is_none_or(|before| before.is_forgotten() || before.refused || before.refresh_token != now.refresh_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(refresh_token: Option<&str>, refused: bool) -> Record {
        Record { refresh_token: refresh_token.map(Secret::new), refused, ..Record::default() }
    }

    #[test]
    fn a_login_that_was_there_before_is_not_taken_for_a_new_one() {
        let (old, new) = (record(Some("old"), false), record(Some("new"), false));
        let (refused, forgotten) = (record(Some("old"), true), record(None, false));
        for before in [None, Some(&forgotten), Some(&refused), Some(&old)] {
            assert!(is_new(before, Some(&new)), "{before:?}");
            for now in [None, Some(&forgotten), Some(&refused)] {
                assert!(!is_new(before, now), "{before:?} {now:?}");
            }
        }
        assert!(!is_new(Some(&old), Some(&old)));
        assert!(is_new(Some(&refused), Some(&old)), "the same one, taken again");
    }

    #[tokio::test]
    async fn who_does_not_answer_like_a_sidecar_is_none() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Url = format!("http://{}/callback", listener.local_addr().unwrap()).parse().unwrap();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
            // Until the other side has read it.
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
        });
        assert!(!answers(&uri).await);
        other.abort();
        let nobody: Url = "http://127.0.0.1:1/callback".parse().unwrap();
        assert!(!answers(&nobody).await);
    }
}
