use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use protocol::{Epoch, Message, MessageId, Seq, ServerFrame, TimeStamp, UserId};

use super::*;
use crate::page::page;
use crate::store::Beginning;
use crate::testing::Database;

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

/// What somebody sees who was there from the beginning.
fn whole() -> View {
    View::since(Seq(0))
}

/// A session as the database has it: each message in its current state.
#[derive(Default)]
struct Session {
    rows: BTreeMap<i64, Message>,
    rev: i64,
}

impl Session {
    /// Adds a message, or changes an old one.
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

/// Numbers that look random and are the same each time.
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
        let (mut roll, mut session, mut rows) = (dice(seed), Session::default(), Rows::default());
        let mut change = |session: &mut Session| {
            let newest = session.rows.len() as i64;
            let seq = if newest > 0 && roll(3) == 0 { 1 + roll(newest) } else { newest + 1 };
            session.change(seq)
        };
        for _ in 0..seed % 40 {
            change(&mut session); // before the tail is requested
        }
        let floor = session.rev / 2;
        // Meanwhile: the read also includes the first of these.
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
            let again = View::new(Seq(9), vec![(Seq(2), Seq(5))]);
            for view in [whole(), View::since(Seq(3)), View::since(Seq(30)), again] {
                let changed = session.after(after).into_iter().filter(|row| view.sees(row.seq));
                let wanted = page(session_id, epoch, Rev(after), Rev(session.rev), changed).encode();
                for _ in 0..2 {
                    let answer = rows.answer(session_id, &view, Rev(after));
                    assert!(
                        matches!(answer, Lookup::Page(page) if page == wanted),
                        "seed {seed}, after {after}"
                    );
                }
            }
        }
        assert!(matches!(rows.answer(session_id, &whole(), Rev(session.rev + 1)), Lookup::NotHere));
        let early = rows.answer(session_id, &whole(), Rev(floor - 1));
        assert!(matches!(early, Lookup::Again), "another tail may reach back further");
    }
}

#[test]
fn a_tail_is_bounded_and_lets_its_oldest_go() {
    let (mut rows, mut session) = (Rows::default(), Session::default());
    rows.begin(session.beginning(Epoch::new(), 0));
    for seq in 1..=ROWS as i64 + 10 {
        assert!(rows.append(session.change(seq)));
    }
    assert_eq!((rows.messages.len(), rows.floor), (ROWS, Rev(10)));
    assert!(matches!(rows.answer(SessionId::new(), &whole(), Rev(9)), Lookup::NotHere));
    let mut large = session.change(600);
    large.data = "x".repeat(BYTES - 10_000);
    assert!(rows.append(large));
    assert!(rows.bytes <= BYTES && rows.messages.len() < ROWS);
    assert!(!rows.append(message(1000, 1000)), "a change is missing: it is of no use any more");
}

/// Gives two people a session with this many messages.
async fn session_of(db: &mut Database, messages: i64) -> SessionId {
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    for n in 0..messages {
        db.say(ada, session, MessageId::new(), &n.to_string()).await;
    }
    session
}

#[tokio::test]
async fn a_crowd_that_comes_back_reads_a_session_once_and_nobody_waits_who_asks_later() {
    let mut db = Database::new().await;
    let session = session_of(&mut db, 200).await;
    let store = db.store;
    let reads = Arc::new(AtomicU64::new(0));
    let tails = Tails::new(Counter::from_arc(reads.clone()));
    let all = whole();
    let asked = (0..40).map(|n| tails.page(&store, session, &all, Rev(190 - n)));
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
    assert!(tails.page(&store, session, &all, Rev(199)).await.unwrap().is_some());
    assert_eq!(reads.load(Ordering::Relaxed), 2);
    tails.forget(session);
    assert_eq!(tails.bytes.load(Ordering::Relaxed), 0);
}
