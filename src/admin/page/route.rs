//! One route on the page: where it leads, and its traffic.

use maud::{Markup, html};

use super::words::milliseconds;
use crate::admin::{status::RouteStatus, traffic::RouteTraffic};

pub(super) fn item(name: &str, route: &RouteStatus) -> Markup {
    let traffic = &route.traffic;
    let latency = |value: Option<f64>| value.map_or("–".into(), milliseconds);
    html! {
        li class="card route" {
            div {
                h3 { (name) }
                p class="quiet" {
                    code { (route.listen) } " → " code { (route.upstream) }
                    @match &route.provider {
                        Some(provider) => { " with a token of " strong { (provider) } },
                        None => " without a token",
                    }
                }
            }
            (sparkline(traffic))
            dl class="numbers" {
                div { dt { "Rate" } dd { (rate(traffic.rate)) } }
                div { dt { "5xx" } dd class=[(traffic.server_errors > 0).then_some("bad")] {
                    (part(traffic.server_errors, traffic.requests))
                } }
                div { dt { "4xx" } dd { (part(traffic.client_errors, traffic.requests)) } }
                div { dt { abbr title="half of the requests took longer" { "p50" } } dd { (latency(traffic.p50_ms)) } }
                div { dt { abbr title="one of a hundred requests took longer" { "p99" } } dd { (latency(traffic.p99_ms)) } }
                div { dt { "Since start" } dd { (traffic.requests_total) } }
            }
        }
    }
}

fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0/s".into(),
        ..10.0 => format!("{rate}/s"),
        _ => format!("{rate:.0}/s"),
    }
}

fn part(count: u64, all: u64) -> String {
    if count == 0 || all == 0 {
        return count.to_string();
    }
    let percent = count as f64 * 100.0 / all as f64;
    format!("{count} ({percent:.1} %)")
}

/// The requests of the last minutes as a line, the present at its right end.
fn sparkline(traffic: &RouteTraffic) -> Markup {
    const HEIGHT: u32 = 20;
    let series = &traffic.series;
    let most = series.iter().copied().max().unwrap_or_default();
    let points: Vec<String> = series
        .iter()
        .enumerate()
        .map(|(place, requests)| {
            let height = f64::from(*requests) / f64::from(most.max(1)) * f64::from(HEIGHT);
            // Half a unit of room for the line's own width.
            format!("{place},{:.1}", f64::from(HEIGHT) + 0.5 - height)
        })
        .collect();
    let width = series.len().saturating_sub(1).max(1);
    let label = format!(
        "Requests of the last minutes: at most {most} in {} s",
        traffic.interval_s
    );
    html! {
        svg class="sparkline" viewBox={ "0 0 " (width) " 21" } preserveAspectRatio="none" role="img" aria-label=(label) {
            polyline points=(points.join(" ")) vector-effect="non-scaling-stroke" {}
        }
    }
}
