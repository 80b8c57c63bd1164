//! The queue for the hashing threads: who may enter it, and who is next.
//!
//! Strangers queue by network; known devices queue by account, in places of their own. When the queue is full, a
//! newcomer from a group with few places takes the last place of the largest group. Threads serve one of each group in
//! turn, alternating between known devices and strangers, so a flood blocks only itself.

use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use protocol::UserId;

/// Most callers in each part of the queue; callers beyond that are sent away to retry.
pub(super) const STRANGERS: usize = 64;
pub(super) const KNOWN: usize = 16;

/// A hashing job; called with false, it reports to its caller that it did not run.
pub(super) type Job = Box<dyn FnOnce(bool) + Send>;

/// Who a password is hashed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A device where this user has signed in before.
    Known(UserId),
    /// Anybody from this network; if the network is unknown, all such strangers together.
    Stranger(Option<IpAddr>),
}

/// The queue. Locked only briefly.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    last_id: u64,
    /// The round that each part has reached: known devices first, then strangers.
    rounds: [u64; 2],
    known_was_last: bool,
    closed: bool,
}

struct Entry {
    id: u64,
    whose: Whose,
    /// Each group gets one place per round.
    round: u64,
    /// The job, once known.
    job: Option<Job>,
}

/// A place in the queue, released when dropped or served.
pub(crate) struct HashTurn {
    line: Arc<Line>,
    id: u64,
}

impl Whose {
    fn part(self) -> usize {
        match self {
            Whose::Known(_) => 0,
            Whose::Stranger(_) => 1,
        }
    }

    fn room(self) -> usize {
        [KNOWN, STRANGERS][self.part()]
    }
}

impl State {
    fn of(&self, whose: Whose) -> usize {
        self.entries.iter().filter(|entry| entry.whose == whose).count()
    }

    /// Returns the place that a newcomer of this group displaces from a full queue.
    fn least_due(&self, whose: Whose) -> Option<usize> {
        let part = self.entries.iter().filter(|entry| entry.whose.part() == whose.part());
        let most = part.max_by_key(|entry| (self.of(entry.whose), entry.id))?.whose;
        let is_more = most != whose && self.of(most) > self.of(whose) + 1;
        is_more.then(|| self.entries.iter().rposition(|entry| entry.whose == most))?
    }

    fn next(&mut self) -> Option<Job> {
        let first = |part: usize| {
            let ready = self.entries.iter().enumerate();
            let ready = ready.filter(|(_, entry)| entry.job.is_some() && entry.whose.part() == part);
            ready.min_by_key(|(_, entry)| (entry.round, entry.id)).map(|(at, _)| at)
        };
        let (known, stranger) = (first(0), first(1));
        let at = if self.known_was_last { stranger.or(known) } else { known.or(stranger) }?;
        let entry = self.entries.remove(at);
        self.known_was_last = entry.whose.part() == 0;
        self.rounds[entry.whose.part()] = entry.round;
        entry.job
    }
}

impl Line {
    /// Takes a place, if one is free or somebody has to make room.
    pub(super) fn enter(self: &Arc<Self>, whose: Whose) -> Option<HashTurn> {
        let (turn, displaced) = {
            let mut state = self.lock();
            let part = state.entries.iter().filter(|entry| entry.whose.part() == whose.part()).count();
            let displaced = match part < whose.room() {
                true => None,
                false => Some(state.least_due(whose)?),
            };
            let displaced = displaced.map(|at| state.entries.remove(at));
            let own = state.entries.iter().filter(|entry| entry.whose == whose).map(|entry| entry.round + 1);
            let round = own.max().unwrap_or_default().max(state.rounds[whose.part()]);
            state.last_id += 1;
            let id = state.last_id;
            state.entries.push(Entry { id, whose, round, job: None });
            (HashTurn { line: self.clone(), id }, displaced)
        };
        if let Some(job) = displaced.and_then(|entry| entry.job) {
            job(false);
        }
        Some(turn)
    }

    /// Waits for the next job. Returns `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.next() {
                return Some(job);
            }
            state = self.more.wait(state).expect("nothing panics under the line's lock");
        }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under the line's lock")
    }
}

impl HashTurn {
    /// Queues the job in this place; returns it as the error if the place has been lost meanwhile.
    pub(super) fn take(&self, job: Job) -> Result<(), Job> {
        let mut state = self.line.lock();
        match state.entries.iter_mut().find(|entry| entry.id == self.id) {
            Some(entry) => entry.job = Some(job),
            None => return Err(job),
        }
        drop(state);
        self.line.more.notify_one();
        Ok(())
    }
}

