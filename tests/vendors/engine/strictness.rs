//! The fake refuses whatever its fixture does not list: requests that differ in one thing from those that it accepts.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName};
use libtest_mimic::Trial;
use ring::{rand::SystemRandom, signature};
use serde_json::{Value, json};

use super::{fake::Fake, fixture::Fixture, keys, request::Request};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://localhost:9900/callback";

/// A login with a secret, and the renewal of it.
const LOGIN: &str = r#"
source = "-"
read = "2026-11-28"
[authorize]
request = "GET https://login.example.com/authorize"
params = { response_type = "code", client_id = "id", redirect_uri = "{redirect_uri}", scope = "a,b", state = "*", code_challenge = "*", code_challenge_method = "S256" }
optional = ["prompt"]
callback = { code = "{code}", state = "{state}", realm = "7" }
pkce = true
[[token]]
grant = "exchange"
request = "POST https://login.example.com/token"
encoding = "form"
auth = "basic"
client_id = "id"
client_secret = "s:/"
params = { grant_type = "authorization_code", code = "{code}", redirect_uri = "{redirect_uri}", code_verifier = "{code_verifier}" }
status = 200
body = '{"access_token":"{new_access_token}","refresh_token":"{new_refresh_token}"}'
[[token]]
grant = "refresh"
request = "POST https://login.example.com/token"
encoding = "form"
auth = "post"
client_id = "id"
client_secret = "s:/"
headers = { accept = "application/json" }
params = { grant_type = "refresh_token", refresh_token = "{refresh_token}" }
optional = ["scope"]
status = 200
body = '{"access_token":"{new_access_token}","refresh_token":"{new_refresh_token}"}'
[api]
send = "GET /me"
arrives = "GET https://api.example.com/v1/me?full=1"
headers = { authorization = "Bearer {access_token}", tenant = "7" }
refusal = { status = 403, body = "dead" }
[revoke]
request = "POST https://login.example.com/revoke"
encoding = "json"
auth = "basic"
params = { token = "{refresh_token}" }
status = 204
body = ""
[refused]
status = 401
body = '{"code":"gone"}'
"#;

/// A client that authenticates itself by a JWT.
const ASSERTION: &str = r#"
source = "-"
read = "2026-11-28"
[[token]]
grant = "client"
request = "POST https://login.example.com/token"
encoding = "form"
auth = "jwt"
client_id = "id"
params = { grant_type = "client_credentials" }
status = 200
body = '{"access_token":"{new_access_token}"}'
[token.assertion]
alg = "PS256"
header = { kid = "k1" }
claims = { iss = "id", aud = "https://login.example.com/token", jti = "*" }
max_lifetime = 60
key = "rsa"
[api]
send = "GET /me"
arrives = "GET https://api.example.com/me"
headers = { authorization = "Bearer {access_token}" }
"#;

/// The promises of the fake.
pub(crate) fn trials() -> Vec<Trial> {
    let promises: [(&str, fn()); 7] = [
        ("fake: a consent request is as the vendor demands", consents),
        (
            "fake: a code is exchanged once, by its client and verifier",
            exchanges,
        ),
        (
            "fake: a client authenticates itself in one way",
            authentications,
        ),
        ("fake: a refresh token that was replaced is dead", rotations),
        (
            "fake: the API sees its own address, fields and newest token",
            api_calls,
        ),
        (
            "fake: a revocation has a live token in its place",
            revocations,
        ),
        (
            "fake: an assertion is signed and says what it must",
            assertions,
        ),
    ];
    let trial = |(name, promise): (&str, fn())| {
        Trial::test(name, move || {
            promise();
            Ok(())
        })
    };
    promises.map(trial).into()
}

fn fake(text: &str) -> Fake {
    let fixture = Fixture::parse(text).expect("a fixture");
    Fake::new(fixture, REDIRECT_URI.to_owned(), REDIRECT_URI.to_owned())
}

