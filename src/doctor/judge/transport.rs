//! Failures before a response: name, connection, proxy, TLS and time.

use url::Url;

use super::{Evidence, without_query};
use crate::{
    doctor::cause::{Cause, FindingKind},
    oauth::{error::Fault, provider::is_loopback},
    tls::{CertificateFault, HandshakeFault},
};

/// The shortest timeout that is recommended, in seconds.
const MIN_TIMEOUT_SECONDS: u64 = 30;

/// The keys that an endpoint's address comes from.
const ADDRESS_KEYS: [&str; 3] = ["token_endpoint", "base_url", "issuer"];

/// Finds the cause of a request without a response; `None` for other failures.
pub(super) fn cause(word: &str, evidence: &Evidence<'_>) -> Option<Cause> {
    let cause = match word {
        "dns" | "connect" | "timeout" if is_behind_proxy(evidence) && !is_sent(evidence) => {
            behind_proxy(evidence)
        }
        "dns" => unreachable_by(
            evidence,
            FindingKind::Dns,
            format!(
                "The host name of `{}` ({}) is not found: check its spelling, and the name servers.",
                evidence.endpoint,
                evidence.host()
            ),
        ),
        "connect" => connect(evidence),
        "proxy" => proxy(evidence),
        "tls" => tls(evidence),
        "timeout" => timeout(evidence),
        "protocol" => protocol(evidence),
        _ => return None,
    };
    Some(cause)
}

fn is_sent(evidence: &Evidence<'_>) -> bool {
    evidence.error.may_have_been_received() || evidence.response().is_some()
}

/// Whether the environment names a proxy that is not used, on the way to another machine.
fn is_behind_proxy(evidence: &Evidence<'_>) -> bool {
    let url = evidence.exchange.map(|exchange| &exchange.url);
    let is_loopback = url
        .and_then(Url::host_str)
        .is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."));
    evidence.surroundings.proxy.is_some()
        && evidence.provider.token_request.proxy.is_none()
        && !is_loopback
}

fn behind_proxy(evidence: &Evidence<'_>) -> Cause {
    let (variable, proxy) = evidence.surroundings.proxy.clone().unwrap_or_default();
    let message = format!(
        "{} cannot be reached directly. {variable} is set, and bearward does not use it: set `token_request.proxy`.",
        evidence.host()
    );
    Cause::new(FindingKind::Proxy, message).fixed_by("token_request.proxy", &proxy)
}

/// A failure whose remedy is another address.
fn unreachable_by(evidence: &Evidence<'_>, kind: FindingKind, message: String) -> Cause {
    Cause::new(kind, message)
        .about(&[evidence.endpoint])
        .about(&ADDRESS_KEYS)
        .perhaps_fixed_by(evidence.endpoint, evidence.right_endpoint())
}

fn connect(evidence: &Evidence<'_>) -> Cause {
    let host = evidence.host();
    let kind = FindingKind::Connect;
    match &evidence.surroundings.reachable {
        Some(other) => Cause::new(
            kind,
            format!(
                "{host} accepts no connection, and {} does: use that address.",
                other.host_str().unwrap_or_default()
            ),
        )
        .about(&[evidence.endpoint])
        .fixed_by(evidence.endpoint, other.as_str()),
        None => unreachable_by(
            evidence,
            kind,
            format!(
                "{host} accepts no connection: check the address and the port of `{}`, and firewalls between.",
                evidence.endpoint
            ),
        ),
    }
}

