//! `status` against a real admin listener, and against other servers.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    admin::{AdminServer, AdminState, RouteView, View},
    cli::admin_client::{AdminFault, AdminKey, KeySource},
    clock::SystemClock,
    secret::{LiveSecret, Secret},
    server::{address::ListenAddress, listener::Bound},
    telemetry::metrics::Metrics,
    token::{
        Tokens,
        store::{self, StoreLocation},
    },
};

/// A sidecar's admin listener with one route and no provider.
fn sidecar(listen: &ListenAddress, key: Option<&str>) -> (ListenAddress, AdminServer) {
    let metrics = Metrics::new();
    let clock = Arc::new(SystemClock);
    let route = RouteView {
        name: "devices".into(),
        listen: "127.0.0.1:8080".into(),
        upstream: "https://api.iotgps.io".into(),
        provider: None,
    };
    let view = View {
        tokens: Arc::new(Tokens::start(
            &[],
            store::open(&StoreLocation::Memory).unwrap(),
            clock.clone(),
            &metrics,
        )),
        routes: vec![route],
        key: key.map(|key| Arc::new(LiveSecret::fixed(Secret::new(key)))),
        store: StoreLocation::Memory,
        files: Vec::new(),
    };
    let bound = Bound::bind(listen).unwrap();
    let address = bound.address().clone();
    let state = Arc::new(AdminState::new(
        address.clone(),
        metrics,
        clock,
        view,
        tokio_util::task::TaskTracker::new(),
    ));
    (address, AdminServer::start(bound, state).unwrap())
}

async fn ask(admin: &str, key: Option<&str>, json: bool) -> Result<String, AdminError> {
    let client = AdminClient::new(
        admin.parse().unwrap(),
        AdminKey::Environment(key.map(Secret::new)),
    );
    let format = if json { Format::Json } else { Format::Text };
    let shown = status(&client, format, SystemTime::now()).await?;
    Ok(shown.text)
}

#[tokio::test]
async fn a_running_sidecar_is_shown_as_a_table_or_as_its_json() {
    let (address, _listening) = sidecar(&"127.0.0.1:0".parse().unwrap(), None);
    let admin = format!("http://{address}");
    let table = ask(&admin, None, false).await.unwrap();
    assert!(
        table.starts_with(&format!(
            "bearward {}, admin {address}\n",
            env!("CARGO_PKG_VERSION")
        )),
        "{table}"
    );
    assert!(
        table.contains("\ndevices  127.0.0.1:8080  https://api.iotgps.io  -\n"),
        "{table}"
    );
    let json = ask(&admin, None, true).await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["admin"], address.to_string());
    assert!(json.ends_with("}\n") && json.lines().count() == 1);
}

#[tokio::test]
async fn a_key_comes_from_the_address_or_from_the_environment() {
    let (address, _listening) = sidecar(&"127.0.0.1:0".parse().unwrap(), Some("canary/key"));
    let admin = format!("http://{address}");
    for key in [None, Some("canary/wrong"), Some("line\nbreak")] {
        let error = ask(&admin, key, false).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("canary") && !text.contains("break"),
            "{text}"
        );
    }
    for (key, words) in [
        (
            None,
            "asks for its key: put the value of its [admin] key into $BEARWARD_ADMIN_KEY",
        ),
        (
            Some("canary/wrong"),
            "the key in $BEARWARD_ADMIN_KEY is not the sidecar's",
        ),
    ] {
        let error = ask(&admin, key, false).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(&admin), "{error}");
    }
    let with_key = format!("http://:canary-wrong@{address}");
    let error = ask(&with_key, None, false).await.unwrap_err().to_string();
    assert!(
        error.contains("the key in the address is not the sidecar's") && !error.contains("canary"),
        "{error}"
    );
    assert!(ask(&admin, Some("canary/key"), false).await.is_ok());
    assert!(
        ask(
            &format!("http://:canary%2Fkey@{address}"),
            Some("other"),
            false
        )
        .await
        .is_ok()
    );
}

