//! The alerts and the dashboard in `deploy`: they name metrics and labels that a sidecar has.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use promql_parser::{
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{
    client::exchange, setup::Setup, sidecar::Sidecar, token_endpoint::TokenEndpoint,
    upstream::Upstream, wire::ok,
};

/// Labels that Prometheus adds to what it reads.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

/// A rule file of Prometheus.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    wait: Option<String>,
    labels: HashMap<String, String>,
    annotations: HashMap<String, String>,
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    fs::read_to_string(path).unwrap()
}

fn rules() -> Vec<Rule> {
    let file: RuleFile = serde_saphyr::from_str(&read("prometheus/alerts.yaml")).unwrap();
    let [group] = <[Group; 1]>::try_from(file.groups).ok().unwrap();
    assert_eq!(group.name, "bearward");
    group.rules
}

/// The queries of the dashboard. Grafana fills in the interval, and variables stand in quotation marks.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana/bearward.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    targets
        .map(|target| {
            let query = target["expr"].as_str().unwrap();
            query.replace("$__rate_interval", "5m")
        })
        .collect()
}

/// The metrics of a sidecar that has served a request, each with its labels.
fn metrics() -> HashMap<String, BTreeSet<String>> {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok(""));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    exchange(
        sidecar.address(),
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    crate::support::patience::until("the request in the metrics", || {
        sidecar
            .metrics()
            .contains("bearward_requests_total{route=\"api\"")
            .then_some(())
    });
    labels_in(&sidecar)
}

fn labels_in(sidecar: &Sidecar) -> HashMap<String, BTreeSet<String>> {
    let text = sidecar.metrics();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut metrics = HashMap::<String, BTreeSet<String>>::new();
    for sample in samples {
        let (series, _) = sample.rsplit_once(' ').unwrap();
        // A series is a selector too.
        let Expr::VectorSelector(series) = parser::parse(series).unwrap() else {
            panic!("{sample} is no series");
        };
        let labels = series.matchers.matchers.into_iter().map(|label| label.name);
        let known = metrics.entry(series.name.unwrap()).or_default();
        known.extend(labels);
    }
    metrics
}

/// Collects what an expression names that a sidecar does not have.
struct Check<'m> {
    metrics: &'m HashMap<String, BTreeSet<String>>,
    /// The labels of all metrics that the expression names.
    labels: BTreeSet<String>,
    named: BTreeSet<String>,
    used: BTreeSet<String>,
}

impl Check<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        let name = selector.name.clone().expect("a metric with a name");
        self.labels.extend(OF_PROMETHEUS.map(str::to_owned));
        let known = match name.as_str() {
            "up" => BTreeSet::new(),
            _ => self
                .metrics
                .get(&name)
                .unwrap_or_else(|| panic!("no sidecar has {name}"))
                .clone(),
        };
        for matcher in &selector.matchers.matchers {
            let label = matcher.name.as_str();
            assert!(
                known.contains(label) || OF_PROMETHEUS.contains(&label),
                "{name} has no label {label}"
            );
        }
        self.labels.extend(known);
        self.named.insert(name);
    }
}

impl ExprVisitor for Check<'_> {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                let modifier = aggregate.modifier.iter();
                let labels = modifier.flat_map(|modifier| modifier.labels().labels.clone());
                self.used.extend(labels);
            }
            _ => {}
        }
        Ok(true)
    }
}

/// Checks one expression, and returns the metrics that it names.
#[track_caller]
fn check(query: &str, metrics: &HashMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let expr = parser::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut check = Check {
        metrics,
        labels: BTreeSet::new(),
        named: BTreeSet::new(),
        used: BTreeSet::new(),
    };
    walk_expr(&mut check, &expr).unwrap();
    assert!(
        check.used.is_subset(&check.labels),
        "{query}: {:?} of {:?}",
        check.used,
        check.labels
    );
    check.named
}

#[test]
fn alerts_and_panels_name_metrics_and_labels_that_a_sidecar_has() {
    let (metrics, rules, queries) = (metrics(), rules(), queries());
    let mut shown = BTreeSet::new();
    for query in &queries {
        shown.extend(check(query, &metrics));
    }
    for rule in &rules {
        check(&rule.expr, &metrics);
    }
    let families: BTreeSet<String> = metrics
        .keys()
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"))
        .cloned()
        .collect();
    assert_eq!(shown, families, "the dashboard shows every metric");
}

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do() {
    let rules = rules();
    for expected in [
        "BearwardDown",
        "BearwardErrorRate",
        "BearwardLoginExpiresSoon",
        "BearwardLoginRequired",
        "BearwardReloadFailed",
        "BearwardTokenExpiresSoon",
        "BearwardTokenRequestsFail",
    ] {
        assert!(
            rules.iter().any(|rule| rule.alert == expected),
            "{expected}"
        );
    }
    for rule in rules {
        let name = &rule.alert;
        assert!(rule.annotations.contains_key("summary"), "{name}");
        assert!(rule.annotations.contains_key("description"), "{name}");
        let severity = rule.labels["severity"].as_str();
        assert!(["critical", "warning"].contains(&severity), "{name}");
        let wait = rule.wait.as_deref().unwrap_or("0s");
        assert!(wait.ends_with(['s', 'm']), "{name}");
    }
}