impl std::fmt::Debug for HashTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashTurn({})", self.id)
    }
}

impl Drop for HashTurn {
    fn drop(&mut self) {
        let left = {
            let mut state = self.line.lock();
            let at = state.entries.iter().position(|entry| entry.id == self.id);
            at.map(|at| state.entries.remove(at))
        };
        drop(left); // not under the lock: the place may hold a lot
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    use super::*;

    fn network(n: u32) -> Whose {
        Whose::Stranger(Some(Ipv4Addr::from_bits(n << 8).into()))
    }

    /// Who was served or refused, in order.
    struct Served {
        line: Arc<Line>,
        turns: Vec<HashTurn>,
        tell: mpsc::Sender<(&'static str, bool)>,
        told: mpsc::Receiver<(&'static str, bool)>,
    }

    impl Served {
        fn new() -> Self {
            let (tell, told) = mpsc::channel();
            Self { line: Arc::default(), turns: Vec::new(), tell, told }
        }

        fn enters(&mut self, whose: Whose, name: &'static str) -> bool {
            let Some(turn) = self.line.enter(whose) else { return false };
            let tell = self.tell.clone();
            let job: Job = Box::new(move |done| tell.send((name, done)).unwrap());
            assert!(turn.take(job).is_ok());
            self.turns.push(turn);
            true
        }

        fn serve(&mut self, times: usize) -> Vec<&'static str> {
            let told: Vec<_> = self.told.try_iter().collect();
            assert!(told.iter().all(|(_, done)| !done), "nobody was served before");
            (0..times).for_each(|_| (self.line.next().unwrap())(true));
            self.told.try_iter().map(|(name, _)| name).collect()
        }
    }

    #[test]
    fn one_network_has_all_places_until_another_comes() {
        let mut line = Served::new();
        let flood = (0..500).filter(|_| line.enters(network(1), "flood")).count();
        assert_eq!(flood, STRANGERS, "nobody else is there");
        for _ in 0..3 {
            assert!(line.enters(network(2), "visitor"));
        }
        let told: Vec<_> = line.told.try_iter().collect();
        assert_eq!(told, [("flood", false); 3], "the last of the flood made room");
        assert_eq!(line.serve(6), ["flood", "visitor", "flood", "visitor", "flood", "visitor"]);
        assert!(line.enters(network(1), "flood"), "there is room again");
    }

    #[test]
    fn each_network_has_its_fair_share_of_a_full_line() {
        let mut line = Served::new();
        for n in 0..8 {
            for _ in 0..100 {
                line.enters(network(n), "flood");
            }
        }
        let state = line.line.lock();
        let shares: Vec<usize> = (0..8).map(|n| state.of(network(n))).collect();
        assert!(shares.iter().all(|share| (7..=9).contains(share)), "{shares:?}");
        assert_eq!(state.entries.len(), STRANGERS);
    }

    /// Security's finding 15: with 120 addresses in the queue the owner got in one time in fifteen.
    #[test]
    fn a_known_device_has_places_of_its_own_and_is_served_soon() {
        let mut line = Served::new();
        for n in 0..120 {
            line.enters(network(n), "flood");
        }
        assert!(!line.enters(network(200), "one more"), "everybody has one place already");
        let (owner, hog) = (UserId::new(), UserId::new());
        for _ in 0..50 {
            line.enters(Whose::Known(hog), "hog");
        }
        assert!(line.enters(Whose::Known(owner), "owner"), "another account's devices do not keep them out");
        let _ = line.told.try_iter().count();
        assert_eq!(line.serve(4), ["hog", "flood", "owner", "flood"], "nor are strangers kept out by them");
    }

    #[test]
    fn a_place_is_free_again_when_its_owner_has_gone_and_a_lost_one_takes_nothing() {
        let mut line = Served::new();
        for _ in 0..STRANGERS {
            line.enters(network(1), "flood");
        }
        assert!(!line.enters(network(1), "one more"));
        line.turns.pop();
        assert!(line.enters(network(1), "one more"));

        let empty = Arc::<Line>::default();
        let turns: Vec<HashTurn> = (0..STRANGERS).map(|_| empty.enter(network(1)).unwrap()).collect();
        let _visitor = empty.enter(network(2)).unwrap();
        let lost = turns.iter().filter(|turn| turn.take(Box::new(|_| ())).is_err()).count();
        assert_eq!(lost, 1, "it was displaced before it had anything to hash");
    }
}
