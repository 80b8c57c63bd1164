//! What became of every message: counts, times, order.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::order::{Arrival, Order};
use super::text::{self, Stamp};
use super::{Heard, Plan};

/// The longest time recorded, a minute in nanoseconds; times keep three significant digits.
const LONGEST: u64 = 60_000_000_000;

/// What became of every message of a run.
#[derive(Debug)]
pub struct Tally {
    plan: Plan,
    run: u32,
    clock: Instant,
    /// Times count for messages due from its start on, deliveries a second within it; faults always count.
    counted: Range<u64>,
    pub(super) people: Vec<Person>,
    pub(super) counts: Counts,
    /// Nanoseconds from when a message should have been sent until its acknowledgement.
    pub(super) ack: Histogram<u64>,
    /// Nanoseconds from when a message should have been sent until another member had it.
    pub(super) delivery: Histogram<u64>,
}

/// What one person has sent and received.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// How many messages they sent.
    sent: u64,
    /// Number and due time of the unacknowledged ones.
    waiting: VecDeque<(u64, u64)>,
    /// What they received from each member of their group.
    heard: Vec<Order>,
    /// The last place in the group's order that they saw, if any.
    place: Option<i64>,
}

/// How often each thing happened.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub sent: u64,
    pub acked: u64,
    pub delivered: u64,
    pub doubled: u64,
    pub reordered: u64,
    pub acked_twice: u64,
    pub misplaced: u64,
    pub refused: u64,
    pub disconnected: u64,
    pub lagged: u64,
    pub repaired: u64,
    /// Deliveries within the counted range, of messages whose time counts.
    pub timed: u64,
}

impl Tally {
    /// Creates the tally of a run that starts now and counts within these nanoseconds.
    #[must_use]
    pub fn new(plan: Plan, counted: Range<u64>) -> Self {
        let histogram = || Histogram::new_with_bounds(1_000, LONGEST, 3).expect("bounds that it can have");
        Self {
            plan,
            run: getrandom::u32().unwrap_or_else(|_| std::process::id()),
            clock: Instant::now(),
            counted,
            people: (0..plan.people).map(|_| Person::default()).collect(),
            counts: Counts::default(),
            ack: histogram(),
            delivery: histogram(),
        }
    }

    /// Returns the run's clock, in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records that a person sends, and writes the text of `bytes` bytes. Returns the message's ID.
    pub(super) fn say(&mut self, person: usize, due: u64, bytes: usize, text: &mut String) -> uuid::Uuid {
        let speaker = &mut self.people[person];
        let number = speaker.sent;
        speaker.sent += 1;
        speaker.waiting.push_back((number, due));
        self.counts.sent += 1;
        Stamp { run: self.run, person, number, due }.write(bytes, text);
        text::name(milliseconds(), person, number)
    }

    /// Records what a person received at `now`. True when it is news: the first time for an acknowledgement or a text.
    pub(super) fn hear(&mut self, person: usize, heard: Heard<'_>, now: u64) -> bool {
        match heard {
            Heard::Acked { id, place } => {
                let news = self.acked(person, text::number(id), now);
                if news {
                    self.check_place(person, place);
                }
                news
            }
            Heard::Said { text, place } => match Stamp::read(text).filter(|stamp| stamp.run == self.run) {
                Some(stamp) => {
                    let news = self.said(person, stamp, now);
                    if news {
                        self.check_place(person, place);
                    }
                    news
                }
                None => false, // from an earlier run, or somebody else's
            },
            Heard::Refused { .. } => {
                self.counts.refused += 1;
                false
            }
            Heard::Lagged | Heard::Repaired => {
                *if heard == Heard::Lagged { &mut self.counts.lagged } else { &mut self.counts.repaired } +=
                    1;
                self.people[person].place = None; // the page that follows does not take part in counting places
                false
            }
        }
    }

    fn acked(&mut self, person: usize, number: u64, now: u64) -> bool {
        let waiting = &mut self.people[person].waiting;
        // Nearly always the first.
        let Some(at) = waiting.iter().position(|(waits, _)| *waits == number) else {
            self.counts.acked_twice += 1;
            return false;
        };
        let (_, due) = waiting.remove(at).expect("it was found there");
        self.counts.acked += 1;
        if due >= self.counted.start {
            self.ack.saturating_record(now.saturating_sub(due));
        }
        true
    }

