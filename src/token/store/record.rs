//! The record of one provider, and its JSON form with a format version. All pure.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use url::Url;
use zeroize::Zeroizing;

use super::error::FileError;
use crate::{clock::BootInstant, oauth::provider::Lifetime, secret::Secret};

/// The format version that is written. Older versions are read, and rewritten as this one.
pub(super) const VERSION: u64 = 1;

/// The tolerated difference between the two clocks about a token's age, in milliseconds.
const MAX_CLOCK_DIFFERENCE: u64 = 2000;

/// The number of configured refresh tokens that are remembered.
const MAX_TAKEN: usize = 16;

/// The stored state of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The refresh token. Absent if the login brought none, and after a logout.
    pub refresh_token: Option<Secret>,
    /// The authorization server refused the refresh token for good (`invalid_grant`).
    pub refused: bool,
    /// The SHA-256 of the configured first refresh token at the time of writing.
    pub configured: Option<String>,
    /// The SHA-256 of configured refresh tokens that were used before, oldest first, up to sixteen.
    ///
    /// A process with an earlier configuration brings such a token back; it is not new then.
    pub taken: Vec<String>,
    /// A digest of the token endpoint and the `client_id` that the refresh token belongs to.
    ///
    /// Absent in records of early versions.
    pub client: Option<String>,
    /// The random name of the login. It stays when the refresh token rotates, and changes with another login.
    ///
    /// Absent after a logout, and in records of early versions.
    pub login: Option<String>,
    /// The number of refresh tokens that this and earlier logins had. Of two records of one login, the higher is newer.
    ///
    /// 0 in records of early versions.
    pub generation: u64,
    /// The last access token, unless an upstream refused it.
    pub access: Option<StoredAccessToken>,
    /// The values that the login captured, by the names of their variables.
    pub captured: BTreeMap<String, String>,
    /// The times of the login.
    pub times: LoginTimes,
}

/// The times of a login, in milliseconds since 1970. Absent where they are not known, as in records of early versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginTimes {
    /// When the login was made.
    pub logged_in_at: Option<u64>,
    /// When the refresh token was issued or used last.
    pub refreshed_at: Option<u64>,
    /// When the refresh token expires according to the authorization server.
    pub refresh_expires_at: Option<u64>,
}

/// A stored access token, with what its deadlines are computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccessToken {
    /// The token.
    pub token: Secret,
    /// A digest of the settings it was requested under. It is not used under others.
    pub settings: String,
    /// The time of day just before it was requested, in milliseconds since 1970.
    pub requested_at_wall: u64,
    /// That instant on the boot-time clock, in milliseconds since boot.
    pub requested_at_boot: u64,
    /// The lifetime from then on, in milliseconds; `None` for a token that never expires.
    pub lifetime: Option<u64>,
    /// The API's base from the token response.
    pub api_base: Option<Url>,
}

impl Record {
    /// Returns whether the login was ended by a logout.
    ///
    /// A login without a refresh token whose access token was refused still has its name.
    pub fn is_logged_out(&self) -> bool {
        self.refresh_token.is_none()
            && self.access.is_none()
            && !self.refused
            && self.login.is_none()
    }

    /// Returns whether `token` is the stored access token.
    pub fn has_access(&self, token: &Secret) -> bool {
        self.access
            .as_ref()
            .is_some_and(|access| access.token == *token)
    }

    /// Returns whether the record differs from `before` only by the removal of its access token.
    pub fn only_lost_access(&self, before: &Self) -> bool {
        self.access.is_none()
            && *self
                == Self {
                    access: None,
                    ..before.clone()
                }
    }

    /// Returns whether the configured refresh token of that digest was used before.
    pub fn has_taken(&self, digest: &str) -> bool {
        self.configured.as_deref() == Some(digest) || self.taken.iter().any(|taken| taken == digest)
    }

    /// Returns `taken` for the next record, whose configured refresh token is `configured`.
    pub fn taken_with(&self, configured: Option<&str>) -> Vec<String> {
        let mut taken = self.taken.clone();
        for digest in [self.configured.as_deref(), configured]
            .into_iter()
            .flatten()
        {
            taken.retain(|known| known != digest);
            taken.push(digest.to_owned());
        }
        taken.drain(..taken.len().saturating_sub(MAX_TAKEN));
        taken
    }

