//! What keeps one provider's login alive: the record in force, and the same in the store.
//!
//! Whoever spends or replaces a refresh token holds the store's lock from reading the record to having it replaced, so
//! that no two processes spend the same one. What could not be written stays in force in memory, and the lock with
//! it: nobody else is to spend what is spent already.

mod session;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

pub(super) use self::session::{Means, Session};
use super::{
    access_token::{AccessToken, State as TokenState},
    refresher::random,
    schedule::Deadlines,
    store::{Access, Lock, Record, Store, StoreError},
};
use crate::{
    clock::{BootInstant, Clock},
    oauth::{provider::Provider, response::Issued},
    secret::Secret,
};

/// The pause between two tries for a lock that somebody else has.
const PAUSE: Duration = Duration::from_millis(50);
/// A lock is waited for no shorter than this.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(30);
/// What the disk may take beside a request and its repetition.
const WORK: Duration = Duration::from_secs(10);

/// How often writing is tried at the end, and the pause between two tries.
const LAST_TRIES: u32 = 5;
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// A disk that has not answered by then hangs, as one of the network's may for ever.
const LONGEST_WORK: Duration = Duration::from_secs(20);

/// One provider's login, in memory and in the store. Needs no refresher: a command that logs in makes its own.
pub struct Login {
    provider: Arc<Provider>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
    has_refresh_token: AtomicBool,
}

#[derive(Default)]
struct Kept {
    /// What is in force.
    record: Option<Record>,
    /// What the store holds, as far as we know; another one when writing failed.
    stored: Option<Record>,
    /// Kept beyond a session only while the two differ.
    lock: Option<Box<dyn Lock>>,
}

/// What a look at the store found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// What was known already.
    Same,
    /// Something else: another process renewed, logged in or out.
    Changed,
    /// What could not be written before is written now.
    Saved,
}

