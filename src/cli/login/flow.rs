//! One login, by each of the ways in which it can return.

use std::{io, process::ExitCode, sync::Arc};

use tokio::time::timeout;
use url::Url;

use super::{
    browser,
    callback_listener::{Callback, CallbackListener},
    error::LoginError,
    paste,
    sidecar::RunningSidecar,
    start::BrowserStart,
};
use crate::{
    cli::{admin_client::AdminKey, configured, print, print_diagnostic},
    clock::{Clock, SystemClock},
    login::{
        ExchangeError, LOGIN_TIMEOUT, LoginOutcome, TokenReceiver, attempts::ClaimError,
        device::confirm, exchange_code, login_path, sign_in,
    },
    oauth::{
        authorization::{Attempt, Authorized, CallbackError},
        device,
        endpoint::TokenEndpoint,
        error::EndpointKey,
        provider::Provider,
        redirect_uri::RedirectUri,
    },
    token::{
        grant::StoredGrant,
        store::{Store, StoreLocation},
    },
};

const CONSENT_PROMPT: &str = "Open this address in a browser and log in there:";

/// One login at a provider.
pub(super) struct LoginFlow<'a> {
    pub(super) provider: &'a Arc<Provider>,
    pub(super) location: &'a StoreLocation,
    /// The key for a sidecar that has to be asked.
    pub(super) admin_key: AdminKey,
    pub(super) opens_browser: bool,
}

