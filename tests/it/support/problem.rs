//! What an answer of the sidecar's own has to look like.

use serde_json::Value;

use super::wire::Answer;

/// Asserts that `answer` is the problem `kind` with `status`, in everything that RFC 9457 and RFC 9209 want of it; gives its members.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: u16, kind: &str) -> Value {
    assert_eq!(
        answer.status,
        status,
        "wanted {status} {kind}, got {:?}\n{}",
        answer.head,
        answer.text()
    );
    assert_eq!(
        answer.head.value("content-type"),
        Some("application/problem+json"),
        "{:?}",
        answer.head
    );
    assert_eq!(
        answer.head.value("cache-control"),
        Some("no-store"),
        "{:?}",
        answer.head
    );
    let proxy_status = answer.head.value("proxy-status").unwrap_or_default();
    assert!(
        proxy_status.starts_with("bearward; error="),
        "Proxy-Status {proxy_status:?} of {kind}"
    );
    let body = answer.json();
    assert_eq!(body["type"], format!("urn:bearward:{kind}"), "{body}");
    assert_eq!(body["status"], status, "{body}");
    for member in ["title", "detail"] {
        assert!(
            body[member].as_str().is_some_and(|text| !text.is_empty()),
            "{member} of {body}"
        );
    }
    body
}
