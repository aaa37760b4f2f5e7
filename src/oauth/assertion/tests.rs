//! Assertions, verified with the public halves of their keys.

use std::{process::Command, sync::Arc, time::Duration};

use ring::signature::{self, UnparsedPublicKey};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{api_context::ApiContext, fake, provider::ClaimValue, template::Template},
};

fn provider(source: AssertionSource, algorithm: Option<SigningAlgorithm>) -> Provider {
    let mut provider = fake::provider("https://as.example/token");
    provider.assertion = Some(Assertion {
        source,
        algorithm,
        ..Assertion::of_client_secret()
    });
    provider
}

fn with_key(text: &str, algorithm: Option<SigningAlgorithm>) -> Provider {
    let key = LiveSecret::fixed(Secret::new(text));
    provider(AssertionSource::Key(Arc::new(key)), algorithm)
}

fn assertion(provider: &mut Provider) -> &mut Assertion {
    provider.assertion.as_mut().unwrap()
}

fn make_for(provider: &Provider) -> Result<Secret, TokenRequestError> {
    let context = ApiContext::default();
    make(
        provider,
        &Variables::new(provider, &context),
        &ManualClock::new(),
    )
}

/// The header, the claims, and what is signed with its signature.
fn parts(jwt: &Secret) -> (Value, Value, String, Vec<u8>) {
    let text = jwt.expose();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let json = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
    (
        json(header),
        json(claims),
        signed.to_owned(),
        decode(signature),
    )
}

fn claims(provider: &Provider) -> Value {
    parts(&make_for(provider).unwrap()).1
}

fn failure(provider: &Provider) -> String {
    let error = make_for(provider).unwrap_err();
    assert_eq!(error.kind(), "setup");
    error.to_string()
}

/// Runs OpenSSL, the source of keys as people have them.
fn openssl(arguments: &str, input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments.split(' '))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments}");
    String::from_utf8(output.stdout).unwrap()
}

const EC_KEY: &str = "ecparam -genkey -noout -name";

#[test]
fn each_format_of_a_key_signs_with_the_algorithm_of_its_kind() {
    let rsa = openssl("genrsa -traditional 2048", "");
    let pkcs8 = |key: &str| openssl("pkcs8 -topk8 -nocrypt", key);
    let p256 = openssl(&format!("{EC_KEY} prime256v1"), "");
    let p384 = openssl(&format!("{EC_KEY} secp384r1"), "");
    assert!(rsa.contains("BEGIN RSA PRIVATE KEY") && p256.contains("BEGIN EC PRIVATE KEY"));
    for (key, algorithm) in [
        (pkcs8(&rsa), "RS256"),
        (rsa, "RS256"),
        (pkcs8(&p256), "ES256"),
        (p256, "ES256"),
        (pkcs8(&p384), "ES384"),
        (p384, "ES384"),
        (openssl("genpkey -algorithm ed25519", ""), "EdDSA"),
    ] {
        let (header, ..) = parts(&make_for(&with_key(&key, None)).unwrap());
        assert_eq!(header, json!({"typ": "JWT", "alg": algorithm}));
    }
}

