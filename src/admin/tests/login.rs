//! Logging in with a browser: what sets out comes back once, in the same browser, in time, or changes nothing.

use url::Url;

use super::*;

/// The status page of an admin listener in front of one provider at which a person logs in.
async fn world() -> World {
    World::start(Setup {
        token_response: TokenResponse::Login,
        login: true,
        ..Setup::default()
    })
    .await
}

/// A login on its way: the query of its redirect, and its cookie.
struct Out {
    location: Url,
    cookie: String,
}

impl Out {
    fn parameter(&self, name: &str) -> Option<String> {
        let mut found = self
            .location
            .query_pairs()
            .filter(|(known, _)| known == name);
        let (_, value) = found.next()?;
        assert!(found.next().is_none(), "{name} comes twice");
        Some(value.into_owned())
    }

    fn callback(&self) -> String {
        format!(
            "/callback?code=canary-code&state={}",
            self.parameter("state").unwrap()
        )
    }
}

impl World {
    /// Sends a GET as a browser does that opened the listener's own address.
    async fn browse(&self, target: &str, fields: Fields<'_>) -> Response {
        let host = self.address.to_string();
        self.ask("GET", target, &[fields, &[("host", &host)]].concat())
            .await
    }

    async fn set_out(&self) -> Out {
        let response = self.browse("/login/hapn", &[]).await;
        assert_eq!(response.status, 302, "{response:?}");
        assert_eq!(response.headers.get_all("set-cookie").iter().count(), 1);
        let (cookie, attributes) = response.header("set-cookie").split_once(';').unwrap();
        assert_eq!(
            attributes,
            " Path=/callback; Max-Age=600; HttpOnly; SameSite=Lax"
        );
        Out {
            location: response.header("location").parse().unwrap(),
            cookie: cookie.to_owned(),
        }
    }

    async fn come_back(&self, target: &str, cookie: &str) -> Response {
        self.browse(target, &[("cookie", cookie)]).await
    }

    /// Nothing was asked of the token endpoint, and no login is stored.
    async fn assert_unchanged(&self, about: &str) {
        assert_eq!(self.endpoint.requests(), 0, "{about}");
        let provider = self.until_provider("login_required").await;
        assert_eq!(provider["has_refresh_token"], false, "{about}");
    }
}

/// A response of a login that is for people, and shows nothing that is not for them.
fn is_page(response: &Response, status: u16, title: &str) {
    assert_eq!(
        (response.status, response.header("content-type")),
        (status, "text/html; charset=utf-8"),
        "{response:?}"
    );
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.header("referrer-policy"), "no-referrer");
    assert!(
        response
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert!(
        response.body.contains(&format!("<h1>{title}</h1>")),
        "{}",
        response.body
    );
    assert!(!response.body.contains("canary"), "{}", response.body);
}

#[tokio::test]
async fn a_person_logs_in_and_the_token_is_in_use_at_once() {
    let world = world().await;
    world.until_provider("login_required").await;
    assert!(
        world
            .get("/")
            .await
            .body
            .contains("href=\"/login/hapn\">Connect<")
    );
    let out = world.set_out().await;
    assert!(
        out.location
            .as_str()
            .starts_with(&format!("http://{}/authorize?", world.endpoint.address))
    );
    assert_eq!(out.parameter("response_type").as_deref(), Some("code"));
    assert_eq!(
        out.parameter("redirect_uri"),
        Some(format!("http://{}/callback", world.address))
    );
    assert_eq!(
        out.parameter("code_challenge_method").as_deref(),
        Some("S256")
    );
    assert_eq!(out.parameter("code_challenge").unwrap().len(), 43);
    assert_eq!(out.parameter("state").unwrap().len(), 43, "32 bytes");
    assert!(
        !out.cookie.contains(&out.parameter("state").unwrap()),
        "who sees the address does not have the cookie"
    );

    let response = world
        .come_back(&out.callback(), &format!("other=1; {}", out.cookie))
        .await;
    is_page(&response, 200, "Logged in");
    assert!(response.header("set-cookie").contains("Max-Age=0"));
    let status = world.until_provider("ready").await;
    assert_eq!(status["has_refresh_token"], true);
    assert_eq!(
        (world.endpoint.requests(), &status["token_requests"]),
        (1, &1.into())
    );
    let counted = r#"bearward_token_requests_total{provider="hapn",grant_type="authorization_code",outcome="ok"} 1"#;
    let metrics = world.get("/metrics").await.body;
    assert!(
        metrics.contains(counted),
        "the exchange is counted: {metrics}"
    );
    let form = world.endpoint.last_request();
    assert!(
        form.contains("grant_type=authorization_code&code=canary-code&"),
        "{form}"
    );
    assert!(form.contains("code_verifier="), "{form}");
    let page = world.get("/").await.body;
    assert!(!page.contains("Connect") && !page.contains("canary"));
}

