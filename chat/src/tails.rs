//! Recent changes of sessions to which people come back, in memory: when a server returns, everybody asks for the
//! same few pages of the same sessions at once, and each is to be read once.
//!
//! A *tail* is what changed in a session after some `Rev`, up to now. It begins with one read, made for whoever asks
//! first while the others wait for it, and is kept up by `live`, which appends every change before it publishes it.
//! Asked for by sockets that follow the session only, so membership is known; where a user's view begins is the
//! asker's to say. Bounded, and let go when nobody asks any more or nobody listens.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::Counter;
use protocol::{Epoch, LiveMessage, Message, Rev, Seq, SessionId};

use crate::Result;
use crate::hub::Shards;
use crate::messages::{page, weight};
use crate::store::Store;

/// Most changes in one tail: some seconds of a busy session.
const ROWS: usize = 512;

/// Most bytes in one tail.
const BYTES: usize = 512 * 1024;

/// Most bytes in all tails of the process.
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// How far before the place asked for a tail begins: those who come back at the same time were not all told the same.
const BEFORE: i64 = 64;

/// A tail for which nobody asked for so long is let go.
const IDLE: Duration = Duration::from_secs(60);

/// The tails of this process.
pub(crate) struct Tails {
    tails: Shards<SessionId, Arc<Tail>>,
    /// What all of them hold.
    bytes: AtomicUsize,
    /// Pages read from the database.
    reads: Counter,
}

/// One session's.
struct Tail {
    /// Held while the beginning is read, so that it is read once.
    reading: tokio::sync::Mutex<()>,
    rows: Mutex<Rows>,
}

/// What a tail holds.
struct Rows {
    state: State,
    /// Every change after this one is here.
    floor: Rev,
    /// Up to this one.
    rev: Rev,
    /// Each message as it is now, in the order of its last change. Until the beginning is read, what happened since.
    messages: VecDeque<Message>,
    bytes: usize,
    /// The bounds keep it from reaching back further.
    is_full: bool,
    asked: Instant,
    /// The page given last, and to which question: in a crowd the next one asks the same.
    last: Option<((Rev, Seq), Bytes)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unread,
    Read(Epoch),
    /// Let go: nothing is appended any more.
    Gone,
}

/// The beginning of a tail, as the store has it.
pub(crate) struct Beginning {
    pub(crate) epoch: Epoch,
    /// Where the session stands.
    pub(crate) rev: Rev,
    /// Every change after this one is in `messages`.
    pub(crate) floor: Rev,
    /// In the order of their `Rev`.
    pub(crate) messages: VecDeque<Message>,
    /// Whether it would reach further back if there were more room.
    pub(crate) is_full: bool,
}

/// What a tail says to a question.
enum Answer {
    Page(Bytes),
    /// Not in memory: the database knows.
    NotHere,
    /// The tail is of no use any more; another one may be.
    Again,
}

impl Tails {
    pub(crate) fn new(reads: Counter) -> Self {
        Self { tails: Shards::default(), bytes: AtomicUsize::new(0), reads }
    }

    /// Notes that a page was read past the tails.
    pub(crate) fn read_past(&self) {
        self.reads.increment(1);
    }

