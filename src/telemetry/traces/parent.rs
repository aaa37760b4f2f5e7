//! The trace that a request belongs to already, as its `traceparent` says (W3C Trace Context).
//!
//! The propagator of `opentelemetry_sdk` reads the first of several fields, and refuses flags that level 2 of the
//! recommendation defines. Both are wrong for a proxy.

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The field with the identifiers of the client's span.
pub(super) const TRACEPARENT: &str = "traceparent";
/// The field that belongs to the vendors of tracing systems.
pub(super) const TRACESTATE: &str = "tracestate";

/// The flag `random-trace-id` of level 2.
pub(super) const RANDOM_TRACE_ID: u8 = 2;

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// Reads the client's span; `None` without exactly one valid `traceparent`.
pub(super) fn remote_parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let (field, None) = (fields.next()?, fields.next()) else {
        return None;
    };
    let (trace_id, span_id, flags) = parse(field.to_str().ok()?)?;
    Some(SpanContext::new(
        trace_id,
        span_id,
        flags,
        true,
        trace_state(headers),
    ))
}

/// Parses a `traceparent` (W3C Trace Context §3.2). Later versions may have more behind the flags.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let [version, trace_id, span_id, flags] = known.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_valid = (version == "00" && rest.is_empty())
        || (is_hex(version, 2) && !["00", "ff"].contains(&version))
            && (rest.is_empty() || rest.starts_with('-'));
    if !is_valid || !is_hex(trace_id, 32) || !is_hex(span_id, 16) || !is_hex(flags, 2) {
        return None;
    }
    let trace_id = TraceId::from_hex(trace_id).ok()?;
    let span_id = SpanId::from_hex(span_id).ok()?;
    let known_flags = TraceFlags::SAMPLED.to_u8() | RANDOM_TRACE_ID;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & known_flags);
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID)
        .then_some((trace_id, span_id, flags))
}

fn is_hex(text: &str, length: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(is_digit)
}

/// The vendors' state for the exported spans; empty when it is malformed. It goes upstream as it came.
fn trace_state(headers: &HeaderMap) -> TraceState {
    let fields = headers.get_all(TRACESTATE).iter();
    let texts: Vec<&str> = fields.filter_map(|field| field.to_str().ok()).collect();
    texts.join(",").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let entry = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(entry) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_valid_field_is_the_parent() {
        let parent = remote_parent(&headers(&[
            (TRACEPARENT, VALID),
            (TRACESTATE, "a=1,b=2"),
            (TRACESTATE, "c=3"),
        ]));
        let parent = parent.unwrap();
        assert_eq!(
            parent.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(parent.span_id().to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled() && parent.is_remote());
        assert_eq!(parent.trace_state().header(), "a=1,b=2,c=3");
    }

    #[test]
    fn flags_of_level_2_and_later_versions_are_read() {
        for (text, is_sampled) in [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe",
                false,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                true,
            ),
        ] {
            let parent = remote_parent(&headers(&[(TRACEPARENT, text)])).unwrap();
            assert_eq!(parent.is_sampled(), is_sampled, "{text}");
        }
    }

    #[test]
    fn an_invalid_or_repeated_field_is_no_parent() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47-6-00f067aa0ba902b7-01",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(
                remote_parent(&headers(&[(TRACEPARENT, text)])).is_none(),
                "{text}"
            );
        }
        let twice = [(TRACEPARENT, VALID), (TRACEPARENT, VALID)];
        assert!(remote_parent(&headers(&twice)).is_none());
        assert!(remote_parent(&headers(&[])).is_none());
    }

    #[test]
    fn a_malformed_state_leaves_the_parent() {
        let fields = [(TRACEPARENT, VALID), (TRACESTATE, "no pairs")];
        let parent = remote_parent(&headers(&fields)).unwrap();
        assert_eq!(parent.trace_state().header(), "");
    }
}
