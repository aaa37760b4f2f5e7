//! `bearward login`: a person's consent, from the command line.
//!
//! The address to open goes to standard output, alone on its line, and so does the result; what is said beside them goes
//! to standard error.

mod browser;
mod loopback;
mod paste;
mod sidecar;

use std::{fmt, io, process::ExitCode, sync::Arc};

use tokio::time::timeout;
use url::Url;

use self::loopback::{Arrival, Loopback};
use super::{
    complain, configured, print, print_diagnostic,
    run::on_control_thread,
    status::{KEY_VARIABLE, StatusError},
};
use crate::{
    admin::{
        kept::Kept,
        login::{self, LIFETIME, Outcome, redirect},
    },
    clock::{Clock, SystemClock},
    config::Config,
    oauth::{
        authorization::{self, Attempt, CallbackError},
        endpoint::TokenEndpoint,
        error::TokenRequestError,
        provider::{GrantType, Provider},
        redirect_uri::RedirectUri,
    },
    secret::Secret,
    token::{
        grant::StoredGrant,
        store::{Record, Store, StoreError, StoreLocation},
    },
};

/// Log in at a provider and store its refresh token
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    provider: configured::Arguments,
    /// Read the address that the browser was sent back to, or the bare code, from standard input
    #[arg(long)]
    paste: bool,
    /// Open no browser
    #[arg(long)]
    no_browser: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (config, provider) = match configured::read(&arguments.provider) {
        Ok(found) => found,
        Err(status) => return status,
    };
    match on_control_thread(async { Ok(log_in(arguments, &config, &provider).await) }) {
        Ok(Ok(())) => print("logged in\n", ExitCode::SUCCESS),
        Ok(Err(error)) => {
            complain(&format!("{}: {error}", provider.name));
            ExitCode::FAILURE
        }
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn log_in(
    arguments: &Arguments,
    config: &Config,
    provider: &Arc<Provider>,
) -> Result<(), LoginError> {
    if !login::is_possible(provider) {
        return Err(LoginError::Impossible(reason(provider)));
    }
    let admin = config.admin.as_ref().map(|admin| &admin.listen);
    let uri = redirect::uri_for(provider, admin);
    let key = config
        .admin
        .as_ref()
        .and_then(|admin| Some(Secret::clone(&*admin.key.as_ref()?.current())));
    let key = key.or_else(|| std::env::var(KEY_VARIABLE).ok().map(Secret::new));
    let session = Session {
        provider,
        location: &config.store,
        key,
        opens_browser: !arguments.no_browser,
    };
    let uri = match uri {
        Some(uri) if !arguments.paste => uri,
        // A port that the system chooses leads nowhere before it has.
        uri => {
            return session
                .by_paste(uri.filter(|uri| uri.url().port() != Some(0)).as_ref())
                .await;
        }
    };
    // A sidecar that others can reach is not bound to an address of loopback, and is found by its own.
    let of_admin = admin
        .and_then(redirect::default_uri)
        .is_some_and(|default| default.url() == uri.url());
    if !redirect::is_loopback(uri.url()) {
        return match of_admin && sidecar::answers(uri.url()).await {
            true => session.by_sidecar(uri.url()).await,
            false => session.by_paste(Some(&uri)).await,
        };
    }
    match Loopback::bind(&uri).await {
        Ok(loopback) => session.by_callback(loopback).await,
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && uri.url().path() == redirect::CALLBACK =>
        {
            match sidecar::answers(uri.url()).await {
                true => session.by_sidecar(uri.url()).await,
                false => Err(LoginError::Listen(uri, error)),
            }
        }
        Err(error) => Err(LoginError::Listen(uri, error)),
    }
}

fn reason(provider: &Provider) -> &'static str {
    match provider.grant_type {
        GrantType::ClientCredentials => {
            "its grant_type is client_credentials, for which nobody logs in"
        }
        GrantType::RefreshToken => "its refresh token is given by the configuration",
        GrantType::AuthorizationCode => "it has no authorization_endpoint, and signs in by itself",
    }
}

/// One login, by whichever way it comes back.
struct Session<'a> {
    provider: &'a Arc<Provider>,
    location: &'a StoreLocation,
    /// `[admin] key`, or what stands for it in the environment, for a sidecar that has to be asked.
    key: Option<Secret>,
    opens_browser: bool,
}

