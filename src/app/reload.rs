//! Reloads: who asks for one, the configuration as it is then, and its outcome.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use super::file_watch::FileWatch;
use crate::{
    admin::{ReloadCause, ReloadHandle, ReloadReply, ReloadRequest},
    config::{self, Config, Problem, Report, Severity},
    telemetry::metrics::ReloadOutcome,
};

/// The time in which the configuration has to be read and checked.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval at which a refused configuration is checked again: a file that it names may be missing still.
const RECHECK_INTERVAL: Duration = Duration::from_secs(3);

/// A reload that was asked for, and the configuration as it was read for it.
#[derive(Debug)]
pub struct Reload {
    pub(super) request: ReloadRequest,
    pub(super) loaded: Loaded,
}

/// A configuration and its warnings, or its problems.
type Loaded = Result<(Config, Report), Report>;

/// The reloads that are asked for.
#[derive(Debug)]
pub(super) struct Reloads {
    handle: ReloadHandle,
    files: watch::Sender<Vec<PathBuf>>,
    loaded: mpsc::Receiver<Reload>,
    _task: JoinSet<()>,
}

impl Reloads {
    /// Takes requests, and watches `files`, on the current runtime. Dropping it ends both.
    pub(super) fn start(config: &Config) -> Self {
        let (handle, requests) = ReloadHandle::new();
        let (sender, loaded) = mpsc::channel(1);
        let files = watch::Sender::new(config.files.clone());
        let loader = Loader {
            path: config.path.clone(),
            requests,
            files: files.subscribe(),
            loaded: sender,
            refused: None,
        };
        let mut task = JoinSet::new();
        task.spawn(loader.run());
        Self {
            handle,
            files,
            loaded,
            _task: task,
        }
    }

    pub(super) fn handle(&self) -> &ReloadHandle {
        &self.handle
    }

    /// Watches these files from now on.
    pub(super) fn watch(&self, files: &[PathBuf]) {
        self.files.send_replace(files.to_owned());
    }

    /// Waits for the next reload. Cancel-safe.
    pub(super) async fn next(&mut self) -> Reload {
        match self.loaded.recv().await {
            Some(reload) => reload,
            // The loader has panicked, which the panic hook has printed.
            None => std::future::pending().await,
        }
    }
}

/// Loads the configuration each time that a reload is asked for.
struct Loader {
    path: Option<PathBuf>,
    requests: mpsc::Receiver<ReloadRequest>,
    files: watch::Receiver<Vec<PathBuf>>,
    loaded: mpsc::Sender<Reload>,
    /// The problems of the last configuration, when it was refused.
    refused: Option<Report>,
}

impl Loader {
    async fn run(mut self) {
        let mut watch = FileWatch::new(self.files.borrow_and_update().clone());
        loop {
            let request = tokio::select! {
                biased;
                Some(request) = self.requests.recv() => request,
                Ok(()) = self.files.changed() => {
                    watch.set_files(self.files.borrow_and_update().clone());
                    continue;
                }
                () = watch.changed() => ReloadRequest::new(ReloadCause::File),
                () = sleep(RECHECK_INTERVAL), if self.refused.is_some() => {
                    ReloadRequest::new(ReloadCause::Recheck)
                }
            };
            // A change from here on is one for the next time.
            watch.update().await;
            let loaded = self.load().await;
            let refused = loaded.as_ref().err().cloned();
            if request.cause == ReloadCause::Recheck && refused == self.refused {
                continue;
            }
            self.refused = refused;
            if self.loaded.send(Reload { request, loaded }).await.is_err() {
                return;
            }
        }
    }

    /// Reads and checks the configuration, on a thread that may block.
    async fn load(&self) -> Loaded {
        let Some(path) = self.path.clone() else {
            return Err(refusal(
                "-",
                "the configuration comes from no file",
                "restart bearward",
            ));
        };
        let file = path.display().to_string();
        let loading = spawn_blocking(move || config::load(&path, &config::environment));
        match timeout(LOAD_TIMEOUT, loading).await {
            Ok(Ok(loaded)) => loaded,
            // The panic hook has printed it.
            Ok(Err(_)) => Err(refusal(
                &file,
                "the configuration cannot be checked",
                "report this",
            )),
            Err(_) => {
                let seconds = LOAD_TIMEOUT.as_secs();
                let message = format!("the configuration cannot be read within {seconds} s");
                Err(refusal(
                    &file,
                    &message,
                    "check the file systems of the files that it names",
                ))
            }
        }
    }
}

fn refusal(file: &str, message: &str, hint: &str) -> Report {
    Report::new(vec![Problem::of_file(file, message, hint)])
}

/// Logs the outcome of a reload: its problems, then the outcome.
pub(super) fn log(report: &Report, cause: ReloadCause) {
    let cause = cause.as_str();
    log_problems(report);
    match report.is_ok() {
        true => tracing::info!(cause, "config.reloaded"),
        false => tracing::error!(cause, "config.refused: the one in force stays"),
    }
}

/// Logs the problems of a configuration, each in a line of its own.
pub fn log_problems(report: &Report) {
    for Problem {
        file,
        line,
        column,
        message,
        hint,
        severity,
        code,
        ..
    } in report.problems()
    {
        let code = code.word();
        match severity {
            Severity::Error => {
                tracing::error!(file, line, column, code, hint, "config.problem: {message}");
            }
            Severity::Warning => {
                tracing::warn!(file, line, column, code, hint, "config.problem: {message}");
            }
        }
    }
}

/// The outcome as the metrics count it.
pub(super) fn outcome(report: &Report) -> ReloadOutcome {
    match report.is_ok() {
        true => ReloadOutcome::Success,
        false => ReloadOutcome::Failure,
    }
}

/// The outcome as the admin listener shows it.
pub(super) fn reply(report: &Report, at: SystemTime) -> ReloadReply {
    ReloadReply {
        is_applied: report.is_ok(),
        report: report.to_json(),
        at,
    }
}
