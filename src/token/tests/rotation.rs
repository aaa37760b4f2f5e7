//! Rotating refresh tokens, at a server that treats a reused one as theft.

use std::sync::Mutex;

use tempfile::TempDir;

use super::*;
use crate::{
    clock::BootInstant,
    oauth::{api_context::ApiContext, provider::Lifetime},
    secret::{LiveSecret, Secret},
    token::{grant::StoredGrant, store::Store},
};

/// The state of the server. Its refresh tokens are `r1`, `r2`, … and its access tokens `a1`, `a2`, …, the same number at a time.
#[derive(Debug)]
pub(super) struct Family {
    /// The number of the refresh token that is good.
    pub(super) current: u64,
    /// The number of reused refresh tokens. From then on none is good.
    pub(super) reused: usize,
    /// Repeats the response when the previous token comes once more.
    pub(super) grace: bool,
    /// The number of responses that get lost after the rotation.
    pub(super) lose: usize,
    /// Puts a new refresh token in each response.
    pub(super) rotate: bool,
    /// The number of responses with a good refresh token and an invalid access token.
    pub(super) spoil: usize,
    /// In seconds.
    pub(super) lifetime: u64,
    /// Responds to everything with 503.
    pub(super) down: bool,
    /// The response to sign-ins, if it is no code.
    pub(super) sign_in: Option<(u16, &'static str)>,
}

impl Family {
    fn respond(&mut self, request: &str) -> Reply {
        if self.down {
            return Reply::response(503, "", "");
        }
        let body = request.rsplit("\r\n\r\n").next().unwrap_or_default();
        if body.contains("password") {
            let state = body
                .split_once("\"state\":\"")
                .and_then(|(_, rest)| rest.split('"').next())
                .unwrap_or_default();
            let code = format!(r#"{{"code":"c","state":"{state}"}}"#);
            let (status, body) = self.sign_in.unwrap_or((200, &code));
            return Reply::response(status, "", body);
        }
        if body.contains("grant_type=authorization_code") {
            (self.current, self.reused) = (self.current + 1, 0);
            return self.token();
        }
        let given = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("refresh_token=r")?.parse::<u64>().ok());
        let again = self.grace && given.is_some_and(|given| given + 1 == self.current);
        if self.reused > 0 || given.is_none_or(|given| given != self.current && !again) {
            self.reused += 1;
            return Reply::response(400, "", r#"{"error":"invalid_grant"}"#);
        }
        if !again {
            self.current += 1;
        }
        if self.lose > 0 {
            self.lose -= 1;
            return Reply::Hangup;
        }
        self.token()
    }

    fn token(&mut self) -> Reply {
        let spoilt = if self.spoil > 0 { "no token " } else { "" };
        self.spoil = self.spoil.saturating_sub(1);
        let Self {
            current, lifetime, ..
        } = self;
        let refresh_token = if self.rotate {
            format!(r#","refresh_token":"r{current}""#)
        } else {
            String::new()
        };
        let body = format!(
            r#"{{"access_token":"{spoilt}a{current}","expires_in":{lifetime}{refresh_token}}}"#
        );
        Reply::response(200, "content-type: application/json\r\n", &body)
    }
}

/// A rotating server, a folder to keep things in, and as many registries as are started.
pub(super) struct Realm {
    pub(super) server: TokenServer,
    pub(super) family: Arc<Mutex<Family>>,
    pub(super) clock: ManualClock,
    pub(super) folder: TempDir,
    pub(super) provider: Provider,
}

impl Realm {
    /// With a login whose access token is over.
    pub(super) async fn new() -> Self {
        let realm = Self::empty().await;
        realm.log_in_beside("r1").await;
        realm.clock.advance(Duration::from_secs(3600));
        realm
    }

    pub(super) async fn empty() -> Self {
        let family = Family {
            current: 1,
            reused: 0,
            grace: false,
            lose: 0,
            spoil: 0,
            rotate: true,
            lifetime: 100,
            down: false,
            sign_in: None,
        };
        let family = Arc::new(Mutex::new(family));
        let mind = family.clone();
        let server = TokenServer::start(Reply::by(move |request| {
            mind.lock().unwrap().respond(request)
        }))
        .await;
        let provider = fake::with_consent(&server.url());
        Self {
            server,
            family,
            clock: ManualClock::new(),
            folder: tempfile::tempdir().unwrap(),
            provider,
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        store::open(&StoreLocation::File(self.folder.path().join("store"))).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("store").join(name)
    }

    /// Logs in as a command does that ends then.
    pub(super) async fn log_in_beside(&self, refresh_token: &str) {
        self.grant().log_in(issued(refresh_token)).await.unwrap();
    }

    pub(super) fn grant(&self) -> StoredGrant {
        StoredGrant::new(
            Arc::new(self.provider.clone()),
            self.store(),
            Arc::new(self.clock.clone()),
        )
    }

    pub(super) fn start(&self) -> Tokens {
        self.start_with(self.store())
    }

    pub(super) fn start_with(&self, store: Arc<dyn Store>) -> Tokens {
        let provider = Arc::new(self.provider.clone());
        Tokens::start(
            &[provider],
            store,
            Arc::new(self.clock.clone()),
            &Metrics::new(),
        )
    }

    /// Starts a registry whose first attempt is over.
    pub(super) async fn settled(&self) -> Tokens {
        let tokens = self.start();
        idle(&only(&tokens), &self.clock).await;
        tokens
    }

    /// Moves the clock, and waits until what that set off is over.
    pub(super) async fn seconds(&self, tokens: &Tokens, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        idle(&only(tokens), &self.clock).await;
    }

    pub(super) fn stored(&self) -> Option<String> {
        let record = self.store().load("fake").unwrap()?;
        record
            .usable_refresh_token()
            .map(|token| token.expose().to_owned())
    }

    /// The access token on record.
    pub(super) fn on_record(&self) -> Option<String> {
        let access = self.store().load("fake").unwrap()?.access?;
        Some(access.token.expose().to_owned())
    }

    pub(super) fn family(&self, change: impl FnOnce(&mut Family)) {
        change(&mut self.family.lock().unwrap());
    }

    pub(super) fn reused(&self) -> usize {
        self.family.lock().unwrap().reused
    }
}

pub(super) fn issued(refresh_token: &str) -> Issued {
    Issued {
        access_token: Secret::new(format!("of-{refresh_token}")),
        lifetime: Lifetime::For(Duration::from_secs(100)),
        refresh_token: Some(Secret::new(refresh_token)),
        refresh_lifetime: None,
        // Recording a login in a test sets it.
        requested_at: BootInstant::from_boot(Duration::ZERO),
        context: ApiContext::default(),
    }
}

pub(super) fn only(tokens: &Tokens) -> Arc<Credential> {
    tokens.iter().next().unwrap().clone()
}

pub(super) fn token(tokens: &Tokens) -> Option<String> {
    only(tokens)
        .current()
        .map(|token| token.secret.expose().to_owned())
}

pub(super) fn state_of(tokens: &Tokens) -> CredentialState {
    only(tokens).status().state
}

pub(super) fn kind(tokens: &Tokens) -> Option<String> {
    only(tokens)
        .status()
        .last_error
        .map(|error| error.kind.to_string())
}

#[tokio::test]
async fn a_rotated_token_is_on_disk_before_its_access_token_is_used() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    for number in 2..6 {
        assert_eq!(token(&tokens), Some(format!("a{number}")));
        assert_eq!(realm.stored(), Some(format!("r{number}")));
        assert!(only(&tokens).status().has_refresh_token);
        realm.seconds(&tokens, 70).await;
    }
    assert_eq!((realm.reused(), realm.server.count()), (0, 5));
    assert!(realm.server.requests()[0].contains("grant_type=refresh_token&refresh_token=r1"));
}

#[tokio::test]
async fn a_response_without_a_refresh_token_keeps_the_old_one() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    assert_eq!(realm.stored().as_deref(), Some("r2"));
    realm.family(|family| (family.rotate, family.grace) = (false, true));
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored().as_deref()),
        (Some("a3"), Some("r2"))
    );
}

