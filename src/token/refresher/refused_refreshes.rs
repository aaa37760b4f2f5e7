//! Refusals of refreshes that mean the end of the login only when they go on.

use std::time::Duration;

use crate::{
    clock::BootInstant,
    oauth::error::{Fault, FaultSide, TokenRefusal, TokenRequestError},
    secret::Secret,
};

/// The number of refusals in a row that end a login.
const MIN_REFUSALS: u32 = 5;
/// The time that they have to span.
const MIN_TIME: Duration = Duration::from_secs(5 * 60);
/// The time until the refresh token of such a login is tried again.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Codes of errors that pass by themselves (RFC 6749 §4.1.2.1, RFC 8628 §3.5).
const PASSING: [&str; 3] = ["temporarily_unavailable", "server_error", "slow_down"];

/// The refusals in a row of one refresh token.
#[derive(Debug, Default)]
pub(super) struct RefusedRefreshes {
    row: Option<Row>,
}

#[derive(Debug)]
struct Row {
    refresh_token: Secret,
    first: BootInstant,
    count: u32,
}

impl RefusedRefreshes {
    /// Forgets the row after a success.
    pub(super) fn clear(&mut self) {
        self.row = None;
    }

    /// Records a failed refresh and returns whether the login counts as ended.
    pub(super) fn record(
        &mut self,
        refresh_token: &Secret,
        error: &TokenRequestError,
        now: BootInstant,
    ) -> bool {
        if !is_refusal(error) {
            // A failure of the network says nothing about the refresh token.
            if error.side() != FaultSide::Network {
                self.row = None;
            }
            return false;
        }
        let row = match &mut self.row {
            Some(row) if row.refresh_token == *refresh_token => row,
            row => row.insert(Row {
                refresh_token: refresh_token.clone(),
                first: now,
                count: 0,
            }),
        };
        row.count = row.count.saturating_add(1);
        row.count >= MIN_REFUSALS && now.since(row.first) >= MIN_TIME
    }
}

/// Whether an error is a status 400, 401 or 403 that may mean the refresh token.
///
/// `invalid_client` means the client's own authentication.
fn is_refusal(error: &TokenRequestError) -> bool {
    match error.fault() {
        Fault::Rejected {
            status: 400 | 401 | 403,
            code,
        } => !code
            .as_ref()
            .is_some_and(|code| PASSING.contains(&code.as_str())),
        Fault::Refused(refusal) => *refusal != TokenRefusal::InvalidClient,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

    /// Records a refusal every `interval` seconds, and returns the number of the first that ends the login.
    fn ended_by(fault: &Fault, interval: u64) -> Option<u64> {
        let (mut row, secret) = (RefusedRefreshes::default(), Secret::new("r"));
        let error = TokenRequestError::new(fault.clone());
        (1..20).find(|number| {
            let now = START + Duration::from_secs((number - 1) * interval);
            row.record(&secret, &error, now)
        })
    }

    fn rejected(status: u16, code: &str) -> Fault {
        let code = crate::oauth::error::ErrorCode::parse(code);
        Fault::Rejected { status, code }
    }

    #[test]
    fn five_refusals_in_a_row_over_five_minutes_end_a_login() {
        for fault in [
            rejected(400, ""),
            rejected(401, "weird"),
            rejected(403, ""),
            Fault::Refused(TokenRefusal::InvalidRequest),
            Fault::Refused(TokenRefusal::UnauthorizedClient),
        ] {
            assert_eq!(ended_by(&fault, 100), Some(5), "{fault:?}");
            assert_eq!(ended_by(&fault, 30), Some(11), "{fault:?}");
        }
    }

    #[test]
    fn other_failures_do_not() {
        for fault in [
            rejected(404, ""),
            rejected(400, "temporarily_unavailable"),
            Fault::Temporary(400),
            Fault::Limited,
            Fault::Server(500),
            Fault::Connect,
            Fault::Refused(TokenRefusal::InvalidClient),
        ] {
            assert_eq!(ended_by(&fault, 100), None, "{fault:?}");
        }
    }

    #[test]
    fn another_response_or_another_token_begins_a_new_row() {
        let mut row = RefusedRefreshes::default();
        let (one, other) = (Secret::new("1"), Secret::new("2"));
        let refused = TokenRequestError::new(rejected(400, ""));
        let mut record = |secret, error: &TokenRequestError, second| {
            row.record(secret, error, START + Duration::from_secs(second))
        };
        for second in [0, 100, 200, 300] {
            assert!(!record(&one, &refused, second));
        }
        assert!(!record(&one, &TokenRequestError::new(Fault::Connect), 350));
        assert!(record(&one, &refused, 400));
        assert!(!record(
            &one,
            &TokenRequestError::new(Fault::Server(500)),
            450
        ));
        assert!(!record(&one, &refused, 500));
        assert!(!record(&other, &refused, 5000));
    }
}
