//! The record of what the authorization server has issued: codes, access tokens, and refresh tokens for one use each.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::dialect::challenge;

/// One use of a refresh token.
#[derive(Clone, Debug)]
pub struct Spend {
    /// The token.
    pub refresh_token: String,
    /// The time of its arrival.
    pub at: Instant,
    /// The refresh token and the access token issued for it; `None` if it was refused.
    pub issued: Option<(String, String)>,
    /// The time at which the response was written whole; `None` for a lost or pending response.
    pub responded: Option<Instant>,
}

/// The record of issued codes and tokens, and of their use.
#[derive(Default)]
pub struct Ledger {
    codes: BTreeMap<String, Code>,
    refresh_tokens: BTreeMap<String, RefreshToken>,
    access_tokens: BTreeMap<String, AccessToken>,
    logins: Vec<Login>,
    /// Every use of a refresh token, in order.
    pub spends: Vec<Spend>,
    /// The number of uses of a spent refresh token.
    pub reuses: usize,
    /// The number of exchanged codes.
    pub exchanges: usize,
    /// The number of token requests.
    pub token_requests: usize,
    /// The number of consents, by browser and headless.
    pub consents: usize,
    /// The refresh tokens that were revoked by request.
    pub revocations: Vec<String>,
    /// The code verifiers that were sent.
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
    /// The token that was issued for it.
    successor: String,
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
    /// The new refresh token, if there is one.
    pub refresh_token: Option<String>,
}

impl Ledger {
    fn new_value(&mut self, kind: &str) -> String {
        self.serial += 1;
        // The hash at the end keeps a value from being a prefix of another.
        format!(
            "canary-{kind}-{:04}-{:08x}",
            self.serial,
            self.serial.wrapping_mul(0x9E37_79B9) as u32
        )
    }

    /// Issues a code for a consent.
    pub fn consent(&mut self, redirect_uri: String, challenge: Option<String>) -> String {
        self.consents += 1;
        let code = self.new_value("code");
        self.codes.insert(
            code.clone(),
            Code {
                redirect_uri,
                challenge,
            },
        );
        code
    }

    /// Issues a refresh token without a consent.
    pub fn issue_refresh_token(&mut self) -> String {
        let token = self.new_value("refresh");
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

    /// Issues an access token for client credentials.
    pub fn credentials(&mut self, lifetime: u64) -> Issue {
        Issue {
            access_token: self.access_token(None, lifetime),
            refresh_token: None,
        }
    }

    /// Exchanges a code, once; `None` if it is not valid.
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
        let refresh_token = self.issue_refresh_token();
        let access_token = self.access_token(Some(self.logins.len() - 1), lifetime);
        Some(Issue {
            access_token,
            refresh_token: Some(refresh_token),
        })
    }

    /// Spends a refresh token and returns the index of the spend; `None` if it is refused.
    ///
    /// A spent token revokes its whole login, unless `again` is set and its successor was never used.
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
            responded: None,
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
                .get(&spent.successor)
                .is_some_and(|successor| successor.spent.is_none());
            if !(again && successor_unused) {
                self.logins[login].revoked = true;
                return None;
            }
            // The successor was in the lost response, so no client has it.
            let successor = spent.successor.clone();
            self.refresh_tokens.remove(&successor);
        }
        let access_token = self.access_token(Some(login), lifetime);
        if !rotates {
            return Some(Issue {
                access_token,
                refresh_token: None,
            });
        }
        let next = self.new_value("refresh");
        self.refresh_tokens
            .insert(next.clone(), RefreshToken { login, spent: None });
        if let Some(token) = self.refresh_tokens.get_mut(token) {
            token.spent = Some(Spent {
                successor: next.clone(),
            });
        }
        self.logins[login].newest.clone_from(&next);
        Some(Issue {
            access_token,
            refresh_token: Some(next),
        })
    }

    fn access_token(&mut self, login: Option<usize>, lifetime: u64) -> String {
        let token = self.new_value("access");
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

    /// Whether an API accepts this access token now. Records the use.
    pub fn accept(&mut self, access_token: &str) -> bool {
        let Some(token) = self.access_tokens.get_mut(access_token) else {
            return false;
        };
        token.used = true;
        Instant::now() < token.end && !token.login.is_some_and(|login| self.logins[login].revoked)
    }

    /// Whether an access token was ever sent to an API.
    pub fn was_used(&self, access_token: &str) -> bool {
        self.access_tokens
            .get(access_token)
            .is_some_and(|token| token.used)
    }

    /// Revokes the login of a refresh token, as the revocation endpoint does.
    pub fn revoke(&mut self, refresh_token: &str) {
        self.revocations.push(refresh_token.to_owned());
        if let Some(token) = self.refresh_tokens.get(refresh_token) {
            self.logins[token.login].revoked = true;
        }
    }

    /// Revokes all logins: every refresh token is an `invalid_grant` from now on.
    pub fn revoke_all(&mut self) {
        for login in &mut self.logins {
            login.revoked = true;
        }
    }

    /// The current refresh token of the newest login.
    pub fn newest(&self) -> Option<&str> {
        self.logins.last().map(|login| login.newest.as_str())
    }
}
