//! The results, and their medians.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Machine;
use super::figures::median;
use crate::load::Report;

/// The longest that 99 of 100 deliveries may take at a rate that counts as held, in milliseconds.
pub(super) const HELD_P99_MS: f64 = 100.0;

/// All results of a benchmark run, as stored in `target/bench/results.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Where it ran.
    pub machine: Machine,
    /// When it ended, as `November 2026`.
    pub month: String,
    /// How many times everything was measured.
    pub repeats: usize,
    /// How long it took, in seconds.
    pub took_seconds: f64,
    /// Whether it was a quick run, whose numbers are only a trial.
    pub quick: bool,
    /// How many connections were held, in ascending order.
    pub sockets: Vec<usize>,
    /// Members of the fan-out's group.
    pub group: usize,
    /// The systems that took part, in the page's order.
    pub systems: Vec<SystemResults>,
    /// The systems that did not, with the reason.
    pub missing: Vec<(String, String)>,
}

/// The results of one system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemResults {
    /// Its short name.
    pub key: String,
    /// Its name.
    pub title: String,
    /// The versions of all its parts.
    pub version: String,
    /// One entry per repeat.
    pub repeats: Vec<Measured>,
}

/// The results of one repeat of one system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Memory with nobody connected, in KiB.
    pub rest_kib: f64,
    /// From the process's start until the first person could talk, in seconds.
    pub cold_start_seconds: f64,
    /// Memory per held connection, in KiB, by the number of connections.
    pub socket_kib: BTreeMap<usize, f64>,
    /// One pair in a closed loop.
    pub pair: Report,
    /// Fifty pairs in a closed loop.
    pub pairs: Report,
    /// Open loops: rising rates until one is not held, then falling ones if none was.
    pub rates: Vec<Report>,
    /// A large group in a closed loop.
    pub fan_out: Report,
    /// Fifty pairs who do all that people do on the page, at an even rate, where that is measured.
    #[serde(default)]
    pub mixed: Option<Report>,
}

impl Measured {
    /// Returns the highest rate that was held, in messages a second; 0 when none was.
    pub fn held(&self) -> f64 {
        let held = self.rates.iter().filter(|report| report.held(HELD_P99_MS));
        held.filter_map(|report| report.offered_per_second).fold(0.0, f64::max)
    }
}

/// The medians over all repeats.
impl SystemResults {
    /// Returns the median of a value, over the repeats that have it.
    pub fn median(&self, value: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        median(&self.repeats.iter().filter_map(value).collect::<Vec<_>>())
    }

    /// Returns the memory per connection at this many connections, in KiB.
    pub fn socket_kib(&self, people: usize) -> Option<f64> {
        self.median(|measured| measured.socket_kib.get(&people).copied())
    }

    /// Returns the p50 of delivery between fifty pairs, in milliseconds.
    pub fn p50_of_pairs(&self) -> Option<f64> {
        self.median(|measured| Some(measured.pairs.delivery.as_ref()?.p50_ms))
    }

    /// Returns the CPU seconds per 1,000 messages delivered between fifty pairs.
    pub fn cpu_per_1000(&self) -> Option<f64> {
        self.median(|measured| measured.pairs.server.as_ref()?.cpu_seconds_per_1000)
    }

    /// Returns the p50 of delivery while people do all that they do on the page, in milliseconds.
    pub fn p50_of_mixed(&self) -> Option<f64> {
        self.median(|measured| Some(measured.mixed.as_ref()?.delivery.as_ref()?.p50_ms))
    }

    /// Returns the CPU seconds per 1,000 messages delivered then.
    pub fn mixed_cpu_per_1000(&self) -> Option<f64> {
        self.median(|measured| measured.mixed.as_ref()?.server.as_ref()?.cpu_seconds_per_1000)
    }

    /// Returns the highest rate that was held, in messages a second.
    pub fn held(&self) -> Option<f64> {
        self.median(|measured| Some(measured.held()))
    }