#[tokio::test]
async fn a_restart_makes_no_request_while_the_token_is_good() {
    let realm = Realm::new().await;
    realm.settled().await.stop().await;
    assert_eq!(realm.server.count(), 1);
    realm.clock.advance(Duration::from_secs(30));
    let tokens = realm.settled().await;
    assert_eq!(token(&tokens).as_deref(), Some("a2"));
    assert_eq!(
        (realm.server.count(), only(&tokens).status().token_requests),
        (1, 0)
    );
    realm.seconds(&tokens, 40).await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.server.count()),
        (Some("a3"), 2)
    );
}

#[tokio::test]
async fn a_restart_uses_the_old_token_while_the_endpoint_is_down_and_its_refresh_is_due() {
    let realm = Realm::new().await;
    realm.settled().await.stop().await;
    realm.server.reply(Reply::response(503, "", ""));
    realm.clock.advance(Duration::from_secs(80));
    let tokens = realm.settled().await;
    assert_eq!(token(&tokens).as_deref(), Some("a2"));
    realm.server.wait_for_requests(2).await;
    assert_eq!(state_of(&tokens), CredentialState::Ready);
    realm.seconds(&tokens, 15).await;
    assert_eq!(state_of(&tokens), CredentialState::Failing);
    assert_eq!(
        realm.stored().as_deref(),
        Some("r2"),
        "no failure but a refusal ends a login"
    );
}

