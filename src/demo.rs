//! A complete world on loopback: an authorization server, a protected API, and the configuration of a sidecar between
//! them. `bearward demo` shows it to people; the tests run against the same servers.

pub mod api;
pub mod authorization_server;
mod serve;

use std::fmt::Display;

use api::Api;
use authorization_server::AuthorizationServer;

/// The configuration of a sidecar on `port` (0: any free one) that leads to `api` with tokens of `server`.
///
/// Nothing is kept on disk, and the admin listener takes any free port.
pub fn configuration(server: &AuthorizationServer, api: &Api, port: u16) -> String {
    let (client_id, client_secret) = server.client();
    format!(
        r#"[admin]
listen = "127.0.0.1:0"

[store]
kind = "memory"

[providers.demo]
grant_type = "client_credentials"
token_endpoint = {token_endpoint}
client_id = {client_id}
client_secret = {client_secret}
scope = "devices.read"

[routes.demo]
listen = "127.0.0.1:{port}"
upstream = {upstream}
provider = "demo"
"#,
        token_endpoint = quoted(&server.token_endpoint()),
        client_id = quoted(client_id),
        client_secret = quoted(client_secret.expose()),
        upstream = quoted(&format!("http://{}", api.address())),
    )
}

/// What `bearward demo` prints once everything runs: what is where, and the line to try.
pub fn invitation(
    server: &AuthorizationServer,
    api: &Api,
    sidecar: impl Display,
    admin: Option<&str>,
) -> String {
    let mut text = format!(
        "A complete world on this machine. Nothing of it is kept.

  authorization server  {token_endpoint}
  protected API         http://{api}  (answers 401 without a token)
  sidecar               http://{sidecar}  (brings the token along)
",
        token_endpoint = server.token_endpoint(),
        api = api.address(),
    );
    if let Some(admin) = admin {
        text.push_str(&format!("  status page           http://{admin}/\n"));
    }
    text.push_str(&format!(
        "\nTry it:\n\n  curl http://{sidecar}/v1/devices\n\nCtrl-C ends it.\n"
    ));
    text
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)))
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[tokio::test]
    async fn the_configuration_names_both_servers_and_quotes_what_it_has_to() {
        let options = authorization_server::Options {
            client_secret: Secret::new("quote\" and \\ and\nline"),
            ..authorization_server::Options::default()
        };
        let server = AuthorizationServer::start(options).await.unwrap();
        let api = Api::start(api::Options::new(&server)).await.unwrap();
        let text = configuration(&server, &api, 8080);
        let line = |line: String| {
            assert!(
                text.lines().any(|ours| ours == line),
                "{line} is missing from\n{text}"
            )
        };
        line(format!("token_endpoint = \"{}\"", server.token_endpoint()));
        line(r#"client_secret = "quote\" and \\ and\u000Aline""#.into());
        line(format!("upstream = \"http://{}\"", api.address()));
        line("listen = \"127.0.0.1:8080\"".into());
    }

    #[tokio::test]
    async fn the_invitation_has_one_curl_line_and_no_secret() {
        let server = AuthorizationServer::start(authorization_server::Options::default())
            .await
            .unwrap();
        let api = Api::start(api::Options::new(&server)).await.unwrap();
        let text = invitation(&server, &api, "127.0.0.1:8080", Some("127.0.0.1:9900"));
        let curl: Vec<_> = text.lines().filter(|line| line.contains("curl")).collect();
        assert_eq!(curl, ["  curl http://127.0.0.1:8080/v1/devices"]);
        assert!(text.contains("http://127.0.0.1:9900/\n"));
        assert!(!text.contains(server.client().1.expose()));
    }
}
