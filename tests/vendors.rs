//! Every vendor's fixture in `tests/vendors`, against the real binary and the configuration on the vendor's page.
//!
//! `cargo test --test vendors zoom` runs one. Nothing leaves the machine: all requests go through a proxy on loopback into a
//! fake, which has a certificate for every host, accepts what the fixture lists, and refuses everything else.

#![allow(
    clippy::disallowed_methods,
    reason = "a test ends its tasks with its process, and may measure real time"
)]

#[path = "vendors/engine"]
mod engine {
    //! Runs the fixture of a vendor against the real binary.

    mod assertion;
    mod credentials;
    mod demands;
    pub(crate) mod fake;
    pub(crate) mod fixture;
    mod keys;
    mod ledger;
    mod network;
    mod program;
    mod request;
    pub(crate) mod strictness;
    pub(crate) mod world;
}

use std::{fs, path::Path, process::ExitCode, thread};

use engine::{
    fake::Counts,
    fixture::{Api, Fixture},
    strictness,
    world::{Sidecar, World},
};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials mostly wait for processes.
    let processors = thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(4 * processors);
    let mut trials = strictness::trials();
    trials.push(Trial::test("every preset has a fixture and a page", || {
        Ok(every_preset_is_documented()?)
    }));
    trials.extend(vendors());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial for each fixture, named like its file.
fn vendors() -> Vec<Trial> {
    let folder = root().join("tests/vendors");
    let files = fs::read_dir(folder).expect("the folder of the fixtures");
    let names = files.flatten().filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        name.strip_suffix(".toml").map(str::to_owned)
    });
    names
        .map(|name| Trial::test(name.clone(), move || Ok(try_vendor(&name)?)))
        .collect()
}

fn every_preset_is_documented() -> Result<(), String> {
    let presets = fs::read_dir(root().join("config/presets")).map_err(|error| error.to_string())?;
    for file in presets.flatten() {
        let file = file.file_name().to_string_lossy().into_owned();
        let name = file.strip_suffix(".toml").unwrap_or(&file);
        for path in [
            format!("tests/vendors/{name}.toml"),
            format!("docs/providers/{name}.md"),
        ] {
            if !root().join(&path).is_file() {
                return Err(format!("the preset {name} has no {path}"));
            }
        }
    }
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn try_vendor(name: &str) -> Result<(), String> {
    let path = root().join(format!("tests/vendors/{name}.toml"));
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let fixture = Fixture::parse(&text)?;
    let configuration = fixture.configuration(name, root())?;
    let world = World::new(fixture, &configuration)?;
    let ended = use_vendor(&world);
    let mut problems = world.fake.mismatches();
    let leaks = world.leaks()?;
    problems.extend(
        leaks
            .iter()
            .map(|line| format!("a secret in the log: {line}")),
    );
    match ended {
        Err(problem) => problems.push(problem),
        Ok(()) => problems.extend(
            world
                .fake
                .unused()
                .iter()
                .map(|entry| format!("{entry} was never used")),
        ),
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

/// The life of a login, or of a client's tokens.
fn use_vendor(world: &World) -> Result<(), String> {
    let fixture = world.fake.fixture();
    let has_login = fixture.authorize.is_some();
    if has_login {
        step(world, "login", 1, 0, || world.log_in())?;
    }

    // What was obtained by the login is in use after a start.
    let tokens = u32::from(!has_login);
    let sidecar = step(world, "the first API call", tokens, 1, || {
        let sidecar = world.run()?;
        succeed(&sidecar, "the API call", sidecar.call(&fixture.api)?)?;
        Ok(sidecar)
    })?;
    if fixture.is_renewable() {
        renewals(world, &sidecar)?;
    }
    sidecar.stop()?;

    if fixture.refused.is_some() {
        lost_login(world)?;
        if has_login {
            step(world, "the login afterwards", 1, 0, || world.log_in())?;
        }
    }
    let logins = if fixture.refused.is_some() { 2 } else { 1 };
    let gets = world.fake.counts().gets;
    if gets as usize != fixture.get.len() * logins {
        return Err(format!("{gets} GETs of captured values in {logins} logins"));
    }
    if has_login {
        world.log_out()?;
        let revocations = world.fake.counts().revocations;
        if revocations != u32::from(fixture.revoke.is_some()) {
            return Err(format!("{revocations} revocations at the logout"));
        }
    }
    Ok(())
}

/// One on demand, and one because the API refuses the token.
fn renewals(world: &World, sidecar: &Sidecar<'_>) -> Result<(), String> {
    let fixture = world.fake.fixture();
    step(world, "the renewal", 1, 0, || {
        succeed(sidecar, "the renewal", sidecar.renew()?)
    })?;
    let call = || succeed(sidecar, "the API call", sidecar.call(&fixture.api)?);
    step(world, "the API call after the renewal", 0, 1, call)?;
    if fixture.api.refusal.is_none() {
        return Ok(());
    }
    world.fake.kill_access_tokens();
    step(world, "the API call with a dead token", 1, 1, call)?;
    match world.fake.counts().dead_access_tokens {
        1 => Ok(()),
        count => Err(format!("the dead token was sent {count} times")),
    }
}

/// A second run whose refresh token is dead: the login has ended, after one request.
fn lost_login(world: &World) -> Result<(), String> {
    let fixture = world.fake.fixture();
    world.fake.kill_access_tokens();
    world.fake.kill_refresh_tokens();
    let sidecar = world.run()?;
    sidecar.wait_until_loaded()?;
    let (renewal, _) = sidecar.renew()?;
    // An access token that was kept serves until the API refuses it, and this refusal reaches the client.
    let (refusal, _) = sidecar.call(&fixture.api)?;
    let (call, body) = sidecar.call(&fixture.api)?;
    let provider = sidecar.provider()?;
    let refused = world.fake.counts().dead_refresh_tokens;
    let is_lost = provider["state"] == "login_required" && call == 503 && refused == 1;
    if !is_lost || renewal != 502 || (refusal == 200 && !has_status_200(&fixture.api)) {
        return Err(format!(
            "after a dead refresh token, sent {refused} times: a renewal gives {renewal}, an API call {call} {body}, \
             the status is {provider}\n{}",
            sidecar.errors()
        ));
    }
    sidecar.stop()
}

/// Whether the API refuses a token with 200.
fn has_status_200(api: &Api) -> bool {
    api.refusal
        .as_ref()
        .is_some_and(|refusal| refusal.status == 200)
}

fn succeed(sidecar: &Sidecar<'_>, what: &str, response: (u16, String)) -> Result<(), String> {
    match response {
        (200, _) => Ok(()),
        (status, body) => Err(format!(
            "{what} gives {status} {body}\n{}",
            sidecar.errors()
        )),
    }
}

/// Runs a step that makes exactly so many token requests and API calls.
fn step<T>(
    world: &World,
    name: &str,
    tokens: u32,
    calls: u32,
    run: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let before: Counts = world.fake.counts();
    let result = run().map_err(|problem| format!("{name}: {problem}"))?;
    if let Some(mismatch) = world.fake.mismatches().first() {
        return Err(format!("{name}: the vendor refused {mismatch}"));
    }
    let after = world.fake.counts();
    let found = (
        after.tokens - before.tokens,
        after.api_calls - before.api_calls,
    );
    if found == (tokens, calls) {
        Ok(result)
    } else {
        Err(format!(
            "{name}: {} token requests and {} API calls",
            found.0, found.1
        ))
    }
}