    /// The page after a change, encoded, for a user who sees what came after `joined`. `None` when the tail does not
    /// reach back so far, or does not know that change yet. The asker follows the session already.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn page(
        &self,
        store: &Store,
        session: SessionId,
        joined: Seq,
        after: Rev,
    ) -> Result<Option<Bytes>> {
        if after < Rev(0) {
            return Ok(None);
        }
        for _ in 0..3 {
            let tail = self.tails.of(&session).entry(session).or_default().clone();
            self.begin(store, session, &tail, after).await?;
            let answer = self.accounted(&mut tail.rows(), |rows| rows.answer(session, joined, after));
            match answer {
                Answer::Page(page) => {
                    if self.bytes.load(Ordering::Relaxed) > ALL_BYTES {
                        self.let_go(session, &tail);
                    }
                    return Ok(Some(page));
                }
                Answer::NotHere => return Ok(None),
                Answer::Again => self.let_go(session, &tail),
            }
        }
        Ok(None)
    }

    /// Appends a change. Called in the order of the commits, and before the change is published: whoever followed
    /// too late to hear of it finds it here.
    pub(crate) fn append(&self, live: &LiveMessage) {
        let Some(tail) = self.tails.of(&live.session_id).get(&live.session_id).cloned() else { return };
        let kept = self.accounted(&mut tail.rows(), |rows| rows.append(live.message.clone()));
        if !kept || self.bytes.load(Ordering::Relaxed) > ALL_BYTES {
            self.let_go(live.session_id, &tail);
        }
    }

    /// Lets go of a session's tail: nobody listens there any more.
    pub(crate) fn forget(&self, session: SessionId) {
        let tail = self.tails.of(&session).get(&session).cloned();
        if let Some(tail) = tail {
            self.let_go(session, &tail);
        }
    }

    /// Lets go of the tails for which nobody has asked for a while.
    pub(crate) fn forget_idle(&self, now: Instant) {
        for mut part in self.tails.each() {
            part.retain(|_, tail| {
                let mut rows = tail.rows();
                let stays = now.saturating_duration_since(rows.asked) < IDLE;
                if !stays {
                    self.accounted(&mut rows, Rows::let_go);
                }
                stays
            });
        }
    }

    /// Reads the beginning of a tail, unless that is done. What happened since the tail is in the map was appended to
    /// it; what happened before was committed before this reads.
    async fn begin(&self, store: &Store, session: SessionId, tail: &Tail, after: Rev) -> Result<()> {
        if tail.rows().state != State::Unread {
            return Ok(());
        }
        let _one_at_a_time = tail.reading.lock().await;
        if tail.rows().state != State::Unread {
            return Ok(());
        }
        self.reads.increment(1);
        let beginning = store.tail(session, Rev((after.0 - BEFORE).max(0)), ROWS, BYTES).await?;
        self.accounted(&mut tail.rows(), |rows| rows.begin(beginning));
        Ok(())
    }

    fn let_go(&self, session: SessionId, tail: &Arc<Tail>) {
        let mut part = self.tails.of(&session);
        if part.get(&session).is_some_and(|there| Arc::ptr_eq(there, tail)) {
            part.remove(&session);
        }
        drop(part);
        self.accounted(&mut tail.rows(), Rows::let_go);
    }

    /// Does something to a tail and keeps the count of what all of them hold.
    fn accounted<T>(&self, rows: &mut Rows, change: impl FnOnce(&mut Rows) -> T) -> T {
        let before = rows.held();
        let done = change(rows);
        self.bytes.fetch_add(rows.held(), Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
        done
    }
}

impl Default for Tail {
    fn default() -> Self {
        let rows = Rows {
            state: State::Unread,
            floor: Rev(0),
            rev: Rev(0),
            messages: VecDeque::new(),
            bytes: 0,
            is_full: false,
            asked: Instant::now(),
            last: None,
        };
        Self { reading: tokio::sync::Mutex::default(), rows: Mutex::new(rows) }
    }
}

impl Tail {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("nothing panics under a tail's lock")
    }
}

impl Rows {
    /// Bytes.
    fn held(&self) -> usize {
        self.bytes + self.last.as_ref().map_or(0, |(_, page)| page.len())
    }

    fn answer(&mut self, session: SessionId, joined: Seq, after: Rev) -> Answer {
        self.asked = Instant::now();
        let State::Read(epoch) = self.state else { return Answer::Again };
        if after < self.floor {
            return if self.is_full { Answer::NotHere } else { Answer::Again };
        }
        if after > self.rev {
            return Answer::NotHere;
        }
        if let Some((question, page)) = &self.last
            && *question == (after, joined)
        {
            return Answer::Page(page.clone());
        }
        let from = self.messages.partition_point(|message| message.rev <= after);
        let changed = self.messages.range(from..).filter(|message| message.seq > joined).cloned();
        let page: Bytes = page(session, epoch, after, self.rev, changed).encode().into();
        self.last = Some(((after, joined), page.clone()));
        Answer::Page(page)
    }

    fn begin(&mut self, beginning: Beginning) {
        if self.state == State::Gone {
            return;
        }
        let since = std::mem::take(&mut self.messages);
        self.state = State::Read(beginning.epoch);
        (self.floor, self.rev, self.is_full) = (beginning.floor, beginning.rev, beginning.is_full);
        self.messages = beginning.messages;
        self.bytes = self.messages.iter().map(weight).sum();
        for message in since {
            if !self.append(message) {
                return self.let_go();
            }
        }
    }

