//! The fuzz targets' promises without a fuzzer: every seed, past findings among them, and random mutations of the seeds.
//!
//! `FUZZ_ROUNDS` makes it more mutations than a few seconds' worth, `FUZZ_SEED` others.

#![allow(
    clippy::disallowed_methods,
    reason = "the environment sets how long the test runs"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "nobody is outside of a test binary"
)]
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a promise is broken by panicking"
)]

#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

#[test]
fn hyper_sees_the_messages_that_the_gate_sees_and_no_ambiguous_one() {
    run("framing_gate", checks::framing_gate::check, 5_000);
}

#[test]
fn a_path_is_read_as_any_server_would_and_rules_mean_what_they_say() {
    run("path", checks::path::check, 100_000);
}

#[test]
fn a_token_answer_gives_a_token_that_can_be_sent_or_an_error_that_shows_nothing() {
    run("token_response", checks::token_response::check, 20_000);
}

#[test]
fn a_configuration_is_taken_or_refused_with_problems_that_lie_within_it() {
    run("configuration", checks::configuration::check, 300);
}

/// Checks the seeds of a target, and `rounds` mutations of them.
fn run(target: &str, check: fn(&[u8]), rounds: u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 3, "hardly any seeds in {}", folder.display());
    for (seed, file) in seeds.iter().zip(&files) {
        holds(check, seed, &file.display().to_string());
    }
    let number =
        |name: &str, default: u64| env::var(name).map_or(default, |text| text.parse().unwrap());
    let mut random = Random(number("FUZZ_SEED", 1) * 2 + 1);
    for round in 0..number("FUZZ_ROUNDS", rounds) {
        let input = mutated(&seeds, &mut random);
        holds(check, &input, &format!("round {round}"));
    }
}

fn holds(check: fn(&[u8]), input: &[u8], which: &str) {
    if catch_unwind(AssertUnwindSafe(|| check(input))).is_err() {
        panic!("{which} breaks the promise: {}", input.escape_ascii());
    }
}

/// A seed with up to eight changes: bytes exchanged, cut out, put in, doubled, or parts of other seeds spliced in.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let length = random.below(12).min(input.len() - at);
        match random.below(6) {
            0 if at < input.len() => input[at] = random.byte(),
            1 => drop(input.drain(at..at + length)),
            2 => input.insert(at, random.byte()),
            3 => {
                let part = input[at..at + length].to_vec();
                input.splice(at..at, part);
            }
            4 if at < input.len() => input[at] ^= 1 << random.below(8),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = from + random.below(40).min(other.len() - from);
                input.splice(at..at + length, other[from..to].iter().copied());
            }
        }
    }
    input
}

/// xorshift64*: the same every time, which is what a test wants.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }

    /// Bytes that mean something are likelier than others.
    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\r\n\t \0:;,/\\%.?#*=&\"'[]{}0159afAF_-";
        if self.below(2) == 0 {
            TELLING[self.below(TELLING.len())]
        } else {
            self.next() as u8
        }
    }
}
