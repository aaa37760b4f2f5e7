//! `bearward login`: a login in a browser, by a code or by a configured account, from the command line.
//!
//! The address to open goes to standard output, alone on its line, and so does the result; remarks go to standard error.

mod browser;
mod callback_attempts;
mod callback_listener;
mod error;
mod flow;
mod guidance;
mod local_clients;
mod paste;
mod place;
mod sidecar;
mod silent_input;
mod start;
mod waiting;

use std::{io, process::ExitCode, sync::Arc};

use self::{
    callback_listener::CallbackListener, error::LoginError, flow::LoginFlow, place::LoginPlace,
    sidecar::is_sidecar_at,
};
use super::{
    admin_client::{AdminKey, KEY_VARIABLE},
    configured,
    control_thread::on_control_thread,
    fail, fail_with_description, print, print_error,
};
use crate::{
    config::Config,
    login::{is_callback_path, redirect, supports_browser_login},
    oauth::{
        error::ErrorDescription,
        provider::{GrantType, Provider},
        redirect_uri::RedirectUri,
    },
    secret::Secret,
};

const EXAMPLES: &str = "\
Examples:
  bearward login happeo                 open the browser of this machine
  bearward login happeo --no-browser    print the address only
  bearward login happeo --paste         with a browser on another machine
  sudo -u bearward bearward login happeo -c /etc/bearward/bearward.toml

If a running sidecar has the address in redirect_uri, it receives the login:
this command prints its address and waits. Otherwise this command listens there
itself. A browser on another machine reaches neither: forward the port with
`ssh -L 9900:127.0.0.1:9900 HOST` (the same port on both sides), or use --paste.

Log in as the user that the sidecar runs as, with its configuration: the login
goes to the store, and one in a home folder is another one for each user.";

/// Log in at a provider and store its refresh token
///
/// Prints the address to open, and waits for at most ten minutes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    provider: configured::Arguments,
    /// Read the address that the browser was sent back to, or the bare code, from standard input
    #[arg(long)]
    paste: bool,
    /// Open no browser
    #[arg(long)]
    no_browser: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (config, provider) = match arguments.provider.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    match on_control_thread(async { Ok(Box::pin(log_in(arguments, &config, &provider)).await) }) {
        Ok(Ok(())) => {
            if let Some(path) = config.store.record_path(&provider.name) {
                print_error(&format!("{}: stored in {}", provider.name, path.display()));
            }
            print("logged in\n", ExitCode::SUCCESS)
        }
        Ok(Err(error)) => fail_with_description(
            format!("{}: {error}", provider.name),
            error.description().map(ErrorDescription::as_str),
        ),
        Err(failure) => fail(failure),
    }
}

async fn log_in(
    arguments: &Arguments,
    config: &Config,
    provider: &Arc<Provider>,
) -> Result<(), LoginError> {
    let admin = config.admin.as_ref().map(|admin| &admin.listen);
    let has_browser_login = supports_browser_login(provider);
    // The futures of its ways are large, so they are boxed.
    let flow = LoginFlow {
        place: LoginPlace {
            provider,
            location: &config.store,
            admin,
            admin_key: admin_key(config),
        },
        opens_browser: !arguments.no_browser,
    };
    if provider.grant_type == GrantType::DeviceCode {
        return Box::pin(flow.log_in_by_device()).await;
    }
    // What is pasted comes from a browser.
    let pastes = arguments.paste && has_browser_login;
    if provider.sign_in.is_some() && !pastes {
        return flow.log_in_by_account().await;
    }
    if !has_browser_login {
        return Err(LoginError::NotSupported(reason(provider)));
    }
    let uri = match redirect::redirect_uri_for(provider, admin) {
        Some(uri) if !arguments.paste => uri,
        // Port 0 leads nowhere before the system has chosen one.
        uri => {
            let uri = uri.filter(|uri| uri.url().port() != Some(0));
            return flow.log_in_by_paste(uri.as_ref()).await;
        }
    };
    if redirect::is_loopback(uri.url()) {
        return Box::pin(log_in_at_loopback(&flow, uri)).await;
    }
    // A sidecar that other machines can reach has an address of its own, at which it is found.
    let is_admin_listener = admin
        .and_then(redirect::default_redirect_uri)
        .is_some_and(|default| {
            let is_callback = is_callback_path(uri.url().path(), &provider.name);
            is_callback && default.url().origin() == uri.url().origin()
        });
    match is_admin_listener && is_sidecar_at(uri.url()).await {
        true => Box::pin(flow.log_in_at_sidecar(&uri)).await,
        false => flow.log_in_by_paste(Some(&uri)).await,
    }
}

/// Receives the callback on a listener of this process, or at the sidecar that has its address.
async fn log_in_at_loopback(flow: &LoginFlow<'_>, uri: RedirectUri) -> Result<(), LoginError> {
    let error = match CallbackListener::bind(&uri) {
        Ok(listener) => return Box::pin(flow.log_in_by_callback(listener)).await,
        Err(error) => error,
    };
    let name = &flow.place.provider.name;
    let may_be_sidecar =
        error.kind() == io::ErrorKind::AddrInUse && is_callback_path(uri.url().path(), name);
    match may_be_sidecar && is_sidecar_at(uri.url()).await {
        true => Box::pin(flow.log_in_at_sidecar(&uri)).await,
        false => Err(LoginError::Listen { uri, error }),
    }
}

/// The key for a sidecar's admin listener, from the configuration or the environment.
fn admin_key(config: &Config) -> AdminKey {
    let configured = config.admin.as_ref().and_then(|admin| admin.key.as_ref());
    match configured {
        Some(key) => AdminKey::Configured(Secret::clone(&key.current())),
        None => AdminKey::Environment(crate::config::environment(KEY_VARIABLE).map(Secret::new)),
    }
}

fn reason(provider: &Provider) -> String {
    match &provider.grant_type {
        GrantType::RefreshToken => "its refresh token is given by the configuration".into(),
        GrantType::AuthorizationCode => "it has no authorization_endpoint".into(),
        GrantType::ClientCredentials => {
            "it needs none, since it uses a client id and secret only".into()
        }
        other => format!("its grant_type is {}, which has no login", other.as_str()),
    }
}
