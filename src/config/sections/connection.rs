//! Settings of outgoing connections: HTTP proxies and client certificates.

use super::{
    BuildContext,
    endpoint::{check_no_query, parse_absolute},
    pem_hint, secret,
};
use crate::{
    config::{
        diagnostics::Diagnostic,
        file_access,
        problem_code::ProblemCode,
        quote::{is_safe_to_display, quote},
        section::Section,
        spanned::Spanned,
    },
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
            context.push(
                table
                    .error(
                        "`proxy` has only one of `username` and `password`",
                        "set both, or none",
                    )
                    .with_code(ProblemCode::ConflictingKeys),
            );
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
    let url = parse_absolute(key, found).map_err(|problem| match correction(key, found.value) {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    })?;
    check_no_query(&url, key, found)?;
    if url.path() != "/" {
        return Err(found
            .error(
                format!("`{key}` has a path"),
                "write the address only, such as \"http://proxy.internal:3128\"",
            )
            .with_code(ProblemCode::InvalidUrl));
    }
    if url.scheme() != "http" {
        return Err(found.error(
            format!("`{key}` = {} is not http://", quote(found.value)),
            "write it like http://proxy.internal:3128; TLS goes through the proxy to the server",
        ).with_code(ProblemCode::InvalidUrl));
    }
    Ok(url)
}

/// Suggests the whole URL of a proxy, or the table for one that wants a password.
fn correction(key: &str, text: &str) -> Option<String> {
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let mut url = url::Url::parse(&whole).ok()?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    let address = url.as_str().trim_end_matches('/');
    if !is_safe_to_display(address) {
        return None;
    }
    let credentials = "username = \"NAME\", password = { env = \"NAME\" }";
    Some(match (has_credentials, key) {
        (false, _) => format!("write it like {address}"),
        (true, "proxy") => format!("write proxy = {{ url = \"{address}\", {credentials} }}"),
        (true, _) => format!("write {key} = \"{address}\", {credentials}"),
    })
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
        found
            .error(
                format!(
                    "`client_certificate` = {} cannot be used: {error}",
                    quote(found.value)
                ),
                pem_hint::of_certificate(
                    &certificate.certificate,
                    found.value,
                    "name a readable PEM file with the certificate, and its own private key in PEM",
                ),
            )
            .with_code(ProblemCode::CertificateUnusable)
    })
}

/// Reads the first certificate of a PEM file in DER.
pub(super) fn certificate_in(
    section: &Section<'_>,
    key: &str,
    context: &mut BuildContext<'_>,
) -> Option<Vec<u8>> {
    let found = section.string(key)?;
    let path = context.resolve(found.value);
    let read = crate::tls::read_certificate(&path);
    context.ok_or_push(read.map_err(|error| {
        found
            .error(
                format!(
                    "`{key}` = {} cannot be used: {}",
                    quote(found.value),
                    file_access::explain(&path, &error)
                ),
                pem_hint::of_certificate(
                    &path,
                    found.value,
                    "name a readable PEM file with a certificate",
                ),
            )
            .with_code(ProblemCode::CertificateUnusable)
    }))
}
