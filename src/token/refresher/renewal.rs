//! One attempt of a grant that lives on refresh tokens. From reading the record to having the next one written nobody else
//! can spend what is spent here.

use super::{Cause, Outcome, Refresher};
use crate::{
    clock::BootInstant,
    oauth::{
        error::{Fault, Refusal, TokenRequestError},
        grant::Grant,
        response::Issued,
        sign_in,
    },
    secret::Secret,
    token::{
        access_token::{AccessToken, State},
        credential::Begun,
        login::{Login, Means, Session},
        store::StoreError,
    },
};

/// What becomes of a good token in the store.
#[derive(Debug, PartialEq, Eq)]
enum Take {
    /// It takes the place of the one in hand, if there is one.
    Adopt,
    /// It is the one in hand, whose renewal is not due and which nobody wants replaced.
    Keep,
    /// Another is wanted.
    Replace,
}

impl Refresher {
    /// Makes the store's token the one in hand, or asks for another. The store is read first: another process may have
    /// renewed, logged in or out.
    pub(super) async fn renew(&mut self, login: &Login, begun: &Begun) -> Result<Outcome, Cause> {
        let mut progress = self.credential.watch();
        let mut session = tokio::select! {
            biased;
            session = login.session() => session?,
            // Nothing is in flight yet: whoever wants this to end need not wait for what another process does.
            _ = progress.wait_for(|progress| progress.stopping) => return Err(Cause::Store(StoreError::Interrupted)),
        };
        session.read().await?;
        if let Some(refused) = &begun.discarded
            && let Err(error) = session.give_up(refused).await
        {
            // Not reason enough to go without another.
            self.stays_on_record(refused, &error);
        }
        let signs_in = self.credential.provider().sign_in.is_some();
        let stored = session.token();
        let taken = take(
            stored.as_ref(),
            session.continues(),
            begun,
            self.credential.clock().now(),
        );
        let means = session.means();
        match (&means, taken, stored) {
            // The last one of a login that is over.
            (Means::Refused | Means::Forgotten | Means::OtherClient, _, _) => {}
            (_, Take::Adopt, Some(token)) => return Ok(Outcome::Adopted(token)),
            (_, Take::Keep, _) => return Ok(Outcome::Kept),
            _ => {}
        }
        match means {
            Means::RefreshToken(refresh_token) => self.refresh(&mut session, &refresh_token).await,
            Means::Nothing | Means::Refused | Means::OtherClient if signs_in => {
                self.sign_in(&mut session).await
            }
            // What somebody ended is taken up again by the next start, not at once.
            Means::Forgotten if signs_in && !self.started => self.sign_in(&mut session).await,
            Means::Forgotten => Ok(Outcome::LoginRequired {
                refused: None,
                last: None,
                forget: true,
            }),
            Means::OtherClient => Ok(Outcome::OtherClient),
            Means::Refused => {
                let refused = Some(TokenRequestError::new(Fault::Refused(
                    Refusal::InvalidGrant,
                )));
                let last = session
                    .token()
                    .filter(|_| begun.in_hand.is_none() && begun.discarded.is_none());
                Ok(Outcome::LoginRequired {
                    refused,
                    last,
                    forget: false,
                })
            }
            Means::Nothing => Ok(Outcome::LoginRequired {
                refused: None,
                last: None,
                forget: false,
            }),
        }
    }

    /// RFC 6749 §6.
    async fn refresh(
        &self,
        session: &mut Session<'_>,
        refresh_token: &Secret,
    ) -> Result<Outcome, Cause> {
        session.prepare().await?;
        let grant = Grant::RefreshToken { refresh_token };
        let (mut answer, mut asked_at) = self.ask(grant).await;
        if answer
            .as_ref()
            .is_err_and(TokenRequestError::may_have_been_received)
        {
            // The token may be spent and its successor lost. Many servers let a client that asks again at once have it.
            tracing::warn!(provider = %self.credential.name(), "token.answer_lost: asking once more");
            (answer, asked_at) = self.ask(grant).await;
        }
        match answer {
            Ok(issued) => self.issued(session, issued, asked_at, true).await,
            Err(error) if error.refusal() == Some(Refusal::InvalidGrant) => {
                self.refused(session, error).await
            }
            Err(error) => {
                if let Some(refresh_token) = error.refresh_token() {
                    // Whatever is wrong with the access token beside it, the one that was asked with is spent.
                    session.rotated(refresh_token).await.map_err(Cause::Store)?;
                }
                Err(Cause::Request(error))
            }
        }
    }

    /// The refresh token is of no use any more. That is final, and outlives the process.
    async fn refused(
        &self,
        session: &mut Session<'_>,
        error: TokenRequestError,
    ) -> Result<Outcome, Cause> {
        if let Err(error) = session.refused().await {
            // A restart would spend a request on finding out again, no more.
            tracing::error!(provider = %self.credential.name(), %error, "store.unsaved: a refresh token was refused for good");
        }
        if self.credential.provider().sign_in.is_some() {
            tracing::warn!(provider = %self.credential.name(), %error, "login.refused: signing in again");
            return self.sign_in(session).await;
        }
        Ok(Outcome::LoginRequired {
            refused: Some(error),
            last: None,
            forget: false,
        })
    }

    /// Headless consent.
    async fn sign_in(&self, session: &mut Session<'_>) -> Result<Outcome, Cause> {
        session.prepare().await?;
        const GRANT: &str = crate::oauth::provider::GrantType::AuthorizationCode.as_str();
        let (answer, asked_at) = self.counted(GRANT, sign_in::sign_in(&self.endpoint)).await;
        self.issued(session, answer.map_err(Cause::SignIn)?, asked_at, false)
            .await
    }

    /// An answer: what it brought is written before any of it is used. No wait comes between its arrival and the writing.
    async fn issued(
        &self,
        session: &mut Session<'_>,
        issued: Issued,
        asked_at: BootInstant,
        refreshed: bool,
    ) -> Result<Outcome, Cause> {
        let unsaved = session.renewed(&issued, asked_at, refreshed).await.err();
        match (self.token(issued, asked_at), unsaved) {
            (Ok(token), unsaved) => Ok(Outcome::Issued {
                token,
                asked_at,
                unsaved,
            }),
            (Err(_), Some(error)) => Err(Cause::Store(error)),
            (Err(cause), None) => Err(cause),
        }
    }
}

/// What becomes of the good token in the store, if there is one, at `now`; `continues` is whether the login is the one
/// that was in force. Pure.
fn take(stored: Option<&AccessToken>, continues: bool, begun: &Begun, now: BootInstant) -> Take {
    let in_hand = begun.in_hand.as_ref();
    let is_enough = |in_hand: &AccessToken| !begun.wanted && in_hand.state(now) == State::Fresh;
    match (stored, in_hand) {
        (Some(stored), _) if begun.discarded.as_ref() == Some(&stored.secret) => Take::Replace,
        (Some(stored), Some(in_hand)) if in_hand.secret == stored.secret => {
            if is_enough(in_hand) {
                Take::Keep
            } else {
                Take::Replace
            }
        }
        (Some(_), _) => Take::Adopt,
        // Another process had one that is of no use here, under other settings or on another machine. Were it replaced,
        // that process would replace ours, and so on.
        (None, Some(in_hand)) if continues && is_enough(in_hand) => Take::Keep,
        (None, _) => Take::Replace,
    }
}
