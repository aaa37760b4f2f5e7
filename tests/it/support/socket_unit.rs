//! What systemd does for a service with a .socket unit: the listening sockets outlive the service.

use std::{net::TcpListener, os::fd::OwnedFd, path::Path, process::Command};

use command_fds::{CommandFdExt, FdMapping};

use super::{
    setup::Setup,
    sidecar::{Sidecar, command, serving},
};

/// The first descriptor that is passed (sd_listen_fds(3)).
const FIRST_DESCRIPTOR: i32 = 3;

/// Listening sockets with their names.
pub struct SocketUnit {
    /// `LISTEN_PID`, as the shell expands it.
    process: String,
    sockets: Vec<(String, OwnedFd)>,
}

impl Default for SocketUnit {
    fn default() -> Self {
        // The number of the process is known to the process alone.
        Self::for_process("$$")
    }
}

impl SocketUnit {
    /// Sockets that are meant for another process than the one that is started.
    pub fn for_process(number: &str) -> Self {
        Self {
            process: number.into(),
            sockets: Vec::new(),
        }
    }

    /// Adds a socket under `name`.
    pub fn socket(mut self, name: &str, socket: impl Into<OwnedFd>) -> Self {
        self.sockets.push((name.into(), socket.into()));
        self
    }

    /// Adds the socket of the admin listener of `setup` under `admin`, and configures it.
    pub fn with_admin_of(self, setup: &mut Setup) -> Self {
        setup.admin_from_systemd("admin");
        let listener = TcpListener::bind(setup.admin_address()).expect("an unused port");
        self.socket("admin", listener)
    }

    /// The command `bearward run -c FILE`, with the sockets.
    pub fn command(&self, file: &Path, environment: &[(String, String)]) -> Command {
        let bearward = command(&["run", "-c", file.to_str().expect("a path of letters")]);
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("LISTEN_PID={} exec \"$0\" \"$@\"", self.process))
            .arg(bearward.get_program())
            .args(bearward.get_args())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nowhere")
            .envs(environment.iter().cloned());
        let names: Vec<_> = self.sockets.iter().map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            command
                .env("LISTEN_FDS", names.len().to_string())
                .env("LISTEN_FDNAMES", names.join(":"));
        }
        let descriptors = self.sockets.iter().map(|(_, socket)| socket);
        let mappings = (FIRST_DESCRIPTOR..).zip(descriptors);
        let mappings = mappings.map(|(child_fd, socket)| FdMapping {
            parent_fd: socket.try_clone().expect("a descriptor"),
            child_fd,
        });
        command
            .fd_mappings(mappings.collect())
            .expect("descriptors of different numbers");
        command
    }

    /// Starts the service, and waits until it serves.
    #[track_caller]
    pub fn start(&self, setup: &Setup) -> Sidecar {
        let (file, environment) = setup.write();
        serving(
            &mut self.command(&file, &environment),
            setup.admin_address(),
        )
    }
}