impl Session<'_> {
    /// The browser comes back to a listener of ours.
    async fn by_callback(&self, loopback: Loopback) -> Result<(), LoginError> {
        let store = self.store().await?;
        let attempt = self.attempt(Some(loopback.uri()))?;
        let (mut arrivals, serving) = loopback.serve();
        self.send_out(&attempt)?;
        let ended = timeout(LIFETIME, async {
            while let Some(Arrival { query, reply }) = arrivals.recv().await {
                let (outcome, ended) = self.arrived(&attempt, &query, &store).await;
                // A browser that has gone does not miss its page.
                let _ = reply.send(outcome);
                if let Some(ended) = ended {
                    return ended;
                }
            }
            Err(LoginError::Late)
        });
        let ended = ended.await.unwrap_or(Err(LoginError::Late));
        serving.finish().await;
        ended
    }

    /// What to show to a browser, and how the login ended, if this ends it: what is forged does not.
    async fn arrived(
        &self,
        attempt: &Attempt,
        query: &str,
        store: &Arc<dyn Store>,
    ) -> (Outcome, Option<Result<(), LoginError>>) {
        let name = &self.provider.name;
        let code = match attempt.read_callback(self.provider, query) {
            Ok(code) => code,
            Err(CallbackError::State | CallbackError::Repeated | CallbackError::TooLong) => {
                return (Outcome::unknown(), None);
            }
            Err(error) => {
                return (
                    Outcome::declined(name, &error),
                    Some(Err(LoginError::Callback(error))),
                );
            }
        };
        let ended = self.exchange(attempt, &code, store).await;
        let outcome = match &ended {
            Ok(()) => Outcome::logged_in(name),
            Err(LoginError::WithoutRefreshToken) => Outcome::without_refresh_token(name),
            Err(LoginError::Exchange(error)) => Outcome::not_exchanged(name, error),
            Err(error) => Outcome::not_stored(name, error),
        };
        (outcome, Some(ended))
    }

    /// A person brings what the browser came back with.
    async fn by_paste(&self, uri: Option<&RedirectUri>) -> Result<(), LoginError> {
        let store = self.store().await?;
        let attempt = self.attempt(uri)?;
        self.send_out(&attempt)?;
        print_diagnostic(
            "Then paste the address that the browser was sent back to, or the code alone:\n",
        );
        let pasted = timeout(LIFETIME, paste::line())
            .await
            .map_err(|_| LoginError::Late)?;
        let pasted = pasted.map_err(LoginError::Paste)?;
        let code = attempt
            .read_pasted(self.provider, &pasted)
            .map_err(LoginError::Callback)?;
        self.exchange(&attempt, &code, &store).await
    }

    /// The browser comes back to a sidecar that runs.
    async fn by_sidecar(&self, uri: &Url) -> Result<(), LoginError> {
        let mut address = uri.clone();
        address.set_path(&format!(
            "/login/{}",
            crate::admin::segment::encoded(&self.provider.name)
        ));
        address.set_query(None);
        let what = "A sidecar is running that takes the login. Open this address in a browser:";
        let name = &self.provider.name;
        let sidecar = sidecar::Asked::new(uri, self.key.clone(), name.clone());
        let sidecar = sidecar.ok_or(LoginError::OtherSidecar("cannot be asked by its address"))?;
        if *self.location == StoreLocation::Memory {
            sidecar.check(self.location).await?;
            let had_one = sidecar.has_login().await?;
            self.show(what, &address);
            if had_one {
                return Err(LoginError::Elsewhere);
            }
            return timeout(LIFETIME, sidecar.arrival())
                .await
                .unwrap_or(Err(LoginError::Late));
        }
        let store = self.store().await?;
        sidecar.check(self.location).await?;
        let before = load(&store, name).await?;
        self.show(what, &address);
        timeout(LIFETIME, sidecar.arrival_in(&store, before.as_ref()))
            .await
            .unwrap_or(Err(LoginError::Late))
    }

    async fn exchange(
        &self,
        attempt: &Attempt,
        code: &Secret,
        store: &Arc<dyn Store>,
    ) -> Result<(), LoginError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let endpoint = TokenEndpoint::new(self.provider.clone(), clock.clone());
        let grant = StoredGrant::new(self.provider.clone(), store.clone(), clock);
        // Before the code is spent: it is good once.
        let mut prepared = grant.prepare_login().await.map_err(LoginError::Store)?;
        let issued = authorization::exchange(&endpoint, attempt, code)
            .await
            .map_err(LoginError::Exchange)?;
        let login = prepared.record(issued).await;
        drop(prepared);
        if login.unsaved.is_some() {
            grant.save_before_exit().await.map_err(LoginError::Lost)?;
        }
        if login.has_refresh_token {
            Ok(())
        } else {
            Err(LoginError::WithoutRefreshToken)
        }
    }

    /// The store, which is known to be usable before anybody is sent anywhere.
    async fn store(&self) -> Result<Arc<dyn Store>, LoginError> {
        if *self.location == StoreLocation::Memory {
            return Err(LoginError::NothingKept);
        }
        let store = configured::store(self.location)
            .await
            .map_err(LoginError::Store)?;
        load(&store, &self.provider.name).await?;
        Ok(store)
    }

    fn attempt(&self, uri: Option<&RedirectUri>) -> Result<Attempt, LoginError> {
        Attempt::new(self.provider, uri)
            .map_err(|error| LoginError::System(io::Error::other(error.to_string())))
    }

    fn send_out(&self, attempt: &Attempt) -> Result<(), LoginError> {
        let url = attempt
            .url(self.provider)
            .ok_or(LoginError::Impossible("it has no authorization_endpoint"))?;
        self.show("Open this address in a browser and log in there:", &url);
        Ok(())
    }

    fn show(&self, what: &str, url: &Url) {
        print_diagnostic(&format!("{what}\n\n"));
        // Whether anybody reads it shows when a login comes, or none does.
        print(&format!("{url}\n"), ExitCode::SUCCESS);
        print_diagnostic("\n");
        if self.opens_browser {
            browser::open(url.as_str());
        }
    }
}

