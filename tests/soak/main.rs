//! The soak: minutes of mixed load with faults, reloads and kills, and an account at the end that has to balance.
//!
//! `make soak MINUTES=10` runs it; `SOAK_MINUTES` and `SOAK_SEED` set the length and the choices. Everything is on loopback:
//! authorization servers and upstreams in this process, bearward as the built binary.

#![allow(
    clippy::disallowed_methods,
    reason = "a test ends its tasks with its process, and measures real time"
)]

mod account;
mod authorization;
#[expect(unreachable_pub, reason = "shared with tests/it, where it is public")]
#[path = "../it/support/grpc_method.rs"]
mod grpc_method;
mod home;
mod ledger;
mod load;
mod pattern;
mod places;
#[expect(unreachable_pub, reason = "shared with tests/it, where it is public")]
#[path = "../it/support/ports.rs"]
mod ports;
mod process;
mod random;
mod relay;
mod reload;
mod run;
mod schedule;
#[expect(unreachable_pub, reason = "shared with tests/it, where it is public")]
#[path = "../it/support/text_codec.rs"]
mod text_codec;
mod timeline;
mod tokens;
mod upstream;
mod world;

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use libtest_mimic::{Arguments, Trial};

/// The length of a run in `cargo test`.
const DEFAULT_MINUTES: f64 = 2.0;

/// The shortest run in which every kind of event has room.
const MIN_MINUTES: f64 = 1.0;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = Trial::test("the account of a soak balances", || Ok(soak()?));
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn soak() -> Result<(), String> {
    let minutes = setting("SOAK_MINUTES")?.unwrap_or(DEFAULT_MINUTES);
    if !(MIN_MINUTES..=1440.0).contains(&minutes) {
        return Err(format!(
            "SOAK_MINUTES is {minutes}, and {MIN_MINUTES} to 1440 are possible"
        ));
    }
    let seed = setting("SOAK_SEED")?.unwrap_or_else(any_seed);
    println!(
        "A soak of {minutes} minutes. To repeat its choices: SOAK_SEED={seed} make soak MINUTES={minutes}"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let length = Duration::from_secs_f64(minutes * 60.0);
    let (account, wrong) = runtime.block_on(run::run(seed, length))?;
    println!("{account}");
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "the account does not balance:\n{}",
            wrong.join("\n")
        )),
    }
}

/// A number out of the environment.
fn setting<T: std::str::FromStr>(name: &str) -> Result<Option<T>, String> {
    match std::env::var(name) {
        Err(_) => Ok(None),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("{name} is no number: {text}")),
        },
    }
}

fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(1, |time| time.as_millis() as u64)
}
