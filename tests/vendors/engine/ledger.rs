//! What the fake has issued: codes, access tokens, refresh tokens.

use std::collections::{HashMap, HashSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Part of every token and code, to be found where none may be.
pub(crate) const CANARY: &str = "canary-0d1f";

/// The state of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Life {
    Live,
    Dead,
    /// Never issued here.
    Unknown,
}

/// Everything that was issued, newest last.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    serial: u32,
    codes: HashMap<String, Code>,
    access_tokens: Tokens,
    refresh_tokens: Tokens,
    /// `jti` of the assertions so far.
    assertion_ids: HashSet<String>,
}

#[derive(Debug)]
struct Code {
    challenge: Option<String>,
    is_used: bool,
}

#[derive(Debug, Default)]
struct Tokens {
    lives: HashMap<String, Life>,
    newest: Option<String>,
}

impl Tokens {
    fn add(&mut self, token: String) -> String {
        self.lives.insert(token.clone(), Life::Live);
        self.newest = Some(token.clone());
        token
    }

    fn life(&self, token: &str) -> Life {
        self.lives.get(token).copied().unwrap_or(Life::Unknown)
    }

    fn kill_all(&mut self) {
        self.lives.values_mut().for_each(|life| *life = Life::Dead);
    }
}

impl Ledger {
    fn next(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}-{}", self.serial)
    }

    /// A new code, bound to the challenge of its consent request.
    pub(crate) fn new_code(&mut self, challenge: Option<String>) -> String {
        // With characters that have to be encoded wherever a code goes.
        let code = self.next(&format!("{CANARY}.code/+="));
        let is_used = false;
        self.codes.insert(code.clone(), Code { challenge, is_used });
        code
    }

    /// Why a code cannot be exchanged.
    pub(crate) fn refuse_code(&self, code: &str) -> Option<String> {
        match self.codes.get(code) {
            None => Some(format!("the code {code:?} was never issued")),
            Some(code) if code.is_used => Some("the code is used already".to_owned()),
            Some(_) => None,
        }
    }

    /// Whether a verifier is that of the code's challenge (RFC 7636 §4.6).
    pub(crate) fn is_verifier(&self, code: &str, verifier: &str) -> bool {
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let long_enough = (43..=128).contains(&verifier.len());
        let challenge = self.codes.get(code).and_then(|code| code.challenge.clone());
        long_enough && challenge == Some(digest)
    }

    pub(crate) fn use_code(&mut self, code: &str) {
        if let Some(code) = self.codes.get_mut(code) {
            code.is_used = true;
        }
    }

    pub(crate) fn new_access_token(&mut self) -> String {
        let token = self.next(&format!("{CANARY}.access."));
        self.access_tokens.add(token)
    }

    pub(crate) fn new_refresh_token(&mut self) -> String {
        let token = self.next(&format!("{CANARY}.refresh/+ "));
        self.refresh_tokens.add(token)
    }

    /// A refresh token that was issued elsewhere, such as by the vendor's portal.
    pub(crate) fn adopt_refresh_token(&mut self, token: &str) {
        self.refresh_tokens.add(token.to_owned());
    }

    pub(crate) fn access_token(&self, token: &str) -> Life {
        self.access_tokens.life(token)
    }

    pub(crate) fn refresh_token(&self, token: &str) -> Life {
        self.refresh_tokens.life(token)
    }

    pub(crate) fn newest_access_token(&self) -> Option<&str> {
        self.access_tokens.newest.as_deref()
    }

    pub(crate) fn kill_refresh_token(&mut self, token: &str) {
        self.refresh_tokens
            .lives
            .insert(token.to_owned(), Life::Dead);
    }

    pub(crate) fn kill_access_tokens(&mut self) {
        self.access_tokens.kill_all();
    }

    pub(crate) fn kill_refresh_tokens(&mut self) {
        self.refresh_tokens.kill_all();
    }

    /// Whether an assertion's `jti` is new.
    pub(crate) fn is_new_assertion(&mut self, id: &str) -> bool {
        self.assertion_ids.insert(id.to_owned())
    }
}
