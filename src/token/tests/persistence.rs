//! Stores that fail, and records that are rejected.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{rotation::*, *};
use crate::token::store::{Lock, Record, Store};

#[tokio::test]
async fn nothing_is_spent_while_the_store_cannot_be_written() {
    let realm = Realm::new().await;
    std::fs::create_dir(realm.path("fake.json.new")).unwrap();
    let tokens = realm.settled().await;
    assert_eq!(
        (state_of(&tokens), kind(&tokens).as_deref()),
        (CredentialState::Failing, Some("store"))
    );
    let TokenError::Unavailable { detail, .. } = only(&tokens).obtain().await.unwrap_err() else {
        panic!()
    };
    assert!(
        !detail.contains(realm.folder.path().to_str().unwrap()),
        "clients learn no path: {detail}"
    );
    realm.seconds(&tokens, 15).await;
    assert_eq!(realm.server.count(), 0);
    std::fs::remove_dir(realm.path("fake.json.new")).unwrap();
    realm.seconds(&tokens, 15).await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored().as_deref()),
        (Some("a2"), Some("r2"))
    );
    assert_eq!(kind(&tokens), None);
}

#[tokio::test]
async fn the_current_token_stays_in_use_while_the_store_cannot_be_written() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    std::fs::create_dir(realm.path("fake.json.new")).unwrap();
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        (state_of(&tokens), kind(&tokens).as_deref()),
        (CredentialState::Ready, Some("store"))
    );
    assert_eq!(
        (token(&tokens).as_deref(), realm.server.count()),
        (Some("a2"), 1)
    );
}

#[tokio::test]
async fn a_rejected_record_is_reported_and_left_alone() {
    type Damage = fn(&Realm);
    let damages: [Damage; 4] = [
        |realm| std::fs::write(realm.path("fake.json"), "{\"version\":1,").unwrap(),
        |realm| {
            let readable = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(realm.path("fake.json"), readable).unwrap();
        },
        |realm| {
            std::fs::rename(realm.path("fake.json"), realm.path("elsewhere")).unwrap();
            symlink(realm.path("elsewhere"), realm.path("fake.json")).unwrap();
        },
        |realm| std::fs::write(realm.path("fake.json"), r#"{"version":9}"#).unwrap(),
    ];
    for damage in damages {
        let realm = Realm::new().await;
        let whole = std::fs::read(realm.path("fake.json")).unwrap();
        damage(&realm);
        let left = std::fs::read(realm.path("fake.json")).unwrap();
        let tokens = realm.settled().await;
        assert_eq!(
            (state_of(&tokens), kind(&tokens).as_deref()),
            (CredentialState::Failing, Some("store"))
        );
        assert!(
            log_in(&only(&tokens), issued("r9")).await.is_err(),
            "not even a login replaces it"
        );
        realm.seconds(&tokens, 15).await;
        assert_eq!(realm.server.count(), 0);
        assert_eq!(std::fs::read(realm.path("fake.json")).unwrap(), left);

        // Repaired by hand, it is in use after the next check.
        std::fs::remove_file(realm.path("fake.json")).unwrap();
        std::fs::write(realm.path("fake.json"), whole).unwrap();
        std::fs::set_permissions(
            realm.path("fake.json"),
            std::fs::Permissions::from_mode(0o600),
        )
        .unwrap();
        realm.clock.advance(Duration::from_secs(2));
        eventually("it is in use", || token(&tokens).as_deref() == Some("a2")).await;
    }
}

#[tokio::test]
async fn one_providers_damaged_record_does_not_affect_another_provider() {
    let realm = Realm::new().await;
    std::fs::write(realm.path("fake.json"), "nonsense").unwrap();
    let mut other = fake::provider(&realm.server.url());
    other.name = "other".into();
    realm.server.reply(Reply::Token(100));
    let providers = [Arc::new(realm.provider.clone()), Arc::new(other)];
    let tokens = Tokens::start(
        &providers,
        realm.store(),
        Arc::new(realm.clock.clone()),
        &Metrics::new(),
    );
    for credential in tokens.iter() {
        idle(credential, &realm.clock).await;
    }
    assert_eq!(state_of(&tokens), CredentialState::Failing);
    assert_eq!(
        tokens.credential("other").unwrap().status().state,
        CredentialState::Ready
    );
}

/// A store whose disk fails between the reservation and the write.
#[derive(Debug)]
struct Treacherous {
    store: Arc<dyn Store>,
    broken: Arc<AtomicBool>,
}

#[derive(Debug)]
struct TreacherousLock {
    lock: Box<dyn Lock>,
    broken: Arc<AtomicBool>,
}

impl Store for Treacherous {
    fn load(&self, provider: &str) -> Result<Option<Record>, StoreError> {
        self.store.load(provider)
    }

    fn try_lock(&self, provider: &str) -> Result<Option<Box<dyn Lock>>, StoreError> {
        let lock = self.store.try_lock(provider)?;
        Ok(lock.map(|lock| -> Box<dyn Lock> {
            Box::new(TreacherousLock {
                lock,
                broken: self.broken.clone(),
            })
        }))
    }
}

impl Lock for TreacherousLock {
    fn reserve(&mut self) -> Result<(), StoreError> {
        self.lock.reserve()
    }

    fn save(&mut self, record: &Record) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            Err(StoreError::Interrupted)
        } else {
            self.lock.save(record)
        }
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_written_after_all_is_used_and_written_as_soon_as_it_can_be() {
    let log = secrecy::Log::default();
    let _listening = log.listen();
    let realm = Realm::new().await;
    let broken = Arc::new(AtomicBool::new(true));
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken: broken.clone(),
    }));
    eventually("it is in use", || token(&tokens).as_deref() == Some("a2")).await;
    assert_eq!(
        (state_of(&tokens), realm.stored().as_deref()),
        (CredentialState::Ready, Some("r1"))
    );
    eventually("it is told", || kind(&tokens).as_deref() == Some("store")).await;
    assert!(log.text().contains("store.unsaved"), "{}", log.text());
    assert!(only(&tokens).status().has_refresh_token);

    // No other process can use the refresh token that is spent.
    assert!(realm.store().try_lock("fake").unwrap().is_none());
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        realm.server.count(),
        1,
        "nothing more is spent on top of it"
    );
    assert_eq!(kind(&tokens).as_deref(), Some("store"));

    broken.store(false, Ordering::Relaxed);
    realm.clock.advance(Duration::from_secs(2));
    eventually("it is written", || {
        realm.stored().is_some_and(|stored| stored != "r1")
    })
    .await;
    eventually("all is well", || kind(&tokens).is_none()).await;
    idle(&only(&tokens), &realm.clock).await;
    assert_eq!(realm.reused(), 0);
}

