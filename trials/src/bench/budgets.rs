//! Natter's budgets, held against the measurements: as absolute numbers where those mean something on any machine, and
//! relative to the floor of the same run where they do not.

use super::figures::number;
use super::results::{Results, SystemResults};
use crate::load::Latency;

/// One budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// What it is about.
    pub what: String,
    /// What is allowed.
    pub allowed: String,
    /// What was measured.
    pub measured: String,
    /// Whether that is within it.
    pub is_kept: bool,
}

/// Returns the budgets that these results can judge: none without Natter, and none relative to a missing floor.
#[must_use]
pub fn budgets(results: &Results) -> Vec<Budget> {
    let system = |key| results.systems.iter().find(|system: &&SystemResults| system.key == key);
    let Some(natter) = system("natter") else { return Vec::new() };
    let mut budgets = Vec::new();
    let mut at_most = |what: String, unit: &str, most: f64, value: Option<f64>| {
        budgets.extend(value.map(|value| Budget {
            what,
            allowed: format!("{}{unit} at most", number(most)),
            measured: format!("{}{unit}", number(value)),
            is_kept: value <= most,
        }));
    };
    let beside = |natter: Option<f64>, floor: fn(&SystemResults) -> Option<f64>| {
        Some(natter? / system("relay").and_then(floor)?)
    };
    at_most(
        "memory at rest".into(),
        " MiB",
        40.0,
        natter.median(|measured| Some(measured.rest_kib / 1024.0)),
    );
    at_most("cold start".into(), " s", 0.3, natter.median(|measured| Some(measured.cold_start_seconds)));
    if let Some(&sockets) = results.sockets.last() {
        let what = format!("memory for each of {} silent connections", number(sockets as f64));
        at_most(what, " KiB", 12.0, natter.socket_kib(sockets));
    }
    let cpu = beside(natter.cpu_per_1000(), SystemResults::cpu_per_1000);
    at_most("CPU for a message between pairs".into(), " times the floor's", 2.2, cpu);
    let p50 = beside(natter.p50_of_pairs(), SystemResults::p50_of_pairs);
    at_most("half of the messages between pairs within".into(), " times the floor's time", 2.0, p50);
    let cpu = beside(natter.mixed_cpu_per_1000(), SystemResults::mixed_cpu_per_1000);
    at_most("CPU for a message, with all that the page does".into(), " times the floor's", 2.5, cpu);
    let p50 = beside(natter.p50_of_mixed(), SystemResults::p50_of_mixed);
    at_most("half of the messages then within".into(), " times the floor's time", 2.2, p50);
    let acknowledged = |which: fn(&Latency) -> f64| {
        natter.median(|measured| measured.mixed.as_ref()?.ack.as_ref().map(which))
    };
    at_most("half of them acknowledged within".into(), " ms", 2.0, acknowledged(|ack| ack.p50_ms));
    at_most("99 of 100 acknowledged within".into(), " ms", 10.0, acknowledged(|ack| ack.p99_ms));
    let least = 10_000.0;
    budgets.extend(natter.held().map(|held| Budget {
        what: "messages a second that are held".into(),
        allowed: format!("{} at least", number(least)),
        measured: number(held),
        is_kept: held >= least,
    }));
    budgets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::page::tests::results;
    use crate::bench::results::tests::system;

    fn kept(results: &Results) -> Vec<bool> {
        budgets(results).iter().map(|budget| budget.is_kept).collect()
    }

    #[test]
    fn a_budget_is_kept_by_what_is_within_it() {
        let mut some = results();
        some.systems.insert(1, system("relay", "Floor", 0.5));
        some.systems[0].repeats.iter_mut().for_each(|measured| {
            measured.rates.iter_mut().for_each(|report| {
                report.offered_per_second = report.offered_per_second.map(|rate| rate * 100.0);
            });
        });
        // Half is acknowledged after 1 ms, 99 of 100 after 2.
        assert_eq!(kept(&some), [true; 10], "{:?}", budgets(&some));
        some.systems[1] = system("relay", "Floor", 0.39);
        some.systems[0].repeats.iter_mut().for_each(|measured| {
            measured.rest_kib = 42_000.0;
            measured.socket_kib.insert(5_000, 12.1);
            measured.rates.truncate(1);
        });
        assert_eq!(
            kept(&some),
            [false, true, false, false, false, false, false, true, true, false],
            "{:?}",
            budgets(&some)
        );
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let mut some = results();
        assert_eq!(kept(&some).len(), 6, "{:?}", budgets(&some)); // no floor
        some.systems.remove(0);
        assert_eq!(budgets(&some), []);
    }
}
