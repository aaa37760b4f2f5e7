//! What the authorization server has issued, and what became of it: codes, and refresh tokens each of which is good once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::dialect::challenge;

/// A refresh token that came, in the order of their coming.
#[derive(Clone, Debug)]
pub struct Spend {
    /// The token.
    pub refresh_token: String,
    /// When it had come.
    pub at: Instant,
    /// The refresh token and the access token that took its place; `None` where it was refused.
    pub issued: Option<(String, String)>,
    /// When the last byte of the answer was written; `None` where none was, or not yet.
    pub answered: Option<Instant>,
}

/// The books.
#[derive(Default)]
pub struct Ledger {
    codes: BTreeMap<String, Code>,
    refresh_tokens: BTreeMap<String, RefreshToken>,
    access_tokens: BTreeMap<String, AccessToken>,
    logins: Vec<Login>,
    /// Every refresh token that came.
    pub spends: Vec<Spend>,
    /// How often a refresh token came that was spent already.
    pub reuses: usize,
    /// How many codes were exchanged.
    pub exchanges: usize,
    /// How many requests of any kind came to the token endpoint.
    pub token_requests: usize,
    /// How many consents were asked for, by browser and headless.
    pub consents: usize,
    /// The refresh tokens that were revoked by request.
    pub revocations: Vec<String>,
    /// The code verifiers that came.
    pub verifiers: Vec<String>,
    serial: u64,
}

struct Code {
    redirect_uri: String,
    challenge: Option<String>,
}

struct RefreshToken {
    login: usize,
    spent: Option<Spent>,
}

struct Spent {
    /// What took its place: good for as long as that is unspent, where answers may be asked for again.
    by: String,
}

struct AccessToken {
    login: Option<usize>,
    end: Instant,
    used: bool,
}

struct Login {
    revoked: bool,
    newest: String,
}

/// New tokens.
pub struct Issue {
    /// The access token.
    pub access_token: String,
    /// The refresh token, where one is due.
    pub refresh_token: Option<String>,
}

impl Ledger {
    fn name(&mut self, kind: &str) -> String {
        self.serial += 1;
        // The end sees to it that no name is the beginning of another.
        format!(
            "canary-{kind}-{:04}-{:08x}",
            self.serial,
            self.serial.wrapping_mul(0x9E37_79B9) as u32
        )
    }

    /// A code for a consent.
    pub fn consent(&mut self, redirect_uri: String, challenge: Option<String>) -> String {
        self.consents += 1;
        let code = self.name("code");
        self.codes.insert(
            code.clone(),
            Code {
                redirect_uri,
                challenge,
            },
        );
        code
    }

    /// Begins a login without a consent, and gives its refresh token.
    pub fn mint(&mut self) -> String {
        let token = self.name("refresh");
        self.logins.push(Login {
            revoked: false,
            newest: token.clone(),
        });
        self.refresh_tokens.insert(
            token.clone(),
            RefreshToken {
                login: self.logins.len() - 1,
                spent: None,
            },
        );
        token
    }

    /// An access token for the client itself.
    pub fn credentials(&mut self, lifetime: u64) -> Issue {
        Issue {
            access_token: self.access_token(None, lifetime),
            refresh_token: None,
        }
    }

    /// Exchanges a code, once; `None` where it is not good.
    pub fn exchange(
        &mut self,
        code: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        lifetime: u64,
    ) -> Option<Issue> {
        self.verifiers.extend(verifier.map(str::to_owned));
        let found = self.codes.remove(code)?;
        let same_place = redirect_uri.is_none_or(|uri| uri == found.redirect_uri);
        let same_client = found.challenge == verifier.map(challenge);
        if !same_place || !same_client {
            return None;
        }
        self.exchanges += 1;
        let refresh_token = self.mint();
        let access_token = self.access_token(Some(self.logins.len() - 1), lifetime);
        Some(Issue {
            access_token,
            refresh_token: Some(refresh_token),
        })
    }

    /// Spends a refresh token; `None` where it is refused. One that comes again ends its whole login, unless `again` permits it
    /// and what took its place was never used. Gives the number of the spend as well.
    pub fn refresh(
        &mut self,
        token: &str,
        lifetime: u64,
        rotates: bool,
        again: bool,
    ) -> (usize, Option<Issue>) {
        let issue = self.spend(token, lifetime, rotates, again);
        let issued = issue.as_ref().map(|issue| {
            (
                issue
                    .refresh_token
                    .clone()
                    .unwrap_or_else(|| token.to_owned()),
                issue.access_token.clone(),
            )
        });
        self.spends.push(Spend {
            refresh_token: token.to_owned(),
            at: Instant::now(),
            issued,
            answered: None,
        });
        (self.spends.len() - 1, issue)
    }

    fn spend(&mut self, token: &str, lifetime: u64, rotates: bool, again: bool) -> Option<Issue> {
        let found = self.refresh_tokens.get(token)?;
        let login = found.login;
        if self.logins[login].revoked {
            return None;
        }
        if let Some(spent) = &found.spent {
            self.reuses += 1;
            let successor_unused = self
                .refresh_tokens
                .get(&spent.by)
                .is_some_and(|by| by.spent.is_none());
            if !(again && successor_unused) {
                self.logins[login].revoked = true;
                return None;
            }
            // The answer that was lost named this one: nobody has it.
            let by = spent.by.clone();
            self.refresh_tokens.remove(&by);
        }
        let access_token = self.access_token(Some(login), lifetime);
        if !rotates {
            return Some(Issue {
                access_token,
                refresh_token: None,
            });
        }
        let next = self.name("refresh");
        self.refresh_tokens
            .insert(next.clone(), RefreshToken { login, spent: None });
        if let Some(token) = self.refresh_tokens.get_mut(token) {
            token.spent = Some(Spent { by: next.clone() });
        }
        self.logins[login].newest.clone_from(&next);
        Some(Issue {
            access_token,
            refresh_token: Some(next),
        })
    }

    fn access_token(&mut self, login: Option<usize>, lifetime: u64) -> String {
        let token = self.name("access");
        let end = Instant::now() + Duration::from_secs(lifetime);
        self.access_tokens.insert(
            token.clone(),
            AccessToken {
                login,
                end,
                used: false,
            },
        );
        token
    }

    /// Whether an API takes this access token now; notes that it was used.
    pub fn accept(&mut self, access_token: &str) -> bool {
        let Some(token) = self.access_tokens.get_mut(access_token) else {
            return false;
        };
        token.used = true;
        Instant::now() < token.end && !token.login.is_some_and(|login| self.logins[login].revoked)
    }

    /// Whether an access token ever came to an API.
    pub fn was_used(&self, access_token: &str) -> bool {
        self.access_tokens
            .get(access_token)
            .is_some_and(|token| token.used)
    }

    /// Forgets the login that a refresh token belongs to, by request.
    pub fn revoke(&mut self, refresh_token: &str) {
        self.revocations.push(refresh_token.to_owned());
        if let Some(token) = self.refresh_tokens.get(refresh_token) {
            self.logins[token.login].revoked = true;
        }
    }

    /// Forgets all logins: every refresh token is an `invalid_grant` from now on.
    pub fn revoke_all(&mut self) {
        for login in &mut self.logins {
            login.revoked = true;
        }
    }

    /// The refresh token of the newest login that is good now.
    pub fn newest(&self) -> Option<&str> {
        self.logins.last().map(|login| login.newest.as_str())
    }
}