impl LoginFlow<'_> {
    /// Logs in with a callback to `listener`.
    pub(super) async fn log_in_by_callback(
        &self,
        listener: CallbackListener,
    ) -> Result<(), LoginError> {
        let store = self.open_store().await?;
        let uri = listener.uri().clone();
        let attempt = self.new_attempt(Some(&uri))?;
        let url = self.authorization_url(&attempt).await?;
        let opened = match self.opens_browser {
            true => Some(self.opened_attempt(&uri).await?),
            false => None,
        };
        let start = opened.as_ref().map(|(_, start)| start.clone());
        let opened_url = start.as_ref().map(|start| start.url(uri.url()));
        let (mut callbacks, listening) = listener.serve(start).map_err(LoginError::System)?;
        self.show(CONSENT_PROMPT, &url, opened_url.as_ref());
        let attempts = CallbackAttempts {
            printed: attempt,
            opened,
        };
        let returned = timeout(LOGIN_TIMEOUT, async {
            while let Some(callback) = callbacks.recv().await {
                let read = attempts.read(self.provider, &callback);
                let (outcome, result) = self.handle_callback(read, &store).await;
                // A browser that has gone does not need its page.
                let _ = callback.reply.send(outcome);
                if let Some(result) = result {
                    return result;
                }
            }
            Err(LoginError::Timeout)
        });
        let result = returned.await.unwrap_or(Err(LoginError::Timeout));
        listening.finish().await;
        result
    }

    /// Returns the page for the browser, and the result of the login unless the callback was forged.
    async fn handle_callback(
        &self,
        read: Result<(&Attempt, Authorized), UnreadCallback>,
        store: &Arc<dyn Store>,
    ) -> (LoginOutcome, Option<Result<(), LoginError>>) {
        let name = &self.provider.name;
        let (attempt, authorized) = match read {
            Ok(read) => read,
            Err(UnreadCallback::Forged) => return (LoginOutcome::unknown(), None),
            Err(UnreadCallback::OtherBrowser) => {
                return (LoginOutcome::unclaimed(ClaimError::OtherBrowser), None);
            }
            Err(UnreadCallback::Declined(error)) => {
                let outcome = LoginOutcome::declined(name, &error);
                return (outcome, Some(Err(LoginError::Callback(error))));
            }
        };
        let result = self.exchange(attempt, &authorized, store).await;
        let outcome = LoginOutcome::from_exchange(name, &result);
        (outcome, Some(result.map_err(LoginError::Exchange)))
    }

    /// Logs in with an address or a code that a person pastes.
    pub(super) async fn log_in_by_paste(
        &self,
        uri: Option<&RedirectUri>,
    ) -> Result<(), LoginError> {
        let store = self.open_store().await?;
        let attempt = self.new_attempt(uri)?;
        let url = self.authorization_url(&attempt).await?;
        // Open until something is pasted.
        let served = match self.opens_browser {
            true => BrowserStart::new(&attempt, url.clone(), "/")
                .and_then(BrowserStart::serve)
                .ok(),
            false => None,
        };
        self.show(CONSENT_PROMPT, &url, served.as_ref().map(|(url, _)| url));
        print_diagnostic(
            "Then paste the address that the browser was sent back to, or the code alone:\n",
        );
        let line = timeout(LOGIN_TIMEOUT, paste::read_line())
            .await
            .map_err(|_| LoginError::Timeout)?
            .map_err(LoginError::StandardInput)?;
        let authorized = attempt
            .read_pasted(self.provider, &line)
            .map_err(LoginError::Callback)?;
        self.exchange(&attempt, &authorized, &store)
            .await
            .map_err(LoginError::Exchange)
    }

    /// Has the running sidecar at `uri` log in, and waits until the login shows.
    pub(super) async fn log_in_at_sidecar(&self, uri: &Url) -> Result<(), LoginError> {
        let name = &self.provider.name;
        let sidecar = RunningSidecar::new(uri, self.admin_key.clone(), name.clone()).ok_or(
            LoginError::OtherConfiguration("cannot be asked by its address"),
        )?;
        let mut start = uri.clone();
        start.set_path(&login_path(name));
        start.set_query(None);
        let prompt = "A sidecar is running that takes the login. Open this address in a browser:";
        let opened = self.opens_browser.then_some(&start);

        if *self.location == StoreLocation::Memory {
            sidecar.check_configuration(self.location).await?;
            let had_login = sidecar.has_login().await?;
            self.show(prompt, &start, opened);
            if had_login {
                return Err(LoginError::NotObservable);
            }
            return timeout(LOGIN_TIMEOUT, sidecar.wait_for_login())
                .await
                .unwrap_or(Err(LoginError::Timeout));
        }
        let store = self.open_store().await?;
        sidecar.check_configuration(self.location).await?;
        let before = configured::load_record(&store, name)
            .await
            .map_err(LoginError::Store)?;
        self.show(prompt, &start, opened);
        timeout(
            LOGIN_TIMEOUT,
            sidecar.wait_for_stored_login(&store, before.as_ref()),
        )
        .await
        .unwrap_or(Err(LoginError::Timeout))
    }

    async fn exchange(
        &self,
        attempt: &Attempt,
        authorized: &Authorized,
        store: &Arc<dyn Store>,
    ) -> Result<(), ExchangeError> {
        let (login, clock) = self.stored_grant(store);
        let receiver = TokenReceiver::Store(&login);
        exchange_code(receiver, self.provider, clock, attempt, authorized).await
    }

    /// Signs in with the configured account, without a browser.
    pub(super) async fn log_in_by_account(&self) -> Result<(), LoginError> {
        let store = self.open_own_store().await?;
        let (login, clock) = self.stored_grant(&store);
        sign_in(TokenReceiver::Store(&login), self.provider, clock)
            .await
            .map_err(LoginError::Exchange)
    }

    /// Shows a code and the address to confirm it at, and waits until the person has done so (RFC 8628).
    pub(super) async fn log_in_by_device(&self) -> Result<(), LoginError> {
        let store = self.open_own_store().await?;
        let (login, clock) = self.stored_grant(&store);
        let endpoint = TokenEndpoint::new(self.provider.clone(), clock.clone());
        let device = device::authorize(&endpoint)
            .await
            .map_err(LoginError::Request)?;
        print_diagnostic(
            "Open this address in a browser, on any device, and enter the code there:\n\n",
        );
        let (address, code) = (&device.verification_uri, &device.user_code);
        print(&format!("{address}\n{code}\n"), ExitCode::SUCCESS);
        print_diagnostic("\n");
        if let Some(complete) = &device.verification_uri_complete {
            print_diagnostic(&format!("The same with the code in it: {complete}\n\n"));
        }
        if self.opens_browser {
            // Not the address with the code in it: other users see the arguments of a process, and could confirm the
            // code with an account of their own.
            browser::open(address.as_str());
        }
        confirm(TokenReceiver::Store(&login), &endpoint, clock, device)
            .await
            .map_err(LoginError::Device)
    }

    fn stored_grant(&self, store: &Arc<dyn Store>) -> (StoredGrant, Arc<dyn Clock>) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let login = StoredGrant::new(self.provider.clone(), store.clone(), clock.clone());
        (login, clock)
    }

    /// Opens the store for a login that no sidecar can take instead.
    async fn open_own_store(&self) -> Result<Arc<dyn Store>, LoginError> {
        match self.location {
            StoreLocation::Memory => Err(LoginError::NotKept),
            _ => self.open_store().await,
        }
    }

    /// Opens the store, which is known to be usable before the person is sent anywhere.
    async fn open_store(&self) -> Result<Arc<dyn Store>, LoginError> {
        if *self.location == StoreLocation::Memory {
            return Err(LoginError::StoreInMemory);
        }
        let store = configured::open_store(self.location)
            .await
            .map_err(LoginError::Store)?;
        configured::load_record(&store, &self.provider.name)
            .await
            .map_err(LoginError::Store)?;
        Ok(store)
    }

    fn new_attempt(&self, uri: Option<&RedirectUri>) -> Result<Attempt, LoginError> {
        Attempt::new(self.provider, uri)
            .map_err(|error| LoginError::System(io::Error::other(error.to_string())))
    }

    /// The attempt for the browser that this command opens, and its start.
    ///
    /// The printed address has an attempt of its own: a person may open it in any browser, which has no cookie.
    async fn opened_attempt(
        &self,
        uri: &RedirectUri,
    ) -> Result<(Attempt, Arc<BrowserStart>), LoginError> {
        let attempt = self.new_attempt(Some(uri))?;
        let url = self.authorization_url(&attempt).await?;
        let start = BrowserStart::new(&attempt, url, uri.url().path());
        Ok((attempt, start.map_err(LoginError::System)?))
    }

    async fn authorization_url(&self, attempt: &Attempt) -> Result<Url, LoginError> {
        let endpoint = TokenEndpoint::new(self.provider.clone(), Arc::new(SystemClock));
        let provider = endpoint.provider_with(EndpointKey::Authorization).await;
        let url = provider.and_then(|provider| attempt.url(&provider));
        url.map_err(LoginError::Request)
    }

    /// Prints `url`, and opens the browser with another address, which tells the process list nothing.
    fn show(&self, prompt: &str, url: &Url, opened: Option<&Url>) {
        print_diagnostic(&format!("{prompt}\n\n"));
        // A reader that has gone shows in a login that does not come.
        print(&format!("{url}\n"), ExitCode::SUCCESS);
        print_diagnostic("\n");
        if let Some(opened) = opened {
            browser::open(opened.as_str());
        }
    }
}

