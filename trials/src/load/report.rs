//! The result of a run, for people and for programs.

use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::tally::Counts;
use super::{Tally, Used};

/// The result of a run. `--json` prints it as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The server, such as `natter`.
    pub service: String,
    /// Who sent when: `idle`, `ping-pong`, `rate`, `fan-out`.
    pub mode: String,
    /// How many people were connected at the start.
    pub people: usize,
    /// How many of them share a session.
    pub group: usize,
    /// Each message's length.
    pub message_bytes: usize,
    /// How long messages were sent, excluding the warm-up.
    pub seconds: f64,
    /// Messages a second offered, in an open loop.
    pub offered_per_second: Option<f64>,
    /// Deliveries a second after the warm-up, while messages were sent.
    pub delivered_per_second: f64,
    /// Messages sent, including the warm-up, like all counts below.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Deliveries: one per message and other member of its session.
    pub delivered: u64,
    /// Messages that were neither acknowledged nor refused.
    pub unacked: u64,
    /// Deliveries that never came.
    pub lost: u64,
    /// Messages that somebody got more than once.
    pub doubled: u64,
    /// Messages that somebody got after a later one of the same sender.
    pub reordered: u64,
    /// Repeated acknowledgements.
    pub acked_twice: u64,
    /// Places that somebody saw skipped or repeated in a session's order, and messages in the wrong session.
    pub misplaced: u64,
    /// Messages that the server refused.
    pub refused: u64,
    /// How often somebody received `Lagged`: they read too slowly, and the server discarded what was queued for them.
    #[serde(default)]
    pub lagged: u64,
    /// How often somebody missed something without being notified, and had to ask for it.
    pub repaired: u64,
    /// Connections that were lost.
    pub disconnected: u64,
    /// Why the first of them was lost.
    pub first_loss: Option<String>,
    /// From when a message should have been sent until its acknowledgement.
    pub ack: Option<Latency>,
    /// From when a message should have been sent until another member had it.
    pub delivery: Option<Latency>,
    /// What the server used of the machine, when its process is known.
    pub server: Option<ServerUse>,
    /// CPU seconds that the load program itself used meanwhile.
    pub own_cpu_seconds: f64,
}

/// How times are distributed. In milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there are.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// 99 of 100 are at most this.
    pub p99_ms: f64,
    /// 999 of 1,000 are at most this.
    pub p99_9_ms: f64,
    /// All are at most this.
    pub max_ms: f64,
    /// The whole distribution: (quantile from 0 to 1, its milliseconds), ascending in both.
    pub curve: Vec<(f64, f64)>,
}

/// What the server used of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerUse {
    /// CPU seconds from the first message to the last delivery, user and system.
    pub cpu_seconds: f64,
    /// CPU seconds per 1,000 deliveries.
    pub cpu_seconds_per_1000: Option<f64>,
    /// Memory before anybody connected, in KiB.
    pub rss_before_kib: u64,
    /// Memory when all were connected and nobody had sent anything, in KiB.
    pub rss_connected_kib: u64,
    /// Memory at the end, in KiB.
    pub rss_after_kib: u64,
    /// Memory per connection when all were connected, in KiB.
    pub rss_per_connection_kib: f64,
}

/// What the server's process had used at three moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub before: Used,
    pub connected: Used,
    pub after: Used,
}

impl Report {
    /// Returns whether every message reached everybody once and in order, and nobody was disconnected.
    #[must_use]
    pub fn is_faultless(&self) -> bool {
        let faults = [
            self.lost,
            self.doubled,
            self.reordered,
            self.acked_twice,
            self.misplaced,
            self.refused,
            self.unacked,
            self.disconnected,
            self.repaired,
        ];
        faults.iter().all(|count| *count == 0)
    }

    /// Returns whether an offered rate was held: everything arrived, and 99 of 100 within `p99_ms` milliseconds.
    #[must_use]
    pub fn held(&self, p99_ms: f64) -> bool {
        self.is_faultless() && self.delivery.as_ref().is_some_and(|delivery| delivery.p99_ms <= p99_ms)
    }

