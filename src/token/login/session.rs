//! The right to change a login, from reading it to having it replaced.

use tokio::sync::MutexGuard;

use super::{Kept, Login, PAUSE, aside};
use crate::{
    clock::BootInstant,
    oauth::response::Issued,
    secret::Secret,
    token::{
        access_token::AccessToken,
        store::{Lock, Record, StoreError},
    },
};

/// The login of one provider, while nobody else can change it: no task and, by the store's lock, no process.
pub(in crate::token) struct Session<'a> {
    login: &'a Login,
    kept: MutexGuard<'a, Kept>,
    /// The record that was read is one of the login that was in force before.
    continues: bool,
}

/// What the next token can be asked for with.
pub(in crate::token) enum Means {
    /// RFC 6749 §6.
    RefreshToken(Secret),
    /// The one there was is refused for good.
    Refused,
    /// There is one that another client, or another server, issued.
    OtherClient,
    /// There was a login, and somebody ended it.
    Forgotten,
    /// There was none, or one that brought no refresh token.
    Nothing,
}

impl<'a> Session<'a> {
    pub(super) fn new(login: &'a Login, kept: MutexGuard<'a, Kept>) -> Self {
        Self {
            login,
            kept,
            continues: false,
        }
    }

    /// Takes the store's lock, unless it was kept.
    pub(super) async fn lock(&mut self) -> Result<(), StoreError> {
        let tries = self.login.patience().as_millis() / PAUSE.as_millis();
        for attempt in 0..tries {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            if self.try_lock().await? {
                return Ok(());
            }
        }
        Err(StoreError::Locked)
    }

    /// The same without a wait; tells whether the lock is ours.
    pub(super) async fn try_lock(&mut self) -> Result<bool, StoreError> {
        if self.kept.lock.is_none() {
            let (store, provider) = (self.login.store.clone(), self.login.provider.clone());
            self.kept.lock = aside(move || store.try_lock(&provider.name)).await??;
        }
        Ok(self.kept.lock.is_some())
    }

    /// Whether the store holds what it held when it was last read.
    pub(super) async fn is_up_to_date(&mut self) -> Result<bool, StoreError> {
        Ok(self.login.load().await? == self.kept.stored)
    }

    /// Reads the record again, now that it cannot change, and settles what is in force: what another process wrote, what
    /// could not be written before, or a configured refresh token that is new.
    ///
    /// # Errors
    /// It cannot be read, or what is in force cannot be written: nothing may be spent then.
    pub(in crate::token) async fn read(&mut self) -> Result<(), StoreError> {
        let stored = self.login.load().await?;
        let before = login_of(self.kept.record.as_ref());
        // A record that is gone was lost, not ended: a logout leaves one behind. Ours takes its place.
        if stored != self.kept.stored && stored.is_some() {
            self.kept.record.clone_from(&stored);
        }
        self.kept.stored = stored;
        let reconfigured = match &self.kept.record {
            Some(record) => self.login.is_reconfigured(record),
            None => true,
        };
        if reconfigured && let Some((refresh_token, digest)) = self.login.configured() {
            let login = Some(super::identity());
            let first = Record {
                refresh_token: Some(refresh_token),
                taken: self.taken_with(Some(&digest)),
                configured: Some(digest),
                client: Some(super::client(&self.login.provider)),
                login,
                ..Record::default()
            };
            self.kept.record = Some(first);
        }
        self.continues = before.is_some() && login_of(self.kept.record.as_ref()) == before;
        self.login.tell(&self.kept);
        if self.is_unsaved() {
            self.save().await
        } else {
            Ok(())
        }
    }

    /// Whether the record is one of the login that was in force before it was read.
    pub(in crate::token) fn continues(&self) -> bool {
        self.continues
    }

    /// The access token on record, if it may be used now.
    pub(in crate::token) fn token(&self) -> Option<AccessToken> {
        self.login.usable(self.kept.record.as_ref()?)
    }

    /// What the next token can be asked for with.
    pub(in crate::token) fn means(&self) -> Means {
        match &self.kept.record {
            Some(record) if !record.is_logged_out() && self.login.is_of_another_client(record) => {
                Means::OtherClient
            }
            Some(record) if record.refused => Means::Refused,
            Some(record) if record.is_logged_out() => Means::Forgotten,
            Some(Record {
                refresh_token: Some(refresh_token),
                ..
            }) => Means::RefreshToken(refresh_token.clone()),
            _ => Means::Nothing,
        }
    }

    /// Proves that the store can take a record.
    ///
    /// # Errors
    /// It cannot: nothing may be spent.
    pub(in crate::token) async fn prepare(&mut self) -> Result<(), StoreError> {
        self.with_lock(|lock| lock.reserve()).await
    }

    /// An answer came, to a refresh or to a login of our own. It is in force from here on, whether it can be written or
    /// not.
    ///
    /// # Errors
    /// It cannot be written now.
    pub(in crate::token) async fn renewed(
        &mut self,
        issued: &Issued,
        asked_at: BootInstant,
        refreshed: bool,
    ) -> Result<(), StoreError> {
        self.kept.record = Some(self.next(issued, asked_at, refreshed));
        self.login.tell(&self.kept);
        self.save().await
    }

