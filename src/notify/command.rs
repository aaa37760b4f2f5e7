//! Runs the command of `[notify]`, without a shell.

use std::{
    io::{self, ErrorKind},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

use super::NotifyCommand;

/// The time for a command, after which it is killed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Variables that are meant for bearward alone: those of systemd, and the keys of a collector of traces.
const OWN_VARIABLES: [&str; 8] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Runs the command once, with `json` on its standard input.
///
/// # Errors
/// It cannot be started, does not end in time, or ends with another status than 0.
pub(super) async fn run(command: &NotifyCommand, json: &[u8]) -> Result<(), String> {
    let program = command.program.display();
    let failed = |error: io::Error| format!("{program} cannot be run: {error}");
    let mut child = spawn(command).map_err(failed)?;
    match timeout(COMMAND_TIMEOUT, finish(&mut child, json)).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(failed(error)),
        // Dropped, and killed by that.
        Err(_) => {
            let seconds = COMMAND_TIMEOUT.as_secs();
            Err(format!("{program} did not end within {seconds} s"))
        }
    }
}

fn spawn(command: &NotifyCommand) -> io::Result<Child> {
    let mut process = Command::new(&command.program);
    process
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for variable in OWN_VARIABLES {
        process.env_remove(variable);
    }
    for variable in &command.secret_variables {
        process.env_remove(variable);
    }
    process.spawn()
}

async fn finish(child: &mut Child, json: &[u8]) -> io::Result<std::process::ExitStatus> {
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(json).await {
            // A command need not read it.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait().await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shell(script: &str) -> NotifyCommand {
        NotifyCommand {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            secret_variables: BTreeSet::from(["PATH".into()]),
        }
    }

    #[tokio::test]
    async fn a_command_gets_the_json_and_not_the_secret_variables() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seen");
        let script = format!("/bin/cat > {0}; /usr/bin/env >> {0}", file.display());
        run(&shell(&script), b"{}\n").await.unwrap();
        let seen = std::fs::read_to_string(file).unwrap();
        assert!(seen.starts_with("{}\n"), "{seen}");
        // A shell without PATH sets its own, and exports nothing.
        assert!(!seen.contains("\nPATH="), "{seen}");
    }

    #[tokio::test]
    async fn a_failure_names_the_program_and_the_status() {
        assert_eq!(run(&shell("exit 0"), &vec![b' '; 100_000]).await, Ok(()));
        let failed = run(&shell("exit 3"), b"{}").await.unwrap_err();
        assert!(
            failed.contains("/bin/sh ended with exit status: 3"),
            "{failed}"
        );
        let missing = NotifyCommand {
            program: "/missing".into(),
            ..shell("")
        };
        let failed = run(&missing, b"{}").await.unwrap_err();
        assert!(failed.starts_with("/missing cannot be run: "), "{failed}");
    }
}
