//! What is kept of one provider, and how it is written: a JSON object with the version of its format. All pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::Flaw;
use crate::{clock::BootInstant, secret::Secret};

/// The version of the format that is written. Older ones are read, and become this one when they are next written.
pub(super) const VERSION: u64 = 1;

/// The two clocks may disagree by so much about how long ago a token was asked for, in milliseconds.
const TOLERANCE: u64 = 2000;

/// So many configured refresh tokens are remembered.
const REMEMBERED: usize = 16;

/// What is kept of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What the next token is asked for with; absent where the login brought none, and after a logout.
    pub refresh_token: Option<Secret>,
    /// The authorization server refused the refresh token for good (`invalid_grant`).
    pub refused: bool,
    /// The SHA-256 of the configured first refresh token that was in force when this was written.
    pub configured: Option<String>,
    /// The same of those that were taken into use before, the oldest first, [`REMEMBERED`] at most: one that comes back,
    /// as it does with a process that was configured earlier, is not new.
    pub taken: Vec<String>,
    /// The client that the refresh token belongs to: a digest of the token endpoint and the `client_id`. Absent in
    /// records of versions that did not write it.
    pub client: Option<String>,
    /// Names the login that this comes from, at random: another one means another login, where another refresh token may
    /// be a rotation of the same. Absent after a logout, and in records of versions that did not write it.
    pub login: Option<String>,
    /// The last access token, unless an upstream refused it.
    pub access: Option<Access>,
}

/// An access token with what its deadlines are computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The token.
    pub token: Secret,
    /// The digest of the settings under which it was asked for: under others it is not used.
    pub settings: String,
    /// The time of day just before it was asked for, in milliseconds since 1970.
    pub asked_at: u64,
    /// The same on the clock of the boot, in milliseconds since it began.
    pub asked_at_boot: u64,
    /// Counted from then, in milliseconds.
    pub lifetime: u64,
}

impl Record {
    /// Whether nothing is left of a login: after a logout. One without a refresh token whose access token was refused still
    /// has its name.
    pub fn is_forgotten(&self) -> bool {
        self.refresh_token.is_none()
            && self.access.is_none()
            && !self.refused
            && self.login.is_none()
    }

    /// Whether `token` is the access token that is kept.
    pub fn has_access(&self, token: &Secret) -> bool {
        self.access
            .as_ref()
            .is_some_and(|access| access.token == *token)
    }

    /// Whether all that came after `before` is that its access token was given up.
    pub fn only_gave_up_access(&self, before: &Self) -> bool {
        self.access.is_none()
            && *self
                == Self {
                    access: None,
                    ..before.clone()
                }
    }

    /// Whether the configured refresh token of that digest was taken into use.
    pub fn has_taken(&self, digest: &str) -> bool {
        self.configured.as_deref() == Some(digest) || self.taken.iter().any(|taken| taken == digest)
    }

    /// What to remember of configured refresh tokens in the record after this one, where `configured` is then in force.
    pub fn taken_with(&self, configured: Option<&str>) -> Vec<String> {
        let mut taken = self.taken.clone();
        for digest in [self.configured.as_deref(), configured]
            .into_iter()
            .flatten()
        {
            taken.retain(|known| known != digest);
            taken.push(digest.to_owned());
        }
        taken.drain(..taken.len().saturating_sub(REMEMBERED));
        taken
    }