#[tokio::test]
async fn a_folder_that_disappeared_is_created_again_and_the_login_is_written_into_it() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    std::fs::remove_dir_all(realm.folder.path().join("store")).unwrap();
    realm.clock.advance(Duration::from_secs(2));
    eventually("it is written again", || {
        realm.stored().as_deref() == Some("r2")
    })
    .await;
    assert_eq!(
        (state_of(&tokens), realm.server.count()),
        (CredentialState::Ready, 1)
    );
}

/// Lets time pass until what is awaited is over.
async fn ended(tokens: Tokens, clock: &ManualClock, mut each: impl FnMut(usize)) -> Vec<Arc<str>> {
    let settle = tokio::spawn(async move { tokens.settle().await });
    let mut tries = 0;
    while !settle.is_finished() {
        assert!(tries < 1000, "it never ends");
        tokio::time::sleep(Duration::from_millis(5)).await;
        clock.advance(Duration::from_millis(500));
        each(tries);
        tries += 1;
    }
    settle.await.unwrap()
}

#[tokio::test]
async fn an_unsaved_refresh_token_is_written_at_the_end_if_the_disk_recovers() {
    let realm = Realm::new().await;
    let broken = Arc::new(AtomicBool::new(true));
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken: broken.clone(),
    }));
    eventually("it is in memory", || {
        kind(&tokens).as_deref() == Some("store")
    })
    .await;
    let repair = |tries| broken.store(tries < 1, Ordering::Relaxed);
    assert!(ended(tokens, &realm.clock, repair).await.is_empty());
    assert_eq!(realm.stored().as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_login_that_is_lost_at_the_end_is_named() {
    let log = secrecy::Log::default();
    let _listening = log.listen();
    let realm = Realm::new().await;
    let broken = Arc::new(AtomicBool::new(true));
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken,
    }));
    eventually("it is in memory", || {
        kind(&tokens).as_deref() == Some("store")
    })
    .await;
    assert_eq!(ended(tokens, &realm.clock, |_| {}).await, ["fake".into()]);
    assert!(log.text().contains("login.lost"), "{}", log.text());
    assert!(!log.text().contains("r2"), "{}", log.text());
}

#[tokio::test]
async fn a_login_that_cannot_be_written_after_all_is_used_and_written_as_soon_as_it_can_be() {
    let realm = Realm::empty().await;
    let broken = Arc::new(AtomicBool::new(true));
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken: broken.clone(),
    }));
    idle(&only(&tokens), &realm.clock).await;
    assert!(
        log_in(&only(&tokens), issued("r1"))
            .await
            .unwrap()
            .unsaved
            .is_some()
    );
    assert_eq!(
        (token(&tokens).as_deref(), kind(&tokens).as_deref()),
        (Some("of-r1"), Some("store"))
    );
    broken.store(false, Ordering::Relaxed);
    realm.clock.advance(Duration::from_secs(2));
    eventually("it is written", || realm.stored().as_deref() == Some("r1")).await;
    eventually("all is well", || kind(&tokens).is_none()).await;
    assert_eq!(realm.server.count(), 0);
}

#[tokio::test]
async fn the_end_waits_as_long_as_the_slowest_provider_with_a_login_may_take() {
    let mut realm = Realm::empty().await;
    realm.provider.token_request.timeout = Duration::from_secs(100);
    assert!(realm.settled().await.settle_timeout() > Duration::from_secs(200));
}

