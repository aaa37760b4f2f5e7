//! The admin listener that a command asks: by its address, or by the configuration of its sidecar.

use std::{path::PathBuf, process::ExitCode};

use super::{
    BAD_INPUT,
    admin_client::{
        AdminAddress, AdminClient, AdminError, AdminFault, AdminKey, InvalidAddress, KEY_VARIABLE,
    },
    fail, print_diagnostic, print_error,
};
use crate::{
    config::{self, Report},
    login::redirect::admin_origin,
    secret::Secret,
    server::address::ListenAddress,
};

/// The admin listener without an address and without a configuration.
const DEFAULT_ADMIN: &str = "http://127.0.0.1:9900";

/// The arguments that name a running sidecar.
#[derive(Debug, clap::Args)]
// Flattened into another, whose group clap would otherwise confuse with this one.
#[group(skip)]
pub(super) struct Arguments {
    /// Its configuration, for the address and the key; without --admin also $BEARWARD_CONFIG, ./bearward.toml,
    /// /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its admin listener; a key for it comes from -c, else from $BEARWARD_ADMIN_KEY
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

impl Arguments {
    /// The client of the admin listener.
    ///
    /// # Errors
    /// The exit status, after the reason was printed.
    pub(super) fn client(&self) -> Result<AdminClient, ExitCode> {
        // Not parsed by clap, which would repeat an invalid address with the key in it.
        let given: Option<Result<AdminAddress, InvalidAddress>> =
            self.admin.as_ref().map(|admin| admin.parse());
        let given = given.transpose().map_err(|error| {
            print_error(&format!("--admin: {error}"));
            ExitCode::from(BAD_INPUT)
        })?;
        let configured = self.configured(given.is_some())?;
        let address = match (given, &configured) {
            (Some(address), _) => address,
            (None, Some(admin)) => address_of(&admin.listen).ok_or_else(|| {
                let listen = &admin.listen;
                fail(format!(
                    "[admin] listen = \"{listen}\" does not say where the sidecar listens; name it with --admin URL"
                ))
            })?,
            (None, None) => DEFAULT_ADMIN
                .parse()
                .map_err(|error: InvalidAddress| fail(error))?,
        };
        let key = match configured.and_then(|admin| admin.key) {
            Some(key) => AdminKey::Configured(key),
            None => AdminKey::Environment(config::environment(KEY_VARIABLE).map(Secret::new)),
        };
        Ok(AdminClient::new(address, key))
    }

    /// The `[admin]` table of the configuration that is given, or found where there is no address either.
    fn configured(&self, has_address: bool) -> Result<Option<ConfiguredListener>, ExitCode> {
        if self.config.is_none() && has_address {
            return Ok(None);
        }
        let path = config::find(self.config.as_deref(), &config::environment);
        if self.config.is_none() && !path.exists() {
            return Ok(None);
        }
        let (admin, report) = match config::load_admin(&path, &config::environment) {
            Ok(loaded) => loaded,
            // A service's file may be closed to the person who asks for its status.
            Err(_) if self.config.is_none() => return Ok(None),
            Err(report) => return Err(refuse(&report)),
        };
        match admin {
            Some(admin) => {
                if !report.is_ok() {
                    print_diagnostic(&report.to_string());
                }
                let key = admin.key.map(|key| Secret::clone(&key.current()));
                Ok(Some(ConfiguredListener {
                    listen: admin.listen,
                    key,
                }))
            }
            None if has_address => Ok(None),
            None if report.is_ok() => Err(fail(format!(
                "{}: [admin] listen = \"off\": the sidecar cannot be asked",
                path.display()
            ))),
            None => Err(refuse(&report)),
        }
    }
}

/// Prints why a sidecar cannot be asked, and what to do, and returns the exit status.
pub(super) fn fail_to_ask(error: &AdminError) -> ExitCode {
    let is_elsewhere = matches!(
        error.fault(),
        AdminFault::Unreachable(_) | AdminFault::Timeout(_) | AdminFault::NotASidecar
    );
    match is_elsewhere {
        true => fail(format!(
            "{error}; start it with `bearward run`, or say where it listens with --admin URL or -c FILE"
        )),
        false => fail(error),
    }
}

/// The admin listener of a configuration.
struct ConfiguredListener {
    listen: ListenAddress,
    key: Option<Secret>,
}

fn refuse(report: &Report) -> ExitCode {
    print_diagnostic(&report.to_string());
    ExitCode::FAILURE
}

/// The address at which a sidecar on this machine that listens on `listen` is reached.
pub(super) fn address_of(listen: &ListenAddress) -> Option<AdminAddress> {
    if listen.port() == Some(0) {
        return None;
    }
    match listen {
        ListenAddress::Unix(path) => format!("unix:{}", path.display()).parse().ok(),
        listen => admin_origin(listen)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_reached_where_it_listens() {
        let reached = |listen: &str| {
            let address = address_of(&listen.parse().unwrap())?;
            Some(format!("{address:?}"))
        };
        assert!(reached("127.0.0.1:9900").unwrap().contains("127.0.0.1"));
        assert!(reached("0.0.0.0:9900").unwrap().contains("127.0.0.1"));
        assert!(reached("[::]:9900").unwrap().contains("[::1]:9900"));
        assert!(reached("unix:/run/x.sock").unwrap().contains("/run/x.sock"));
        assert_eq!(reached("127.0.0.1:0"), None);
    }
}
