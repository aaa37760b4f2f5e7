//! One login, by each of the ways in which it can return.

use std::{io, process::ExitCode, sync::Arc};

use tokio::time::timeout;
use url::Url;

use super::{
    browser,
    callback_attempts::{CallbackAttempts, UnreadCallback},
    callback_listener::CallbackListener,
    error::LoginError,
    guidance, paste,
    place::LoginPlace,
    sidecar::RunningSidecar,
    start::BrowserStart,
    waiting::{Input, Waiting},
};
use crate::{
    cli::{admin_client::AdminAddress, configured, print, print_diagnostic},
    clock::SystemClock,
    login::{
        ExchangeError, LOGIN_TIMEOUT, LoginOutcome, TokenReceiver, attempts::ClaimError,
        device::confirm, exchange_code, login_path, redirect, sign_in,
    },
    oauth::{
        authorization::{Attempt, Authorized},
        device,
        endpoint::TokenEndpoint,
        error::EndpointKey,
        redirect_uri::RedirectUri,
    },
    token::store::{Store, StoreLocation},
};

const CONSENT_PROMPT: &str = "Open this address in a browser and log in there:";
const WAITING: &str = "waiting for the login";
const WAITING_OR_PASTE: &str = "waiting for the login, or paste the address here";

/// One login at a provider.
pub(super) struct LoginFlow<'a> {
    pub(super) place: LoginPlace<'a>,
    pub(super) opens_browser: bool,
}