async fn load(store: &Arc<dyn Store>, provider: &Arc<str>) -> Result<Option<Record>, LoginError> {
    let (store, provider) = (store.clone(), provider.clone());
    let loaded = tokio::task::spawn_blocking(move || store.load(&provider)).await;
    loaded
        .map_err(|error| LoginError::System(error.into()))?
        .map_err(LoginError::Store)
}

/// Why nobody is logged in.
#[derive(Debug)]
enum LoginError {
    Impossible(&'static str),
    NothingKept,
    Elsewhere,
    /// A sidecar has the address of the callback, and cannot be asked.
    Sidecar(StatusError),
    /// The same, and it is another one than the configuration describes; the text says what it is or has.
    OtherSidecar(&'static str),
    /// It keeps its logins elsewhere, where the configuration would not find one.
    OtherStore {
        theirs: Box<Kept>,
        ours: Box<Kept>,
    },
    /// It has ended.
    Gone,
    Listen(RedirectUri, io::Error),
    Late,
    Paste(io::Error),
    Callback(CallbackError),
    Exchange(TokenRequestError),
    Store(StoreError),
    Lost(StoreError),
    WithoutRefreshToken,
    System(io::Error),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impossible(why) => write!(f, "there is no login: {why}"),
            Self::NothingKept => f.write_str(
                "the configuration keeps logins in memory ([store] kind), where no other process finds this one; \
                 open /login/ on the admin listener of the sidecar instead",
            ),
            Self::Elsewhere => f.write_str(
                "the sidecar has a login already and keeps it in memory, so whether another one comes cannot be seen from \
                 here; the browser shows it",
            ),
            Self::Sidecar(error) => write!(
                f,
                "a sidecar has the address of redirect_uri, and cannot be asked about the login: {error}; with --paste it \
                 need not be"
            ),
            Self::OtherSidecar(what) => write!(
                f,
                "the sidecar that has the address of redirect_uri runs with another configuration than this one: it {what}; \
                 restart it with this one, or log in with --paste"
            ),
            Self::OtherStore { theirs, ours } => write!(
                f,
                "the sidecar that has the address of redirect_uri keeps its logins in {theirs}, this configuration in {ours}; \
                 log in with the sidecar's own configuration, or make [store] the same and restart it"
            ),
            Self::Gone => f.write_str(
                "the sidecar that was to take the login has ended, and the login with it if it was under way; run the \
                 command again",
            ),
            Self::Listen(uri, error) => write!(
                f,
                "cannot listen on the address of redirect_uri {}: {error}; with --paste nothing has to listen there",
                uri.as_str()
            ),
            Self::Late => write!(
                f,
                "no login came within {} minutes: if the browser showed an error, that says why; run the command again",
                LIFETIME.as_secs() / 60
            ),
            Self::Paste(error) => write!(f, "standard input: {error}"),
            Self::Callback(error) => error.fmt(f),
            Self::Exchange(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Lost(error) => write!(f, "the login came, but could not be stored, and is lost: {error}"),
            Self::WithoutRefreshToken => f.write_str(login::WITHOUT_REFRESH_TOKEN),
            Self::System(error) => error.fmt(f),
        }
    }
}
