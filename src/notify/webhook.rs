//! Posts notifications to the URL of `[notify]`.

use std::{error::Error, sync::Arc, time::Duration};

use reqwest::{Client, header::CONTENT_TYPE, redirect::Policy};
use tokio::task::spawn_blocking;
use url::Url;

use crate::tls::{self, Trust};

/// The time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A URL that notifications are posted to. Errors name its host alone, since the rest may be a key.
pub(super) struct Webhook<'s>(pub(super) &'s Url);

impl Webhook<'_> {
    /// Posts `json` once.
    ///
    /// # Errors
    /// There is no response, or its status is not a success.
    pub(super) async fn post(&self, json: &Arc<[u8]>) -> Result<(), String> {
        let host = self.0.host_str().unwrap_or_default();
        let client = self.client().await?;
        let request = client
            .post(self.0.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(json.to_vec());
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("{host} responded {}", response.status())),
            Err(error) => Err(format!("{host}: {}", innermost(&error.without_url()))),
        }
    }

    /// Builds the client, which reads the system's roots from disk. Notifications are rare.
    async fn client(&self) -> Result<Client, String> {
        let needs_tls = self.0.scheme() == "https";
        let built = spawn_blocking(move || {
            let tls = match needs_tls {
                true => tls::client_config(&Trust::default(), &[b"http/1.1"], None)
                    .unwrap_or_else(|_| unreachable!("there is no client certificate")),
                false => tls::client_config_without_roots(),
            };
            Client::builder()
                .tls_backend_preconfigured(tls)
                .redirect(Policy::none())
                .no_proxy()
                .timeout(REQUEST_TIMEOUT)
                .build()
        });
        let interrupted = |_| "the HTTP client was not built".to_owned();
        let client = built.await.map_err(interrupted)?;
        client.map_err(|error| format!("the HTTP client cannot be built: {error}"))
    }
}

/// The error that caused the others, in its own words.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