impl Login {
    /// The login of `provider` that `store` keeps; nothing is read yet.
    pub fn new(provider: Arc<Provider>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            provider,
            store,
            clock,
            kept: Mutex::default(),
            has_refresh_token: AtomicBool::new(false),
        }
    }

    /// Makes sure that a login can be recorded, before the code for it is spent. Nobody else can change the login until
    /// what this gives is dropped.
    ///
    /// # Errors
    /// The store cannot be used: the code is better not spent.
    pub async fn prepare(&self) -> Result<Prepared<'_>, StoreError> {
        let mut session = self.session().await?;
        session.read().await?;
        session.prepare().await?;
        Ok(Prepared {
            login: self,
            session,
        })
    }

    /// What a command does that logs in and ends, in one.
    #[cfg(test)]
    pub(super) async fn log_in(&self, issued: Issued) -> Result<Option<AccessToken>, StoreError> {
        let made = self.prepare().await?.log_in(issued).await;
        made.unsaved.map_or(Ok(made.token), Err)
    }

    /// Writes a refresh token that is in memory alone, if there is one, and tries that a few times, for two seconds beside
    /// what the disk takes: nobody will after this.
    ///
    /// # Errors
    /// It cannot be written: the login is lost with the process.
    pub async fn save_at_last(&self) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let Err(error) = self.save_now().await else {
                return Ok(());
            };
            tries += 1;
            if tries == LAST_TRIES {
                return Err(error);
            }
            self.clock.sleep_until(self.clock.now() + LAST_PAUSE).await;
        }
    }

    async fn save_now(&self) -> Result<(), StoreError> {
        let kept = self.kept.lock().await;
        if !self.is_at_risk(&kept) {
            return Ok(());
        }
        let mut session = Session::new(self, kept);
        if session.has_lock() {
            return session.save().await;
        }
        session.lock().await?;
        session.read().await
    }

    /// Whether a refresh token is in memory alone.
    fn is_at_risk(&self, kept: &Kept) -> bool {
        let token = |record: &Option<Record>| {
            record
                .as_ref()
                .and_then(|record| record.refresh_token.clone())
        };
        let ours = token(&kept.record);
        let is_configured = || self.configured().map(|(token, _)| token) == ours;
        ours.is_some() && ours != token(&kept.stored) && !is_configured()
    }

    /// Forgets the login, in the store too, and gives back the refresh token, so that it can be revoked (RFC 7009).
    ///
    /// # Errors
    /// The store cannot be used; then nothing has changed.
    pub async fn log_out(&self) -> Result<Option<Secret>, StoreError> {
        let mut session = self.session().await?;
        session.read().await?;
        session.log_out().await
    }

    /// Whether there is a refresh token that was not refused, as far as the store was read.
    pub fn has_refresh_token(&self) -> bool {
        self.has_refresh_token.load(Ordering::Relaxed)
    }

    /// The right to change the login; waits for whoever has it, as long as a request of theirs may take in each of two
    /// places: a task of this process, and other processes.
    pub(super) async fn session(&self) -> Result<Session<'_>, StoreError> {
        let kept = tokio::time::timeout(self.patience(), self.kept.lock())
            .await
            .map_err(|_| StoreError::Locked)?;
        let mut session = Session::new(self, kept);
        session.lock().await?;
        Ok(session)
    }

    /// For whoever holds the lock: a request, its repetition, and the disk's work.
    fn patience(&self) -> Duration {
        (self.provider.token_request.timeout * 2 + WORK).max(SHORTEST_PATIENCE)
    }

    /// The access token that the store holds, if it may still be used, and if no more has to be known to use it.
    /// Takes no lock and changes nothing.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(super) async fn peek(&self) -> Result<Option<AccessToken>, StoreError> {
        let mut kept = self.kept.lock().await;
        let stored = self.load().await?;
        kept.stored.clone_from(&stored);
        kept.record = stored;
        self.tell(&kept);
        let record = kept
            .record
            .as_ref()
            .filter(|record| !record.refused && !self.is_reconfigured(record));
        Ok(record.and_then(|record| self.usable(record)))
    }

    /// Takes the access token `refused`, which an upstream refused, off the record, so that no start takes it up again. Waits
    /// for nobody who has the store's lock.
    ///
    /// Where another process has changed the record since, it is left alone: a look tells of that, and the attempt that
    /// comes of it gives up the token too.
    ///
    /// # Errors
    /// It cannot be written, or somebody has the lock. The login stays as it is.
    pub(super) async fn give_up(&self, refused: &Secret) -> Result<(), StoreError> {
        let kept = self.kept.lock().await;
        if !kept
            .record
            .as_ref()
            .is_some_and(|record| record.has_access(refused))
        {
            return Ok(());
        }
        let mut session = Session::new(self, kept);
        if session.is_unsaved() {
            return session.give_up(refused).await;
        }
        if !session.try_lock().await? {
            return Err(StoreError::Locked);
        }
        if session.is_up_to_date().await? {
            session.give_up(refused).await
        } else {
            Ok(())
        }
    }

    /// Looks whether the store holds something new, and writes what could not be written before.
    ///
    /// # Errors
    /// The record cannot be read or written; what is in force stays in force.
    pub(super) async fn look(&self) -> Result<Look, StoreError> {
        let mut kept = self.kept.lock().await;
        if kept.record == kept.stored {
            let stored = self.load().await?;
            if stored == kept.stored {
                return Ok(Look::Same);
            }
            let (Some(now), Some(before)) = (&stored, &kept.stored) else {
                return Ok(Look::Changed);
            };
            if !now.only_lost_access(before) {
                return Ok(Look::Changed);
            }
            // Another process's upstream refused the token: there is nothing to take up, and nothing to ask for.
            kept.record.clone_from(&stored);
            kept.stored = stored;
            return Ok(Look::Same);
        }
        if kept.lock.is_none() {
            // The lock was lost to a disk that hangs. A session takes it again, and reads first.
            return Ok(Look::Changed);
        }
        let mut session = Session::new(self, kept);
        session.save().await?;
        Ok(Look::Saved)
    }

    /// A configured refresh token that was never taken into use: whoever changed it wants it used. One that another
    /// client was to use, and could not, is as good as that.
    fn is_reconfigured(&self, record: &Record) -> bool {
        self.configured().is_some_and(|(token, digest)| {
            let unspent = || record.refused || record.refresh_token.as_ref() == Some(&token);
            !record.has_taken(&digest) || (self.is_of_another_client(record) && unspent())
        })
    }

    /// Whether the refresh token on record was issued to another client, or by another server: it is not to be shown to
    /// this one.
    fn is_of_another_client(&self, record: &Record) -> bool {
        record
            .client
            .as_ref()
            .is_some_and(|theirs| *theirs != client(&self.provider))
    }

    /// The configured first refresh token, and its digest.
    fn configured(&self) -> Option<(Secret, String)> {
        let secret = Secret::clone(&*self.provider.refresh_token.as_ref()?.current());
        let digest = secret.digest();
        Some((secret, digest))
    }

    /// The access token in `record` with its deadlines, if it may be used now.
    fn usable(&self, record: &Record) -> Option<AccessToken> {
        let access = record
            .access
            .as_ref()
            .filter(|access| access.settings == settings(&self.provider))?;
        let now = self.clock.now();
        let asked_at = access.requested_at(now, self.clock.wall())?;
        let deadlines = Deadlines::new(
            asked_at,
            access.lifetime(),
            self.provider.refresh_before,
            random(),
        );
        let token = AccessToken::new(access.token.clone(), deadlines, &*self.clock);
        (token.state(now) != TokenState::Expired).then_some(token)
    }

    fn access(&self, token: Secret, lifetime: Duration, asked_at: BootInstant) -> Access {
        Access::new(
            token,
            settings(&self.provider),
            asked_at,
            lifetime,
            self.clock.now(),
            self.clock.wall(),
        )
    }

    async fn load(&self) -> Result<Option<Record>, StoreError> {
        let (store, provider) = (self.store.clone(), self.provider.clone());
        aside(move || store.load(&provider.name)).await?
    }

    fn tell(&self, kept: &Kept) {
        let has = kept
            .record
            .as_ref()
            .is_some_and(|record| record.usable_refresh_token().is_some());
        self.has_refresh_token.store(has, Ordering::Relaxed);
    }
}