#[tokio::test]
async fn a_forged_callback_changes_nothing() {
    let world = world().await;
    let out = world.set_out().await;
    let state = out.parameter("state").unwrap();
    for target in [
        "/callback".to_owned(),
        "/callback?code=canary-code".to_owned(),
        "/callback?code=canary-code&state=".to_owned(),
        format!("/callback?code=canary-code&state={}", "A".repeat(43)),
        format!("/callback?code=canary-code&state={state}&state={state}"),
        format!("/callback?code=canary-code&state={}", &state[..42]),
    ] {
        is_page(
            &world.come_back(&target, &out.cookie).await,
            400,
            "This login is not known",
        );
    }
    world.assert_unchanged("forged").await;
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        200,
        "Logged in",
    );
}

#[tokio::test]
async fn a_replayed_callback_changes_nothing() {
    let world = world().await;
    let out = world.set_out().await;
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        200,
        "Logged in",
    );
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        400,
        "This login is not known",
    );
    assert_eq!(world.endpoint.requests(), 1);
    world.until_provider("ready").await;
}

#[tokio::test]
async fn a_callback_in_another_browser_changes_nothing_and_does_not_end_the_login() {
    let world = world().await;
    let (out, other) = (world.set_out().await, world.set_out().await);
    let (name, _) = out.cookie.split_once('=').unwrap();
    let (_, value) = other.cookie.split_once('=').unwrap();
    for cookie in [
        "",
        &other.cookie,
        &format!("{name}={value}"),
        &format!("{name}="),
        &format!("x{}", out.cookie),
    ] {
        is_page(
            &world.come_back(&out.callback(), cookie).await,
            400,
            "This login began elsewhere",
        );
    }
    world.assert_unchanged("another browser").await;
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        200,
        "Logged in",
    );
}

#[tokio::test]
async fn a_callback_after_ten_minutes_changes_nothing() {
    let world = world().await;
    let out = world.set_out().await;
    world.clock.advance(Duration::from_secs(600));
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        400,
        "This login is not known",
    );
    world.assert_unchanged("late").await;
}

#[tokio::test]
async fn what_the_authorization_server_refuses_is_told_and_changes_nothing() {
    let world = world().await;
    for (query, text) in [
        ("error=access_denied", "access_denied"),
        ("error=<script>canary</script>%00", "refused the login"),
        ("code=", "no code"),
        (
            "iss=https://evil.example&code=canary-code",
            "another authorization server",
        ),
        ("code=canary-code&code=canary-code", "twice"),
    ] {
        let out = world.set_out().await;
        let target = format!(
            "/callback?{query}&state={}",
            out.parameter("state").unwrap()
        );
        let response = world
            .come_back(&target.replace('<', "%3C").replace('>', "%3E"), &out.cookie)
            .await;
        is_page(&response, 400, "Not logged in");
        assert!(response.body.contains(text), "{text}: {}", response.body);
        is_page(
            &world.come_back(&out.callback(), &out.cookie).await,
            400,
            "This login is not known",
        );
    }
    world.assert_unchanged("refused").await;
}

#[tokio::test]
async fn an_exchange_that_fails_is_told_and_changes_nothing() {
    let world = world().await;
    for (token_response, status) in [
        (TokenResponse::InvalidClient, 502),
        (TokenResponse::Unavailable, 503),
    ] {
        world.endpoint.respond_with(token_response);
        let out = world.set_out().await;
        is_page(
            &world.come_back(&out.callback(), &out.cookie).await,
            status,
            "Not logged in",
        );
    }
    assert_eq!(world.endpoint.requests(), 2);
    assert_eq!(
        world.until_provider("login_required").await["has_refresh_token"],
        false
    );
}

#[tokio::test]
async fn logins_in_two_tabs_do_not_end_each_other() {
    let world = world().await;
    let (first, second) = (world.set_out().await, world.set_out().await);
    let cookies = format!("{}; {}", first.cookie, second.cookie);
    is_page(
        &world.come_back(&second.callback(), &cookies).await,
        200,
        "Logged in",
    );
    is_page(
        &world.come_back(&first.callback(), &cookies).await,
        200,
        "Logged in",
    );
}