#[test]
fn signatures_verify_with_the_public_key() {
    use SigningAlgorithm as A;
    let rsa = openssl("genrsa -traditional 2048", "");
    let der = PrivateKeyDer::from_pem_slice(rsa.as_bytes()).unwrap();
    let key = ring::rsa::KeyPair::from_der(der.secret_der()).unwrap();
    let public = key.public().as_ref().to_vec();
    let algorithms: [(A, &'static dyn signature::VerificationAlgorithm); 6] = [
        (A::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
        (A::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
        (A::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
        (A::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
        (A::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
        (A::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
    ];
    for (algorithm, verification) in algorithms {
        let jwt = make_for(&with_key(&rsa, Some(algorithm))).unwrap();
        let (header, _, signed, signature) = parts(&jwt);
        assert_eq!(header["alg"], algorithm.as_str());
        let verified =
            UnparsedPublicKey::new(verification, &public).verify(signed.as_bytes(), &signature);
        assert!(verified.is_ok(), "{}", algorithm.as_str());
    }
}

#[test]
fn a_jwk_brings_its_algorithm_and_its_id() {
    // RFC 8037 appendix A.1, and the signature of its appendix A.4 has the same length.
    let ed = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let jwt = make_for(&with_key(ed, None)).unwrap();
    let (header, _, signed, signature) = parts(&jwt);
    assert_eq!(header, json!({"typ": "JWT", "alg": "EdDSA", "kid": "k1"}));
    let public = BASE64_URL_SAFE_NO_PAD
        .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        .unwrap();
    let public = UnparsedPublicKey::new(&signature::ED25519, public);
    assert!(public.verify(signed.as_bytes(), &signature).is_ok());

    let mut other = with_key(ed, None);
    assertion(&mut other).kid = Some(Arc::new(LiveSecret::fixed(Secret::new("k2"))));
    assert_eq!(parts(&make_for(&other).unwrap()).0["kid"], "k2");
    // RFC 7515 appendix A.1.
    let oct = r#"{"kty":"oct","alg":"HS512","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let (header, ..) = parts(&make_for(&with_key(oct, None)).unwrap());
    assert_eq!(header["alg"], "HS512");
}

#[test]
fn the_client_secret_signs_without_any_setting() {
    let mut plain = fake::provider("https://as.example/token");
    let jwt = make_for(&plain).unwrap();
    let (header, _, signed, signature) = parts(&jwt);
    assert_eq!(header["alg"], "HS256");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, fake::CANARY.as_bytes());
    assert!(ring::hmac::verify(&key, signed.as_bytes(), &signature).is_ok());

    plain.client_secret = None;
    assert!(failure(&plain).contains("configure `assertion.key`"));
    let mut wanting = provider(AssertionSource::ClientSecret, None);
    wanting.client_secret = None;
    assert!(failure(&wanting).contains("configure `client_secret`"));
}

#[test]
fn the_default_claims_name_the_client_and_the_token_endpoint() {
    let mut provider = provider(AssertionSource::ClientSecret, None);
    assertion(&mut provider).backdate = Duration::from_secs(10);
    let now = unix_seconds(ManualClock::new().wall());
    let first = claims(&provider);
    assert_eq!(first["iss"], "client");
    assert_eq!(first["sub"], "client");
    assert_eq!(first["aud"], "https://as.example/token");
    assert_eq!(first["iat"], now - 10);
    assert_eq!(first["exp"], now + 60);
    assert_ne!(first["jti"], claims(&provider)["jti"]);
}

#[test]
fn configured_claims_join_replace_and_remove_the_defaults() {
    let mut provider = provider(AssertionSource::ClientSecret, None);
    provider.scope = Some("a b".into());
    let template = |text: &str| Template::parse(text).unwrap();
    let text = |value: &str| ClaimValue::Text(template(value));
    assertion(&mut provider).claims = [
        ("sub".to_owned(), text("")),
        (
            "aud".to_owned(),
            ClaimValue::List(vec![template("{token_endpoint}"), template("x")]),
        ),
        ("scope".to_owned(), text("{scope}")),
        ("user".to_owned(), text("{user?}")),
        (
            "users".to_owned(),
            ClaimValue::List(vec![template("{user?}")]),
        ),
    ]
    .into();
    let made = claims(&provider);
    assert_eq!(made.get("sub"), None);
    assert_eq!(made["aud"], json!(["https://as.example/token", "x"]));
    assert_eq!(made["scope"], "a b");
    assert_eq!((made.get("user"), made.get("users")), (None, None));

    assertion(&mut provider).claims = [("user".to_owned(), text("{user}"))].into();
    assert!(failure(&provider).contains("the variable `user` has no value"));
}

#[test]
fn a_certificate_gives_its_thumbprints() {
    let mut provider = provider(AssertionSource::ClientSecret, None);
    assertion(&mut provider).certificate = Some(b"abc".to_vec());
    let (header, ..) = parts(&make_for(&provider).unwrap());
    assert_eq!(header["x5t"], "qZk-NkcGgWq6PiVxeFDCbJzQ2J0");
    assert_eq!(
        header["x5t#S256"],
        "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
    );
}

#[tokio::test]
async fn a_ready_assertion_is_read_at_each_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "zero\n").unwrap();
    let file = Arc::new(LiveSecret::file(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    let provider = provider(AssertionSource::File(file), None);
    let text = reload(&provider).await.unwrap_err().to_string();
    assert!(text.contains("`assertion.file` (/"), "{text}");
    let pipe = rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR);
    pipe.unwrap();
    let text = reload(&provider).await.unwrap_err().to_string();
    assert!(text.contains("not a regular file"), "{text}");
    std::fs::remove_file(&path).unwrap();
    for text in ["one", "two"] {
        std::fs::write(&path, format!("{text}\n")).unwrap();
        reload(&provider).await.unwrap();
        assert_eq!(make_for(&provider).unwrap().expose(), text);
    }
}

#[test]
fn a_key_that_cannot_sign_is_named_with_what_to_do() {
    let p256 = openssl(&format!("{EC_KEY} prime256v1"), "");
    let p521 = openssl(&format!("{EC_KEY} secp521r1"), "");
    let p521_pkcs8 = openssl("pkcs8 -topk8 -nocrypt", &p521);
    let small = openssl("genrsa 1024", "");
    let es512 = "ES512 is not supported";
    for (key, algorithm, expected) in [
        (&*p521, None, es512),
        (&p521_pkcs8, None, es512),
        (&p256, Some(SigningAlgorithm::Es512), es512),
        (
            &p256,
            Some(SigningAlgorithm::Rs256),
            "`assertion.key` is a key on P-256, which does not fit `assertion.alg` = \"RS256\"",
        ),
        (&small, None, "an RSA key must have at least 2048 bits"),
        (
            "canary",
            None,
            "`assertion.key` is neither a private key in PEM",
        ),
        (
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            None,
            "it has no private part",
        ),
    ] {
        let provider = with_key(key, algorithm);
        let text = failure(&provider);
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("canary"), "{text}");
        let checked = check(provider.assertion.as_ref().unwrap(), None);
        assert!(text.ends_with(&checked.unwrap_err().to_string()), "{text}");
    }
}