/// The right to record a login, with a store that can take it.
pub struct Prepared<'a> {
    login: &'a Login,
    session: Session<'a>,
}

/// A login that is in force.
#[derive(Debug)]
pub struct LoggedIn {
    /// Its access token, where that is still good.
    pub token: Option<AccessToken>,
    /// Whether it brought a refresh token. One that did not ends with its access token.
    pub lasts: bool,
    /// Why it could not be written, and is in memory alone.
    pub unsaved: Option<StoreError>,
}

impl Prepared<'_> {
    /// Records a login: when this returns without `unsaved`, it outlives the process.
    ///
    /// It replaces whatever there was, the refresh token too where it brings none: whether that was the same account's
    /// cannot be told, and who logs in as somebody else is not to act for the one before.
    ///
    /// The lifetime is counted as if the exchange had taken as long as it may, up to a tenth of it: how long it took
    /// is not known here, and a token is rather given up too early than too late.
    pub async fn log_in(&mut self, issued: Issued) -> LoggedIn {
        let Self { login, session } = self;
        let took = login
            .provider
            .token_request
            .timeout
            .min(issued.lifetime / 10);
        let unsaved = session
            .renewed(&issued, login.clock.now() - took, false)
            .await
            .err();
        LoggedIn {
            token: session.token(),
            lasts: issued.refresh_token.is_some(),
            unsaved,
        }
    }
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("login", self.login)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("provider", &self.provider.name)
            .finish_non_exhaustive()
    }
}

/// Does what may block on a thread of its own. It is done even if nobody waits for it any more.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::time::timeout(LONGEST_WORK, tokio::task::spawn_blocking(work)).await;
    done.map_err(|_| StoreError::Slow)?
        .map_err(|_| StoreError::Interrupted)
}

/// The name of a new login. It guards nothing: where the system has no randomness to give, the time of day will do.
fn identity() -> String {
    let bits = getrandom::u64().unwrap_or_else(|_| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        since.as_nanos() as u64
    });
    format!("{bits:016x}")
}

/// The record without its access token. It needs a name for that, or it could be taken for one that somebody ended.
fn without_access(record: Record) -> Record {
    let login = record.login.clone().or_else(|| Some(identity()));
    Record {
        login,
        access: None,
        ..record
    }
}

/// A digest of the settings that an access token depends on. The secret is not among them: a new one makes the token
/// no worse.
fn settings(provider: &Provider) -> String {
    let mut parts = vec![provider.token_endpoint.as_str(), &provider.client_id];
    let mut add = |text| parts.push(text);
    add(provider.scope.as_deref().unwrap_or_default());
    for (name, value) in &provider.token_request.params {
        add(name);
        add(value);
    }
    if let Some(authorization) = &provider.authorization {
        for (name, value) in &authorization.params {
            add(name);
            add(value);
        }
    }
    if let Some(sign_in) = &provider.sign_in {
        add(&sign_in.email);
    }
    digest(&parts)
}

/// A digest of what a refresh token is bound to (RFC 6749 §6): whoever it was issued by and to.
fn client(provider: &Provider) -> String {
    digest(&[provider.token_endpoint.as_str(), &provider.client_id])
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