/// A request with a form in its body.
fn request(target: &str, fields: &[(&'static str, &str)], form: &str) -> Request {
    let (method, url) = target.split_once(' ').expect("a method and a URL");
    let (url, query) = match url.split_once('?') {
        Some((url, query)) => (url, Some(query.to_owned())),
        None => (url, None),
    };
    let mut headers = HeaderMap::new();
    if !form.is_empty() {
        let media_type = "application/x-www-form-urlencoded";
        headers.insert("content-type", media_type.parse().expect("a value"));
    }
    for (name, value) in fields {
        headers.insert(
            HeaderName::from_static(name),
            value.parse().expect("a value"),
        );
    }
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        query,
        headers,
        body: form.as_bytes().to_vec(),
    }
}

/// Asserts that the fake refuses the request for this reason.
#[track_caller]
fn refuse(fake: &Fake, request: &Request, reason: &str) {
    let before = fake.mismatches().len();
    let response = fake.answer(request);
    let mismatches = fake.mismatches();
    assert_eq!(mismatches.len(), before + 1, "accepted: {response:?}");
    assert!(mismatches[before].contains(reason), "{mismatches:?}");
    assert_eq!(response.status, 400);
}

/// Asserts that the fake accepts the request; returns the body as JSON.
#[track_caller]
fn accept(fake: &Fake, request: &Request) -> Value {
    let before = fake.mismatches().len();
    let response = fake.answer(request);
    assert_eq!(fake.mismatches()[before..], [] as [String; 0]);
    serde_json::from_str(&response.body).unwrap_or_default()
}

fn consent(fake: &Fake) -> String {
    let query = format!(
        "response_type=code&client_id=id&redirect_uri={REDIRECT_URI}&scope=a,b&state=xyz&code_challenge={CHALLENGE}\
         &code_challenge_method=S256"
    );
    let target = format!("GET https://login.example.com/authorize?{query}");
    let response = fake.answer(&request(&target, &[], ""));
    response.location.expect("a redirect")
}

/// The form-encoded code of a new consent.
fn code(fake: &Fake) -> String {
    let callback: url::Url = consent(fake).parse().expect("a URL");
    let mut pairs = callback.query_pairs();
    let code = pairs.find(|(name, _)| name == "code").expect("a code");
    url::form_urlencoded::byte_serialize(code.1.as_bytes()).collect()
}

const TOKEN: &str = "POST https://login.example.com/token";
/// `id` and `s%3A%2F`.
const BASIC: (&str, &str) = ("authorization", "Basic aWQ6cyUzQSUyRg==");
const ACCEPT: (&str, &str) = ("accept", "application/json");

fn exchange(code: &str) -> Request {
    exchange_with(code, VERIFIER)
}

fn exchange_with(code: &str, verifier: &str) -> Request {
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT_URI}&code_verifier={verifier}"
    );
    request(TOKEN, &[BASIC], &form)
}

/// The form-encoded refresh token, and the access token.
fn log_in(fake: &Fake) -> (String, String) {
    tokens(&accept(fake, &exchange(&code(fake))))
}

fn tokens(body: &Value) -> (String, String) {
    let text = |name: &str| body[name].as_str().expect("a token").to_owned();
    let refresh_token = text("refresh_token");
    let encoded = url::form_urlencoded::byte_serialize(refresh_token.as_bytes()).collect();
    (encoded, text("access_token"))
}

fn refresh(token: &str, more: &str) -> Request {
    let form = format!(
        "grant_type=refresh_token&refresh_token={token}&client_id=id&client_secret=s:/{more}"
    );
    request(TOKEN, &[ACCEPT], &form)
}

