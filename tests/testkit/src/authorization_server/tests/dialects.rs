//! Requests that differ from a vendor's documentation are refused.

use super::*;

async fn vendor(dialect: Dialect, public: bool) -> AuthorizationServer {
    AuthorizationServer::start(Options {
        dialect,
        public,
        ..Options::default()
    })
    .await
    .unwrap()
}

/// Sends a token request with the method and in the place of the dialect.
async fn token(server: &AuthorizationServer, dialect: Dialect, parameters: &str) -> Response {
    let path = dialect.token_path();
    let asked = match dialect {
        Dialect::Feeling => {
            send(
                server.address(),
                "GET",
                &format!("{path}?{parameters}"),
                &[],
                "",
            )
            .await
        }
        _ => send(server.address(), "POST", path, &[FORM], parameters).await,
    };
    asked.unwrap()
}

/// Whether only the made-up code or token was refused, not the parameters.
async fn is_understood(server: &AuthorizationServer, dialect: Dialect, parameters: &str) -> bool {
    match token(server, dialect, parameters).await {
        Response { status: 200, .. } => true,
        response => response.json()["error"] == "invalid_grant",
    }
}

const SECRET: &str = "&client_secret=demo-client-secret";

/// The dialect, whether its client is public, and the parameters that its page shows for one grant.
fn pages() -> Vec<(Dialect, bool, String)> {
    let happeo =
        "grant_type=authorization_code&client_id=demo&redirect_uri=app:cb&code=c&code_verifier=v";
    let happyr = "grant_type=authorization_code&client_id=demo&redirect_uri=app:cb&code=c";
    let refresh = "grant_type=refresh_token&client_id=demo&refresh_token=r";
    let mut pages = vec![
        (
            Dialect::Hapn,
            false,
            format!("grant_type=client_credentials&client_id=demo{SECRET}"),
        ),
        (
            Dialect::Feeling,
            true,
            "grant_type=authorization_code&client_id=demo&code=c&code_verifier=v".to_owned(),
        ),
        (
            Dialect::Feeling,
            true,
            "grant_type=refresh_token&refresh_token=r".to_owned(),
        ),
    ];
    for (dialect, exchange) in [(Dialect::Happeo, happeo), (Dialect::HappyrMatch, happyr)] {
        for parameters in [exchange, refresh] {
            pages.push((dialect, true, parameters.to_owned()));
            pages.push((dialect, false, format!("{parameters}{SECRET}")));
        }
    }
    pages
}

