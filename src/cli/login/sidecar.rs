//! A running sidecar that has the address to which the login returns.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use super::error::LoginError;
use crate::{
    cli::{
        admin_client::{AdminAddress, AdminClient, AdminKey},
        configured, print_error,
    },
    login::StoreIdentity,
    token::store::{Record, Store, StoreLocation},
};

/// The pause between two looks for the login.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The number of looks at the store for each question whether the sidecar still runs.
const LOOKS_PER_LIVENESS_CHECK: u32 = 4;

/// Whether the admin listener of a live sidecar has the address in `uri`.
pub(super) async fn is_sidecar_at(uri: &Url) -> bool {
    match AdminAddress::of_origin(uri) {
        // Without the key: the listener may be another program's.
        Some(address) => AdminClient::without_key(address).is_live().await,
        None => false,
    }
}

/// A running sidecar, which is asked about one provider.
pub(super) struct RunningSidecar {
    address: AdminAddress,
    client: AdminClient,
    provider: Arc<str>,
}

impl RunningSidecar {
    /// The sidecar whose admin listener is at `address`; `key` is the key to it.
    pub(super) fn new(address: AdminAddress, key: AdminKey, provider: Arc<str>) -> Self {
        Self {
            client: AdminClient::new(address.clone(), key),
            address,
            provider,
        }
    }

    /// Whether the sidecar runs. Needs no key.
    async fn is_live(&self) -> bool {
        // Without the key: the listener may be another program's.
        let client = AdminClient::without_key(self.address.clone());
        client.is_live().await
    }

    /// Checks that a sidecar that runs and has the provider finds a login in the store at `location`.
    ///
    /// Returns whether one does. What cannot be found out is a remark.
    pub(super) async fn check_store_if_live(
        &self,
        location: &StoreLocation,
    ) -> Result<bool, LoginError> {
        if !self.is_live().await {
            return Ok(false);
        }
        let status = match self.client.status().await {
            Ok(document) => document.json,
            Err(error) => {
                let provider = &self.provider;
                print_error(&format!(
                    "{provider}: it is not known whether the running sidecar will find this login: {error}"
                ));
                return Ok(false);
            }
        };
        // Another sidecar, which does not need this login.
        if status["providers"][&*self.provider].is_null() {
            return Ok(false);
        }
        self.check_store(&status, location).await?;
        Ok(true)
    }

    /// Checks that a login is possible there, and then shows in the store at `location`.
    pub(super) async fn check_configuration(
        &self,
        location: &StoreLocation,
    ) -> Result<(), LoginError> {
        let status = self.status().await?;
        let provider = &status["providers"][&*self.provider];
        if provider.is_null() {
            return Err(LoginError::OtherConfiguration("has no such provider"));
        }
        if provider["can_log_in"] == false {
            return Err(LoginError::OtherConfiguration(
                "has a provider of that name without a login there",
            ));
        }
        self.check_store(&status, location).await
    }

    async fn check_store(
        &self,
        status: &Value,
        location: &StoreLocation,
    ) -> Result<(), LoginError> {
        let theirs: StoreIdentity = serde_json::from_value(status["store"].clone())
            .map_err(|_| LoginError::Sidecar(self.client.not_a_sidecar()))?;
        let location = location.clone();
        let ours = tokio::task::spawn_blocking(move || StoreIdentity::at(&location))
            .await
            .map_err(|error| LoginError::System(error.into()))?;
        let memory = StoreIdentity::at(&StoreLocation::Memory);
        if theirs.is_shared_with(&ours) || theirs == memory && ours == memory {
            return Ok(());
        }
        Err(LoginError::OtherStore {
            sidecar: self.address.to_string(),
            theirs: theirs.into(),
            ours: ours.into(),
        })
    }

    /// Whether the sidecar has a login.
    pub(super) async fn has_login(&self) -> Result<bool, LoginError> {
        let status = self.status().await?;
        let provider = &status["providers"][&*self.provider];
        Ok(provider["has_refresh_token"] == true || provider["state"] == "ready")
    }

    /// Waits until the sidecar has a login.
    pub(super) async fn wait_for_login(&self) -> Result<(), LoginError> {
        while !self.has_login().await? {
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Waits until the store, which the sidecar shares, holds another login than `before`.
    pub(super) async fn wait_for_stored_login(
        &self,
        store: &Arc<dyn Store>,
        before: Option<&Record>,
    ) -> Result<(), LoginError> {
        let mut looks = 0_u32;
        loop {
            sleep(POLL_INTERVAL).await;
            looks += 1;
            // Asked before the look: a sidecar that has ended may have stored the login just before.
            let is_live = !looks.is_multiple_of(LOOKS_PER_LIVENESS_CHECK) || self.is_live().await;
            let now = configured::load_record(store, &self.provider)
                .await
                .map_err(LoginError::Store)?;
            if is_new_login(before, now.as_ref()) {
                return Ok(());
            }
            if !is_live {
                return Err(LoginError::SidecarEnded);
            }
        }
    }

    async fn status(&self) -> Result<Value, LoginError> {
        let document = self.client.status().await.map_err(LoginError::Sidecar)?;
        Ok(document.json)
    }
}

/// Whether `now` is a valid login other than `before`. A refresh of the same login does not count.
fn is_new_login(before: Option<&Record>, now: Option<&Record>) -> bool {
    let Some(now) = now.filter(|now| !now.is_logged_out() && !now.refused) else {
        return false;
    };
    now.login.is_some() && before.and_then(|before| before.login.as_ref()) != now.login.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn record(login: Option<&str>, refresh_token: Option<&str>, refused: bool) -> Record {
        let refresh_token = refresh_token.map(Secret::new);
        Record {
            login: login.map(str::to_owned),
            refresh_token,
            refused,
            ..Record::default()
        }
    }

    #[test]
    fn a_new_login_is_told_from_a_refresh_of_the_old_one() {
        let (old, new) = (
            record(Some("1"), Some("a"), false),
            record(Some("2"), Some("b"), false),
        );
        let (refused, forgotten) = (
            record(Some("1"), Some("a"), true),
            record(None, None, false),
        );
        let before_names = record(None, Some("a"), false);
        for before in [
            None,
            Some(&forgotten),
            Some(&refused),
            Some(&old),
            Some(&before_names),
        ] {
            assert!(is_new_login(before, Some(&new)), "{before:?}");
            for now in [None, Some(&forgotten), Some(&refused), Some(&before_names)] {
                assert!(!is_new_login(before, now), "{before:?} {now:?}");
            }
        }
        let renewed = record(Some("1"), Some("b"), false);
        assert!(
            !is_new_login(Some(&old), Some(&renewed)),
            "the same one with another refresh token"
        );
        let again = record(Some("2"), Some("a"), false);
        assert!(
            is_new_login(Some(&old), Some(&again)),
            "another one that brought the same refresh token"
        );
    }

    #[tokio::test]
    async fn a_server_that_does_not_respond_like_a_sidecar_is_not_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Url = format!("http://{}/callback", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            tokio::io::AsyncWriteExt::write_all(&mut stream, response)
                .await
                .unwrap();
            // Until the other side has read it.
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
        });
        assert!(!is_sidecar_at(&uri).await);
        other.abort();
        let closed: Url = "http://127.0.0.1:1/callback".parse().unwrap();
        assert!(!is_sidecar_at(&closed).await);
    }
}
