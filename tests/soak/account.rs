//! The account of a run: sums, bounds, and whether they balance.

use std::{collections::BTreeMap, fmt::Write as _, sync::atomic::Ordering, time::Duration};

use crate::{
    authorization::Authorization,
    ledger::Sums,
    places::Provider,
    process::{End, Life, Sample},
    reload::Reloads,
    timeline::{Event, Timeline},
};

/// Growth that is no leak: heaps and pools fill up once.
const MAX_GROWTH_PERCENT: u64 = 150;
const MAX_GROWTH_KIB: u64 = 24 * 1024;
const MAX_MORE_DESCRIPTORS: usize = 64;
const MAX_MORE_THREADS: usize = 16;

/// Samples, one a second, that a life needs to be judged. The first third is its warm-up.
const MIN_SAMPLES: usize = 9;

/// All that the account is made of.
pub(crate) struct Account<'a> {
    pub(crate) length: Duration,
    pub(crate) sums: Sums,
    pub(crate) timeline: &'a Timeline,
    pub(crate) servers: &'a [std::sync::Arc<Authorization>],
    pub(crate) lives: Vec<Life>,
    pub(crate) reloads: &'a Reloads,
    /// What the last process held when no client was left.
    pub(crate) rest: Option<(Sample, Sample)>,
    pub(crate) failures: Vec<String>,
}