    fn said(&mut self, person: usize, stamp: Stamp, now: u64) -> bool {
        let size = self.plan.group;
        if stamp.person / size != person / size || stamp.person >= self.people.len() || stamp.person == person
        {
            self.counts.misplaced += 1; // it arrived where nobody sent it
            return false;
        }
        let orders = &mut self.people[person].heard;
        if orders.is_empty() {
            orders.resize(size, Order::default());
        }
        match orders[stamp.person % size].take(stamp.number) {
            Arrival::Doubled => {
                self.counts.doubled += 1;
                return false;
            }
            Arrival::TooLate => self.counts.reordered += 1,
            Arrival::Next | Arrival::TooEarly => {}
        }
        self.counts.delivered += 1;
        if stamp.due >= self.counted.start {
            self.counts.timed += u64::from(self.counted.contains(&now));
            self.delivery.saturating_record(now.saturating_sub(stamp.due));
        }
        true
    }

    /// Checks that a person sees the group's messages, including acknowledgements of their own, as 1, 2, 3…
    fn check_place(&mut self, person: usize, place: Option<i64>) {
        let Some(place) = place else { return };
        let last = self.people[person].place.replace(place);
        if last.is_some_and(|last| place != last + 1) {
            self.counts.misplaced += 1;
        }
    }

    /// Records that a person's connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.counts.disconnected += 1;
    }

    /// Returns how many deliveries the sent messages require.
    pub(super) fn expected(&self) -> u64 {
        self.counts.sent * (self.plan.group as u64 - 1)
    }

    /// Returns how many deliveries there were.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.counts.delivered
    }

    /// Returns whether everything sent was acknowledged or refused, and delivered.
    pub(super) fn is_complete(&self) -> bool {
        self.counts.delivered >= self.expected()
            && self.counts.acked + self.counts.refused >= self.counts.sent
    }
}

fn milliseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One person sends `sent` messages to another, who receives them as `heard` says.
    fn told(sent: usize, heard: &[usize]) -> Tally {
        let mut tally = Tally::new(Plan::new(2, 2), 0..u64::MAX);
        let mut texts = vec![String::new(); sent];
        let ids: Vec<_> = texts.iter_mut().map(|text| tally.say(0, 0, 140, text)).collect();
        for (place, id) in (1..).zip(ids) {
            assert!(tally.hear(0, Heard::Acked { id, place: Some(place) }, 1_000_000));
        }
        for number in heard {
            let place = i64::try_from(*number).ok().map(|number| number + 1);
            tally.hear(1, Heard::Said { text: &texts[*number], place }, 2_000_000);
        }
        tally
    }

    #[test]
    fn a_faultless_run_has_no_faults_and_right_times() {
        let tally = told(4, &[0, 1, 2, 3]);
        assert!(tally.is_complete());
        let Counts { acked, delivered, doubled, reordered, misplaced, .. } = tally.counts;
        assert_eq!((acked, delivered, doubled, reordered, misplaced), (4, 4, 0, 0, 0));
        let near = |histogram: &Histogram<u64>| (histogram.max() as f64 / 1e6).round();
        assert_eq!((near(&tally.ack), near(&tally.delivery)), (1.0, 2.0));
    }

    #[test]
    fn what_is_lost_doubled_and_out_of_order_is_counted() {
        let lost = told(4, &[0, 1, 3]);
        assert!(!lost.is_complete());
        assert_eq!((lost.expected() - lost.counts.delivered, lost.counts.misplaced), (1, 1));
        let doubled = told(3, &[0, 1, 1, 2]);
        assert_eq!((doubled.counts.doubled, doubled.counts.delivered), (1, 3));
        let reordered = told(3, &[0, 2, 1]);
        assert_eq!((reordered.counts.reordered, reordered.counts.delivered), (1, 3));
        assert!(reordered.counts.misplaced > 0);
    }

    #[test]
    fn what_is_heard_elsewhere_or_of_another_run_does_not_count_as_delivered() {
        let mut tally = Tally::new(Plan::new(4, 2), 0..u64::MAX);
        let mut text = String::new();
        tally.say(0, 0, 140, &mut text);
        tally.hear(2, Heard::Said { text: &text, place: None }, 5);
        assert_eq!((tally.counts.delivered, tally.counts.misplaced), (0, 1));
        let mut earlier = Tally::new(Plan::new(4, 2), 0..u64::MAX);
        earlier.run = tally.run.wrapping_add(1);
        earlier.hear(1, Heard::Said { text: &text, place: None }, 5);
        assert_eq!((earlier.counts.delivered, earlier.counts.misplaced), (0, 0));
    }

    #[test]
    fn a_name_acknowledged_twice_is_noticed() {
        let mut tally = Tally::new(Plan::new(2, 2), 0..u64::MAX);
        let id = tally.say(0, 0, 140, &mut String::new());
        assert!(tally.hear(0, Heard::Acked { id, place: None }, 5));
        assert!(!tally.hear(0, Heard::Acked { id, place: None }, 6));
        assert_eq!((tally.counts.acked, tally.counts.acked_twice), (1, 1));
    }
}
