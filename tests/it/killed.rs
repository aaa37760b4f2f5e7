//! `kill -9` at random instants. What may be lost is only what was on its way: a login whose refresh token the server has
//! replaced while the answer that names the new one was not yet in the store.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect, Spend},
    client::Client,
    home::Home,
    patience::{PATIENCE, heavy, until_within},
    random::Random,
    sidecar::Sidecar,
};

const ROUNDS: usize = 200;
const AT_A_TIME: usize = 10;
/// An answer that has been written this long is not in flight any more, on the slowest disk.
const LONGEST_FLIGHT: Duration = Duration::from_secs(2);

/// How a kill fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fell {
    /// Between two renewals, or before the server had rotated: the store has what the server wants.
    Beside,
    /// After the server had rotated and before its answer was written.
    BeforeTheAnswer,
    /// After the answer was written and before it was in the store.
    BeforeTheDisk,
}

/// One login and the sidecar that keeps it; it lives on its own server so that its books are its alone.
struct Life {
    server: AuthorizationServer,
    home: Home,
    random: Random,
}

/// What became of the rounds.
#[derive(Default, Debug)]
struct Tally {
    kept: usize,
    lost_before_the_answer: usize,
    lost_before_the_disk: usize,
}

#[test]
fn a_kill_at_any_instant_loses_no_login_but_one_whose_answer_was_on_its_way() {
    let _alone = heavy();
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let lives: Vec<_> = (0..AT_A_TIME)
            .map(|_| scope.spawn(|| live(ROUNDS / AT_A_TIME)))
            .collect();
        lives
            .into_iter()
            .map(|life| {
                life.join()
                    .expect("a life without a loss that nothing explains")
            })
            .collect()
    });
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (kept, before_answer, before_disk) = (
        sum(|t| t.kept),
        sum(|t| t.lost_before_the_answer),
        sum(|t| t.lost_before_the_disk),
    );
    assert_eq!(kept + before_answer + before_disk, ROUNDS);
    println!(
        "{kept} kept, {before_answer} killed before the answer was written, {before_disk} before it was stored"
    );
    // The server delays for a twentieth of the time; had the kills never met it, the test would have shown little.
    assert!(
        before_answer > 0,
        "no kill fell between the rotation and its answer"
    );
    assert!(kept > ROUNDS / 2, "only {kept} of {ROUNDS} were kept");
}

fn live(rounds: usize) -> Tally {
    let server = AuthorizationServer::start(Dialect::Happeo);
    server.configure(|server| {
        server.lifetime = 2;
        server.max_delay = Duration::from_millis(100);
    });
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let mut life = Life {
        server,
        home,
        random: Random::new(),
    };
    let mut tally = Tally::default();
    let mut sidecar = life.home.run();
    life.wait_for_a_renewal(&sidecar, 0);
    for _ in 0..rounds {
        // Renewals come about once in a second; requests use what they bring.
        let deadline = Instant::now() + life.random.up_to(Duration::from_millis(1100));
        let mut caller = Client::connect(sidecar.address());
        while Instant::now() < deadline {
            caller.get("/");
            thread::sleep(
                Duration::from_millis(5).min(deadline.saturating_duration_since(Instant::now())),
            );
        }
        sidecar.kill();
        let fell = life.judge(Instant::now());

        let spends = life.spends();
        sidecar = life.home.run();
        let kept = life.wait_for_a_renewal(&sidecar, spends);
        match (kept, fell) {
            (true, _) => tally.kept += 1,
            (false, Fell::BeforeTheAnswer) => tally.lost_before_the_answer += 1,
            (false, Fell::BeforeTheDisk) => tally.lost_before_the_disk += 1,
            (false, Fell::Beside) => {
                panic!(
                    "a login was lost by a kill beside every renewal:\n{}\n{}",
                    life.tail(),
                    sidecar.written()
                )
            }
        }
        if !kept {
            sidecar.kill();
            let token = life.server.issue_refresh_token();
            life.home.set("API_REFRESH_TOKEN", &token);
            let spends = life.spends();
            sidecar = life.home.run();
            assert!(
                life.wait_for_a_renewal(&sidecar, spends),
                "{}",
                sidecar.written()
            );
        }
    }
    assert_eq!(
        api.refused(),
        Vec::<String>::new(),
        "what reached the API without a good token"
    );
    tally
}

impl Life {
    fn spends(&self) -> usize {
        self.server.ledger().spends.len()
    }

    /// Waits for the outcome of the next renewal; whether it was a good one.
    fn wait_for_a_renewal(&self, sidecar: &Sidecar, after: usize) -> bool {
        let outcome = until_within(PATIENCE * 2, "the outcome of a renewal", || {
            let ledger = self.server.ledger();
            ledger.spends.get(after).map(|spend| spend.issued.is_some())
        });
        if outcome {
            sidecar.wait_for_ok("api");
        }
        outcome
    }

    /// How a kill at or before `dead` fell, by what server and disk show while no process runs.
    fn judge(&self, dead: Instant) -> Fell {
        // A request that the process had sent may still be on its way through the server: twice a hesitation, at most.
        thread::sleep(Duration::from_millis(250));
        let last = self
            .server
            .ledger()
            .spends
            .iter()
            .rev()
            .find(|spend| spend.issued.is_some())
            .cloned();
        let Some(Spend {
            issued: Some((refresh, access)),
            responded,
            ..
        }) = last
        else {
            return Fell::Beside;
        };
        if !self.home.files_with(&refresh).is_empty() {
            return Fell::Beside;
        }
        assert!(
            !self.server.ledger().was_used(&access),
            "an access token was used, and its refresh token is not on disk:\n{}",
            self.tail()
        );
        match responded {
            Some(responded) if responded < dead => {
                let flight = dead - responded;
                assert!(
                    flight < LONGEST_FLIGHT,
                    "responded {flight:?} before the kill, and not on disk"
                );
                Fell::BeforeTheDisk
            }
            _ => Fell::BeforeTheAnswer,
        }
    }

    /// The last refresh tokens that came.
    fn tail(&self) -> String {
        let spends = self.server.ledger().spends.clone();
        format!("{:#?}", &spends[spends.len().saturating_sub(3)..])
    }
}
