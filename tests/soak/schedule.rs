//! The schedule: when which fault, restart, reload or revocation comes. The seed decides.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{sync::Mutex as AsyncMutex, task::JoinSet, time::sleep};

use crate::{
    authorization::{Authorization, TokenFault},
    home::Home,
    ledger::RequestFault,
    places::{Provider, Upstream},
    process::{End, Sidecar},
    random::Random,
    relay::Relay,
    reload::Reloads,
    timeline::Event,
    world::World,
};

/// The shortest time between two revocations of a provider's tokens: bearward counts several within 60 s as an upstream
/// that refuses whatever it gets.
const REVOCATION_INTERVAL: Duration = Duration::from_secs(65);

/// Everything that the schedule acts on.
pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    pub(crate) home: Arc<Home>,
    pub(crate) servers: Vec<Arc<Authorization>>,
    pub(crate) relays: Vec<Arc<Relay>>,
    pub(crate) sidecar: Arc<AsyncMutex<Sidecar>>,
    pub(crate) reloads: AsyncMutex<Reloads>,
    /// What went wrong in a step.
    pub(crate) failures: Arc<Mutex<Vec<String>>>,
}

/// The times of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When the last restart is over: one long life follows.
    pub(crate) restarts_end: Instant,
    /// When the last fault is over: the world is well at the end.
    pub(crate) faults_end: Instant,
    /// The length of a life, in milliseconds.
    pub(crate) life: (u64, u64),
}

/// Runs the schedule to its end.
pub(crate) async fn run(stage: Arc<Stage>, times: Times) {
    let seed = stage.world.seed;
    let mut tasks = JoinSet::new();
    for (number, server) in stage.servers.iter().cloned().enumerate() {
        let random = Random::new(seed, number as u64);
        tasks.spawn(fail_tokens(server, random, times));
    }
    tasks.spawn(fail_requests(stage.clone(), Random::new(seed, 10), times));
    tasks.spawn(break_connections(
        stage.clone(),
        Random::new(seed, 11),
        times,
    ));
    tasks.spawn(revoke(stage.clone(), Random::new(seed, 12), times));
    tasks.spawn(restart(stage.clone(), Random::new(seed, 13), times));
    tasks.spawn(reload(stage.clone(), Random::new(seed, 14), times));
    tasks.spawn(log_in(stage, times));
    tasks.join_all().await;
}

async fn fail_tokens(server: Arc<Authorization>, mut random: Random, times: Times) {
    loop {
        let fault = TokenFault::pick(server.provider(), &mut random);
        let (pause, length) = (random.millis(3000, 12_000), random.millis(300, 6000));
        if !has_room(times.faults_end, pause + length) {
            return;
        }
        sleep(pause).await;
        server.fail(fault, length).await;
    }
}

async fn fail_requests(stage: Arc<Stage>, mut random: Random, times: Times) {
    use RequestFault::{CutBeforeResponse, CutInBody, Hang, Slow, Status500};
    while has_room(times.faults_end, Duration::from_secs(9)) {
        sleep(random.millis(200, 900)).await;
        let upstream = random.pick(&Upstream::ALL);
        let faults: &[RequestFault] = match upstream {
            Upstream::Http1 | Upstream::Http2 => {
                &[Status500, CutBeforeResponse, CutInBody, Hang, Slow]
            }
            Upstream::Grpc => &[Status500, Slow, Hang],
            Upstream::WebSocket => &[Status500, CutBeforeResponse, CutInBody, Slow],
        };
        stage.world.arm(upstream, random.pick(faults));
    }
}

async fn break_connections(stage: Arc<Stage>, mut random: Random, times: Times) {
    while has_room(times.faults_end, Duration::from_secs(4)) {
        sleep(random.millis(1000, 4000)).await;
        let relay = &stage.relays[random.between(0, stage.relays.len() as u64 - 1) as usize];
        match random.between(0, 9) {
            0 => {
                if let Err(error) = relay.close(random.millis(200, 2000)).await {
                    stage.fail(format!("a relay: {error}"));
                }
            }
            1..=3 => relay.cut(1, &mut random),
            _ => relay.cut(3, &mut random),
        }
    }
}

async fn revoke(stage: Arc<Stage>, mut random: Random, times: Times) {
    let mut last: [Option<Instant>; Provider::ALL.len()] = Default::default();
    while has_room(times.faults_end, Duration::from_secs(16)) {
        sleep(random.millis(5000, 15_000)).await;
        let provider = random.pick(&Provider::ALL);
        let last = &mut last[provider as usize];
        if last.is_some_and(|last| last.elapsed() < REVOCATION_INTERVAL) {
            continue;
        }
        if stage.world.tokens.revoke(provider) {
            *last = Some(Instant::now());
            stage.world.timeline.mark(Event::Revoked(provider));
        }
    }
}

async fn restart(stage: Arc<Stage>, mut random: Random, times: Times) {
    loop {
        let pause = random.millis(times.life.0, times.life.1);
        let end = random.pick(&[End::Kill, End::Kill, End::Stop]);
        if !has_room(times.restarts_end, pause) {
            return;
        }
        sleep(pause).await;
        let mut sidecar = stage.sidecar.lock().await;
        if let Err(error) = sidecar.restart(end).await {
            stage.fail(error);
            return;
        }
    }
}

async fn reload(stage: Arc<Stage>, mut random: Random, times: Times) {
    while has_room(times.faults_end, Duration::from_secs(5)) {
        sleep(random.millis(1500, 5000)).await;
        // The process stays the same for the whole step.
        let sidecar = stage.sidecar.lock().await;
        if let Err(error) = stage.reloads.lock().await.step(&sidecar, &mut random).await {
            stage.fail(error);
        }
    }
}

/// Logs in again where a login has ended, as a person would.
async fn log_in(stage: Arc<Stage>, times: Times) {
    let is_ended = |server: &Authorization| {
        let event = Event::LoggedOut(server.provider());
        stage.world.timeline.is_lasting(event)
    };
    while Instant::now() < times.faults_end || stage.servers.iter().any(|one| is_ended(one)) {
        sleep(Duration::from_millis(500)).await;
        for server in stage.servers.iter().filter(|one| is_ended(one)) {
            if server.log_in(stage.home.clone()).await {
                let event = Event::LoggedOut(server.provider());
                stage.world.timeline.end(event);
            }
        }
    }
}

/// Whether something that takes so long ends in time.
fn has_room(end: Instant, length: Duration) -> bool {
    Instant::now() + length < end
}

impl Stage {
    pub(crate) fn fail(&self, text: String) {
        let mut failures = self
            .failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failures.push(text);
    }
}