#[tokio::test]
async fn a_refresh_token_beside_an_unusable_access_token_is_kept() {
    let realm = Realm::new().await;
    realm.family.lock().unwrap().spoil = 1;
    let tokens = realm.settled().await;
    assert_eq!(
        (state_of(&tokens), realm.stored().as_deref()),
        (CredentialState::Failing, Some("r2"))
    );
    realm.seconds(&tokens, 20).await;
    eventually("the next one does", || {
        token(&tokens).as_deref() == Some("a3")
    })
    .await;
    assert_eq!(
        (
            realm.stored().as_deref(),
            realm.family.lock().unwrap().reused
        ),
        (Some("r3"), 0)
    );
}

#[tokio::test]
async fn a_lost_response_is_requested_once_more_with_the_same_token() {
    let realm = Realm::new().await;
    realm.family(|family| (family.grace, family.lose) = (true, 1));
    let tokens = realm.settled().await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored().as_deref()),
        (Some("a2"), Some("r2"))
    );
    assert_eq!(
        (realm.server.count(), only(&tokens).status().token_requests),
        (2, 2)
    );
}

#[tokio::test]
async fn a_response_lost_twice_is_an_ordinary_failure_that_keeps_the_token() {
    let realm = Realm::new().await;
    realm.family(|family| (family.grace, family.lose) = (true, 2));
    let tokens = realm.settled().await;
    assert_eq!(
        (state_of(&tokens), realm.stored().as_deref()),
        (CredentialState::Failing, Some("r1"))
    );
    assert_eq!(realm.server.count(), 2);
    realm.seconds(&tokens, 15).await;
    assert_eq!(
        (state_of(&tokens), realm.stored().as_deref()),
        (CredentialState::Ready, Some("r2"))
    );
}

