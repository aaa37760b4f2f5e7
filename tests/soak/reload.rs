//! Reloads: the file unchanged, changed, and wrong; by signal and by request.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    home::Variant,
    places::Provider,
    process::{Sidecar, ask},
    random::Random,
    timeline::Event,
};

/// The longest wait for a reload to take effect.
const PATIENCE: Duration = Duration::from_secs(20);

/// The counter of reloads.
const METRIC: &str = "bearward_config_reloads_total{";

/// The reloads of a run.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    variant: Variant,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Reloads that changed the settings of the provider `steady`.
    pub(crate) changed_provider: u64,
}

impl Reloads {
    /// Reloads in one way, and checks that it took effect, or that nothing changed.
    pub(crate) async fn step(
        &mut self,
        sidecar: &Sidecar,
        random: &mut Random,
    ) -> Result<(), String> {
        let before = self.variant;
        let mut next = before;
        let name = match random.between(0, 5) {
            0 => "unchanged",
            1 => {
                next.has_route ^= true;
                "route added or removed"
            }
            2 => {
                next.has_listener ^= true;
                "listener added or removed"
            }
            3 => {
                next.has_timeout ^= true;
                "timeouts changed"
            }
            4 => {
                next.has_scope ^= true;
                self.changed_provider += 1;
                "provider changed"
            }
            _ => {
                next.is_invalid = true;
                "refused"
            }
        };
        let counted = count(sidecar).await;
        if next.has_scope != before.has_scope {
            let event = Event::Changed(Provider::Steady);
            sidecar.world().timeline.mark(event);
        }
        sidecar
            .home()
            .write(next)
            .map_err(|error| error.to_string())?;
        match random.one_in(2) {
            true => sidecar.hang_up()?,
            false => {
                let expected = if next.is_invalid { 422 } else { 200 };
                let response = ask(sidecar.home().admin, "POST /api/reload").await;
                if response.as_ref().map(|(status, _)| *status) != Some(expected) {
                    return Err(format!("reload ({name}): {response:?}"));
                }
            }
        }
        self.wait(sidecar, name, counted).await?;
        if next.is_invalid {
            // The process may be restarted before the next reload.
            sidecar
                .home()
                .write(before)
                .map_err(|error| error.to_string())?;
        } else {
            self.variant = next;
        }
        self.check(sidecar, name).await?;
        *self.counts.entry(name).or_default() += 1;
        Ok(())
    }

    /// Waits until the reload is counted.
    async fn wait(&self, sidecar: &Sidecar, name: &str, before: u64) -> Result<(), String> {
        let since = Instant::now();
        while count(sidecar).await <= before {
            if since.elapsed() > PATIENCE {
                return Err(format!("a reload ({name}) is not counted"));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Waits for the routes that are to be in force: an earlier change of the file may be counted late.
    async fn check(&self, sidecar: &Sidecar, name: &str) -> Result<(), String> {
        let wanted = (self.variant.has_route, self.variant.has_listener);
        let since = Instant::now();
        loop {
            let response = ask(sidecar.home().admin, "GET /api/status").await;
            let status = response.map(|(_, body)| body).unwrap_or_default();
            let json: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
            let has = |route: &str| json["routes"][route].is_object();
            let found = (has("more"), has("further"));
            if wanted == found {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!(
                    "after a reload ({name}): wanted {wanted:?} as further routes, found {found:?}"
                ));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The reloads so far, whatever their outcome.
async fn count(sidecar: &Sidecar) -> u64 {
    let response = ask(sidecar.home().admin, "GET /metrics").await;
    let metrics = response.map(|(_, body)| body).unwrap_or_default();
    let lines = metrics.lines().filter(|line| line.starts_with(METRIC));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}
