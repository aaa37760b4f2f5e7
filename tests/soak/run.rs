//! One run, from the first server to the account.

use std::{
    fs,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::Mutex as AsyncMutex, time::sleep};

use crate::{
    account::Account,
    authorization::Authorization,
    home::Home,
    load::Load,
    places::{Provider, Upstream},
    ports,
    process::{End, Sample, Sidecar, ask},
    random::Random,
    relay::Relay,
    schedule::{self, Stage, Times},
    upstream,
    world::World,
};

/// The longest wait for what must come when all faults are over.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs the soak; returns the account, and everything that does not balance.
pub(crate) async fn run(seed: u64, length: Duration) -> Result<(String, Vec<String>), String> {
    let mut home = Home::new().map_err(|error| error.to_string())?;
    let world = Arc::new(World::new(seed, home.listen, length));
    let servers = servers(&world).await.map_err(|error| error.to_string())?;
    let relays = relays(&world).await.map_err(|error| error.to_string())?;
    home.furnish(&servers, &relays)
        .map_err(|error| error.to_string())?;
    let home = Arc::new(home);
    for server in servers.iter().filter(|one| one.provider().has_login()) {
        if !server.log_in(home.clone()).await {
            return Err(format!("no first login of {}", server.provider().name()));
        }
    }

    let sidecar = Sidecar::start(home.clone(), world.clone()).await?;
    wait_until_ready(&home).await?;
    let before = sidecar.sample();
    let stage = Arc::new(Stage {
        world: world.clone(),
        home: home.clone(),
        servers,
        relays,
        sidecar: Arc::new(AsyncMutex::new(sidecar)),
        reloads: AsyncMutex::default(),
        failures: Arc::default(),
    });
    let watch = tokio::spawn({
        let world = world.clone();
        async move { world.watch_stalls().await }
    });
    let settling = tokio::spawn({
        let world = world.clone();
        async move {
            loop {
                sleep(Duration::from_secs(5)).await;
                world.ledger.settle_old();
            }
        }
    });

    let began = Instant::now();
    let load = Load::start(&world);
    schedule::run(stage.clone(), times(world.left())).await;
    load.wait().await?;
    settling.abort();

    let after = end(&stage, before).await;
    watch.abort();
    if world.ledger.open() > 0 {
        stage.fail(format!("{} requests have no end", world.ledger.open()));
    }
    check_logs(&stage).await;
    let sidecar = stage.sidecar.lock().await;
    let reloads = stage.reloads.lock().await;
    let account = Account {
        length: began.elapsed(),
        sums: world.ledger.close(),
        timeline: &world.timeline,
        servers: &stage.servers,
        lives: sidecar.lives(),
        reloads: &reloads,
        rest: before.zip(after),
        failures: std::mem::take(
            &mut *stage
                .failures
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        ),
    };
    let (text, mut wrong) = account.close();
    match wrong.is_empty() {
        true => home.remove(),
        false => wrong.push(format!(
            "configuration, store and logs: {:?}",
            home.folder()
        )),
    }
    Ok((text, wrong))
}

async fn servers(world: &Arc<World>) -> std::io::Result<Vec<Arc<Authorization>>> {
    let mut servers = Vec::new();
    for provider in Provider::ALL {
        servers.push(Authorization::start(provider, world.clone()).await?);
    }
    Ok(servers)
}

async fn relays(world: &Arc<World>) -> std::io::Result<Vec<Arc<Relay>>> {
    let mut relays = Vec::new();
    for upstream in Upstream::ALL {
        let backend = match upstream {
            Upstream::Grpc => upstream::grpc::start(world.clone()).await?,
            Upstream::WebSocket => upstream::websocket::start(world.clone())?,
            _ => upstream::http::start(upstream, world.clone()).await?,
        };
        let timeline = world.timeline.clone();
        let relay = Relay::start(upstream, ports::unused(), backend, timeline).await?;
        relays.push(Arc::new(relay));
    }
    Ok(relays)
}

/// Restarts in the first part, faults in most of the rest, and a last part in which all is well.
fn times(left: Duration) -> Times {
    let now = Instant::now();
    let quiet = (left / 5).min(Duration::from_secs(40));
    Times {
        restarts_end: now + left * 3 / 5,
        faults_end: now + left - quiet,
        life: match left > Duration::from_secs(300) {
            true => (10_000, 40_000),
            false => (5000, 15_000),
        },
    }
}

async fn wait_until_ready(home: &Home) -> Result<(), String> {
    let since = Instant::now();
    loop {
        let response = ask(home.admin, "GET /readyz").await;
        if matches!(response, Some((200, _))) {
            return Ok(());
        }
        if since.elapsed() > PATIENCE {
            return Err(format!("the sidecar is not ready: {response:?}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Checks that all is well, waits until the process holds no more than at its start, and ends it. What it held last.
async fn end(stage: &Stage, before: Option<Sample>) -> Option<Sample> {
    if let Err(error) = wait_until_ready(&stage.home).await {
        stage.fail(error);
    }
    for relay in &stage.relays {
        // Idle connections to the upstreams are no leak.
        relay.cut(1, &mut Random::new(0, 0));
    }
    let mut sidecar = stage.sidecar.lock().await;
    let since = Instant::now();
    let mut sample = sidecar.sample();
    while let (Some(now), Some(before)) = (sample, before)
        && now.descriptors > before.descriptors + 4
        && since.elapsed() < PATIENCE
    {
        sleep(Duration::from_millis(500)).await;
        sample = sidecar.sample();
    }
    if let Err(error) = sidecar.end(End::Stop).await {
        stage.fail(error);
    }
    sample
}

/// Looks for panics in the logs.
async fn check_logs(stage: &Stage) {
    let lives = stage.sidecar.lock().await.lives().len();
    for number in 0..lives {
        let log = fs::read(stage.home.log(number)).unwrap_or_default();
        if log.windows(8).any(|window| window == b"panicked") {
            stage.fail(format!("a panic in the log of life {number}"));
        }
    }
}