fn consents() {
    let fake = fake(LOGIN);
    let callback = consent(&fake);
    assert!(
        callback.starts_with(&format!("{REDIRECT_URI}?code=")),
        "{callback}"
    );
    assert!(
        callback.contains("realm=7") && callback.contains("state=xyz"),
        "{callback}"
    );
    let target = |query: &str| {
        request(
            &format!("GET https://login.example.com/authorize?{query}"),
            &[],
            "",
        )
    };
    let right = format!(
        "response_type=code&client_id=id&redirect_uri={REDIRECT_URI}&scope=a,b&state=x&code_challenge=x&code_challenge_method=S256"
    );
    accept(&fake, &target(&format!("{right}&prompt=login")));
    for (from, to, reason) in [
        ("scope=a,b", "scope=a+b", "scope is \"a b\""),
        ("&state=x", "", "no state"),
        ("S256", "plain", "code_challenge_method"),
        ("response_type=code", "response_type=code&nonce=1", "nonce"),
        ("localhost", "127.0.0.1", "redirect_uri"),
        (
            "&client_id=id",
            "&client_id=id&client_id=id",
            "client_id twice",
        ),
    ] {
        refuse(&fake, &target(&right.replace(from, to)), reason);
    }
    refuse(
        &fake,
        &request("GET https://login.example.com/other", &[], ""),
        "no entry",
    );
}

fn exchanges() {
    let fake = fake(LOGIN);
    let code_1 = code(&fake);
    refuse(&fake, &exchange("unknown"), "never issued");
    refuse(
        &fake,
        &exchange_with(&code_1, &VERIFIER.replace('d', "e")),
        "does not fit",
    );
    let mut in_query = exchange(&code_1);
    in_query.query = Some("x=1".to_owned());
    refuse(&fake, &in_query, "parameters in the query: x");
    let mut wrong_type = exchange(&code_1);
    wrong_type
        .headers
        .insert("content-type", "text/plain".parse().expect("a value"));
    refuse(&fake, &wrong_type, "text/plain");
    let mut got = exchange(&code_1);
    got.method = "GET".to_owned();
    refuse(&fake, &got, "no entry");
    accept(&fake, &exchange(&code_1));
    refuse(&fake, &exchange(&code_1), "used already");
}