    /// Fills in what a tally counted and timed over `seconds`.
    pub(super) fn count(&mut self, tally: &Tally, seconds: f64) {
        let Counts {
            sent,
            acked,
            delivered,
            doubled,
            reordered,
            acked_twice,
            misplaced,
            refused,
            disconnected,
            lagged,
            repaired,
            timed,
        } = tally.counts;
        self.seconds = seconds;
        self.delivered_per_second = timed as f64 / seconds;
        self.lost = tally.expected().saturating_sub(delivered);
        self.unacked = sent.saturating_sub(acked + refused);
        (self.sent, self.acked, self.delivered) = (sent, acked, delivered);
        (self.doubled, self.reordered, self.acked_twice) = (doubled, reordered, acked_twice);
        (self.misplaced, self.refused) = (misplaced, refused);
        (self.disconnected, self.lagged, self.repaired) = (disconnected, lagged, repaired);
        self.ack = Latency::of(&tally.ack);
        self.delivery = Latency::of(&tally.delivery);
    }
}

impl ServerUse {
    pub(super) fn between(moments: Moments, people: usize, delivered: u64) -> Self {
        let Moments { before, connected, after } = moments;
        let cpu_seconds = after.cpu_seconds - connected.cpu_seconds;
        let grown = connected.rss_kib as f64 - before.rss_kib as f64;
        Self {
            cpu_seconds,
            cpu_seconds_per_1000: (delivered > 0).then(|| cpu_seconds * 1_000.0 / delivered as f64),
            rss_before_kib: before.rss_kib,
            rss_connected_kib: connected.rss_kib,
            rss_after_kib: after.rss_kib,
            rss_per_connection_kib: grown / people.max(1) as f64,
        }
    }
}

impl Latency {
    /// Summarizes a histogram of nanoseconds; `None` when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let at = |part: f64| ms(histogram.value_at_quantile(part));
        let curve = histogram.iter_quantiles(5).map(|step| (step.quantile(), ms(step.value_iterated_to())));
        Some(Self {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e6,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: ms(histogram.max()),
            curve: curve.collect(),
        })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p99_ms, p99_9_ms, max_ms, .. } = self;
        write!(f, "p50 {p50_ms:.2} ms, p99 {p99_ms:.2}, p99.9 {p99_9_ms:.2}, max {max_ms:.2}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, mode, people, group, message_bytes, seconds, .. } = self;
        writeln!(
            f,
            "{service}, {mode}: {people} people in groups of {group}, {message_bytes} bytes a message, {seconds:.1} s"
        )?;
        if self.sent > 0 {
            let offered =
                self.offered_per_second.map_or(String::new(), |rate| format!(" of {rate:.0} offered"));
            writeln!(f, "  delivered     {:.0} a second{offered}", self.delivered_per_second)?;
        }
        for (what, latency) in [("acknowledged", &self.ack), ("delivered", &self.delivery)] {
            if let Some(latency) = latency {
                writeln!(f, "  {what:<14}{latency}")?;
            }
        }
        let Self { sent, acked, delivered, lost, doubled, reordered, .. } = self;
        writeln!(f, "  messages      {sent} sent, {acked} acknowledged, {delivered} delivered")?;
        write!(f, "  faults        {lost} lost, {doubled} doubled, {reordered} reordered")?;
        let others = [
            (self.unacked, "not acknowledged"),
            (self.acked_twice, "acknowledged twice"),
            (self.misplaced, "out of place"),
            (self.refused, "refused"),
            (self.disconnected, "connections lost"),
            (self.repaired, "missing until asked for"),
            (self.lagged, "times out of step"),
        ];
        for (count, what) in others.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        writeln!(f)?;
        if let Some(loss) = &self.first_loss {
            writeln!(f, "  first loss    {loss}")?;
        }
        if let Some(server) = &self.server {
            write!(f, "  server        {:.2} CPU seconds", server.cpu_seconds)?;
            if let Some(cost) = server.cpu_seconds_per_1000 {
                write!(f, ", {cost:.4} per 1,000 delivered")?;
            }
            let mib = |kib: u64| kib as f64 / 1024.0;
            writeln!(
                f,
                "; {:.1} KiB a connection ({:.1} MiB before, {:.1} connected, {:.1} at the end)",
                server.rss_per_connection_kib,
                mib(server.rss_before_kib),
                mib(server.rss_connected_kib),
                mib(server.rss_after_kib)
            )?;
        }
        write!(f, "  load          {:.2} CPU seconds of its own", self.own_cpu_seconds)
    }
}
