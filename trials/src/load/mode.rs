//! Who sends when.

use super::Plan;

/// A second, in nanoseconds of the run's clock.
const SECOND: f64 = 1e9;

/// Decides who sends when. Knows neither sockets nor texts.
pub trait Mode {
    /// Adds to `says` everybody who should send by `now`, each with their due time. Returns when to call it again;
    /// `None` means only after a message arrives.
    fn due(&mut self, now: u64, says: &mut Vec<(usize, u64)>) -> Option<u64>;

    /// Notes that a new message reached `person` at `now`.
    fn said(&mut self, person: usize, now: u64, says: &mut Vec<(usize, u64)>) {
        let _ = (person, now, says);
    }

    /// Returns the messages a second that it offers, where it sets the rate.
    fn offered(&self) -> Option<f64> {
        None
    }

    /// Returns its name.
    fn name(&self) -> &'static str;
}

/// Nobody sends: the sockets just stay open.
#[derive(Debug)]
pub struct Idle;

impl Mode for Idle {
    fn due(&mut self, _: u64, _: &mut Vec<(usize, u64)>) -> Option<u64> {
        None
    }

    fn name(&self) -> &'static str {
        "idle"
    }
}

/// Closed loop: in each pair one person sends, the other answers on receipt, and so on.
#[derive(Debug)]
pub struct PingPong {
    plan: Plan,
    begun: bool,
}

impl PingPong {
    /// Between the pairs of this plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { plan, begun: false }
    }
}

impl Mode for PingPong {
    fn due(&mut self, now: u64, says: &mut Vec<(usize, u64)>) -> Option<u64> {
        if !std::mem::replace(&mut self.begun, true) {
            says.extend((0..self.plan.people).step_by(self.plan.group).map(|person| (person, now)));
        }
        None
    }

    fn said(&mut self, person: usize, now: u64, says: &mut Vec<(usize, u64)>) {
        says.push((person, now));
    }

    fn name(&self) -> &'static str {
        "ping-pong"
    }
}

/// Open loop: a fixed rate of messages, however the server copes, with the gaps of independent people (a Poisson
/// process), each from a random person. A message's time starts when it should have been sent, so a server that stalls
/// is charged for everything that had to wait (no coordinated omission).
#[derive(Debug)]
pub struct Rate {
    plan: Plan,
    per_second: f64,
    next: f64,
    random: Random,
}

impl Rate {
    /// Sends `per_second` messages a second in total. The same `seed` gives the same arrivals.
    #[must_use]
    pub fn new(plan: Plan, per_second: f64, seed: u64) -> Self {
        Self { plan, per_second, next: 0.0, random: Random(seed) }
    }
}

impl Mode for Rate {
    fn due(&mut self, now: u64, says: &mut Vec<(usize, u64)>) -> Option<u64> {
        while self.next <= now as f64 {
            let person = (self.random.next() * self.plan.people as f64) as usize;
            says.push((person.min(self.plan.people - 1), self.next as u64));
            self.next += -(1.0 - self.random.next()).ln() / self.per_second * SECOND;
        }
        Some(self.next.ceil() as u64)
    }

    fn offered(&self) -> Option<f64> {
        Some(self.per_second)
    }

    fn name(&self) -> &'static str {
        "rate"
    }
}

/// Closed loop in large groups: in each, `depth` messages are in flight at any time; when everybody has received one of
/// them, the next member sends another.
#[derive(Debug)]
pub struct FanOut {
    plan: Plan,
    depth: usize,
    begun: bool,
    /// For each group: how many deliveries are outstanding, and whose turn it is.
    groups: Vec<(usize, usize)>,
}

impl FanOut {
    /// Talks in the groups of this plan, with `depth` messages in flight in each.
    #[must_use]
    pub fn new(plan: Plan, depth: usize) -> Self {
        let depth = depth.max(1);
        Self { plan, depth, begun: false, groups: vec![(0, 0); plan.groups()] }
    }

    fn next(&mut self, group: usize, now: u64, says: &mut Vec<(usize, u64)>) {
        let (under_way, turn) = &mut self.groups[group];
        *under_way += self.plan.group - 1;
        says.push((group * self.plan.group + *turn, now));
        *turn = (*turn + 1) % self.plan.group;
    }
}

impl Mode for FanOut {
    fn due(&mut self, now: u64, says: &mut Vec<(usize, u64)>) -> Option<u64> {
        if !std::mem::replace(&mut self.begun, true) {
            for group in 0..self.groups.len() {
                (0..self.depth).for_each(|_| self.next(group, now, says));
            }
        }
        None
    }

    fn said(&mut self, person: usize, now: u64, says: &mut Vec<(usize, u64)>) {
        let group = person / self.plan.group;
        self.groups[group].0 -= 1;
        // Rounded up: as soon as fewer deliveries are outstanding than `depth` messages make.
        if self.groups[group].0.div_ceil(self.plan.group - 1) < self.depth {
            self.next(group, now, says);
        }
    }

    fn name(&self) -> &'static str {
        "fan-out"
    }
}

/// SplitMix64: small, fast and good enough for arrivals. Not for secrets.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// Returns a number from 0 up to but excluding 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_with_the_gaps_of_a_poisson_process_and_reaches_everybody() {
        let mut rate = Rate::new(Plan::new(10, 2), 1_000.0, 7);
        let mut says = Vec::new();
        // However rarely it is asked, it returns everything that was due, with the due times.
        let next = rate.due(5_000_000_000, &mut says).unwrap();
        says.retain(|(_, due)| *due < 10_000_000_000);
        assert!(next > 5_000_000_000);
        let count = says.len() as f64;
        assert!((count - 5_000.0).abs() < 5.0 * 5_000_f64.sqrt(), "{count}");
        let gaps: Vec<f64> = says.windows(2).map(|pair| (pair[1].1 - pair[0].1) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.1 && (variance - 1.0).abs() < 0.2, "{mean} {variance}");
        for person in 0..10 {
            assert!(says.iter().filter(|(who, _)| *who == person).count() > 300);
        }
    }

    #[test]
    fn in_a_ping_pong_whoever_hears_answers() {
        let mut mode = PingPong::new(Plan::new(6, 2));
        let mut says = Vec::new();
        assert_eq!(mode.due(5, &mut says), None);
        assert_eq!(mode.due(6, &mut says), None);
        assert_eq!(says, [(0, 5), (2, 5), (4, 5)]);
        mode.said(3, 9, &mut says);
        assert_eq!(says.pop(), Some((3, 9)));
    }

    #[test]
    fn a_group_says_the_next_when_everybody_has_one_of_those_under_way() {
        let mut mode = FanOut::new(Plan::new(4, 4), 2);
        let mut says = Vec::new();
        mode.due(0, &mut says);
        assert_eq!(says, [(0, 0), (1, 0)]);
        for _ in 0..3 {
            assert_eq!(says.len(), 2);
            mode.said(2, 1, &mut says);
        }
        assert_eq!(says[2..], [(2, 1)]);
    }
}