#[tokio::test]
async fn a_refused_token_that_cannot_leave_the_record_costs_nothing_and_leaves_it_later() {
    let log = secrecy::Log::default();
    let _listening = log.listen();
    let realm = Realm::new().await;
    let broken = Arc::new(AtomicBool::new(false));
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken: broken.clone(),
    }));
    idle(&only(&tokens), &realm.clock).await;
    realm
        .server
        .reply(Reply::response(429, "retry-after: 120\r\n", ""));
    only(&tokens).refresh_now().await.unwrap_err();
    broken.store(true, Ordering::Relaxed);
    only(&tokens)
        .invalidate(&only(&tokens).current().unwrap())
        .await
        .unwrap();
    let told = |log: &secrecy::Log| {
        log.text()
            .lines()
            .filter(|line| line.contains("store.stale"))
            .count()
    };
    eventually("it is told", || told(&log) > 0).await;
    for tries in 2..5 {
        realm.clock.advance(Duration::from_secs(2));
        eventually("it is tried again", || told(&log) >= tries).await;
    }
    let warned = log
        .text()
        .lines()
        .filter(|line| line.contains("store.stale") && line.contains(" WARN "))
        .count();
    assert_eq!(warned, 1, "{}", log.text());
    assert_eq!(
        (realm.on_record().as_deref(), realm.stored().as_deref()),
        (Some("a2"), Some("r2"))
    );
    // Other processes may refresh, which would end it too.
    eventually("the lock is free", || {
        realm.store().try_lock("fake").unwrap().is_some()
    })
    .await;
    assert_eq!(
        (token(&tokens), kind(&tokens).as_deref()),
        (None, Some("limited"))
    );

    broken.store(false, Ordering::Relaxed);
    realm.clock.advance(Duration::from_secs(2));
    eventually("it is off the record", || realm.on_record().is_none()).await;
    assert_eq!(
        (realm.server.count(), realm.stored().as_deref()),
        (2, Some("r2"))
    );
    assert!(
        tokens.settle().await.is_empty() && !log.text().contains("login.lost"),
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn an_unsaved_record_is_written_without_the_token_that_was_refused() {
    let realm = Realm::new().await;
    let broken = Arc::new(AtomicBool::new(true));
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken: broken.clone(),
    }));
    eventually("it is in memory", || {
        kind(&tokens).as_deref() == Some("store")
    })
    .await;
    realm
        .server
        .reply(Reply::response(429, "retry-after: 120\r\n", ""));
    only(&tokens)
        .replace(&only(&tokens).current().unwrap())
        .await
        .unwrap_err();
    broken.store(false, Ordering::Relaxed);
    assert!(tokens.settle().await.is_empty());
    assert_eq!(
        (realm.on_record(), realm.stored().as_deref()),
        (None, Some("r2"))
    );
}

#[tokio::test]
async fn an_unsaved_record_that_only_held_a_refused_token_releases_the_lock() {
    let realm = Realm::new().await;
    let broken = Arc::new(AtomicBool::new(false));
    let issue = |token| {
        Reply::response(
            200,
            "",
            &format!(r#"{{"access_token":"{token}","expires_in":100}}"#),
        )
    };
    realm.server.reply(issue("one"));
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken: broken.clone(),
    }));
    idle(&only(&tokens), &realm.clock).await;
    realm.server.reply(issue("two"));
    realm.server.hold_responses();
    only(&tokens)
        .invalidate(&only(&tokens).current().unwrap())
        .await
        .unwrap();
    realm.server.wait_for_requests(2).await;
    assert_eq!(realm.on_record(), None);
    broken.store(true, Ordering::Relaxed);
    realm.server.release_responses();
    eventually("it is in memory", || {
        token(&tokens).as_deref() == Some("two")
    })
    .await;
    assert!(realm.store().try_lock("fake").unwrap().is_none());
    let two = only(&tokens).current().unwrap();
    two.mark_accepted();
    only(&tokens).replace(&two).await.unwrap_err();
    eventually("the lock is free", || {
        realm.store().try_lock("fake").unwrap().is_some()
    })
    .await;
    assert_eq!(
        (realm.on_record(), realm.stored().as_deref()),
        (None, Some("r1"))
    );
}

#[tokio::test]
async fn a_client_that_waited_gets_the_token_whose_refresh_token_could_not_be_written() {
    let realm = Realm::new().await;
    realm.server.hold_responses();
    let tokens = realm.start_with(Arc::new(Treacherous {
        store: realm.store(),
        broken: Arc::new(AtomicBool::new(true)),
    }));
    realm.server.wait_for_requests(1).await;
    let credential = only(&tokens);
    let client = tokio::spawn(async move { credential.obtain().await });
    eventually("it waits", || only(&tokens).waiting() == 1).await;
    realm.server.release_responses();
    let token = client.await.unwrap().unwrap();
    assert_eq!(
        (token.secret.expose(), kind(&tokens).as_deref()),
        ("a2", Some("store"))
    );
}