#[tokio::test]
async fn a_head_neither_begins_a_login_nor_uses_one_up() {
    let world = world().await;
    let out = world.set_out().await;
    let host = world.address.to_string();
    let fields = [("host", host.as_str()), ("cookie", out.cookie.as_str())];
    for target in ["/login/hapn", &out.callback()] {
        for method in ["HEAD", "POST"] {
            let response = world.ask(method, target, &fields).await;
            assert_eq!(
                (response.status, response.header("allow")),
                (405, "GET"),
                "{method} {target}"
            );
            assert_eq!(response.header("set-cookie"), "");
        }
    }
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        200,
        "Logged in",
    );
}

#[tokio::test]
async fn a_page_of_another_site_begins_no_login_and_an_authorization_server_may_end_one() {
    let world = world().await;
    let out = world.set_out().await;
    let navigation = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let response = world.browse("/login/hapn", &navigation).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (403, "cross-site")
    );
    let picture = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
        ("sec-fetch-dest", "image"),
    ];
    let response = world
        .browse(
            &out.callback(),
            &[&picture[..], &[("cookie", &out.cookie)]].concat(),
        )
        .await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (403, "cross-site")
    );
    let response = world
        .browse(
            &out.callback(),
            &[&navigation[..], &[("cookie", &out.cookie)]].concat(),
        )
        .await;
    is_page(&response, 200, "Logged in");
}

#[tokio::test]
async fn a_login_that_begins_under_another_name_is_sent_to_the_one_it_comes_back_to() {
    let world = world().await;
    let localhost = format!("localhost:{}", world.address.port());
    let response = world
        .ask("GET", "/login/hapn", &[("host", &localhost)])
        .await;
    assert_eq!((response.status, response.header("set-cookie")), (302, ""));
    let location = response.header("location").to_owned();
    let own = format!("http://{}", world.address);
    let target = location.strip_prefix(&own).unwrap();
    // A browser takes the two names for two sites.
    let navigation = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let response = world.browse(target, &navigation).await;
    assert_eq!(response.status, 302);
    assert!(
        response
            .header("location")
            .starts_with(&format!("http://{}/authorize?", world.endpoint.address))
    );
    assert!(response.header("set-cookie").starts_with("bearward-login-"));
    assert_eq!(
        world
            .browse("/login/hapn?pass=AAAA", &navigation)
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn the_key_is_asked_for_on_the_way_out_and_not_on_the_way_back() {
    let world = World::start(Setup {
        token_response: TokenResponse::Login,
        login: true,
        key: Some("canary-key"),
        ..Setup::default()
    })
    .await;
    let response = world.browse("/login/hapn", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (401, "admin-key-required")
    );
    let response = world
        .browse("/login/hapn", &[("authorization", "Bearer canary-key")])
        .await;
    assert_eq!(response.status, 302);
    let location = response.header("location").parse().unwrap();
    let cookie = response
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let out = Out { location, cookie };
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        200,
        "Logged in",
    );
}

#[tokio::test]
async fn who_cannot_log_in_is_told_why() {
    let world = World::start(Setup::default()).await;
    let response = world.browse("/login/hapn", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (409, "no-login")
    );
    let response = world.browse("/login/unknown", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (404, "unknown-provider")
    );

    let elsewhere = Some("myapp://callback".parse().unwrap());
    let world = World::start(Setup {
        login: true,
        redirect_uri: elsewhere,
        ..Setup::default()
    })
    .await;
    let response = world.browse("/login/hapn", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (409, "login-elsewhere")
    );
    assert!(
        response.json()["detail"]
            .as_str()
            .unwrap()
            .contains("`bearward login hapn`")
    );
}

#[tokio::test]
async fn a_renewal_without_a_login_says_how_to_log_in() {
    let world = world().await;
    let response = world.ask("POST", "/api/providers/hapn/refresh", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (502, "login-required")
    );
    let way = format!(
        "run `bearward login hapn`, or open http://{}/login/hapn",
        world.address
    );
    assert!(
        response.json()["detail"].as_str().unwrap().contains(&way),
        "{}",
        response.body
    );
}

#[tokio::test]
async fn a_provider_that_was_reconfigured_on_the_way_is_not_logged_in_at() {
    let world = world().await;
    let out = world.set_out().await;
    let other = Provider {
        client_id: "another".into(),
        ..(*world.provider).clone()
    };
    let view = world.view_of(Arc::new(other));
    world.state.replace(view);
    is_page(
        &world.come_back(&out.callback(), &out.cookie).await,
        400,
        "This login is out of date",
    );
    world.assert_unchanged("reconfigured").await;
}

#[tokio::test]
async fn the_end_waits_for_a_code_that_is_being_exchanged() {
    let world = World::start(Setup {
        token_response: TokenResponse::HeldLogin,
        login: true,
        ..Setup::default()
    })
    .await;
    let out = world.set_out().await;
    let (target, host) = (out.callback(), world.address.to_string());
    let address = world.address;
    let browser = tokio::spawn(async move {
        send(
            address,
            "GET",
            &target,
            &[("host", &host), ("cookie", &out.cookie)],
            "",
        )
        .await
        .expect("a response")
    });
    while world.endpoint.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drain = world.drain.clone();
    drain.close();
    let mut draining = tokio::spawn(async move { drain.wait().await });
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut draining)
            .await
            .is_err(),
        "the end did not wait"
    );
    world.endpoint.let_go();
    tokio::time::timeout(Duration::from_secs(30), draining)
        .await
        .expect("the end goes on")
        .unwrap();
    is_page(&browser.await.unwrap(), 200, "Logged in");
    world.until_provider("ready").await;
}