fn proxy(evidence: &Evidence<'_>) -> Cause {
    let settings = evidence.provider.token_request.proxy.as_ref();
    let url = settings.map(|proxy| proxy.url.origin().ascii_serialization());
    let url = url.unwrap_or_default();
    let message = format!("{}.", evidence.error.for_operators());
    let cause = Cause::new(FindingKind::Proxy, message).about(&["token_request.proxy"]);
    let is_refusal = evidence.error.needs_change();
    let has_credentials = settings.is_some_and(|proxy| proxy.credentials.is_some());
    if is_refusal && !has_credentials {
        let user = evidence.surroundings.proxy_user.as_deref();
        let value = format!(
            "{{ url = {}, username = {}, password = {{ env = \"PROXY_PASSWORD\" }} }}",
            crate::config::text_value(&url),
            crate::config::text_value(user.unwrap_or("USER")),
        );
        return cause.fixed_by_value(vec!["token_request".into(), "proxy".into()], value);
    }
    // The environment names one that may work.
    match &evidence.surroundings.proxy {
        Some((_, other)) if !is_refusal && *other != url => {
            cause.fixed_by("token_request.proxy", other)
        }
        _ => cause,
    }
}

fn tls(evidence: &Evidence<'_>) -> Cause {
    let cause = |message: String| {
        Cause::new(FindingKind::Tls, message)
            .about(&[evidence.endpoint])
            .about(&ADDRESS_KEYS)
    };
    let host = evidence.host();
    if *evidence.error.fault() == Fault::Tls(HandshakeFault::NotTls) {
        let other = evidence.exchange.map(|exchange| exchange.url.clone());
        let other = other.and_then(|url| match is_loopback(&url) {
            true => with_scheme(url, "http"),
            false => with_default_port(url),
        });
        return cause(format!(
            "https:// is used, and {host} does not speak TLS: is it http://, or another port?"
        ))
        .perhaps_fixed_by(evidence.endpoint, other.as_deref());
    }
    let untrusted = HandshakeFault::Certificate(CertificateFault::UnknownIssuer);
    if *evidence.error.fault() == Fault::Tls(untrusted) {
        let file = evidence.surroundings.ca_file.as_deref();
        let key = "token_request.ca_file";
        return cause(format!(
            "The certificate of {host} is not signed by an authority that this machine trusts: name the file with \
             that authority as `{key}`."
        ))
        .fixed_by(key, file.unwrap_or("/etc/ssl/private-ca.pem"));
    }
    cause(format!("{}.", evidence.error.for_operators()))
}

fn with_scheme(mut url: Url, scheme: &str) -> Option<String> {
    // The default port of the one is not that of the other.
    let port = url.port_or_known_default();
    url.set_scheme(scheme).ok()?;
    url.set_port(port).ok()?;
    Some(without_query(&url))
}

fn with_default_port(mut url: Url) -> Option<String> {
    url.port()?;
    url.set_port(None).ok()?;
    Some(without_query(&url))
}

fn timeout(evidence: &Evidence<'_>) -> Cause {
    let timeout = evidence.provider.token_request.timeout;
    let longer = MIN_TIMEOUT_SECONDS.max(timeout.as_secs().saturating_mul(3));
    let what = match is_sent(evidence) {
        true => "sent no complete response",
        false => "accepted no connection",
    };
    let message = format!(
        "{} {what} within {timeout:?}: wait longer, or check the server and the network between.",
        evidence.host()
    );
    Cause::new(FindingKind::Timeout, message)
        .fixed_by("token_request.timeout", &format!("{longer}s"))
}

/// Something else than HTTP came back: perhaps TLS, where plain text was sent.
fn protocol(evidence: &Evidence<'_>) -> Cause {
    let url = evidence.exchange.map(|exchange| exchange.url.clone());
    let host = evidence.host();
    match url.filter(|url| url.scheme() == "http") {
        Some(url) => Cause::new(
            FindingKind::Tls,
            format!("http:// is used, and {host} does not speak plain HTTP: is it https://?"),
        )
        .perhaps_fixed_by(evidence.endpoint, with_scheme(url, "https").as_deref()),
        None => unreachable_by(
            evidence,
            FindingKind::Connect,
            format!(
                "{host} ended the connection without a complete HTTP response: check the address, and the log of the \
                 server."
            ),
        ),
    }
}
