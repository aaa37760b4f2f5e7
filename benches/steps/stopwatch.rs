//! Times a step: as many runs as fill a few milliseconds, again and again, and the median of those.

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

/// How long one measure takes at the least, and how many there are.
const MEASURE: Duration = Duration::from_millis(4);
const MEASURES: usize = 41;

/// Times steps, prints a line for each, and remembers them for a comparison.
pub struct Stopwatch {
    only: Option<String>,
    by_size: BTreeMap<&'static str, Vec<(usize, f64)>>,
}

impl Stopwatch {
    /// One that times the steps alone whose name contains `only`.
    pub fn new(only: Option<String>) -> Self {
        println!(
            "{:<40} {:>7} {:>10} {:>10}",
            "step", "of", "median ns", "least ns"
        );
        Self {
            only,
            by_size: BTreeMap::new(),
        }
    }

    /// Times `step`. Where it is one of several with the same name, `size` is what they differ in, else 0.
    pub fn time<T>(&mut self, name: &'static str, size: usize, mut step: impl FnMut() -> T) {
        if !self.wants(name) {
            return;
        }
        let mut run = |times: u64| {
            let begun = Instant::now();
            for _ in 0..times {
                black_box(step());
            }
            begun.elapsed()
        };
        let mut times = 1;
        while run(times) < MEASURE {
            times *= 2;
        }
        let measures = (0..MEASURES)
            .map(|_| run(times).as_nanos() as f64 / times as f64)
            .collect();
        self.note(name, size, measures);
    }

    /// The same for a step that could wait, and does not.
    pub async fn time_async<T>(
        &mut self,
        name: &'static str,
        size: usize,
        mut step: impl AsyncFnMut() -> T,
    ) {
        if !self.wants(name) {
            return;
        }
        let mut run = async |times: u64| {
            let begun = Instant::now();
            for _ in 0..times {
                black_box(step().await);
            }
            begun.elapsed()
        };
        let mut times = 1;
        while run(times).await < MEASURE {
            times *= 2;
        }
        let mut measures = Vec::new();
        for _ in 0..MEASURES {
            measures.push(run(times).await.as_nanos() as f64 / times as f64);
        }
        self.note(name, size, measures);
    }

    /// Prints how the cost of each step that was timed with several sizes grew from the smallest to the others.
    pub fn growth(&self) {
        println!(
            "\n{:<40} {:>18}",
            "least ns, as a ratio to the smallest", "growth"
        );
        for (name, sizes) in &self.by_size {
            let Some((_, first)) = sizes.first() else {
                continue;
            };
            let ratios: Vec<_> = sizes
                .iter()
                .map(|(size, ns)| format!("{size}: {:.2}", ns / first))
                .collect();
            println!("{name:<40} {}", ratios.join("  "));
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    }

    fn note(&mut self, name: &'static str, size: usize, mut measures: Vec<f64>) {
        measures.sort_by(f64::total_cmp);
        let (least, median) = (measures[0], measures[measures.len() / 2]);
        let of = if size == 0 {
            String::new()
        } else {
            size.to_string()
        };
        println!("{name:<40} {of:>7} {median:>10.1} {least:>10.1}");
        if size > 0 {
            self.by_size.entry(name).or_default().push((size, least));
        }
    }
}
