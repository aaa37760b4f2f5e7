//! The check of an HTTP response against the request that it belongs to.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    ledger::Outcome,
    pattern::Check,
    world::{FAULT, ID},
};

/// The body that a right response has.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// The pattern of the request, of this length.
    Pattern(usize),
    /// This text.
    Text(String),
}

/// Reads a response to its end, and decides how request `id` ended.
pub(super) async fn outcome(
    id: u64,
    expected: &Expected,
    response: Result<Response<Incoming>, hyper::Error>,
) -> Outcome {
    let response = match response {
        Ok(response) => response,
        Err(error) => return broken(false, &error),
    };
    let (head, body) = response.into_parts();
    let is = |name: &str, value: &str| head.headers.get(name).is_some_and(|found| found == value);
    let is_ours = is(ID, &id.to_string());
    if is(FAULT, "1") && is_ours {
        return match (head.status, body.collect().await) {
            (_, Err(error)) => broken(true, &error),
            (StatusCode::UNAUTHORIZED, Ok(_)) => Outcome::Refused,
            (status, Ok(_)) => Outcome::Fault(status.as_u16()),
        };
    }
    if is("content-type", "application/problem+json") {
        return match body.collect().await {
            Ok(body) => problem(head.status, &body.to_bytes()),
            Err(error) => broken(true, &error),
        };
    }
    if head.status != StatusCode::OK || !is_ours {
        return Outcome::Wrong(format!("a response of another request or kind: {head:?}"));
    }
    match expected {
        Expected::Pattern(length) => pattern(id, *length, body).await,
        Expected::Text(text) => match body.collect().await {
            Ok(body) => match body.to_bytes() == text.as_bytes() {
                true => Outcome::Right,
                false => Outcome::Wrong("the wrong text".into()),
            },
            Err(error) => broken(true, &error),
        },
    }
}

async fn pattern(id: u64, length: usize, mut body: Incoming) -> Outcome {
    let mut check = Check::new(id);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(piece) = frame.into_data() {
                    check.feed(&piece);
                }
            }
            Err(error) if check.is_right() && check.length() <= length => {
                return broken(true, &error);
            }
            Err(_) => return Outcome::Wrong("a broken body with wrong bytes".into()),
        }
    }
    match (check.is_right(), check.length()) {
        (true, found) if found == length => Outcome::Right,
        (true, found) => Outcome::Wrong(format!("{found} bytes in place of {length}, and an end")),
        (false, _) => Outcome::Wrong("a body of another request".into()),
    }
}

fn problem(status: StatusCode, body: &Bytes) -> Outcome {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let kind = json.as_ref().and_then(|json| json["type"].as_str());
    match kind.and_then(|kind| kind.strip_prefix("urn:bearward:")) {
        Some(kind) => Outcome::Problem(status.as_u16(), kind.to_owned()),
        None => Outcome::Wrong("a problem without a type".into()),
    }
}

fn broken(in_response: bool, error: &hyper::Error) -> Outcome {
    let error = format!("{error:?}");
    Outcome::Broken { in_response, error }
}
