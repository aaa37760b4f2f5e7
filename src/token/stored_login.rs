//! The login of a provider as it is stored, read without a lock and without a change.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    grant::belongs_to,
    store::{self, Record, StoreError, StoreLocation},
};
use crate::{
    oauth::{api_context::ApiContext, provider::Provider},
    secret::Secret,
};

/// The login of a provider, as far as it can be seen from outside of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredLogin {
    /// It is in the memory of another process.
    Hidden,
    /// There is no login.
    Missing,
    /// It was ended by a logout.
    LoggedOut,
    /// The authorization server refused its refresh token for good.
    Refused,
    /// It was made with another client or at another authorization server.
    OtherClient,
    /// Its lifetime is over, since that time.
    Expired(SystemTime),
    /// It can be used.
    Usable(UsableLogin),
}

/// A login that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableLogin {
    /// Whether it can be refreshed.
    pub has_refresh_token: bool,
    /// When it expires according to the authorization server.
    pub expires_at: Option<SystemTime>,
    /// An access token whose lifetime is not over.
    pub access_token: Option<Secret>,
    /// Its decisions about requests to the API.
    pub context: ApiContext,
}

/// Reads the login of `provider` from the store at `location`. Blocks.
///
/// # Errors
/// The record, or the folder, cannot be used.
pub fn read_stored_login(
    provider: &Provider,
    location: &StoreLocation,
    now: SystemTime,
) -> Result<StoredLogin, StoreError> {
    if *location == StoreLocation::Memory {
        return Ok(StoredLogin::Hidden);
    }
    let record = store::inspect(location, &provider.name)?;
    Ok(judge(provider, record, now))
}

fn judge(provider: &Provider, record: Option<Record>, now: SystemTime) -> StoredLogin {
    let configured = provider.refresh_token.as_ref().map(|token| token.current());
    let is_new = |record: &Record| {
        let digest = configured.as_ref().map(|token| token.digest());
        digest.is_some_and(|digest| !record.has_taken(&digest))
    };
    let unused = || {
        StoredLogin::Usable(UsableLogin {
            has_refresh_token: true,
            expires_at: None,
            access_token: None,
            context: ApiContext::default(),
        })
    };
    let Some(record) = record else {
        return match configured {
            Some(_) => unused(),
            None => StoredLogin::Missing,
        };
    };
    if is_new(&record) {
        return unused();
    }
    if record.is_logged_out() {
        return StoredLogin::LoggedOut;
    }
    if record.refused {
        return StoredLogin::Refused;
    }
    if !belongs_to(&record, provider) {
        return StoredLogin::OtherClient;
    }
    let expires_at = record.times.refresh_expires_at.map(time);
    if let Some(expired) = expires_at.filter(|end| *end <= now) {
        return StoredLogin::Expired(expired);
    }
    let access = record.access.as_ref();
    let end = |milliseconds, lifetime: u64| time(milliseconds) + Duration::from_millis(lifetime);
    let ended = access.and_then(|access| Some(end(access.requested_at_wall, access.lifetime?)));
    let is_good = ended.is_none_or(|end| end > now);
    let has_refresh_token = record.usable_refresh_token().is_some();
    match (has_refresh_token, access, ended) {
        (false, None, _) => return StoredLogin::Missing,
        (false, Some(_), Some(end)) if !is_good => return StoredLogin::Expired(end),
        _ => {}
    }
    StoredLogin::Usable(UsableLogin {
        has_refresh_token,
        expires_at,
        access_token: access
            .filter(|_| is_good)
            .map(|access| access.token.clone()),
        context: ApiContext {
            base: access.and_then(|access| access.api_base.clone()),
            captured: BTreeMap::clone(&record.captured),
        },
    })
}

fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::fake;

    fn login(record: Record) -> StoredLogin {
        let provider = fake::provider("https://a.example/token");
        judge(&provider, Some(record), time(1_000_000))
    }

    fn with_refresh_token() -> Record {
        Record {
            refresh_token: Some(Secret::new("r")),
            login: Some("l".into()),
            ..Record::default()
        }
    }

    #[test]
    fn a_record_tells_the_state_of_its_login() {
        let provider = fake::provider("https://a.example/token");
        assert_eq!(judge(&provider, None, UNIX_EPOCH), StoredLogin::Missing);
        assert_eq!(login(Record::default()), StoredLogin::LoggedOut);
        let mut record = with_refresh_token();
        assert!(matches!(
            login(record.clone()),
            StoredLogin::Usable(UsableLogin {
                has_refresh_token: true,
                ..
            })
        ));
        record.times.refresh_expires_at = Some(999_999);
        assert_eq!(login(record.clone()), StoredLogin::Expired(time(999_999)));
        record.client = Some("another".into());
        assert_eq!(login(record.clone()), StoredLogin::OtherClient);
        record.refused = true;
        assert_eq!(login(record), StoredLogin::Refused);
    }

    #[test]
    fn nothing_is_created_where_no_store_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("store");
        let provider = fake::provider("https://a.example/token");
        let location = StoreLocation::File(path.clone());
        let login = read_stored_login(&provider, &location, UNIX_EPOCH).unwrap();
        assert_eq!(login, StoredLogin::Missing);
        assert!(!folder.path().join("a").exists());
    }
}
