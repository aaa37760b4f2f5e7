//! The servers of `bearward demo`, all on loopback and in memory: an authorization server, a protected API, and the
//! configuration of a sidecar between them.

pub mod api;
pub mod authorization_server;
mod tokens;

use std::{
    fmt::Display,
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use hyper_util::{rt::TokioExecutor, service::TowerToHyperService};

use api::Api;
use authorization_server::AuthorizationServer;

use crate::server::{
    address::ListenAddress, limits::Limits, listener::Bound, listening::Listening, serve::Server,
};

/// The configuration of a sidecar on `port` of loopback, in TOML; port 0 is any free port.
///
/// It keeps its tokens in memory, and its admin listener takes any free port.
pub fn configuration(server: &AuthorizationServer, api: &Api, port: u16) -> String {
    format!(
        r#"[admin]
listen = "127.0.0.1:0"

[store]
kind = "memory"

[providers.demo]
grant_type = "client_credentials"
token_endpoint = "{token_endpoint}"
client_id = "{client_id}"
client_secret = "{client_secret}"
scope = "devices.read"

[routes.demo]
listen = "127.0.0.1:{port}"
upstream = "http://{api}"
provider = "demo"
"#,
        token_endpoint = server.token_endpoint(),
        client_id = authorization_server::CLIENT_ID,
        client_secret = authorization_server::CLIENT_SECRET,
        api = api.address(),
    )
}

/// The text that `bearward demo` prints when every server runs: the addresses and the `curl` line to try.
pub fn banner(
    server: &AuthorizationServer,
    api: &Api,
    sidecar: impl Display,
    admin: Option<&str>,
) -> String {
    let mut text = format!(
        "Everything below runs on this machine and disappears when you stop it.

  authorization server  {token_endpoint}
  protected API         http://{api}  (responds with 401 without a token)
  sidecar               http://{sidecar}  (adds the token)
",
        token_endpoint = server.token_endpoint(),
        api = api.address(),
    );
    if let Some(admin) = admin {
        text.push_str(&format!("  status page           http://{admin}/\n"));
    }
    text.push_str(&format!(
        "\nTry it:\n\n  curl http://{sidecar}/v1/devices\n\nPress Ctrl-C to stop.\n"
    ));
    text
}

/// Serves `router` on any free port of loopback, by HTTP/1.1 and by HTTP/2 with prior knowledge.
///
/// # Errors
/// No port can be bound.
fn serve(router: Router) -> io::Result<(SocketAddr, Listening)> {
    let bound = Bound::bind(&ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()))?;
    let port = bound.address().port().unwrap_or_default();
    let server = Server::new(TokioExecutor::new(), Limits::default()).with_date();
    let listening = Listening::start(bound, server, TowerToHyperService::new(router))?;
    Ok(((Ipv4Addr::LOCALHOST, port).into(), listening))
}

/// A response with a JSON body.
fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    async fn servers() -> (AuthorizationServer, Api) {
        let server = AuthorizationServer::start(Arc::new(SystemClock))
            .await
            .unwrap();
        let api = Api::start(&server).await.unwrap();
        (server, api)
    }

    #[tokio::test]
    async fn the_configuration_names_both_servers_and_the_port() {
        let (server, api) = servers().await;
        let text = configuration(&server, &api, 8080);
        for line in [
            format!("token_endpoint = \"{}\"", server.token_endpoint()),
            format!("upstream = \"http://{}\"", api.address()),
            "listen = \"127.0.0.1:8080\"".to_owned(),
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing from\n{text}"
            );
        }
    }

    #[tokio::test]
    async fn the_banner_has_one_curl_line_and_no_secret() {
        let (server, api) = servers().await;
        let text = banner(&server, &api, "127.0.0.1:8080", Some("127.0.0.1:9900"));
        let curl: Vec<_> = text.lines().filter(|line| line.contains("curl")).collect();
        assert_eq!(curl, ["  curl http://127.0.0.1:8080/v1/devices"]);
        assert!(text.contains("http://127.0.0.1:9900/\n"));
        assert!(!text.contains(authorization_server::CLIENT_SECRET));
    }
}
