//! Logins that are recorded, ended and read again without a refresher.

use super::*;
use crate::{
    clock::ManualClock,
    oauth::fake,
    secret::LiveSecret,
    token::store::{self, StoreLocation},
};

struct World {
    store: Arc<dyn Store>,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self {
            store: store::open(&StoreLocation::Memory).unwrap(),
            clock: ManualClock::new(),
        }
    }

    fn login(&self, configured: Option<&str>) -> Login {
        let mut provider = fake::with_consent("http://127.0.0.1/token");
        provider.refresh_token =
            configured.map(|token| Arc::new(LiveSecret::fixed(Secret::new(token))));
        self.login_of(provider)
    }

    fn login_of(&self, provider: Provider) -> Login {
        Login::new(
            Arc::new(provider),
            self.store.clone(),
            Arc::new(self.clock.clone()),
        )
    }
}

fn issued(refresh_token: Option<&str>) -> Issued {
    Issued {
        access_token: Secret::new("access"),
        lifetime: Duration::from_secs(1000),
        refresh_token: refresh_token.map(Secret::new),
    }
}

async fn means(login: &Login) -> Means {
    let mut session = login.session().await.unwrap();
    session.read().await.unwrap();
    session.means()
}

async fn refresh_token(login: &Login) -> Option<String> {
    match means(login).await {
        Means::RefreshToken(token) => Some(token.expose().to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn a_login_outlives_its_process_with_a_token_that_is_still_good() {
    let world = World::new();
    let token = world
        .login(None)
        .log_in(issued(Some("r1")))
        .await
        .unwrap()
        .unwrap();
    let login = world.login(None);
    assert!(!login.has_refresh_token(), "nothing was read yet");
    world.clock.advance(Duration::from_secs(100));
    let again = login.peek().await.unwrap().unwrap();
    assert!(login.has_refresh_token());
    assert_eq!(
        (&again.secret, again.usable_until),
        (&token.secret, token.usable_until)
    );
    world.clock.advance(Duration::from_secs(900));
    assert!(login.peek().await.unwrap().is_none(), "it is over");
    assert_eq!(refresh_token(&login).await.as_deref(), Some("r1"));
}

#[tokio::test]
async fn an_access_token_of_other_settings_is_not_used() {
    let world = World::new();
    world.login(None).log_in(issued(Some("r1"))).await.unwrap();
    let mut provider = fake::with_consent("http://127.0.0.1/token");
    provider.scope = Some("more".into());
    let login = world.login_of(provider);
    assert!(login.peek().await.unwrap().is_none());
    assert_eq!(
        refresh_token(&login).await.as_deref(),
        Some("r1"),
        "the refresh token is another matter"
    );
}

#[tokio::test]
async fn the_store_wins_over_the_configuration_until_that_is_changed() {
    let world = World::new();
    let login = world.login(Some("first"));
    assert_eq!(refresh_token(&login).await.as_deref(), Some("first"));
    let mut session = login.session().await.unwrap();
    session
        .renewed(&issued(Some("rotated")), world.clock.now(), true)
        .await
        .unwrap();
    drop(session);
    assert_eq!(
        refresh_token(&world.login(Some("first"))).await.as_deref(),
        Some("rotated")
    );
    assert_eq!(
        refresh_token(&world.login(None)).await.as_deref(),
        Some("rotated")
    );
    assert_eq!(
        refresh_token(&world.login(Some("second"))).await.as_deref(),
        Some("second")
    );
    assert_eq!(
        refresh_token(&world.login(Some("second"))).await.as_deref(),
        Some("second")
    );
}

#[tokio::test]
async fn a_login_wins_over_the_configured_token_that_was_there() {
    let world = World::new();
    world
        .login(Some("first"))
        .log_in(issued(Some("r1")))
        .await
        .unwrap();
    assert_eq!(
        refresh_token(&world.login(Some("first"))).await.as_deref(),
        Some("r1")
    );
}

#[tokio::test]
async fn a_refusal_outlives_the_process_and_ends_with_a_login_or_another_configured_token() {
    let world = World::new();
    let login = world.login(Some("first"));
    let mut session = login.session().await.unwrap();
    session.read().await.unwrap();
    session.refused().await.unwrap();
    drop(session);
    assert!(!login.has_refresh_token());
    assert!(matches!(
        means(&world.login(Some("first"))).await,
        Means::Refused
    ));
    assert_eq!(
        refresh_token(&world.login(Some("second"))).await.as_deref(),
        Some("second")
    );

    let login = world.login(Some("second"));
    let mut session = login.session().await.unwrap();
    session.read().await.unwrap();
    session.refused().await.unwrap();
    drop(session);
    login.log_in(issued(Some("r1"))).await.unwrap();
    assert_eq!(
        refresh_token(&world.login(Some("second"))).await.as_deref(),
        Some("r1")
    );
}

#[tokio::test]
async fn a_logout_gives_back_the_refresh_token_and_leaves_nothing_of_it() {
    let world = World::new();
    let login = world.login(Some("first"));
    login.log_in(issued(Some("r1"))).await.unwrap();
    assert_eq!(login.log_out().await.unwrap(), Some(Secret::new("r1")));
    assert!(!login.has_refresh_token());
    let left = world.store.load("fake").unwrap().unwrap();
    assert!(left.is_logged_out());
    assert!(matches!(
        means(&world.login(Some("first"))).await,
        Means::Forgotten
    ));
    assert_eq!(login.log_out().await.unwrap(), None);
    assert_eq!(
        World::new().login(None).log_out().await.unwrap(),
        None,
        "there was never one"
    );
}

#[tokio::test]
async fn a_record_that_was_lost_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World {
        store: store::open(&StoreLocation::File(folder.path().join("state"))).unwrap(),
        ..World::new()
    };
    let login = world.login(None);
    login.log_in(issued(Some("r1"))).await.unwrap();
    std::fs::remove_file(folder.path().join("state/fake.json")).unwrap();
    assert_eq!(login.look().await.unwrap(), Look::Changed);
    assert_eq!(refresh_token(&login).await.as_deref(), Some("r1"));
    assert_eq!(
        refresh_token(&world.login(None)).await.as_deref(),
        Some("r1")
    );
    assert_eq!(login.look().await.unwrap(), Look::Same);
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_one_there_is_and_a_login_does_not() {
    let world = World::new();
    let login = world.login(None);
    login.log_in(issued(Some("r1"))).await.unwrap();
    let mut session = login.session().await.unwrap();
    session
        .renewed(&issued(None), world.clock.now(), true)
        .await
        .unwrap();
    drop(session);
    assert_eq!(
        refresh_token(&world.login(None)).await.as_deref(),
        Some("r1")
    );
    let made = login.prepare().await.unwrap().log_in(issued(None)).await;
    assert!(!made.lasts && made.token.is_some(), "it is told apart");
    assert!(matches!(means(&world.login(None)).await, Means::Nothing));
}

#[tokio::test]
async fn a_login_keeps_its_name_while_its_tokens_rotate_and_another_gets_another() {
    let world = World::new();
    let name = || world.store.load("fake").unwrap().unwrap().login;
    let login = world.login(Some("first"));
    let mut session = login.session().await.unwrap();
    session.read().await.unwrap();
    let configured = name();
    assert!(configured.is_some());
    session
        .renewed(&issued(Some("r2")), world.clock.now(), true)
        .await
        .unwrap();
    assert_eq!(name(), configured);
    session.refused().await.unwrap();
    assert_eq!(name(), configured);
    drop(session);
    login.log_in(issued(Some("r2"))).await.unwrap();
    assert!(
        name().is_some() && name() != configured,
        "the same refresh token, another login"
    );
    login.log_out().await.unwrap();
    assert_eq!(name(), None);
}

#[tokio::test]
async fn a_configured_token_that_was_taken_once_is_never_taken_again() {
    let world = World::new();
    assert_eq!(
        refresh_token(&world.login(Some("t1"))).await.as_deref(),
        Some("t1")
    );
    let second = world.login(Some("t2"));
    let mut session = second.session().await.unwrap();
    session.read().await.unwrap();
    session
        .renewed(&issued(Some("r2")), world.clock.now(), true)
        .await
        .unwrap();
    drop(session);
    assert_eq!(
        refresh_token(&world.login(Some("t1"))).await.as_deref(),
        Some("r2"),
        "an older process is still there"
    );
    assert_eq!(
        refresh_token(&world.login(Some("t2"))).await.as_deref(),
        Some("r2")
    );

    world
        .login(Some("t1"))
        .log_in(issued(Some("r3")))
        .await
        .unwrap();
    assert_eq!(
        refresh_token(&world.login(Some("t2"))).await.as_deref(),
        Some("r3"),
        "nor after a login"
    );
    let mut session = second.session().await.unwrap();
    session.read().await.unwrap();
    session.refused().await.unwrap();
    drop(session);
    assert!(
        matches!(means(&world.login(Some("t1"))).await, Means::Refused),
        "nor after a refusal"
    );
    second.log_out().await.unwrap();
    assert!(
        matches!(means(&world.login(Some("t1"))).await, Means::Forgotten),
        "nor after a logout"
    );
    assert_eq!(
        refresh_token(&world.login(Some("t3"))).await.as_deref(),
        Some("t3")
    );
}

fn of_another_client(configured: Option<&str>) -> Provider {
    let mut provider = fake::with_consent("http://127.0.0.1/token");
    provider.client_id = "another".into();
    provider.refresh_token =
        configured.map(|token| Arc::new(LiveSecret::fixed(Secret::new(token))));
    provider
}

#[tokio::test]
async fn a_login_is_no_other_clients_and_is_there_again_when_the_client_is() {
    let world = World::new();
    world.login(None).log_in(issued(Some("r1"))).await.unwrap();
    let other = world.login_of(of_another_client(None));
    assert!(matches!(means(&other).await, Means::OtherClient));
    assert_eq!(
        refresh_token(&world.login(None)).await.as_deref(),
        Some("r1")
    );
    assert_eq!(
        other.log_out().await.unwrap(),
        None,
        "another server is not to revoke it"
    );
    other.log_in(issued(Some("r2"))).await.unwrap();
    assert_eq!(refresh_token(&other).await.as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_configured_token_is_taken_again_where_another_client_got_nothing_for_it() {
    let world = World::new();
    let wrong = world.login_of(of_another_client(Some("t1")));
    let mut session = wrong.session().await.unwrap();
    session.read().await.unwrap();
    session.refused().await.unwrap();
    drop(session);
    let right = world.login(Some("t1"));
    assert_eq!(refresh_token(&right).await.as_deref(), Some("t1"));
    let mut session = right.session().await.unwrap();
    session.read().await.unwrap();
    session
        .renewed(&issued(Some("r2")), world.clock.now(), true)
        .await
        .unwrap();
    drop(session);
    assert!(
        matches!(means(&wrong).await, Means::OtherClient),
        "what it had become is not given up for it"
    );
    assert_eq!(refresh_token(&right).await.as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_record_gives_up_the_very_access_token_that_was_refused_and_nothing_else() {
    let world = World::new();
    let login = world.login(Some("first"));
    login.log_in(issued(Some("r1"))).await.unwrap();
    let before = world.store.load("fake").unwrap().unwrap();
    login.give_up(&Secret::new("another")).await.unwrap();
    assert_eq!(world.store.load("fake").unwrap().as_ref(), Some(&before));

    let beside = world.login(Some("first"));
    assert!(beside.peek().await.unwrap().is_some());
    login.give_up(&Secret::new("access")).await.unwrap();
    let left = world.store.load("fake").unwrap();
    assert_eq!(
        left,
        Some(Record {
            access: None,
            ..before
        })
    );
    assert_eq!(
        beside.look().await.unwrap(),
        Look::Same,
        "there is nothing to take up"
    );
    assert!(beside.has_refresh_token());
    beside.give_up(&Secret::new("access")).await.unwrap();
    assert_eq!(world.store.load("fake").unwrap(), left);
    assert!(world.login(Some("first")).peek().await.unwrap().is_none());
    assert_eq!(refresh_token(&beside).await.as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_refused_token_is_given_up_by_whoever_has_the_lock_alone() {
    let world = World::new();
    let login = world.login(None);
    login.log_in(issued(Some("r1"))).await.unwrap();
    let theirs = world.store.try_lock("fake").unwrap().unwrap();
    assert!(matches!(
        login.give_up(&Secret::new("access")).await,
        Err(StoreError::Locked)
    ));
    assert!(world.store.load("fake").unwrap().unwrap().access.is_some());
    drop(theirs);
    login.give_up(&Secret::new("access")).await.unwrap();
    assert!(world.store.load("fake").unwrap().unwrap().access.is_none());
}

#[tokio::test]
async fn a_token_that_is_given_up_hides_no_other_login_from_the_next_look() {
    let world = World::new();
    let login = world.login(None);
    login.log_in(issued(Some("r1"))).await.unwrap();
    world.login(None).log_in(issued(Some("r2"))).await.unwrap();
    login.give_up(&Secret::new("access")).await.unwrap();
    assert_eq!(login.look().await.unwrap(), Look::Changed);
    assert_eq!(refresh_token(&login).await.as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_login_of_an_access_token_alone_is_not_taken_for_one_that_was_ended_when_that_is_refused()
{
    let world = World::new();
    let login = world.login(None);
    login.log_in(issued(None)).await.unwrap();
    // As a version wrote it that named no logins.
    let mut record = world.store.load("fake").unwrap().unwrap();
    record.login = None;
    world
        .store
        .try_lock("fake")
        .unwrap()
        .unwrap()
        .save(&record)
        .unwrap();
    assert!(login.peek().await.unwrap().is_some());
    login.give_up(&Secret::new("access")).await.unwrap();
    assert!(matches!(means(&world.login(None)).await, Means::Nothing));
}
