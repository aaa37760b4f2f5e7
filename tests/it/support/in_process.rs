//! A sidecar in the process of the test, for settings that are given as types.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
};

use bearward::{
    app::App,
    clock::SystemClock,
    config::{self, Config},
    server::address::ListenAddress,
    tls::install_crypto_provider,
};
use tokio::sync::oneshot;

use super::{
    client::get,
    patience::{PATIENCE, until},
    setup::Setup,
    wire::Answer,
};

/// A sidecar in service. Dropping it ends it.
pub struct InProcess {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    _setup: Setup,
}

/// Starts `setup` with what `change` makes of its configuration, and waits until it has an access token, or has failed to get one.
#[track_caller]
pub fn start(setup: Setup, change: impl FnOnce(&mut Config)) -> InProcess {
    install_crypto_provider();
    let (file, environment) = setup.write();
    let value = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let (mut config, _) = config::load(&file, &value).unwrap_or_else(|report| panic!("{report}"));
    change(&mut config);
    let (started, addresses) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let thread = thread::spawn(move || serve(config, &started, stopped));
    let (address, admin) = addresses
        .recv_timeout(PATIENCE)
        .expect("a sidecar that starts");
    until("the first token request of the sidecar", || {
        let metrics = get(admin, "/metrics").text();
        let is_asked = |line: &&str| {
            line.starts_with("bearward_token_requests_total") && !line.ends_with(" 0")
        };
        metrics.lines().find(is_asked).map(|_| ())
    });
    InProcess {
        address,
        stop: Some(stop),
        thread: Some(thread),
        _setup: setup,
    }
}

fn serve(
    config: Config,
    started: &mpsc::Sender<(SocketAddr, SocketAddr)>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let app = App::bind(config).expect("free addresses");
        let running = app.start(Arc::new(SystemClock)).await.expect("a start");
        let tcp = |address: &ListenAddress| address.tcp_addresses()[0];
        let addresses = running.addresses();
        let admin = addresses.admin.as_ref().expect("an admin listener");
        let _ = started.send((tcp(&addresses.routes["api"]), tcp(admin)));
        let _ = stopped.await;
        running.drain().await.expect("an orderly end");
    });
}

impl InProcess {
    /// Where the route `api` listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A GET through the route `api`.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        get(self.address, target)
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
