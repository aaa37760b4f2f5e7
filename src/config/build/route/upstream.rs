//! `upstream` of a route: given, or the provider's `api_base`.

use url::{Host, Url};

use super::super::{
    super::raw::{At, Section},
    Context, endpoint,
    provider::Known,
};
use crate::proxy::route::{Http2, Upstream};

/// The upstream, unless it was reported, and where it is written.
pub(super) fn build(
    name: &str,
    section: &Section<'_>,
    provider: Option<&Known>,
    context: &mut Context<'_>,
) -> (Option<Upstream>, At) {
    let trust = context.trust(section);
    let http2 = match section.choice("http2") {
        Some("never") => Http2::Never,
        Some("prior-knowledge") => Http2::PriorKnowledge,
        _ => Http2::Auto,
    };
    let (address, at) = match (
        section.text("upstream"),
        provider.and_then(|known| known.api_base.as_ref()),
    ) {
        (Some(found), _) => (endpoint::absolute("upstream", &found, context), found.at),
        (None, Some((url, _))) if !section.has_own("upstream") => (Some(url.clone()), section.at()),
        (None, _) => {
            if !section.has_own("upstream") {
                let hint = "add upstream = \"https://api.example.com\"";
                context.error(
                    &section.at(),
                    format!("route `{name}` has no `upstream`"),
                    hint,
                );
            }
            (None, section.at())
        }
    };
    let upstream = address.and_then(|url| {
        if url.query().is_some() {
            context.error(
                &at,
                "`upstream` has a query",
                "leave out everything from `?` on",
            );
        }
        let permitted = section.switch("allow_plaintext").unwrap_or(false);
        endpoint::check_plaintext(&url, "upstream", "route", permitted, &at, context);
        let (host, authority) = host(&url)?;
        Some(Upstream {
            tls: url.scheme() == "https",
            host,
            port: url.port_or_known_default()?,
            authority,
            base_path: url.path().trim_end_matches('/').to_owned(),
            trust,
            http2,
        })
    });
    (upstream, at)
}

/// The host to connect to, and what the `Host` field says.
fn host(url: &Url) -> Option<(String, String)> {
    let (host, shown) = match url.host()? {
        Host::Ipv6(address) => (address.to_string(), format!("[{address}]")),
        other => (other.to_string(), other.to_string()),
    };
    // `Url` leaves out the port that the scheme implies.
    let authority = url
        .port()
        .map_or_else(|| shown.clone(), |port| format!("{shown}:{port}"));
    Some((host, authority))
}