/// The attempts that a callback may belong to.
struct CallbackAttempts {
    /// The attempt of the printed address, for any browser of the person who reads it.
    printed: Attempt,
    /// The attempt of the browser that this command opened, which has the cookie of its start.
    opened: Option<(Attempt, Arc<BrowserStart>)>,
}

/// Why a callback brought no code.
enum UnreadCallback {
    /// It belongs to no attempt.
    Forged,
    /// It belongs to the browser that this command opened, and comes from another one.
    OtherBrowser,
    /// The authorization server gave no code.
    Declined(CallbackError),
}

impl CallbackAttempts {
    /// Reads the code in a callback, and finds the attempt that it belongs to.
    fn read(
        &self,
        provider: &Provider,
        callback: &Callback,
    ) -> Result<(&Attempt, Authorized), UnreadCallback> {
        let read = |attempt: &Attempt| attempt.read_callback(provider, &callback.query);
        match (read(&self.printed), &self.opened) {
            (Err(CallbackError::State), Some((attempt, start))) => match read(attempt) {
                Err(CallbackError::State) => Err(UnreadCallback::Forged),
                _ if !start.is_held_in(&callback.headers) => Err(UnreadCallback::OtherBrowser),
                read => Ok((attempt, read?)),
            },
            (read, _) => Ok((&self.printed, read?)),
        }
    }
}

impl From<CallbackError> for UnreadCallback {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::State | CallbackError::Repeated | CallbackError::TooLong => Self::Forged,
            error => Self::Declined(error),
        }
    }
}