    /// Returns the refresh token, unless it was refused.
    pub fn usable_refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref().filter(|_| !self.refused)
    }

    /// Returns the JSON text that is written to a file.
    pub(super) fn to_json(&self, provider: &str) -> Zeroizing<Vec<u8>> {
        let written = WrittenRecord {
            version: VERSION,
            provider,
            refresh_token: self.refresh_token.as_ref().map(Secret::expose),
            refused: self.refused,
            configured: self.configured.as_deref(),
            taken: &self.taken,
            client: self.client.as_deref(),
            login: self.login.as_deref(),
            generation: self.generation,
            access: self.access.as_ref().map(|access| WrittenAccess {
                token: access.token.expose(),
                settings: &access.settings,
                asked_at_ms: access.requested_at_wall,
                asked_at_boot_ms: access.requested_at_boot,
                lifetime_ms: access.lifetime,
                api_base: access.api_base.as_ref().map(Url::as_str),
            }),
            captured: &self.captured,
            logged_in_at_ms: self.times.logged_in_at,
            refreshed_at_ms: self.times.refreshed_at,
            refresh_expires_at_ms: self.times.refresh_expires_at,
        };
        // Large enough never to grow: the buffer that a growing vector leaves behind is not wiped.
        let mut json = Zeroizing::new(Vec::with_capacity(self.max_json_size()));
        serde_json::to_writer_pretty(&mut *json, &written)
            .expect("strings and numbers always have a JSON form");
        json.push(b'\n');
        json
    }

    /// Returns an upper bound of the size of the JSON text, in bytes.
    fn max_json_size(&self) -> usize {
        let tokens = [
            self.refresh_token.as_ref(),
            self.access.as_ref().map(|access| &access.token),
        ];
        let base = self
            .access
            .as_ref()
            .and_then(|access| access.api_base.as_ref());
        let captured = self.captured.iter();
        let captured = captured.map(|(name, value)| name.len() + value.len() + 8);
        let texts = tokens
            .into_iter()
            .flatten()
            .map(|token| token.expose().len())
            .chain(base.map(|base| base.as_str().len()))
            .chain(captured);
        // JSON escapes a byte as at most six.
        4096 + texts.map(|length| 6 * length).sum::<usize>()
    }

    /// Parses what [`Record::to_json`] of this or an older version wrote for `provider`.
    pub(super) fn parse(json: &[u8], provider: &str) -> Result<Self, FileError> {
        // The text of a serde error may quote the file.
        let damaged = |error: serde_json::Error| {
            FileError::Corrupt(format!(
                "not a record from line {}, column {} on",
                error.line(),
                error.column()
            ))
        };
        let Version { version } = serde_json::from_slice(json).map_err(damaged)?;
        match version {
            VERSION => {}
            0 => return Err(FileError::Corrupt("there is no version 0".into())),
            newer => return Err(FileError::NewerFormat(newer)),
        }
        let read: ReadRecord = serde_json::from_slice(json).map_err(damaged)?;
        if read.provider != provider {
            return Err(FileError::Corrupt("it is another provider's record".into()));
        }
        Ok(Self {
            refresh_token: read.refresh_token.map(Secret::new),
            refused: read.refused,
            configured: read.configured,
            taken: read.taken,
            client: read.client,
            login: read.login,
            generation: read.generation,
            access: read.access.map(|access| StoredAccessToken {
                token: Secret::new(access.token),
                settings: access.settings,
                requested_at_wall: access.asked_at_ms,
                requested_at_boot: access.asked_at_boot_ms,
                lifetime: access.lifetime_ms,
                api_base: access.api_base,
            }),
            captured: read.captured,
            times: LoginTimes {
                logged_in_at: read.logged_in_at_ms,
                refreshed_at: read.refreshed_at_ms,
                refresh_expires_at: read.refresh_expires_at_ms,
            },
        })
    }
}