    /// An answer came whose access token cannot be used, and whose refresh token replaces the one that was asked with.
    ///
    /// # Errors
    /// It cannot be written now; it is in force all the same.
    pub(in crate::token) async fn rotated(
        &mut self,
        refresh_token: &Secret,
    ) -> Result<(), StoreError> {
        if let Some(record) = &mut self.kept.record {
            record.refresh_token = Some(refresh_token.clone());
        }
        self.login.tell(&self.kept);
        self.save().await
    }

    /// The authorization server refused the refresh token for good.
    ///
    /// # Errors
    /// That cannot be written now.
    pub(in crate::token) async fn refused(&mut self) -> Result<(), StoreError> {
        if let Some(record) = &mut self.kept.record {
            record.refused = true;
        }
        self.login.tell(&self.kept);
        self.save().await
    }

    /// An upstream refused the access token `refused`: if it is the one on record, it is given up. What the next one is asked
    /// for with stays.
    ///
    /// # Errors
    /// That cannot be written; then the record stays in force as it was written.
    pub(in crate::token) async fn give_up(&mut self, refused: &Secret) -> Result<(), StoreError> {
        let Some(record) = self
            .kept
            .record
            .clone()
            .filter(|record| record.has_access(refused))
        else {
            return Ok(());
        };
        let without = super::without_access(record);
        if self.is_unsaved() {
            // It is tried again to write it; when it is written, then without.
            self.kept.record = Some(without);
            return Ok(());
        }
        self.replace(without).await
    }

    /// Ends the login. What is left behind tells that it was ended, not lost.
    ///
    /// # Errors
    /// That cannot be written; then it is not in force either.
    pub(super) async fn log_out(&mut self) -> Result<Option<Secret>, StoreError> {
        let Some(record) = self.kept.record.clone() else {
            return Ok(None);
        };
        let configured = self.login.configured().map(|(_, digest)| digest);
        let taken = record.taken_with(configured.as_deref());
        self.replace(Record {
            configured,
            taken,
            ..Record::default()
        })
        .await?;
        // Another server is not shown it, to revoke it neither.
        let is_ours = !self.login.is_of_another_client(&record);
        Ok(record.refresh_token.filter(|_| is_ours))
    }

    /// The record after an answer. One to a refresh that brings no refresh token keeps the old one (RFC 6749 §6).
    fn next(&self, issued: &Issued, asked_at: BootInstant, refreshed: bool) -> Record {
        let before = self.kept.record.as_ref().filter(|_| refreshed);
        let kept = || before.and_then(|record| record.refresh_token.clone());
        let configured = match before {
            // The configured one may have changed since: then this derives from the one before.
            Some(record) => record.configured.clone(),
            None => self.login.configured().map(|(_, digest)| digest),
        };
        Record {
            refresh_token: issued.refresh_token.clone().or_else(kept),
            refused: false,
            taken: self.taken_with(configured.as_deref()),
            configured,
            client: Some(super::client(&self.login.provider)),
            // A record of a version that named none gets a name here.
            login: before
                .and_then(|record| record.login.clone())
                .or_else(|| Some(super::identity())),
            access: Some(
                self.login
                    .access(issued.access_token.clone(), issued.lifetime, asked_at),
            ),
        }
    }

    fn taken_with(&self, configured: Option<&str>) -> Vec<String> {
        self.kept.record.as_ref().map_or_else(
            || Record::default().taken_with(configured),
            |it| it.taken_with(configured),
        )
    }

    async fn replace(&mut self, record: Record) -> Result<(), StoreError> {
        let written = record.clone();
        self.with_lock(move |lock| lock.save(&written)).await?;
        self.kept.stored = Some(record.clone());
        self.kept.record = Some(record);
        self.login.tell(&self.kept);
        Ok(())
    }

    /// Writes what is in force.
    pub(super) async fn save(&mut self) -> Result<(), StoreError> {
        let Some(record) = self.kept.record.clone() else {
            return Ok(());
        };
        self.replace(record).await
    }

    pub(super) fn has_lock(&self) -> bool {
        self.kept.lock.is_some()
    }

    pub(super) fn is_unsaved(&self) -> bool {
        self.kept.record != self.kept.stored
    }

    async fn with_lock<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut dyn Lock) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut lock = self.kept.lock.take().ok_or(StoreError::Interrupted)?;
        let (lock, done) = aside(move || {
            let done = work(&mut *lock);
            (lock, done)
        })
        .await?;
        self.kept.lock = Some(lock);
        done
    }
}

/// The lock goes with the session, unless there is something that only we know.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.is_unsaved() {
            self.kept.lock = None;
        }
    }
}

/// The name of the login in a record, if there is a record.
fn login_of(record: Option<&Record>) -> Option<Option<String>> {
    record.map(|record| record.login.clone())
}
