//! Quotas on text: per user and day, and while the disk has room. Anything beyond them is refused temporarily, and so
//! is what the same socket sends after it, so that a writer's messages stay in order.
//!
//! The writer checks each message that is new: one that is already stored is acknowledged no matter how full it is. How
//! much a user may write per second is up to [`Live`](crate::live::Live).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use protocol::{Code, Fault, MessageId, SessionId, UserId};

use crate::Error;
use crate::options::Options;

/// A day's text is counted by the hour; an hour counts as long as any part of it is less than a day ago.
const HOUR: Duration = Duration::from_secs(60 * 60);
const HOURS: usize = 25;

/// Minimum time between checks of the disk. A commit holds at most 4 MiB, so free space cannot drop far meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// How long to wait before retrying while the disk is full: nobody knows when it will have room.
const DISK: Duration = Duration::from_secs(3);

/// The floor is at most this fraction of a disk (1/PART), so that a small one has room for anything at all.
const PART: u64 = 20;

/// Why a message is not accepted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The disk has little room left.
    Disk,
    /// The sender has used up a day's quota, and may write more after this long.
    Day(Duration),
}

impl Full {
    /// Returns how long to wait before sending it again.
    pub(crate) fn wait(self) -> Duration {
        match self {
            Full::Disk => DISK,
            Full::Day(wait) => wait,
        }
    }

    /// Returns what the sender is told.
    pub(crate) fn fault(self) -> Fault {
        let reason = match self {
            Full::Disk => {
                "The server has almost no disk space left, so it takes no new messages for now.".into()
            }
            Full::Day(wait) => {
                let hours = wait.as_secs().div_ceil(HOUR.as_secs());
                let hours = if hours == 1 { "an hour".to_owned() } else { format!("{hours} hours") };
                format!(
                    "You have written as much as one person may in a day. There is room again within {hours}."
                )
            }
        };
        Fault::new(Code::TooMany, reason)
    }
}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        Error::TooMany { wait: full.wait(), reason: full.fault().reason }
    }
}

/// The counts. Clones share them.
#[derive(Clone)]
pub(crate) struct Quota(Arc<Mutex<Count>>);

/// The counts, locked.
pub(crate) struct Count {
    /// Most bytes of text from one user in a day.
    per_day: Option<u64>,
    /// With fewer free bytes than this, nothing is accepted.
    floor: Option<u64>,
    born: Instant,
    /// The hour of the last check, counted from `born`.
    hour: u64,
    users: HashMap<UserId, Day>,
    /// Counted, but not known to be committed.
    taken: Vec<(UserId, u64)>,
    folder: PathBuf,
    looked: Option<Instant>,
    is_low: bool,
    /// 0 while the disk is low.
    meter: metrics::Gauge,
}

/// What one user wrote within a day.
#[derive(Default)]
struct Day {
    /// Bytes by hour, at the hour modulo [`HOURS`].
    hours: [u64; HOURS],
    /// The newest hour counted.
    newest: u64,
}

impl Quota {
    /// Makes quotas for the database in this folder. Nothing is refused until [`Quota::set`].
    pub(crate) fn new(folder: &Path) -> Self {
        let meter = metrics::gauge!("natter_takes_messages");
        meter.set(1.0);
        let count = Count {
            per_day: None,
            floor: None,
            born: Instant::now(),
            hour: 0,
            users: HashMap::new(),
            taken: Vec::new(),
            folder: folder.to_owned(),
            looked: None,
            is_low: false,
            meter,
        };
        Self(Arc::new(Mutex::new(count)))
    }

    /// Sets the limits.
    pub(crate) fn set(&self, options: &Options) {
        let mut count = self.lock();
        (count.per_day, count.floor) = (options.text_per_day, options.disk_floor);
    }

    /// Locks the counts and updates them to now.
    pub(crate) fn now(&self) -> MutexGuard<'_, Count> {
        let mut count = self.lock();
        count.look(Instant::now());
        count
    }

    /// Settles what was counted: if it was not committed, it counts for nothing.
    pub(crate) fn settle(&self, committed: bool) {
        self.lock().settle(committed);
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.0.lock().expect("nothing panics under this lock")
    }

    /// Fixes whether the disk counts as low, regardless of the real disk.
    #[cfg(test)]
    pub(crate) fn pretend(&self, is_low: bool) {
        let mut count = self.lock();
        (count.floor, count.is_low) = (None, is_low);
    }
}

