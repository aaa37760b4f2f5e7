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
    admin::kept::Kept,
    cli::status::{AdminAddress, StatusError, status},
    secret::Secret,
    token::store::{Record, Store, StoreLocation},
};

/// For the whole question whether it is one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the store is read while a login is waited for, and after how many looks the sidecar is asked whether it is
/// still there.
const PERIOD: Duration = Duration::from_millis(500);
const ROUNDS: u32 = 4;

/// Whether the admin listener of a sidecar answers at the address in `uri`.
pub(super) async fn answers(uri: &Url) -> bool {
    timeout(PATIENCE, livez(uri))
        .await
        .ok()
        .flatten()
        .is_some_and(|body| body == "ok\n")
}

async fn livez(uri: &Url) -> Option<Bytes> {
    let (name, port) = (uri.host_str()?, uri.port_or_known_default()?);
    let stream = TcpStream::connect((name.trim_matches(['[', ']']), port))
        .await
        .ok()?;
    let request = Request::get("/livez")
        .header(header::HOST, format!("{name}:{port}"))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let answer = async {
        let answer = sender.send_request(request).await.ok()?;
        let is_fine = answer.status().is_success();
        let body = Limited::new(answer.into_body(), 1024)
            .collect()
            .await
            .ok()?;
        is_fine.then(|| body.to_bytes())
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // It ends when it has handed over all it had, which may be before the answer was read.
        _ = connection => answer.await,
    }
}

/// A sidecar that runs, and is asked about itself.
pub(super) struct Asked {
    uri: Url,
    admin: AdminAddress,
    key: Option<Secret>,
    provider: Arc<str>,
}

impl Asked {
    /// The one at the address in `uri`, which `key` opens.
    pub(super) fn new(uri: &Url, key: Option<Secret>, provider: Arc<str>) -> Option<Self> {
        let admin = format!(
            "http://{}:{}",
            uri.host_str()?,
            uri.port_or_known_default()?
        )
        .parse()
        .ok()?;
        Some(Self {
            uri: uri.clone(),
            admin,
            key,
            provider,
        })
    }

    /// Makes sure that somebody can log in there, and that the login then shows in the store at `location`.
    pub(super) async fn check(&self, location: &StoreLocation) -> Result<(), LoginError> {
        let status = self.status().await?;
        let provider = &status["providers"][&*self.provider];
        if provider.is_null() {
            return Err(LoginError::OtherSidecar("has no such provider"));
        }
        if provider["can_log_in"] == false {
            return Err(LoginError::OtherSidecar(
                "has a provider of that name at which nobody logs in there",
            ));
        }
        let location = location.clone();
        let ours = tokio::task::spawn_blocking(move || Kept::at(&location)).await;
        let ours = ours.map_err(|error| LoginError::System(error.into()))?;
        let memory = Kept::at(&StoreLocation::Memory);
        match serde_json::from_value::<Kept>(status["store"].clone()) {
            Ok(theirs) if theirs.is_shared_with(&ours) || theirs == memory && ours == memory => {
                Ok(())
            }
            Ok(theirs) => Err(LoginError::OtherStore {
                theirs: theirs.into(),
                ours: ours.into(),
            }),
            Err(_) => Err(LoginError::Sidecar(StatusError::Nonsense)),
        }
    }

    /// Whether it has a login.
    pub(super) async fn has_login(&self) -> Result<bool, LoginError> {
        let status = self.status().await?;
        let provider = &status["providers"][&*self.provider];
        Ok(provider["has_refresh_token"] == true || provider["state"] == "ready")
    }

    /// Waits until it has one.
    pub(super) async fn arrival(&self) -> Result<(), LoginError> {
        while !self.has_login().await? {
            sleep(PERIOD).await;
        }
        Ok(())
    }

    /// Waits until the store, which is the sidecar's too, holds a login that it did not hold `before`.
    pub(super) async fn arrival_in(
        &self,
        store: &Arc<dyn Store>,
        before: Option<&Record>,
    ) -> Result<(), LoginError> {
        let mut rounds = 0_u32;
        loop {
            sleep(PERIOD).await;
            rounds += 1;
            // A sidecar that has gone took the login on its way along, unless it is in the store already.
            let is_there = !rounds.is_multiple_of(ROUNDS) || answers(&self.uri).await;
            if is_new(before, load(store, &self.provider).await?.as_ref()) {
                return Ok(());
            }
            if !is_there {
                return Err(LoginError::Gone);
            }
        }
    }

    async fn status(&self) -> Result<serde_json::Value, LoginError> {
        let answer = status(&self.admin, self.key.clone(), true, SystemTime::now()).await;
        serde_json::from_str(&answer.map_err(LoginError::Sidecar)?)
            .map_err(|_| LoginError::Sidecar(StatusError::Nonsense))
    }
}

/// Whether `now` is a login, and another one than `before`: what a sidecar does to keep the one alive is none.
fn is_new(before: Option<&Record>, now: Option<&Record>) -> bool {
    let Some(now) = now.filter(|now| !now.is_logged_out() && !now.refused) else {
        return false;
    };
    now.login.is_some() && before.and_then(|before| before.login.as_ref()) != now.login.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(login: Option<&str>, refresh_token: Option<&str>, refused: bool) -> Record {
        let refresh_token = refresh_token.map(Secret::new);
        Record {
            login: login.map(str::to_owned),
            refresh_token,
            refused,
            ..Record::default()
        }
    }

    #[test]
    fn a_login_is_told_from_what_keeps_another_one_alive() {
        let (old, new) = (
            record(Some("1"), Some("a"), false),
            record(Some("2"), Some("b"), false),
        );
        let (refused, forgotten) = (
            record(Some("1"), Some("a"), true),
            record(None, None, false),
        );
        let before_names = record(None, Some("a"), false);
        for before in [
            None,
            Some(&forgotten),
            Some(&refused),
            Some(&old),
            Some(&before_names),
        ] {
            assert!(is_new(before, Some(&new)), "{before:?}");
            for now in [None, Some(&forgotten), Some(&refused), Some(&before_names)] {
                assert!(!is_new(before, now), "{before:?} {now:?}");
            }
        }
        let renewed = record(Some("1"), Some("b"), false);
        assert!(
            !is_new(Some(&old), Some(&renewed)),
            "the same one with another refresh token"
        );
        let again = record(Some("2"), Some("a"), false);
        assert!(
            is_new(Some(&old), Some(&again)),
            "another one that brought the same refresh token"
        );
    }

    #[tokio::test]
    async fn who_does_not_answer_like_a_sidecar_is_none() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Url = format!("http://{}/callback", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .unwrap();
            // Until the other side has read it.
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
        });
        assert!(!answers(&uri).await);
        other.abort();
        let nobody: Url = "http://127.0.0.1:1/callback".parse().unwrap();
        assert!(!answers(&nobody).await);
    }
}
