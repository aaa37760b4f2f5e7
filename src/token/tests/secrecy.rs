//! Secrets that must never be logged or shown.

use std::{
    io,
    sync::{LazyLock, Mutex},
};

use super::*;
use crate::oauth::{
    fake::CANARY,
    provider::{ClientAuth, TokenMethod},
};

/// Every log line, of every level and crate.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // With a single subscriber, tracing caches a call site that another thread reaches first as disabled. A second
        // subscriber prevents that.
        static SECOND: LazyLock<tracing::Dispatch> = LazyLock::new(|| subscriber(io::sink).into());
        LazyLock::force(&SECOND);
        let log = self.clone();
        tracing::dispatcher::set_default(&subscriber(move || log.clone()).into())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn subscriber<W>(writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(writer)
        .finish()
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_and_no_token_is_ever_logged_or_shown() {
    let log = Log::default();
    let _listening = log.listen();
    let server = TokenServer::start(Reply::Token(100)).await;
    // The worst place for a secret: the query.
    let world = World::with(server, |provider| {
        provider.client_auth = ClientAuth::SecretPost;
        provider.token_request.method = TokenMethod::Get;
    });
    world.idle().await;
    assert!(world.server.requests()[0].contains(CANARY));

    let credential = world.credential();
    let token = world.current().unwrap();
    let mut shown = format!(
        "{:?} {credential:?} {token:?} {:?}",
        world.tokens,
        credential.status()
    );
    shown += &format!("{:?}", credential.replace(&token).await);
    for reply in [
        Reply::Hangup,
        Reply::response(302, &format!("location: /?{CANARY}\r\n"), ""),
        Reply::response(400, "", &format!(r#"{{"error":"{CANARY} \u0001"}}"#)),
        Reply::response(
            400,
            "",
            &format!(r#"{{"error":"invalid_request","error_description":"{CANARY}"}}"#),
        ),
        Reply::response(500, "", CANARY),
        Reply::response(200, "", CANARY),
        Reply::response(200, "", &format!(r#"{{"access_token":"{CANARY} "}}"#)),
        Reply::Raw(CANARY.into()),
    ] {
        world.server.reply(reply);
        shown += &format!(
            "{:?} {:?}",
            credential.refresh_now().await.unwrap_err(),
            credential.status()
        );
    }
    assert!(!shown.contains(CANARY), "{shown}");

    let logged = log.text();
    assert!(!logged.contains(CANARY), "{logged}");
    let issued = logged
        .lines()
        .find(|line| line.contains("token.issued"))
        .expect("a token event");
    assert!(
        issued.contains("fake") && issued.contains(&token.secret.fingerprint()),
        "{issued}"
    );
    assert!(
        logged.contains("token.invalidated") && logged.contains("token.failed"),
        "{logged}"
    );
}

#[tokio::test]
async fn a_failure_that_goes_on_is_a_warning_once() {
    let log = Log::default();
    let _listening = log.listen();
    let world = World::settled(Reply::response(500, "", "")).await;
    for _ in 0..5 {
        world.seconds(15).await;
    }
    assert!(world.count().await >= 6);
    let complaints = |log: &Log| {
        log.text()
            .lines()
            .filter(|line| line.contains(" WARN "))
            .count()
    };
    assert_eq!(complaints(&log), 1, "{}", log.text());
    world.server.reply(Reply::response(429, "", ""));
    world.seconds(15).await;
    assert_eq!(complaints(&log), 2, "{}", log.text());
}
