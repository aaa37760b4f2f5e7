//! Token responses: an accepted token can be sent and has a bounded lifetime, and an error shows nothing of it.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bearward::{
    clock::BootInstant,
    config,
    oauth::{
        grant::Grant,
        provider::{Lifetime, Provider, TokenResponse},
        response::{
            MAX_LIFETIME, MAX_REFRESH_TOKEN_BYTES, MIN_LIFETIME, RequestTime, check_success,
            read_members, read_token,
        },
    },
    secret::Secret,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

const STATUSES: [u16; 12] = [200, 200, 200, 201, 204, 301, 400, 400, 401, 429, 500, 503];

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    let text = "[providers.p]\ngrant_type = \"client_credentials\"\nclient_id = \"c\"\n\
        client_secret = \"s3cret-of-ours\"\ntoken_endpoint = \"https://as.example/token\"\n";
    let (config, _) = config::parse(text, "fuzz.toml", &|_| None).expect("it is good");
    Provider::clone(&config.providers[0])
});

/// Reads `data` as a byte that picks a status, one of flags, a line for `Retry-After`, and a body.
pub fn check(data: &[u8]) {
    let [status, flags, rest @ ..] = data else {
        return;
    };
    let status = StatusCode::from_u16(STATUSES[usize::from(*status) % STATUSES.len()])
        .expect("they are good");
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (retry_after, body) = rest.split_at(end);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(retry_after) {
        headers.insert(RETRY_AFTER, value);
    }
    if flags & 1 == 1 {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
    }
    let with_refresh_token = flags & 2 == 2;
    let prefix = if flags & 4 == 4 { "/data" } else { "" };
    let layout = TokenResponse {
        access_token: format!("{prefix}/access_token"),
        refresh_token: format!("{prefix}/refresh_token"),
        expires_in: format!("{prefix}/expires_in"),
        default_lifetime: (flags & 8 == 8).then_some(Lifetime::For(Duration::from_secs(7200))),
        ..TokenResponse::default()
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);

    let provider = Provider {
        token_response: layout,
        ..PROVIDER.clone()
    };
    let refresh_token = Secret::new("the-old-one");
    let grant = match with_refresh_token {
        true => Grant::RefreshToken {
            refresh_token: &refresh_token,
        },
        false => Grant::ClientCredentials,
    };
    let requested_at = RequestTime {
        boot: BootInstant::from_boot(Duration::ZERO),
        wall: now,
    };

    let response = read_token(status, &headers, body, &provider, grant, requested_at);
    let succeeded = read_members(status, &headers, body, &[], now).is_ok();
    assert!(!succeeded || check_success(status, &headers, body, &[], now).is_ok());
    match response {
        Ok(issued) => {
            assert!(status.is_success() && succeeded);
            let token = issued.access_token.expose();
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            let Lifetime::For(lifetime) = issued.lifetime else {
                panic!("another token can be had");
            };
            assert!((MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime));
            let shown = format!("{issued:?}");
            assert!(
                token.len() < 12 || !shown.contains(token),
                "a token was shown"
            );
            if let Some(refresh_token) = &issued.refresh_token {
                let refresh_token = refresh_token.expose();
                assert!(with_refresh_token && !refresh_token.is_empty());
                assert!(refresh_token.len() <= MAX_REFRESH_TOKEN_BYTES);
                assert!(
                    refresh_token
                        .bytes()
                        .all(|byte| (0x20..0x7F).contains(&byte))
                );
            }
        }
        Err(error) => {
            let shown = format!("{error} {error:?}");
            assert!(shown.len() < 1000, "an error of {} bytes", shown.len());
            assert!(
                shown.bytes().all(|byte| byte >= b' ' && byte != 0x7F),
                "{shown:?}"
            );
            assert!(with_refresh_token || error.refresh_token().is_none());
            if !shown.contains("kan4rie") {
                return;
            }
            // Of the body an error shows the value of `error` alone.
            let member = read_members(StatusCode::OK, &headers, body, &[], now);
            assert!(member.is_err(), "a byte of the body in {shown:?}");
        }
    }
}
