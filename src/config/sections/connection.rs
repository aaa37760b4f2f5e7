//! Settings of outgoing connections: HTTP proxies and client certificates.

use super::{
    BuildContext,
    endpoint::{check_no_query, parse_absolute},
    secret,
};
use crate::{
    config::{diagnostics::Diagnostic, quote::quote, section::Section, spanned::Spanned},
    forward_proxy::{ForwardProxy, ProxyCredentials, ProxyVariable},
    tls::ClientCertificate,
};

/// Builds `proxy`: a URL, or a table with credentials.
pub(super) fn proxy(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<ForwardProxy> {
    if let Some(found) = section.string("proxy") {
        let url = context.ok_or_push(parse_address("proxy", &found))?;
        return Some(ForwardProxy {
            url,
            credentials: None,
        });
    }
    let table = section.section("proxy");
    if !section.has_table("proxy") {
        return None;
    }
    let password = secret::read(&table, "password", context);
    let username = table.string("username");
    if let Some(username) = &username {
        context.ok_or_push(check_username(username));
    }
    let credentials = match (username, password) {
        (Some(username), Some(password)) => Some(ProxyCredentials {
            username: username.value.to_owned(),
            password,
        }),
        (None, None) => None,
        _ if table.is_set("username") && table.is_set("password") => None,
        _ => {
            context.push(table.error(
                "`proxy` has only one of `username` and `password`",
                "set both, or none",
            ));
            None
        }
    };
    let Some(found) = table.string("url") else {
        if !table.is_set("url") {
            context.push(table.error(
                "`proxy` has no `url`",
                "add url = \"http://proxy.internal:3128\"",
            ));
        }
        return None;
    };
    let url = context.ok_or_push(parse_address("url", &found))?;
    Some(ForwardProxy { url, credentials })
}

/// Returns the variable of the environment that names a proxy, where the configuration names none.
pub(super) fn unused_proxy(
    configured: Option<&ForwardProxy>,
    context: &BuildContext<'_>,
) -> Option<ProxyVariable> {
    match configured {
        Some(_) => None,
        None => ProxyVariable::find(context.environment),
    }
}

/// Checks that the name ends where HTTP Basic says that it ends (RFC 7617 §2).
fn check_username(found: &Spanned<&str>) -> Result<(), Diagnostic> {
    if !found.value.contains(':') {
        return Ok(());
    }
    Err(found.error(
        "`username` has a colon, which HTTP Basic does not permit",
        "write the part before the colon here, and the rest as `password`",
    ))
}

fn parse_address(key: &str, found: &Spanned<&str>) -> Result<url::Url, Diagnostic> {
    let url = parse_absolute(key, found)?;
    check_no_query(&url, key, found)?;
    if url.path() != "/" {
        return Err(found.error(
            format!("`{key}` has a path"),
            "write the address only, such as \"http://proxy.internal:3128\"",
        ));
    }
    if url.scheme() != "http" {
        return Err(found.error(
            format!("`{key}` = {} is not http://", quote(found.value)),
            "write it like http://proxy.internal:3128; TLS goes through the proxy to the server",
        ));
    }
    Ok(url)
}

/// Builds `client_certificate`.
pub(super) fn client_certificate(
    section: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> Option<ClientCertificate> {
    let table = section.section("client_certificate");
    if !section.has_table("client_certificate") {
        return None;
    }
    for key in ["cert", "key"] {
        if !table.is_set(key) {
            context.push(table.error(
                format!("`client_certificate` has no `{key}`"),
                "write { cert = \"client.crt\", key = { file = \"client.key\" } }",
            ));
        }
    }
    let key = secret::read(&table, "key", context);
    let cert = table.string("cert")?;
    let certificate = ClientCertificate {
        certificate: context.resolve(cert.value),
        key: key?,
    };
    let checked = check_certificate(&certificate, &cert);
    context.ok_or_push(checked);
    Some(certificate)
}

fn check_certificate(
    certificate: &ClientCertificate,
    found: &Spanned<&str>,
) -> Result<(), Diagnostic> {
    certificate.check().map_err(|error| {
        found.error(
            format!(
                "`client_certificate` = {} cannot be used: {error}",
                quote(found.value)
            ),
            "name a readable PEM file with the certificate, and its own private key in PEM",
        )
    })
}

/// Reads the first certificate of a PEM file in DER.
pub(super) fn certificate_in(
    section: &Section<'_>,
    key: &str,
    context: &mut BuildContext<'_>,
) -> Option<Vec<u8>> {
    let found = section.string(key)?;
    let read = crate::tls::read_certificate(&context.resolve(found.value));
    context.ok_or_push(read.map_err(|error| {
        found.error(
            format!("`{key}` = {} cannot be used: {error}", quote(found.value)),
            "name a readable PEM file with a certificate",
        )
    }))
}