impl LoginFlow<'_> {
    /// Logs in with a callback to `listener`.
    pub(super) async fn log_in_by_callback(
        &self,
        listener: CallbackListener,
    ) -> Result<(), LoginError> {
        let uri = listener.uri().clone();
        let own_port = uri.url().port_or_known_default();
        let store = self.place.open_own(own_port).await?;
        let (attempt, url) = self.printable_attempt(&uri).await?;
        let opened = match self.opens_browser {
            true => Some(self.opened_attempt(&uri).await?),
            false => None,
        };
        let start = opened.as_ref().map(|(_, start)| start.clone());
        let opened_url = start.as_ref().map(|start| start.url(uri.url()));
        let (mut callbacks, listening) = listener.serve(start).map_err(LoginError::System)?;
        self.show(CONSENT_PROMPT, &url, opened_url.as_ref());
        let registered = guidance::registered(self.place.provider, uri.as_str());
        let way = guidance::way_to_this_machine(uri.url(), Waiting::can_prompt());
        print_diagnostic(&format!("{registered}\n{way}\n"));
        let attempts = CallbackAttempts {
            printed: attempt,
            opened,
        };
        let starts: Vec<&Url> = std::iter::once(&url).chain(&opened_url).collect();
        let may_be_pasted = attempts.all();
        let mut waiting = Waiting::with_prompt(WAITING_OR_PASTE);
        let returned = timeout(LOGIN_TIMEOUT, async {
            loop {
                let callback = tokio::select! {
                    callback = callbacks.recv() => callback.ok_or(LoginError::Timeout)?,
                    pasted = self.next_paste(&mut waiting, &may_be_pasted, &starts) => {
                        return self.finish(pasted?, &store).await;
                    }
                };
                let read = attempts.read(self.place.provider, &callback);
                let (outcome, result) = self.handle_callback(read, &store).await;
                // A browser that has gone does not need its page.
                let _ = callback.reply.send(outcome);
                if let Some(result) = result {
                    return result;
                }
            }
        });
        let result = returned.await.unwrap_or(Err(LoginError::Timeout));
        drop(waiting);
        listening.finish().await;
        result
    }

    /// Returns the page for the browser, and the result of the login unless the callback was forged.
    async fn handle_callback(
        &self,
        read: Result<(&Attempt, Authorized), UnreadCallback>,
        store: &Arc<dyn Store>,
    ) -> (LoginOutcome, Option<Result<(), LoginError>>) {
        let name = &self.place.provider.name;
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

    /// Waits until the person pastes into `waiting` what belongs to one of `attempts`. Cancel-safe.
    async fn next_paste<'b>(
        &self,
        waiting: &mut Waiting,
        attempts: &[&'b Attempt],
        opened: &[&Url],
    ) -> Result<(&'b Attempt, Authorized), LoginError> {
        let provider = self.place.provider;
        loop {
            let read = match waiting.input().await {
                Input::Interrupt => return Err(LoginError::Interrupted),
                Input::Unreadable(error) => Err(LoginError::StandardInput(error)),
                Input::Line(line) => paste::read_pasted(provider, &line, attempts, opened),
            };
            match read {
                Err(error) if error.is_misplaced_paste() => {
                    waiting.remark(&format!("{}: {error}", provider.name));
                }
                read => return read,
            }
        }
    }

    /// Logs in with an address or a code that a person pastes.
    pub(super) async fn log_in_by_paste(
        &self,
        uri: Option<&RedirectUri>,
    ) -> Result<(), LoginError> {
        let store = self.place.open_own(None).await?;
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
        if let Some(uri) = uri {
            let registered = guidance::registered(self.place.provider, uri.as_str());
            print_diagnostic(&format!("{registered}\n"));
        }
        let start = served.as_ref().map(|(url, _)| url);
        let starts: Vec<&Url> = std::iter::once(&url).chain(start).collect();
        if Waiting::can_prompt() {
            print_diagnostic(&format!("{}\n", guidance::PASTE_UNSEEN));
            let mut waiting = Waiting::with_prompt("waiting for the address or the code");
            let attempts = [&attempt];
            let pasted = self.next_paste(&mut waiting, &attempts, &starts);
            let pasted = timeout(LOGIN_TIMEOUT, pasted)
                .await
                .map_err(|_| LoginError::Timeout)??;
            return self.finish(pasted, &store).await;
        }
        print_diagnostic(&format!("{}\n", guidance::PASTE));
        let line = timeout(LOGIN_TIMEOUT, paste::read_line())
            .await
            .map_err(|_| LoginError::Timeout)?
            .map_err(LoginError::StandardInput)?;
        let pasted = paste::read_pasted(self.place.provider, &line, &[&attempt], &starts)?;
        self.finish(pasted, &store).await
    }

    /// Has the running sidecar at `uri` log in, and waits until the login shows.
    pub(super) async fn log_in_at_sidecar(&self, uri: &RedirectUri) -> Result<(), LoginError> {
        let name = &self.place.provider.name;
        let (address, mut start) = AdminAddress::of_origin(uri.url())
            .zip(Some(uri.url().clone()))
            .ok_or(LoginError::OtherConfiguration(
                "cannot be asked by its address",
            ))?;
        let prompt = format!(
            "The sidecar at {address} is running and receives the login. Open this address in a browser:"
        );
        let sidecar = RunningSidecar::new(address, self.place.admin_key.clone(), name.clone());
        start.set_path(&login_path(name));
        start.set_query(None);
        let opened = self.opens_browser.then_some(&start);
        let registered = guidance::registered(self.place.provider, uri.as_str());

        if *self.place.location == StoreLocation::Memory {
            sidecar.check_configuration(self.place.location).await?;
            let had_login = sidecar.has_login().await?;
            self.show(&prompt, &start, opened);
            let way = guidance::way_to_this_machine(uri.url(), false);
            print_diagnostic(&format!("{registered}\n{way}\n"));
            if had_login {
                return Err(LoginError::NotObservable);
            }
            let _waiting = Waiting::start(WAITING);
            return timeout(LOGIN_TIMEOUT, sidecar.wait_for_login())
                .await
                .unwrap_or(Err(LoginError::Timeout));
        }
        let store = self.place.open().await?;
        sidecar.check_configuration(self.place.location).await?;
        let before = configured::load_record(&store, name)
            .await
            .map_err(LoginError::Store)?;
        // A browser on another machine cannot return to the sidecar, but what it ends up at can be pasted here.
        let own = match Waiting::can_prompt() && redirect::is_loopback(uri.url()) {
            // Without its address there is the sidecar's still.
            true => self.printable_attempt(uri).await.ok(),
            false => None,
        };
        self.show(&prompt, &start, opened);
        print_diagnostic(&match &own {
            Some((_, url)) => format!("{registered}\n{}\n\n{url}\n\n", guidance::OTHER_MACHINE),
            None => {
                let way = guidance::way_to_this_machine(uri.url(), false);
                format!("{registered}\n{way}\n")
            }
        });
        let mut waiting = match &own {
            Some(_) => Waiting::with_prompt(WAITING_OR_PASTE),
            None => Waiting::start(WAITING),
        };
        let (attempts, urls): (Vec<_>, Vec<_>) = own.iter().map(|(one, url)| (one, url)).unzip();
        let starts: Vec<&Url> = std::iter::once(&start).chain(urls).collect();
        timeout(LOGIN_TIMEOUT, async {
            tokio::select! {
                stored = sidecar.wait_for_stored_login(&store, before.as_ref()) => stored,
                pasted = self.next_paste(&mut waiting, &attempts, &starts) => {
                    self.finish(pasted?, &store).await
                }
            }
        })
        .await
        .unwrap_or(Err(LoginError::Timeout))
    }

    /// Ends a login with what was pasted.
    async fn finish(
        &self,
        (attempt, authorized): (&Attempt, Authorized),
        store: &Arc<dyn Store>,
    ) -> Result<(), LoginError> {
        let exchanged = self.exchange(attempt, &authorized, store).await;
        exchanged.map_err(LoginError::Exchange)
    }

    async fn exchange(
        &self,
        attempt: &Attempt,
        authorized: &Authorized,
        store: &Arc<dyn Store>,
    ) -> Result<(), ExchangeError> {
        let (login, clock) = self.place.grant_in(store);
        let receiver = TokenReceiver::Store(&login);
        // Boxed: its future is large.
        let provider = self.place.provider;
        Box::pin(exchange_code(
            receiver, provider, clock, attempt, authorized,
        ))
        .await
    }

    /// Signs in with the configured account, without a browser.
    pub(super) async fn log_in_by_account(&self) -> Result<(), LoginError> {
        let store = self.place.open_kept().await?;
        let (login, clock) = self.place.grant_in(&store);
        sign_in(TokenReceiver::Store(&login), self.place.provider, clock)
            .await
            .map_err(LoginError::Exchange)
    }

    /// Shows a code and the address to confirm it at, and waits until the person has done so (RFC 8628).
    pub(super) async fn log_in_by_device(&self) -> Result<(), LoginError> {
        let store = self.place.open_kept().await?;
        let (login, clock) = self.place.grant_in(&store);
        let endpoint = TokenEndpoint::new(self.place.provider.clone(), clock.clone());
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
        let minutes = device.lifetime.as_secs().div_ceil(60);
        print_diagnostic(&format!("Waiting for at most {minutes} min.\n"));
        let _waiting = Waiting::start("waiting until the code is confirmed");
        // Boxed as above.
        let confirmed = confirm(TokenReceiver::Store(&login), &endpoint, clock, device);
        Box::pin(confirmed).await.map_err(LoginError::Device)
    }

    fn new_attempt(&self, uri: Option<&RedirectUri>) -> Result<Attempt, LoginError> {
        Attempt::new(self.place.provider, uri)
            .map_err(|error| LoginError::System(io::Error::other(error.to_string())))
    }

    /// An attempt, and the address to begin it at.
    async fn printable_attempt(&self, uri: &RedirectUri) -> Result<(Attempt, Url), LoginError> {
        let attempt = self.new_attempt(Some(uri))?;
        let url = self.authorization_url(&attempt).await?;
        Ok((attempt, url))
    }

    /// The attempt for the browser that this command opens, and its start.
    ///
    /// The printed address has an attempt of its own: a person may open it in any browser, which has no cookie.
    async fn opened_attempt(
        &self,
        uri: &RedirectUri,
    ) -> Result<(Attempt, Arc<BrowserStart>), LoginError> {
        let (attempt, url) = self.printable_attempt(uri).await?;
        let start = BrowserStart::new(&attempt, url, uri.url().path());
        Ok((attempt, start.map_err(LoginError::System)?))
    }

    async fn authorization_url(&self, attempt: &Attempt) -> Result<Url, LoginError> {
        let endpoint = TokenEndpoint::new(self.place.provider.clone(), Arc::new(SystemClock));
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