    /// Returns, for each rate up to the one held: the rate, and the medians of delivery's p50 and p99 in milliseconds.
    pub fn latencies(&self) -> Vec<(f64, f64, f64)> {
        let held = self.held().unwrap_or_default();
        let mut by_rate: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        for report in self.repeats.iter().flat_map(|measured| &measured.rates) {
            let (Some(rate), Some(delivery)) = (report.offered_per_second, &report.delivery) else {
                continue;
            };
            if rate <= held && report.held(HELD_P99_MS) {
                by_rate.entry(rate as u64).or_default().push((delivery.p50_ms, delivery.p99_ms));
            }
        }
        let medians = by_rate.into_iter().filter_map(|(rate, times)| {
            let (p50, p99): (Vec<f64>, Vec<f64>) = times.into_iter().unzip();
            Some((rate as f64, median(&p50)?, median(&p99)?))
        });
        medians.collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::{Latency, ServerUse};

    fn report(rate: f64, p50_ms: f64, p99_ms: f64) -> Report {
        let delivery = Latency {
            count: 1_000,
            mean_ms: p50_ms,
            p50_ms,
            p99_ms,
            p99_9_ms: p99_ms,
            max_ms: p99_ms,
            curve: Vec::new(),
        };
        let server = ServerUse {
            cpu_seconds: 1.0,
            cpu_seconds_per_1000: Some(p50_ms / 10.0),
            rss_before_kib: 1,
            rss_connected_kib: 1,
            rss_after_kib: 1,
            rss_per_connection_kib: 0.0,
        };
        Report {
            offered_per_second: Some(rate),
            delivery: Some(delivery.clone()),
            ack: Some(delivery),
            server: Some(server),
            delivered_per_second: rate,
            ..Report::default()
        }
    }

    /// Returns a system with three repeats; `slow` is the factor by which it is slower.
    pub(in crate::bench) fn system(key: &str, title: &str, slow: f64) -> SystemResults {
        let repeats = [1.0, 3.0, 2.0].map(|noise| Measured {
            rest_kib: 20_000.0 * slow,
            cold_start_seconds: 0.05 * slow,
            socket_kib: [(1_000, 9.0 * slow), (5_000, 7.0 * slow)].into(),
            pair: report(0.0, 0.3 * slow * noise, 1.0),
            pairs: report(0.0, 2.0 * slow * noise, 4.0),
            rates: vec![
                report(50.0, 0.5 * slow * noise, 2.0 * slow),
                report(100.0, 0.5 * slow * noise, 20.0 * slow),
                report(200.0, 9.0, 50.0 * slow * noise),
            ],
            fan_out: report(20_000.0 / slow, 1.0, 2.0),
            mixed: Some(report(1_000.0, slow * noise, 4.0)),
        });
        SystemResults {
            key: key.to_owned(),
            title: title.to_owned(),
            version: format!("{title} 1.0"),
            repeats: repeats.to_vec(),
        }
    }

    #[test]
    fn a_rate_is_held_when_the_median_repeat_held_it() {
        let fast = system("fast", "Fast", 1.0);
        // 200 a second had a p99 of 50, 150 and 100 ms.
        let held: Vec<f64> = fast.repeats.iter().map(Measured::held).collect();
        assert_eq!(held, [200.0, 100.0, 200.0]);
        assert_eq!(fast.held(), Some(200.0));
        assert_eq!(fast.cpu_per_1000(), Some(0.4));
        assert_eq!(fast.socket_kib(5_000), Some(7.0));
        assert_eq!(fast.socket_kib(77), None);
        let latencies = fast.latencies();
        assert_eq!(latencies[0], (50.0, 1.0, 2.0));
        assert_eq!(latencies.len(), 3);
        assert_eq!(system("slow", "Slow", 6.0).latencies().len(), 1);
        let mut lossy = fast.clone();
        lossy.repeats.iter_mut().flat_map(|measured| &mut measured.rates).for_each(|report| report.lost = 1);
        assert_eq!(lossy.held(), Some(0.0), "what loses messages holds no rate");
    }
}