impl Count {
    /// Returns why this much text from this user is not accepted now, if it is not.
    pub(crate) fn full(&self, user: UserId, bytes: usize) -> Option<Full> {
        if self.is_low {
            return Some(Full::Disk);
        }
        let (per_day, day) = (self.per_day?, self.users.get(&user)?);
        let mut excess = (day.sum(self.hour) + bytes as u64).saturating_sub(per_day);
        if excess == 0 {
            return None;
        }
        // Starting with the oldest, each hour frees its bytes once it is a day ago.
        let oldest = (self.hour + 1).saturating_sub(HOURS as u64);
        let goes = (oldest..=self.hour).find(|hour| {
            excess = excess.saturating_sub(day.of(*hour));
            excess == 0
        });
        let goes = u32::try_from(goes.unwrap_or(self.hour) + HOURS as u64).unwrap_or(u32::MAX);
        let at = self.born + HOUR.saturating_mul(goes);
        let now = self.looked.unwrap_or(self.born);
        Some(Full::Day(at.saturating_duration_since(now).max(Duration::from_secs(1))))
    }

    /// Counts text that is about to be stored.
    pub(crate) fn take(&mut self, user: UserId, bytes: usize) {
        if self.per_day.is_some() {
            self.users.entry(user).or_default().add(self.hour, bytes as u64);
            self.taken.push((user, bytes as u64));
        }
    }

    fn settle(&mut self, committed: bool) {
        for (user, bytes) in self.taken.drain(..).filter(|_| !committed) {
            if let Some(day) = self.users.get_mut(&user) {
                day.give_back(bytes);
            }
        }
    }

    /// Checks the clock and, now and then, the disk.
    fn look(&mut self, now: Instant) {
        let hour = now.saturating_duration_since(self.born).as_secs() / HOUR.as_secs();
        if hour != self.hour {
            self.hour = hour;
            self.users.retain(|_, day| day.newest + HOURS as u64 > hour);
        }
        let is_due = self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK);
        if is_due {
            self.looked = Some(now);
            if let Some(floor) = self.floor {
                self.look_at_the_disk(floor);
            }
        }
    }

    fn look_at_the_disk(&mut self, floor: u64) {
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else { return }; // the writer will find out
        let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        let is_low = free < floor.min(all / PART);
        self.meter.set(if is_low { 0.0 } else { 1.0 });
        match (std::mem::replace(&mut self.is_low, is_low), is_low) {
            (false, true) => tracing::warn!(free, "the disk is nearly full: no new messages are taken"),
            (true, false) => tracing::info!(free, "the disk has room again: new messages are taken"),
            _ => {}
        }
    }
}

impl Day {
    fn of(&self, hour: u64) -> u64 {
        let is_held = hour <= self.newest && hour + HOURS as u64 > self.newest;
        if is_held { self.hours[slot(hour)] } else { 0 }
    }

    /// Returns the bytes that count in this hour.
    fn sum(&self, now: u64) -> u64 {
        if now == self.newest {
            return self.hours.iter().sum();
        }
        ((now + 1).saturating_sub(HOURS as u64)..=now).map(|hour| self.of(hour)).sum()
    }

    fn add(&mut self, now: u64, bytes: u64) {
        for hour in (self.newest + 1..=now).take(HOURS) {
            self.hours[slot(hour)] = 0;
        }
        self.newest = now;
        self.hours[slot(now)] += bytes;
    }

    fn give_back(&mut self, bytes: u64) {
        let newest = &mut self.hours[slot(self.newest)];
        *newest = newest.saturating_sub(bytes);
    }
}

fn slot(hour: u64) -> usize {
    usize::try_from(hour % HOURS as u64).unwrap_or_default()
}

/// What one socket was temporarily refused: the first such message of each session, until it comes again. Dies with the
/// socket.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<BTreeMap<SessionId, (MessageId, Full)>>);

impl Gate {
    /// Returns the earlier message that must come again before this one, if there is one, and why it was refused.
    pub(crate) fn before(&self, session: SessionId, message: MessageId) -> Option<(MessageId, Full)> {
        self.lock().get(&session).filter(|(first, _)| *first != message).copied()
    }

    /// Notes that a message was temporarily refused. If it is the first of its session, it holds back those behind it.
    pub(crate) fn close(&self, session: SessionId, message: MessageId, full: Full) {
        let mut gates = self.lock();
        let first = gates.entry(session).or_insert((message, full));
        if first.0 == message {
            first.1 = full;
        }
    }