fn authentications() {
    let fake = fake(LOGIN);
    let code = code(&fake);
    let with = |fields: &[(&'static str, &str)], more: &str| {
        let form = String::from_utf8(exchange(&code).body).expect("a form");
        request(TOKEN, fields, &format!("{form}{more}"))
    };
    // `s:/` as it is.
    let raw = ("authorization", "Basic aWQ6czov");
    refuse(
        &fake,
        &with(&[raw], ""),
        "Basic (id:s:/) in place of Basic (id:s%3A%2F)",
    );
    refuse(&fake, &with(&[], ""), "nothing in place of Basic");
    refuse(
        &fake,
        &with(&[BASIC], "&client_secret=s:/"),
        "client_secret",
    );
    refuse(&fake, &with(&[BASIC], "&client_id=id"), "client_id");
    let (token, _) = log_in(&fake);
    let mut both = refresh(&token, "");
    both.headers
        .insert("authorization", BASIC.1.parse().expect("a value"));
    refuse(&fake, &both, "in place of nothing");
    let other = String::from_utf8(refresh(&token, "").body).expect("a form");
    let other = request(TOKEN, &[ACCEPT], &other.replace("s:/", "other"));
    refuse(&fake, &other, "client_secret is \"other\"");
}

fn rotations() {
    let fake = fake(LOGIN);
    let (first, _) = log_in(&fake);
    refuse(&fake, &refresh("unknown", ""), "no refresh token");
    refuse(&fake, &refresh(&first, "&audience=x"), "audience");
    let mut without = refresh(&first, "");
    without.headers.remove("accept");
    refuse(&fake, &without, "no field accept");
    let (second, _) = tokens(&accept(&fake, &refresh(&first, "&scope=a")));
    refuse(&fake, &refresh(&first, ""), "a dead refresh token");
    fake.kill_refresh_tokens();
    let response = fake.answer(&refresh(&second, ""));
    assert_eq!(
        (response.status, response.body.as_str()),
        (401, r#"{"code":"gone"}"#)
    );
    assert_eq!(fake.counts().dead_refresh_tokens, 1);
}

fn api_calls() {
    let fake = fake(LOGIN);
    let (refresh_token, old) = log_in(&fake);
    let call = |token: &str, target: &str, tenant: &str| {
        let bearer = format!("Bearer {token}");
        request(
            target,
            &[("authorization", &bearer), ("tenant", tenant)],
            "",
        )
    };
    let right = "GET https://api.example.com/v1/me?full=1";
    accept(&fake, &call(&old, right, "7"));
    let (_, new) = tokens(&accept(&fake, &refresh(&refresh_token, "")));
    refuse(&fake, &call(&old, right, "7"), "not the newest");
    refuse(&fake, &call("unknown", right, "7"), "Unknown");
    refuse(&fake, &call(&new, right, "8"), "tenant");
    refuse(
        &fake,
        &call(&new, "GET https://api.example.com/v1/me", "7"),
        "in place of",
    );
    refuse(
        &fake,
        &call(&new, "GET https://api.example.com/me?full=1", "7"),
        "no entry",
    );
    refuse(
        &fake,
        &call(&new, "POST https://api.example.com/v1/me?full=1", "7"),
        "no entry",
    );
    fake.kill_access_tokens();
    let response = fake.answer(&call(&new, right, "7"));
    assert_eq!((response.status, response.body.as_str()), (403, "dead"));
    assert_eq!(fake.counts().dead_access_tokens, 1);
}

fn revocations() {
    let fake = fake(LOGIN);
    let (token, _) = log_in(&fake);
    let token: String = url::form_urlencoded::parse(format!("t={token}").as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect();
    let with = |fields: &[(&'static str, &str)], body: &str| {
        let mut request = request("POST https://login.example.com/revoke", fields, "");
        request.body = body.as_bytes().to_vec();
        request
    };
    let json_type = ("content-type", "application/json");
    let right = json!({ "token": token }).to_string();
    refuse(&fake, &with(&[json_type], &right), "authorization");
    refuse(
        &fake,
        &with(&[json_type, BASIC], "token=x"),
        "not a JSON object",
    );
    refuse(&fake, &with(&[json_type, BASIC], "{}"), "no token");
    accept(&fake, &with(&[json_type, BASIC], &right));
    refuse(
        &fake,
        &with(&[json_type, BASIC], &right),
        "a dead refresh token",
    );
    assert_eq!(
        fake.unused(),
        ["[[token]] 2", "[api]", "[api] refusal", "[refused]"]
    );
}

fn assertions() {
    let fake = fake(ASSERTION);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time")
        .as_secs();
    let header = json!({ "alg": "PS256", "kid": "k1" });
    let claims = |id: &str| {
        let aud = "https://login.example.com/token";
        json!({ "iss": "id", "aud": aud, "jti": id, "iat": now, "exp": now + 60 })
    };
    let with = |token: &str| {
        let form = format!(
            "grant_type=client_credentials&client_assertion={token}\
             &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        request(TOKEN, &[], &form)
    };
    accept(&fake, &with(&sign(&header, &claims("1"))));
    refuse(
        &fake,
        &with(&sign(&header, &claims("1"))),
        "was sent before",
    );
    refuse(&fake, &with("x.y.z"), "no signed JWT");
    let mut forged = sign(&header, &claims("2"));
    forged.replace_range(forged.len() - 8..forged.len() - 4, "AAAA");
    refuse(&fake, &with(&forged), "signature is wrong");
    for (place, name, value, reason) in [
        ("header", "alg", json!("RS256"), "alg"),
        ("header", "kid", json!("k2"), "kid"),
        ("claims", "iss", json!("other"), "claim iss"),
        (
            "claims",
            "aud",
            json!(["https://login.example.com/token"]),
            "claim aud",
        ),
        ("claims", "jti", Value::Null, "claim jti"),
        ("claims", "exp", json!(now + 61), "lives for 61 s"),
        ("claims", "exp", json!(now - 1), "expired"),
        ("claims", "iat", json!(now + 30), "future"),
    ] {
        let (mut header, mut claims) = (header.clone(), claims(&format!("{name}{value}")));
        let changed = if place == "header" {
            &mut header
        } else {
            &mut claims
        };
        changed[name] = value;
        if changed[name].is_null() {
            changed.as_object_mut().expect("members").remove(name);
        }
        refuse(&fake, &with(&sign(&header, &claims)), reason);
    }
}

/// A JWT by the test's key, always signed as PS256.
fn sign(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = keys::rsa();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &signature::RSA_PSS_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .expect("a signature");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