#[tokio::test]
async fn a_unix_socket_is_asked_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let listen = ListenAddress::Unix(folder.path().join("admin.sock"));
    let (_, _listening) = sidecar(&listen, None);
    assert!(
        ask(&listen.to_string(), None, false)
            .await
            .unwrap()
            .contains("devices")
    );
}

/// Another server, which responds to every connection with `response`.
async fn stranger(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(response).await;
        }
    });
    address
}

#[tokio::test]
async fn other_servers_are_told_apart_from_a_sidecar() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = ask(&gone.to_string(), None, false).await.unwrap_err();
    assert!(matches!(error.fault(), AdminFault::Unreachable(_)));
    let begins = format!("no sidecar responds at http://{gone}: ");
    assert!(error.to_string().starts_with(&begins), "{error}");
    for response in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let address = stranger(response).await;
        assert!(matches!(
            ask(&address.to_string(), None, false)
                .await
                .unwrap_err()
                .fault(),
            AdminFault::NotASidecar
        ));
    }
    for response in [
        &b"SSH-2.0-x\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let address = stranger(response).await;
        assert!(matches!(
            ask(&address.to_string(), None, false)
                .await
                .unwrap_err()
                .fault(),
            AdminFault::Unreachable(_)
        ));
    }
    let address =
        stranger(b"HTTP/1.1 500 No\r\ncontent-length: 22\r\n\r\n{\"detail\":\"\\u001b[2J\"}").await;
    let error = ask(&address.to_string(), None, false)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("500") && !error.contains('\u{1b}'),
        "{error:?}"
    );
}

/// Another server that responds like a sidecar, and every request that it got.
async fn impostor(status: &'static str) -> (SocketAddr, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<std::sync::Mutex<String>>::default();
    let theirs = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap_or(0);
            theirs
                .lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&request[..length]));
            let body = r#"{"providers":{},"routes":{}}"#;
            let response = format!(
                "HTTP/1.1 {status}\r\nauthentication-info: proof=\"x\"\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_key_is_not_sent_and_a_server_that_does_not_prove_it_is_not_believed() {
    let challenge = "401 No\r\nwww-authenticate: Bearward nonce=\"n\"";
    for response in [
        "200 OK",
        "401 No\r\nwww-authenticate: Bearer",
        "401 No\r\nwww-authenticate: Basic realm=\"bearward\"",
        challenge,
    ] {
        let (address, seen) = impostor(response).await;
        let key = AdminKey::Configured(Secret::new("canary-key-of-16"));
        let client = AdminClient::new(address.to_string().parse().unwrap(), key);
        let error = client.status().await.unwrap_err();
        let expected = match response == challenge {
            true => matches!(
                error.fault(),
                AdminFault::KeyRefused(KeySource::Configuration)
            ),
            false => matches!(error.fault(), AdminFault::Unproved),
        };
        assert!(expected, "{response}: {error:?}");
        let seen = seen.lock().unwrap().clone();
        // base64(":canary-key-of-16") is "OmNhbmFyeS1rZXktb2YtMTY=".
        assert!(
            !seen.contains("canary") && !seen.contains("Y2FuYXJ5") && !seen.contains("OmNhbmFy")
        );
        assert!(
            seen.to_lowercase().contains("authorization: bearward"),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn providers_without_a_token_count_where_a_route_uses_them() {
    let ready = |providers: serde_json::Value, routes: serde_json::Value| {
        is_ready(&serde_json::json!({ "providers": providers, "routes": routes }))
    };
    use serde_json::json;
    let states = json!({ "good": { "state": "ready" }, "bad": { "state": "failing" } });
    assert!(ready(json!({}), json!({})));
    assert!(ready(
        states.clone(),
        json!({ "a": { "provider": "good" }, "b": { "provider": null } })
    ));
    assert!(!ready(
        states.clone(),
        json!({ "a": { "provider": "good" }, "b": { "provider": "bad" } })
    ));
    assert!(!ready(states, json!({ "a": { "provider": "gone" } })));
}