    /// Notes that a message is done, in any way. What it held back may pass.
    pub(crate) fn pass(&self, session: SessionId, message: MessageId) {
        let mut gates = self.lock();
        if gates.get(&session).is_some_and(|(first, _)| *first == message) {
            gates.remove(&session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, (MessageId, Full)>> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 100;

    /// Makes a quota in an empty folder, at the start of its time.
    fn counting() -> (Quota, Instant) {
        let quota = Quota::new(&std::env::temp_dir());
        quota.set(&Options { text_per_day: Some(MOST), disk_floor: None, ..Options::default() });
        let born = quota.lock().born;
        (quota, born)
    }

    fn writes(quota: &Quota, now: Instant, user: UserId, bytes: usize) -> Option<Full> {
        let mut count = quota.lock();
        count.look(now);
        let full = count.full(user, bytes);
        if full.is_none() {
            count.take(user, bytes);
        }
        count.settle(true);
        full
    }

    #[test]
    fn whoever_has_written_a_days_text_is_told_when_there_is_room_and_then_there_is() {
        let (quota, born) = counting();
        let (ada, bob) = (UserId::new(), UserId::new());
        assert_eq!(writes(&quota, born, ada, 60), None);
        assert_eq!(writes(&quota, born + 3 * HOUR, ada, 40), None);
        let late = born + 4 * HOUR;
        assert_eq!(
            writes(&quota, late, ada, 1),
            Some(Full::Day(21 * HOUR)),
            "the first 60 are a day ago then"
        );
        assert_eq!(writes(&quota, late, ada, 61), Some(Full::Day(24 * HOUR)), "and the other 40");
        assert_eq!(writes(&quota, late, bob, 100), None, "everybody has a day of their own");
        assert!(writes(&quota, late + 21 * HOUR - Duration::from_secs(1), ada, 1).is_some());
        assert_eq!(writes(&quota, late + 21 * HOUR, ada, 60), None);
        assert!(writes(&quota, late + 21 * HOUR, ada, 1).is_some());
    }

    #[test]
    fn in_no_24_hours_more_is_taken_than_may_be() {
        let (quota, born) = counting();
        let ada = UserId::new();
        let mut taken = Vec::new();
        for minute in 0..60 * 24 * 4 {
            let at = Duration::from_secs(60 * minute);
            if writes(&quota, born + at, ada, 1).is_none() {
                taken.push(at);
            }
        }
        assert!(taken.len() > 300, "about as many as three days allow: {}", taken.len());
        for window in taken.windows(usize::try_from(MOST).unwrap() + 1) {
            assert!(window[window.len() - 1] - window[0] >= 24 * HOUR);
        }
        writes(&quota, born + 200 * HOUR, UserId::new(), 1);
        assert_eq!(quota.lock().users.len(), 1, "who has not written for a day is forgotten");
    }

    #[test]
    fn what_was_not_committed_counts_for_nothing() {
        let (quota, born) = counting();
        let ada = UserId::new();
        writes(&quota, born, ada, 50);
        quota.lock().take(ada, 50);
        assert!(quota.lock().full(ada, 1).is_some());
        quota.settle(false);
        assert_eq!(quota.lock().full(ada, 50), None);
    }

    #[test]
    fn the_floor_is_a_part_of_a_small_disk_and_deaf_to_none() {
        let folder = tempfile::tempdir().unwrap();
        let disk = rustix::fs::statvfs(folder.path()).unwrap();
        let is_empty = disk.f_bavail >= disk.f_blocks / PART;
        let quota = Quota::new(folder.path());
        for (floor, low) in [(Some(u64::MAX), !is_empty), (Some(1), false), (None, false)] {
            let mut count = quota.lock();
            (count.floor, count.looked) = (floor, None);
            count.look(Instant::now());
            assert_eq!(count.full(UserId::new(), 1), low.then_some(Full::Disk), "{floor:?}");
        }
    }

    #[test]
    fn what_is_refused_for_now_holds_back_what_comes_behind_it_until_it_comes_again() {
        let (gate, session, other) = (Gate::default(), SessionId::new(), SessionId::new());
        let [first, second] = [(); 2].map(|()| MessageId::new());
        gate.close(session, first, Full::Disk);
        gate.close(session, second, Full::Day(HOUR));
        assert_eq!(gate.before(session, second), Some((first, Full::Disk)), "alike");
        assert_eq!((gate.before(session, first), gate.before(other, second)), (None, None));
        gate.pass(session, second);
        assert!(gate.before(session, second).is_some());
        gate.pass(session, first);
        assert_eq!(gate.before(session, second), None);
    }
}
