//! The documentation, tried: every link leads somewhere, every TOML block is valid, every command works.
//!
//! `cargo test --test docs store` tries the pages whose name has "store". The rules for a page's blocks:
//!
//! - A `toml` block is given to `bearward check`, in a folder with the files and in an environment with the variables that it
//!   names. What completes a part of a configuration stands in a comment before the block, `<!-- checked with … -->`, and is
//!   merged under it. With `<!-- checked in providers.NAME with … -->`, the block is the content of that table.
//! - The `sh` blocks of a page are one session of bash, in the order of the page, in a world of fakes: `session.rs` has its
//!   rules. `<!-- world: NAME -->` names the fake: a file of `tests/vendors` or `tests/docs`. A page of a vendor has its own.
//! - `<!-- bearward.toml: … -->` is a configuration that readers need not see.
//! - `<!-- not run: REASON -->` before a block says why it is not tried.
//!
//! Nothing leaves the machine, as in `tests/vendors.rs`, whose fakes these are.

#![allow(
    clippy::disallowed_methods,
    reason = "a test ends its tasks with its process, and may measure real time"
)]

#[path = "docs"]
mod docs {
    pub(crate) mod configurations;
    pub(crate) mod links;
    pub(crate) mod page;
    pub(crate) mod reference;
    pub(crate) mod session;
    pub(crate) mod world;
}

#[path = "vendors/engine"]
#[allow(
    dead_code,
    reason = "the tests of vendors use all of it, those of pages the fakes"
)]
mod engine {
    mod assertion;
    mod credentials;
    mod demands;
    pub(crate) mod fake;
    pub(crate) mod fixture;
    pub(crate) mod keys;
    mod ledger;
    pub(crate) mod network;
    pub(crate) mod program;
    pub(crate) mod request;
}

use std::{path::Path, process::ExitCode, thread};

use docs::{configurations, links, page::Page, reference, session};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials mostly wait for processes.
    let processors = thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(4 * processors);
    libtest_mimic::run(&arguments, trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    let pages = match Page::all(root()) {
        Ok(pages) => pages,
        Err(problem) => return vec![Trial::test("the pages are read", || Err(problem.into()))],
    };
    let mut trials = Vec::new();
    for page in &pages {
        let (name, tried) = (page.name.clone(), page.clone());
        if page.blocks_of("toml").next().is_some() {
            trials.push(Trial::test(
                format!("{name}: the TOML is valid"),
                move || Ok(configurations::check(&tried)?),
            ));
        }
        let tried = page.clone();
        if page.blocks_of("sh").next().is_some() {
            trials.push(Trial::test(
                format!("{name}: the commands work"),
                move || Ok(session::run(&tried, root())?),
            ));
        }
    }
    let all = pages.clone();
    trials.push(Trial::test("every link leads somewhere", move || {
        Ok(links::check(&all, root())?)
    }));
    let all = pages.clone();
    trials.push(Trial::test(
        "every page is linked from the README",
        move || Ok(links::check_reachable(&all, root())?),
    ));
    trials.push(Trial::test("every configuration key is documented", || {
        Ok(reference::check(root())?)
    }));
    trials.push(Trial::test("every block says what it is", move || {
        Ok(configurations::check_languages(&pages)?)
    }));
    trials
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