#[tokio::test]
async fn a_token_request_has_the_parameters_of_the_page_no_more_and_no_less() {
    for (dialect, public, parameters) in pages() {
        let server = vendor(dialect, public).await;
        assert!(
            is_understood(&server, dialect, &parameters).await,
            "{dialect:?} {parameters}"
        );
        let pairs: Vec<_> = parameters.split('&').collect();
        for left_out in 0..pairs.len() {
            let fewer: Vec<_> = pairs
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != left_out)
                .map(|(_, pair)| *pair)
                .collect();
            let fewer = fewer.join("&");
            assert!(
                !is_understood(&server, dialect, &fewer).await,
                "{dialect:?} {fewer}"
            );
        }
        for more in [
            "scope=devices.read",
            "audience=x",
            "client_secret=x",
            "redirect_uri=app:x",
            "client_id=demo",
        ] {
            let name = more.split('=').next().unwrap();
            if !pairs
                .iter()
                .any(|pair| pair.split('=').next() == Some(name))
            {
                let more = format!("{parameters}&{more}");
                assert!(
                    !is_understood(&server, dialect, &more).await,
                    "{dialect:?} {more}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_token_request_comes_by_the_method_and_in_the_place_of_the_page() {
    for (dialect, public, parameters) in pages() {
        let server = vendor(dialect, public).await;
        let path = dialect.token_path();
        let query = format!("{path}?{parameters}");
        let misplaced = match dialect {
            Dialect::Feeling => [
                ("POST", path, &*parameters),
                ("GET", path, &*parameters),
                ("GET", &*query, "x=y"),
            ],
            _ => [
                ("GET", &*query, ""),
                ("POST", &*query, ""),
                ("POST", &*query, &*parameters),
            ],
        };
        for (method, target, body) in misplaced {
            let response = send(server.address(), method, target, &[FORM], body)
                .await
                .unwrap();
            assert!(
                matches!(response.status, 400 | 405),
                "{dialect:?} {method} {target}: {response:?}"
            );
            assert_ne!(
                response.json()["error"],
                "invalid_grant",
                "{dialect:?} {method} {target}"
            );
        }
        if dialect != Dialect::Feeling {
            let basic = [
                FORM,
                ("authorization", "Basic ZGVtbzpkZW1vLWNsaWVudC1zZWNyZXQ="),
            ];
            let response = send(server.address(), "POST", path, &basic, &parameters)
                .await
                .unwrap();
            assert_ne!(response.status, 200, "the secret belongs into the form");
            assert_ne!(response.json()["error"], "invalid_grant");
        }
    }
}

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test]
async fn consent_is_asked_for_with_the_parameters_of_the_page() {
    let pkce = format!("code_challenge={CHALLENGE}&code_challenge_method=S256");
    let base = "client_id=demo&redirect_uri=app:cb&response_type=code&state=s";
    for (dialect, complete, optional) in [
        (
            Dialect::Happeo,
            format!("{base}&scope=devices.read&{pkce}"),
            &[][..],
        ),
        (
            Dialect::HappyrMatch,
            format!("{base}&scope=devices.read"),
            &["redirect_uri", "state", "scope"],
        ),
        (Dialect::Feeling, format!("{base}&{pkce}"), &[]),
    ] {
        let options = Options {
            dialect,
            public: true,
            redirect_uris: vec!["app:cb".into()],
            ..Options::default()
        };
        let server = AuthorizationServer::start(options).await.unwrap();
        let path = dialect.authorization_path().unwrap();
        let agreed = async |query: &str| {
            let response = send(server.address(), "GET", &format!("{path}?{query}"), &[], "")
                .await
                .unwrap();
            response
                .header("location")
                .contains(&format!("?{}=", dialect.code_parameter()))
        };
        assert!(agreed(&complete).await, "{dialect:?}");
        assert!(
            !agreed(&format!("{complete}&prompt=login")).await,
            "{dialect:?}"
        );
        for left_out in complete.split('&') {
            let fewer: Vec<_> = complete
                .split('&')
                .filter(|pair| *pair != left_out)
                .collect();
            let name = left_out.split('=').next().unwrap();
            assert_eq!(
                agreed(&fewer.join("&")).await,
                optional.contains(&name),
                "{dialect:?} without {name}"
            );
        }
    }
}

#[tokio::test]
async fn feeling_signs_in_with_all_eight_parameters_as_json() {
    let server = vendor(Dialect::Feeling, true).await;
    let complete = serde_json::json!({
        "client_id": "demo", "response_type": "code", "redirect_uri": "myapp://callback", "state": "ahg84hek2n",
        "code_challenge_method": "SHA256", "code_challenge": CHALLENGE,
        "email": "demo@example.com", "password": "demo-password",
    });
    let json = ("content-type", "application/json");
    let sign_in = async |fields: Fields<'_>, body: &serde_json::Value| {
        send(
            server.address(),
            "POST",
            "/sign-in",
            fields,
            &body.to_string(),
        )
        .await
        .unwrap()
    };
    let response = sign_in(&[json], &complete).await;
    assert_eq!(
        (response.status, &response.json()["expires_in"]),
        (200, &serde_json::json!(300))
    );
    assert_eq!(response.json()["state"], "ahg84hek2n");
    assert!(response.json()["authorization_code"].is_string());

    for name in complete.as_object().unwrap().keys() {
        let mut fewer = complete.clone();
        fewer.as_object_mut().unwrap().remove(name);
        assert_ne!(sign_in(&[json], &fewer).await.status, 200, "without {name}");
    }
    for (name, value, status) in [
        ("state", "ahg84hek2", 400),
        ("scope", "devices.read", 400),
        ("client_id", "other", 401),
        ("email", "other@example.com", 401),
        ("password", "wrong", 401),
    ] {
        let mut other = complete.clone();
        other[name] = value.into();
        assert_eq!(
            sign_in(&[json], &other).await.status,
            status,
            "{name}={value}"
        );
    }
    assert_eq!(sign_in(&[FORM], &complete).await.status, 400);
    assert_eq!(
        send(server.address(), "GET", "/sign-in", &[], "")
            .await
            .unwrap()
            .status,
        405
    );
    assert_eq!((server.stats().sign_ins, server.stats().consents), (1, 1));
}