    /// Returns false when the tail is of no use any more.
    fn append(&mut self, message: Message) -> bool {
        match self.state {
            State::Gone => return true,
            State::Unread => {}
            State::Read(_) if message.rev <= self.rev => return true,
            State::Read(_) if message.rev != self.rev.next() => return false,
            State::Read(_) => {
                self.rev = message.rev;
                self.last = None;
                if message.edited_at.is_some() || message.deleted_at.is_some() {
                    self.remove(message.seq);
                }
            }
        }
        self.bytes += weight(&message);
        self.messages.push_back(message);
        while self.messages.len() > ROWS || self.bytes > BYTES {
            if self.state == State::Unread {
                return false;
            }
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= weight(&oldest);
            (self.floor, self.is_full) = (oldest.rev, true);
        }
        true
    }

    /// Takes out what the message at this place was before.
    fn remove(&mut self, seq: Seq) {
        if let Some(at) = self.messages.iter().position(|message| message.seq == seq)
            && let Some(message) = self.messages.remove(at)
        {
            self.bytes -= weight(&message);
        }
    }

    fn let_go(&mut self) {
        (self.state, self.messages, self.bytes, self.last) = (State::Gone, VecDeque::new(), 0, None);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicU64;

    use protocol::{MessageId, SendMessage, ServerFrame, TimeStamp, UserId};

    use super::*;
    use crate::Username;
    use crate::hub::ConnId;
    use crate::store::{NewInvite, Post};

    fn message(seq: i64, rev: i64) -> Message {
        Message {
            message_id: MessageId::new(),
            data: format!("{seq} at {rev}"),
            time_stamp: TimeStamp(0),
            sender: UserId::new(),
            seq: Seq(seq),
            rev: Rev(rev),
            edited_at: None,
            deleted_at: None,
        }
    }

    /// A session as the database has it: each message as it is now.
    #[derive(Default)]
    struct Session {
        rows: BTreeMap<i64, Message>,
        rev: i64,
    }

    impl Session {
        /// A new message, or a change of an old one.
        fn change(&mut self, seq: i64) -> Message {
            self.rev += 1;
            let mut changed = message(seq, self.rev);
            changed.edited_at = self.rows.contains_key(&seq).then_some(TimeStamp(1));
            self.rows.insert(seq, changed.clone());
            changed
        }

        fn after(&self, rev: i64) -> VecDeque<Message> {
            let mut rows: Vec<_> = self.rows.values().filter(|row| row.rev.0 > rev).cloned().collect();
            rows.sort_unstable_by_key(|row| row.rev);
            rows.into()
        }

        fn beginning(&self, epoch: Epoch, floor: i64) -> Beginning {
            let messages = self.after(floor);
            Beginning { epoch, rev: Rev(self.rev), floor: Rev(floor), messages, is_full: false }
        }
    }

    fn rows() -> Rows {
        Tail::default().rows.into_inner().unwrap()
    }

    /// Numbers that look like chance and are the same each time.
    fn dice(seed: u64) -> impl FnMut(i64) -> i64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move |sides| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            i64::try_from(state % sides.unsigned_abs()).unwrap()
        }
    }

    #[test]
    fn a_tail_says_what_the_database_would_whatever_changed_before_during_and_after_its_reading() {
        let (session_id, epoch) = (SessionId::new(), Epoch::new());
        for seed in 1..200 {
            let (mut roll, mut session, mut rows) = (dice(seed), Session::default(), rows());
            let mut change = |session: &mut Session| {
                let newest = session.rows.len() as i64;
                let seq = if newest > 0 && roll(3) == 0 { 1 + roll(newest) } else { newest + 1 };
                session.change(seq)
            };
            for _ in 0..seed % 40 {
                change(&mut session); // before the tail is asked for
            }
            let floor = session.rev / 2;
            // Meanwhile: the first of these are in what is read as well.
            let meanwhile: Vec<Message> = (0..seed % 7).map(|_| change(&mut session)).collect();
            let (in_both, later) = meanwhile.split_at(meanwhile.len() / 2);
            for message in in_both {
                assert!(rows.append(message.clone()));
            }
            let beginning = session.beginning(epoch, floor);
            for message in later {
                assert!(rows.append(message.clone()));
            }
            rows.begin(beginning);
            for _ in 0..seed % 11 {
                assert!(rows.append(change(&mut session)));
            }
            for after in floor..=session.rev {
                for joined in [0, 3, 30] {
                    let changed = session.after(after).into_iter().filter(|row| row.seq.0 > joined);
                    let wanted = page(session_id, epoch, Rev(after), Rev(session.rev), changed).encode();
                    for _ in 0..2 {
                        let answer = rows.answer(session_id, Seq(joined), Rev(after));
                        assert!(
                            matches!(answer, Answer::Page(page) if page == wanted),
                            "seed {seed}, after {after}"
                        );
                    }
                }
            }
            assert!(matches!(rows.answer(session_id, Seq(0), Rev(session.rev + 1)), Answer::NotHere));
            let early = rows.answer(session_id, Seq(0), Rev(floor - 1));
            assert!(matches!(early, Answer::Again), "another tail may reach back further");
        }
    }

    #[test]
    fn a_tail_is_bounded_and_lets_its_oldest_go() {
        let (mut rows, mut session) = (rows(), Session::default());
        rows.begin(session.beginning(Epoch::new(), 0));
        for seq in 1..=ROWS as i64 + 10 {
            assert!(rows.append(session.change(seq)));
        }
        assert_eq!((rows.messages.len(), rows.floor), (ROWS, Rev(10)));
        assert!(matches!(rows.answer(SessionId::new(), Seq(0), Rev(9)), Answer::NotHere));
        let mut large = session.change(600);
        large.data = "x".repeat(BYTES - 10_000);
        assert!(rows.append(large));
        assert!(rows.bytes <= BYTES && rows.messages.len() < ROWS);
        assert!(!rows.append(message(1000, 1000)), "a change is missing: it is of no use any more");
    }

    /// Two people who have said so much.
    async fn session_of(store: &Store, messages: i64) -> SessionId {
        let mut people = Vec::new();
        for name in ["Ada", "Bob"] {
            let made = store.create_user(&Username::parse(name).unwrap(), "hash".into()).await.unwrap();
            people.push(made.unwrap());
        }
        let (from, to) = (people[0], people[1]);
        let (from_name, to_name) = ("Ada".into(), "Bob".into());
        store.ask(NewInvite { from, from_name, to, to_name, session: None, may_wait: true }).await.unwrap();
        let invited = store.invitations(to).await.unwrap().0;
        store.answer(to, invited[0].invite_id, protocol::Answer::Accepted).await.unwrap();
        let session_id = store.sessions_of(from).await.unwrap()[0].session_id;
        for n in 0..messages {
            let (message_id, data) = (MessageId::new(), n.to_string());
            let message = SendMessage { session_id, message_id, data, time_stamp: None, sender: None };
            let handed_in = Instant::now();
            let post = Post { sender: from, conn: ConnId(1), message, handed_in, _ticket: Box::new(()) };
            store.post(post).await.unwrap();
        }
        store.mark_read(to, session_id, Seq(messages)).await.unwrap(); // behind them in the writer's queue
        session_id
    }

    #[tokio::test]
    async fn a_crowd_that_comes_back_reads_a_session_once_and_nobody_waits_who_asks_later() {
        let data = tempfile::tempdir().unwrap();
        let (store, mut events) = Store::open(data.path()).await.unwrap();
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let session = session_of(&store, 200).await;
        let reads = Arc::new(AtomicU64::new(0));
        let tails = Tails::new(Counter::from_arc(reads.clone()));
        let asked = (0..40).map(|n| tails.page(&store, session, Seq(0), Rev(190 - n)));
        for (n, page) in futures::future::join_all(asked).await.into_iter().enumerate() {
            let page = page.unwrap().expect("in memory");
            let ServerFrame::Page { from, to, messages, more, .. } =
                ServerFrame::decode(std::str::from_utf8(&page).unwrap()).unwrap()
            else {
                panic!("{page:?}")
            };
            assert_eq!((from.0, to.0, messages.len(), more), (190 - n as i64, 200, 10 + n, false));
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);

        assert!(tails.bytes.load(Ordering::Relaxed) > 0);
        tails.forget_idle(Instant::now() + IDLE);
        assert_eq!(tails.bytes.load(Ordering::Relaxed), 0, "who asks no more costs nothing");
        assert!(tails.page(&store, session, Seq(0), Rev(199)).await.unwrap().is_some());
        assert_eq!(reads.load(Ordering::Relaxed), 2);
        tails.forget(session);
        assert_eq!(tails.bytes.load(Ordering::Relaxed), 0);
    }
}
