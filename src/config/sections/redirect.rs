//! Warnings about the address that a browser returns to after a login.

use std::sync::Arc;

use super::BuildContext;
use crate::{
    config::{problem_code::ProblemCode, section::Section},
    login::{
        redirect::{admin_origin, can_log_in_at, is_loopback, redirect_uri_for},
        supports_browser_login,
    },
    oauth::provider::Provider,
    server::address::ListenAddress,
};

/// Warns of every provider whose logins would not return to the admin listener at `admin`.
pub(super) fn check(
    sections: &[(&str, Section<'_>)],
    providers: &[Arc<Provider>],
    admin: Option<&ListenAddress>,
    context: &mut BuildContext<'_>,
) {
    // Where systemd listens shows at the start.
    if matches!(admin, Some(ListenAddress::Systemd(_))) {
        return;
    }
    for provider in providers {
        let section = sections.iter().find(|(name, _)| *name == &*provider.name);
        if let Some((name, section)) = section
            && supports_browser_login(provider)
            && provider.sign_in.is_none()
        {
            check_provider(name, section, provider, admin, context);
        }
    }
}

fn check_provider(
    name: &str,
    section: &Section<'_>,
    provider: &Provider,
    admin: Option<&ListenAddress>,
    context: &mut BuildContext<'_>,
) {
    let code = ProblemCode::RedirectElsewhere;
    let Some(found) = section.string("redirect_uri") else {
        let fault = match admin {
            None => "the admin listener is off",
            Some(admin) if admin_origin(admin).is_none() => {
                "a browser cannot reach the admin listener"
            }
            Some(admin) if admin.port() == Some(0) => {
                "the admin listener has another port at each start"
            }
            Some(_) => return,
        };
        context.push(section.warning(
            code,
            format!("provider `{name}` has no `redirect_uri`, and {fault}"),
            "set redirect_uri = \"http://127.0.0.1:9900/callback\", and register it with the vendor; \
             or give [admin] listen a fixed port",
        ));
        return;
    };
    let Some((uri, admin)) = redirect_uri_for(provider, None).zip(admin) else {
        return;
    };
    // A vendor's own scheme, and one that its preset sets, is meant as it is.
    let is_web = matches!(uri.url().scheme(), "http" | "https");
    if !is_web || !section.is_set_in_file("redirect_uri") {
        return;
    }
    let has_port = !is_loopback(uri.url()) || uri.url().port_or_known_default() == admin.port();
    if !has_port || !can_log_in_at(provider, admin) {
        let own = admin_origin(admin).unwrap_or_else(|| "the admin listener".to_owned());
        context.push(found.warning(
            code,
            format!("`redirect_uri` does not lead to /callback of the admin listener ({admin})"),
            format!(
                "set redirect_uri = \"{own}/callback\", and register it with the vendor; or log in by \
                 `bearward login {name}`"
            ),
        ));
    }
}
