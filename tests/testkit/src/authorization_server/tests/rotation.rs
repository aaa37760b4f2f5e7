//! Refresh tokens: rotation, grace period, reuse, revocation.

use super::*;

const CLIENT: &str = "client_id=demo&client_secret=demo-client-secret";

/// An access token and a refresh token.
type Pair = (String, String);

fn pair(response: &Response) -> Pair {
    assert_eq!(response.status, 200, "{response:?}");
    let member = |name: &str| response.json()[name].as_str().unwrap().to_owned();
    (member("access_token"), member("refresh_token"))
}

async fn login(server: &AuthorizationServer) -> Pair {
    let target = "/oauth2/authorize?response_type=code&client_id=demo&redirect_uri=app://cb";
    let response = send(server.address(), "GET", target, &[], "")
        .await
        .unwrap();
    let url = url::Url::parse(response.header("location")).unwrap();
    let code = url
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let body = format!("grant_type=authorization_code&code={code}&redirect_uri=app://cb&{CLIENT}");
    pair(&post(server, &[], &body).await)
}

async fn refresh(server: &AuthorizationServer, token: &str) -> Response {
    post(
        server,
        &[],
        &format!("grant_type=refresh_token&refresh_token={token}&{CLIENT}"),
    )
    .await
}

fn is_refused(response: &Response) -> bool {
    response.status == 400 && response.json()["error"] == "invalid_grant"
}

#[tokio::test]
async fn every_refresh_returns_a_new_pair_and_reuse_revokes_them_all() {
    let server = started().await;
    let other = login(&server).await;
    let first = login(&server).await;
    let second = pair(&refresh(&server, &first.1).await);
    let third = pair(&refresh(&server, &second.1).await);
    assert!(server.issued().is_live(&third.0));
    assert_eq!(server.stats().reuses, 0);

    assert!(is_refused(&refresh(&server, &first.1).await));
    assert!(
        is_refused(&refresh(&server, &third.1).await),
        "the whole grant is over"
    );
    for token in [&first.0, &second.0, &third.0] {
        assert!(!server.issued().is_live(token));
    }
    assert!(
        server.issued().is_live(&other.0),
        "another grant is not affected"
    );
    assert_eq!(refresh(&server, &other.1).await.status, 200);
    let stats = server.stats();
    assert_eq!((stats.exchanges, stats.refreshes, stats.reuses), (2, 3, 1));
}

#[tokio::test]
async fn a_repeat_within_the_grace_does_no_harm() {
    let clock = Clock::default();
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let server = AuthorizationServer::start(options).await.unwrap();
    server.set_rotation(Rotation {
        rotate: true,
        grace: Duration::from_secs(5),
    });
    let first = login(&server).await;
    let lost = pair(&refresh(&server, &first.1).await);
    clock.advance(Duration::from_secs(4));
    let again = pair(&refresh(&server, &first.1).await);
    assert_ne!(lost.1, again.1);
    assert_eq!((server.stats().repeats, server.stats().reuses), (1, 0));
    clock.advance(Duration::from_secs(1));
    assert!(is_refused(&refresh(&server, &first.1).await));
    assert_eq!(server.stats().reuses, 1);
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let server = started().await;
    server.set_rotation(Rotation {
        rotate: false,
        grace: Duration::ZERO,
    });
    let first = login(&server).await;
    for _ in 0..3 {
        let response = refresh(&server, &first.1).await;
        assert_eq!(
            (response.status, response.json().get("refresh_token")),
            (200, None)
        );
    }
    assert_eq!(server.stats().reuses, 0);
}

#[tokio::test]
async fn a_dropped_response_has_spent_the_token() {
    let server = started().await;
    let first = login(&server).await;
    server.drop_responses(1);
    let body = format!(
        "grant_type=refresh_token&refresh_token={}&{CLIENT}",
        first.1
    );
    assert!(
        send(server.address(), "POST", "/oauth2/token", &[FORM], &body)
            .await
            .is_none()
    );
    assert_eq!((server.stats().dropped, server.stats().refreshes), (1, 1));
    assert!(is_refused(&refresh(&server, &first.1).await));
    assert_eq!(server.stats().reuses, 1);
    login(&server).await;
}

#[tokio::test]
async fn a_refusal_is_not_dropped() {
    let server = started().await;
    server.drop_responses(1);
    assert!(is_refused(&refresh(&server, "made-up").await));
    assert_eq!(server.stats().dropped, 0);
}

#[tokio::test]
async fn a_refresh_may_narrow_the_scope_and_not_widen_it() {
    let server = started().await;
    let first = login(&server).await;
    let ask_for = async |token: &str, scope: &str| {
        post(
            &server,
            &[],
            &format!("grant_type=refresh_token&refresh_token={token}&scope={scope}&{CLIENT}"),
        )
        .await
    };
    let narrow = ask_for(&first.1, "devices.read").await;
    assert_eq!(narrow.json()["scope"], "devices.read");
    assert_eq!(
        ask_for(&pair(&narrow).1, "all").await.json()["error"],
        "invalid_scope"
    );
}

#[tokio::test]
async fn a_revoked_refresh_token_ends_its_grant() {
    let server = started().await;
    let first = login(&server).await;
    let revoke = async |token: &str, client: &str| {
        let body = format!("token={token}&token_type_hint=refresh_token&{client}");
        send(server.address(), "POST", "/oauth2/revoke", &[FORM], &body)
            .await
            .unwrap()
            .status
    };
    assert_eq!(revoke(&first.1, "client_id=demo").await, 401);
    assert_eq!(revoke("made-up", CLIENT).await, 200);
    assert!(server.issued().is_live(&first.0));
    assert_eq!(revoke(&first.1, CLIENT).await, 200);
    assert!(!server.issued().is_live(&first.0));
    assert!(is_refused(&refresh(&server, &first.1).await));
    assert_eq!((server.stats().revocations, server.stats().reuses), (1, 0));

    let second = login(&server).await;
    server.revoke_grants();
    assert!(is_refused(&refresh(&server, &second.1).await));
    assert!(!server.issued().is_live(&second.0));
}