    /// The refresh token, unless it was refused.
    pub fn usable_refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref().filter(|_| !self.refused)
    }

    /// As it is written to a file.
    pub(super) fn to_json(&self, provider: &str) -> Zeroizing<Vec<u8>> {
        let written = Written {
            version: VERSION,
            provider,
            refresh_token: self.refresh_token.as_ref().map(Secret::expose),
            refused: self.refused,
            configured: self.configured.as_deref(),
            taken: &self.taken,
            client: self.client.as_deref(),
            login: self.login.as_deref(),
            access: self.access.as_ref().map(|access| WrittenAccess {
                token: access.token.expose(),
                settings: &access.settings,
                asked_at_ms: access.asked_at,
                asked_at_boot_ms: access.asked_at_boot,
                lifetime_ms: access.lifetime,
            }),
        };
        // Room enough not to grow: what a vector leaves behind when it does is not wiped.
        let mut json = Zeroizing::new(Vec::with_capacity(self.size()));
        serde_json::to_writer_pretty(&mut *json, &written)
            .expect("strings and numbers always have a JSON form");
        json.push(b'\n');
        json
    }

    fn size(&self) -> usize {
        let tokens = [
            self.refresh_token.as_ref(),
            self.access.as_ref().map(|access| &access.token),
        ];
        // An escape has six bytes at most.
        4096 + tokens
            .into_iter()
            .flatten()
            .map(|token| 6 * token.expose().len())
            .sum::<usize>()
    }

    /// Reads what [`Record::to_json`] wrote for `provider`, by this or an older version.
    pub(super) fn parse(json: &[u8], provider: &str) -> Result<Self, Flaw> {
        // The error's own text may quote what it stumbled over.
        let damaged = |error: serde_json::Error| {
            Flaw::Corrupt(format!(
                "not a record from line {}, column {} on",
                error.line(),
                error.column()
            ))
        };
        let Version { version } = serde_json::from_slice(json).map_err(damaged)?;
        match version {
            VERSION => {}
            0 => return Err(Flaw::Corrupt("there is no version 0".into())),
            newer => return Err(Flaw::Newer(newer)),
        }
        let read: Read = serde_json::from_slice(json).map_err(damaged)?;
        if read.provider != provider {
            return Err(Flaw::Corrupt("it is another provider's record".into()));
        }
        Ok(Self {
            refresh_token: read.refresh_token.map(Secret::new),
            refused: read.refused,
            configured: read.configured,
            taken: read.taken,
            client: read.client,
            login: read.login,
            access: read.access.map(|access| Access {
                token: Secret::new(access.token),
                settings: access.settings,
                asked_at: access.asked_at_ms,
                asked_at_boot: access.asked_at_boot_ms,
                lifetime: access.lifetime_ms,
            }),
        })
    }
}

impl Access {
    /// A token that was asked for at `asked_at` and lives so long from then; `now` and `wall` are the same instant.
    pub fn new(
        token: Secret,
        settings: String,
        asked_at: BootInstant,
        lifetime: Duration,
        now: BootInstant,
        wall: SystemTime,
    ) -> Self {
        let wall = wall
            .checked_sub(now.since(asked_at))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        Self {
            token,
            settings,
            asked_at: of_day(wall),
            asked_at_boot: of_boot(asked_at),
            lifetime: millis(lifetime),
        }
    }

    /// When it was asked for, if that can be told: both clocks have to agree on how long ago it was. They do not after
    /// a reboot, on another machine, or when the time of day was set; then the token may be older than it looks.
    pub fn asked_at(&self, now: BootInstant, wall: SystemTime) -> Option<BootInstant> {
        let by_day = of_day(wall).checked_sub(self.asked_at)?;
        let by_boot = of_boot(now).checked_sub(self.asked_at_boot)?;
        (by_day.abs_diff(by_boot) <= TOLERANCE)
            .then(|| now - Duration::from_millis(by_day.max(by_boot)))
    }

    /// How long it lives from the instant when it was asked for.
    pub fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime)
    }
}

fn of_day(wall: SystemTime) -> u64 {
    millis(
        wall.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn of_boot(moment: BootInstant) -> u64 {
    millis(moment.since(BootInstant::from_boot(Duration::ZERO)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    provider: &'a str,
    refresh_token: Option<&'a str>,
    refused: bool,
    configured: Option<&'a str>,
    taken: &'a [String],
    client: Option<&'a str>,
    login: Option<&'a str>,
    access: Option<WrittenAccess<'a>>,
}

#[derive(Serialize)]
struct WrittenAccess<'a> {
    token: &'a str,
    settings: &'a str,
    asked_at_ms: u64,
    asked_at_boot_ms: u64,
    lifetime_ms: u64,
}

#[derive(Deserialize)]
struct Read {
    provider: String,
    refresh_token: Option<String>,
    refused: bool,
    configured: Option<String>,
    #[serde(default)]
    taken: Vec<String>,
    client: Option<String>,
    login: Option<String>,
    access: Option<ReadAccess>,
}

#[derive(Deserialize)]
struct ReadAccess {
    token: String,
    settings: String,
    asked_at_ms: u64,
    asked_at_boot_ms: u64,
    lifetime_ms: u64,
}

#[cfg(test)]
mod tests;