impl Account<'_> {
    /// The account as text, and everything that does not balance.
    pub(crate) fn close(self) -> (String, Vec<String>) {
        let mut text = String::new();
        let mut wrong = self.failures.clone();
        self.requests(&mut text, &mut wrong);
        self.tokens(&mut text, &mut wrong);
        self.events(&mut text);
        self.lives(&mut text, &mut wrong);
        let _ = writeln!(text, "\nViolations: {}", self.sums.violations);
        wrong.extend(self.sums.texts.iter().cloned());
        let hidden = self.sums.violations as usize - self.sums.texts.len();
        if hidden > 0 {
            wrong.push(format!("and {hidden} violations more"));
        }
        (text, wrong)
    }

    fn requests(&self, text: &mut String, wrong: &mut Vec<String>) {
        let _ = writeln!(
            text,
            "\nRequests by kind                  sent    right  other endings"
        );
        for (kind, sent) in &self.sums.sent {
            let endings: BTreeMap<&str, u64> = self
                .sums
                .settled
                .iter()
                .filter(|((of, _), _)| of == kind)
                .map(|((_, ending), count)| (ending.as_str(), *count))
                .collect();
            let right = endings.get("right").copied().unwrap_or_default();
            let others = endings.iter().filter(|(ending, _)| **ending != "right");
            let others: Vec<String> = others
                .map(|(ending, count)| format!("{count} {ending}"))
                .collect();
            let _ = writeln!(
                text,
                "{:30} {sent:>7} {right:>8}  {}",
                kind.name(),
                others.join(", ")
            );
            let settled: u64 = endings.values().sum();
            if settled != *sent {
                wrong.push(format!(
                    "{}: {sent} were sent and {settled} ended",
                    kind.name()
                ));
            }
            if right == 0 {
                wrong.push(format!("{}: not one went well", kind.name()));
            }
        }
        let sent: u64 = self.sums.sent.values().sum();
        let settled: u64 = self.sums.settled.values().sum();
        let _ = writeln!(text, "{:30} {sent:>7} sent = {settled} ended", "all");
        for (why, count) in &self.sums.repeated {
            let _ = writeln!(text, "  arrived twice: {count} {why}");
        }
        let unconnected = self.sums.unconnected;
        let _ = writeln!(
            text,
            "  no connection while the process was down: {unconnected}"
        );
    }

    fn tokens(&self, text: &mut String, wrong: &mut Vec<String>) {
        let _ = writeln!(
            text,
            "\nTokens    issued (bound)  failed (bound)  lost  spent sent again: known, unknown successor  logins ended"
        );
        for server in self.servers {
            let provider = server.provider();
            let counts = server.counts();
            let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
            let (issued, failed) = (read(&counts.issued), read(&counts.failed));
            let (most_issued, most_failed) = (self.max_issued(server), self.max_failed(server));
            let _ = writeln!(
                text,
                "{:8} {issued:>7} ({most_issued:>5}) {failed:>7} ({most_failed:>5}) {:>5} {:>23}, {:<18} {:>13}",
                provider.name(),
                read(&counts.lost),
                read(&counts.spent_again),
                read(&counts.repeated),
                read(&counts.ended),
            );
            if issued > most_issued || failed > most_failed {
                wrong.push(format!("{}: too many token requests", provider.name()));
            }
            if read(&counts.ended) > read(&counts.repeated) {
                wrong.push(format!(
                    "{}: a login ended, and no response was lost",
                    provider.name()
                ));
            }
        }
    }

    /// The most tokens that a provider may be asked for.
    fn max_issued(&self, server: &Authorization) -> u64 {
        let (provider, counts) = (server.provider(), server.counts());
        // No renewal is due in the first half of a lifetime.
        let interval = provider.lifetime() / 2;
        let renewals = self.length.as_millis() / interval.as_millis();
        let revoked = self.timeline.count(Event::Revoked(provider));
        let changed = match provider {
            Provider::Steady => self.reloads.changed_provider,
            _ => 0,
        };
        renewals as u64
            + 2 * self.lives.len() as u64
            + revoked as u64
            + changed
            + counts.lost.load(Ordering::Relaxed)
            + counts.exchanges.load(Ordering::Relaxed)
            + 2
    }

    /// The most requests that may meet the faults of an authorization server: the waits between them grow from one second.
    fn max_failed(&self, server: &Authorization) -> u64 {
        let counts = server.counts();
        let seconds = counts.fault_millis.load(Ordering::Relaxed) / 1000;
        6 * counts.faults.load(Ordering::Relaxed) + 4 * seconds + 2 * self.lives.len() as u64
    }

    fn events(&self, text: &mut String) {
        let _ = writeln!(text, "\nEvents");
        for (event, count) in self.timeline.counts() {
            if matches!(event, Event::Usable(_)) {
                continue;
            }
            let _ = writeln!(text, "  {count:>5} {event:?}");
        }
        for (name, count) in &self.reloads.counts {
            let _ = writeln!(text, "  {count:>5} reload: {name}");
        }
    }

    fn lives(&self, text: &mut String, wrong: &mut Vec<String>) {
        let _ = writeln!(
            text,
            "\nLives  seconds  end          memory KiB: warm, at the end   descriptors      threads"
        );
        for (number, life) in self.lives.iter().enumerate() {
            let end = match life.ended {
                Some((End::Kill, _)) => "killed".to_owned(),
                Some((End::Stop, took)) => format!("{:.1} s drain", took.as_secs_f64()),
                None => "runs".to_owned(),
            };
            let count = life.samples.len();
            let (Some(last), true) = (life.samples.last(), count >= MIN_SAMPLES) else {
                let _ = writeln!(text, "{number:>5} {count:>8}  {end:12} too short to judge");
                continue;
            };
            let warm = warm(&life.samples);
            let _ = writeln!(
                text,
                "{number:>5} {count:>8}  {end:12} {:>16} -> {:<10} {:>6} -> {:<5} {:>4} -> {}",
                warm.resident_kib,
                last.resident_kib,
                warm.descriptors,
                last.descriptors,
                warm.threads,
                last.threads,
            );
            let most_kib = warm.resident_kib * MAX_GROWTH_PERCENT / 100 + MAX_GROWTH_KIB;
            if last.resident_kib > most_kib
                || last.descriptors > warm.descriptors + MAX_MORE_DESCRIPTORS
                || last.threads > warm.threads + MAX_MORE_THREADS
            {
                wrong.push(format!("life {number} grew: {warm:?} to {last:?}"));
            }
        }
        if let Some((before, after)) = self.rest {
            let _ = writeln!(
                text,
                "  without clients: {} descriptors before the first request, {} after the last one",
                before.descriptors, after.descriptors
            );
            if after.descriptors > before.descriptors + 4 {
                wrong.push(format!("descriptors are left: {before:?}, {after:?}"));
            }
        }
    }
}

/// The largest values in the second sixth of a life, when all its pools are in use.
fn warm(samples: &[Sample]) -> Sample {
    let (from, to) = (samples.len() / 6, samples.len() / 3);
    let during = &samples[from..=to];
    Sample {
        resident_kib: during.iter().map(|one| one.resident_kib).max().unwrap_or(0),
        descriptors: during.iter().map(|one| one.descriptors).max().unwrap_or(0),
        threads: during.iter().map(|one| one.threads).max().unwrap_or(0),
    }
}