impl StoredAccessToken {
    /// Creates a token that was requested at `requested_at`. `now` and `wall` are the same instant.
    pub fn new(
        token: Secret,
        settings: String,
        requested_at: BootInstant,
        lifetime: Lifetime,
        now: BootInstant,
        wall: SystemTime,
    ) -> Self {
        let wall = wall
            .checked_sub(now.since(requested_at))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        Self {
            token,
            settings,
            requested_at_wall: millis_since_1970(wall),
            requested_at_boot: millis_since_boot(requested_at),
            lifetime: match lifetime {
                Lifetime::For(lifetime) => Some(millis(lifetime)),
                Lifetime::Never => None,
            },
            api_base: None,
        }
    }

    /// Returns the time since the token was requested, if both clocks agree on it.
    ///
    /// They disagree after a reboot, on another machine, and after a change of the time of day. The token may then be
    /// older than it looks.
    pub fn age(&self, now: BootInstant, wall: SystemTime) -> Option<Duration> {
        let by_wall = self.age_by_wall(wall)?;
        let by_boot = self.age_by_boot(now)?;
        (by_wall.abs_diff(by_boot) <= MAX_CLOCK_DIFFERENCE)
            .then(|| Duration::from_millis(by_wall.max(by_boot)))
    }

    /// Returns the longest time since the token was requested that one of the clocks tells.
    ///
    /// It is `None` where the time of day is before the request. After a reboot the boot-time clock tells too short a
    /// time, never too long a one.
    pub fn longest_age(&self, now: BootInstant, wall: SystemTime) -> Option<Duration> {
        let by_wall = self.age_by_wall(wall)?;
        let by_boot = self.age_by_boot(now).unwrap_or_default();
        Some(Duration::from_millis(by_wall.max(by_boot)))
    }

    /// Returns the lifetime from the request on.
    pub fn lifetime(&self) -> Lifetime {
        match self.lifetime {
            Some(lifetime) => Lifetime::For(Duration::from_millis(lifetime)),
            None => Lifetime::Never,
        }
    }

    fn age_by_wall(&self, wall: SystemTime) -> Option<u64> {
        millis_since_1970(wall).checked_sub(self.requested_at_wall)
    }

    fn age_by_boot(&self, now: BootInstant) -> Option<u64> {
        millis_since_boot(now).checked_sub(self.requested_at_boot)
    }
}

/// Returns the milliseconds since 1970; 0 before.
pub(in crate::token) fn millis_since_1970(wall: SystemTime) -> u64 {
    millis(
        wall.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn millis_since_boot(moment: BootInstant) -> u64 {
    millis(moment.since(BootInstant::from_boot(Duration::ZERO)))
}

/// Returns whole milliseconds.
pub(in crate::token) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize)]
struct WrittenRecord<'a> {
    version: u64,
    provider: &'a str,
    refresh_token: Option<&'a str>,
    refused: bool,
    configured: Option<&'a str>,
    taken: &'a [String],
    client: Option<&'a str>,
    login: Option<&'a str>,
    generation: u64,
    access: Option<WrittenAccess<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    captured: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_in_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshed_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expires_at_ms: Option<u64>,
}

#[derive(Serialize)]
struct WrittenAccess<'a> {
    token: &'a str,
    settings: &'a str,
    asked_at_ms: u64,
    asked_at_boot_ms: u64,
    lifetime_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base: Option<&'a str>,
}

#[derive(Deserialize)]
struct ReadRecord {
    provider: String,
    refresh_token: Option<String>,
    refused: bool,
    configured: Option<String>,
    #[serde(default)]
    taken: Vec<String>,
    client: Option<String>,
    login: Option<String>,
    #[serde(default)]
    generation: u64,
    access: Option<ReadAccess>,
    #[serde(default)]
    captured: BTreeMap<String, String>,
    logged_in_at_ms: Option<u64>,
    refreshed_at_ms: Option<u64>,
    refresh_expires_at_ms: Option<u64>,
}

#[derive(Deserialize)]
struct ReadAccess {
    token: String,
    settings: String,
    asked_at_ms: u64,
    asked_at_boot_ms: u64,
    lifetime_ms: Option<u64>,
    #[serde(default, deserialize_with = "read_url")]
    api_base: Option<Url>,
}

/// Reads a URL; the `serde` feature of `url` would be for this alone.
fn read_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parsed = text.map(|text| Url::parse(&text)).transpose();
    parsed.map_err(|_| D::Error::custom("not a URL"))
}

#[cfg(test)]
mod tests;