#[tokio::test]
async fn a_request_that_got_a_response_is_not_repeated_at_once() {
    let realm = Realm::new().await;
    for reply in [
        Reply::response(500, "", ""),
        Reply::response(200, "", "nonsense"),
        Reply::response(429, "", ""),
    ] {
        realm.server.reply(reply);
        let before = realm.server.count();
        let tokens = realm.settled().await;
        assert_eq!(
            (realm.server.count(), state_of(&tokens)),
            (before + 1, CredentialState::Failing)
        );
        tokens.stop().await;
    }
    assert_eq!(realm.stored().as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_refusal_outlives_restarts_and_the_current_token_is_used_to_its_end() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    realm.family(|family| family.current = 50);
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        (realm.server.count(), state_of(&tokens)),
        (2, CredentialState::Ready),
        "it is good to its end"
    );
    assert_eq!(kind(&tokens).as_deref(), Some("invalid_grant"));
    assert!(!only(&tokens).status().has_refresh_token);
    tokens.stop().await;
    let tokens = realm.settled().await;
    assert_eq!(token(&tokens).as_deref(), Some("a2"));
    realm.clock.advance(Duration::from_secs(60));
    for _ in 0..3 {
        assert_eq!(
            (state_of(&tokens), kind(&tokens).as_deref()),
            (CredentialState::LoginRequired, Some("invalid_grant"))
        );
        assert_eq!(
            only(&tokens).obtain().await.unwrap_err(),
            TokenError::LoginRequired
        );
        assert_eq!(
            only(&tokens).refresh_now().await.unwrap_err(),
            TokenError::LoginRequired
        );
        realm.settled().await.stop().await;
        realm.clock.advance(Duration::from_secs(3600));
    }
    assert_eq!(realm.server.count(), 2);
}

#[tokio::test]
async fn a_configured_token_is_the_first_and_a_changed_one_ends_a_refusal() {
    let mut realm = Realm::empty().await;
    let file = realm.folder.path().join("first");
    std::fs::write(&file, "r1").unwrap();
    let first = Arc::new(LiveSecret::file(&file).unwrap());
    realm.provider.refresh_token = Some(first.clone());
    let tokens = realm.settled().await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored().as_deref()),
        (Some("a2"), Some("r2"))
    );
    tokens.stop().await;
    realm.clock.advance(Duration::from_secs(100));
    let tokens = realm.settled().await;
    assert_eq!(
        realm.stored().as_deref(),
        Some("r3"),
        "the store's newer one wins"
    );

    realm.family(|family| family.current = 50);
    realm.seconds(&tokens, 100).await;
    assert_eq!(state_of(&tokens), CredentialState::LoginRequired);
    realm.family(|family| family.reused = 0);
    std::fs::write(&file, "r50").unwrap();
    assert!(first.reload().unwrap());
    eventually("it is used", || state_of(&tokens) == CredentialState::Ready).await;
    assert_eq!(realm.stored().as_deref(), Some("r51"));
}

#[tokio::test]
async fn no_refresh_token_is_ever_logged_or_shown() {
    let log = secrecy::Log::default();
    let _listening = log.listen();
    let realm = Realm::empty().await;
    let canary = crate::oauth::fake::CANARY;
    realm.log_in_beside(canary).await;
    let tokens = realm.settled().await;
    let mut shown = String::new();
    let body =
        format!(r#"{{"access_token":"{canary}-a","expires_in":100,"refresh_token":"{canary}-r"}}"#);
    for reply in [
        Reply::response(200, "", &body),
        Reply::Hangup,
        Reply::response(400, "", r#"{"error":"invalid_grant"}"#),
    ] {
        realm.server.reply(reply);
        let outcome = only(&tokens).refresh_now().await;
        shown += &format!(
            "{outcome:?} {:?} {:?}",
            only(&tokens).status(),
            realm.store().load("fake")
        );
    }
    shown += &format!("{:?} {:?}", tokens, realm.grant());
    assert!(!shown.contains(canary), "{shown}");
    let logged = log.text();
    assert!(!logged.contains(canary), "{logged}");
    assert!(
        logged.contains("login.required") && logged.contains("token.response_lost"),
        "{logged}"
    );
}