#[tokio::test]
async fn a_code_that_comes_after_the_end_is_not_spent() {
    let world = world().await;
    let out = world.set_out().await;
    world.drain.close();
    world.drain.wait().await;
    let response = world.come_back(&out.callback(), &out.cookie).await;
    is_page(&response, 503, "Not logged in");
    world.assert_unchanged("the end").await;
}

#[tokio::test]
async fn a_code_at_the_callback_of_another_provider_is_refused_and_changes_nothing() {
    let world = World::start(Setup {
        token_response: TokenResponse::Login,
        login: true,
        redirect_uri: Some("https://sidecar.example/callback/hapn".parse().unwrap()),
        ..Setup::default()
    })
    .await;
    let other = Provider {
        name: "other".into(),
        ..(*world.provider).clone()
    };
    let providers = [world.provider.clone(), Arc::new(other)];
    world.state.replace(View {
        tokens: tokens(
            &providers,
            world.state.shared_clock(),
            world.state.metrics(),
        ),
        ..(*world.state.view()).clone()
    });
    let host = ("host", "sidecar.example");
    let out = world.ask("GET", "/login/hapn", &[host]).await;
    assert_eq!(out.status, 302, "{out:?}");
    let (cookie, attributes) = out.header("set-cookie").split_once(';').unwrap();
    assert!(attributes.ends_with("; Secure"), "{attributes}");
    let out = Out {
        location: out.header("location").parse().unwrap(),
        cookie: cookie.to_owned(),
    };
    let redirect_uri = out.parameter("redirect_uri");
    assert_eq!(
        redirect_uri.as_deref(),
        Some("https://sidecar.example/callback/hapn")
    );
    let query = out.callback().strip_prefix("/callback").unwrap().to_owned();
    for path in ["/callback/other", "/callback", "/callback/%68apn"] {
        let fields = [host, ("cookie", &*out.cookie)];
        let response = world.ask("GET", &format!("{path}{query}"), &fields).await;
        is_page(&response, 400, "This login returned to the wrong address");
        assert_eq!(
            response.headers.get("set-cookie"),
            None,
            "the login goes on"
        );
    }
    let fields = [host, ("cookie", &*out.cookie)];
    let unknown = world
        .ask("GET", &format!("/callback/none{query}"), &fields)
        .await;
    assert_eq!(
        (unknown.status, kind(&unknown).as_str()),
        (404, "unknown-provider")
    );
    let posted = world
        .ask("POST", &format!("/callback/hapn{query}"), &fields)
        .await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET"));
    world.assert_unchanged("at another callback").await;
    let own = world
        .ask("GET", &format!("/callback/hapn{query}"), &fields)
        .await;
    is_page(&own, 200, "Logged in");
}

#[tokio::test]
async fn the_provider_of_a_redirect_uri_to_another_ones_callback_logs_in_elsewhere() {
    let world = World::start(Setup {
        login: true,
        redirect_uri: Some("https://sidecar.example/callback/other".parse().unwrap()),
        ..Setup::default()
    })
    .await;
    let response = world.browse("/login/hapn", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (409, "login-elsewhere")
    );
}
