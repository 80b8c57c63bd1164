//! What a client holds of one session: apply the next change, drop repeats, notice gaps.
//!
//! Pure: no clocks, no sockets. A client applies only the change that follows the last one it applied. On a gap it
//! applies nothing more until the server's pages have filled it, so there is never a silent hole.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use crate::{Epoch, Head, Message, Rev, Seq, keyed};

/// The result of applying a live change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was the next change, and was applied.
    Next,
    /// It was known already.
    Repeat,
    /// Something before it is missing; ask for it.
    Gap,
}

/// The messages a client holds of one session, and how far it has got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    epoch: Option<Epoch>,
    rev: Rev,
    /// The newest change known to exist.
    head: Rev,
    /// Messages before this place are not held; older ones come from the history.
    floor: Seq,
    /// Whether there are messages before `floor`.
    more: bool,
    /// May also hold changed messages from before `floor`: the history may return an earlier state of them.
    messages: BTreeMap<Seq, Message>,
    /// The change after which a page is on its way.
    fetching: Option<Rev>,
}

impl Timeline {
    /// Makes a timeline that holds the newest messages of a session and is complete up to `head`. `more` says whether
    /// there are older ones.
    #[must_use]
    pub fn from_newest(head: Head, messages: Vec<Message>, more: bool) -> Self {
        let messages = keyed(messages.into_iter().map(|m| (m.seq, m)));
        let floor = if more { messages.keys().next().copied().unwrap_or_default() } else { Seq(0) };
        Self { epoch: Some(head.epoch), rev: head.rev, head: head.rev, floor, more, messages, fetching: None }
    }

    /// Returns the history this belongs to, once known.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// Returns the last change applied.
    #[must_use]
    pub fn rev(&self) -> Rev {
        self.rev
    }

    /// Returns the messages held, by place.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.range(self.floor..Seq(i64::MAX)).map(|(_, message)| message)
    }

    /// Returns the messages held in a range of places. The cost depends on how many it returns, not on how many are
    /// held.
    pub fn messages_in(&self, range: &impl RangeBounds<Seq>) -> impl DoubleEndedIterator<Item = &Message> {
        let first = match range.start_bound() {
            Bound::Included(seq) => *seq,
            Bound::Excluded(seq) => Seq(seq.0 + 1),
            Bound::Unbounded => self.floor,
        };
        let end = match range.end_bound() {
            Bound::Included(seq) => Seq(seq.0 + 1),
            Bound::Excluded(seq) => *seq,
            Bound::Unbounded => Seq(i64::MAX),
        };
        let first = first.max(self.floor);
        // A map panics if its range ends before it begins.
        self.messages.range(first..end.max(first)).map(|(_, message)| message)
    }

    /// Whether there are older messages than those held.
    #[must_use]
    pub fn has_older(&self) -> bool {
        self.more
    }

    /// Whether changes are known to be missing at the new end.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.head > self.rev
    }

    /// Whether a page is on its way.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.fetching.is_some()
    }

    /// Applies a live change.
    pub fn apply(&mut self, message: Message) -> Applied {
        if message.rev <= self.rev {
            return Applied::Repeat;
        }
        self.head = self.head.max(message.rev);
        if message.rev != self.rev.next() && !skips_gaps() {
            return Applied::Gap;
        }
        self.rev = message.rev;
        self.insert(message);
        Applied::Next
    }

    /// Holds a message out of turn: the user's own, just acknowledged. Implies nothing about what came before it.
    pub fn hold(&mut self, message: Message) {
        self.head = self.head.max(message.rev);
        self.insert(message);
    }

    /// Applies a page: all changes with `from < rev <= to`. If it does not connect to what is held (it is from before a
    /// reconnect, say), returns false and changes nothing.
    pub fn apply_page(
        &mut self,
        epoch: Epoch,
        from: Rev,
        to: Rev,
        more: bool,
        messages: Vec<Message>,
    ) -> bool {
        if self.epoch.is_some_and(|own| own != epoch) || from > self.rev {
            return false;
        }
        self.epoch = Some(epoch);
        if self.fetching == Some(from) {
            self.fetching = None; // a page requested earlier does not answer the later request
        }
        if to > self.rev {
            self.rev = to;
            for message in messages {
                self.insert(message);
            }
        }
        self.head = self.head.max(if more { to.next() } else { to });
        true
    }

    /// Notes where the session stands.
    pub fn observe(&mut self, head: Head) {
        if *self.epoch.get_or_insert(head.epoch) == head.epoch {
            self.head = self.head.max(head.rev);
        }
    }

    /// Forgets everything: the numbers held belong to another history.
    pub fn reset(&mut self, head: Head) {
        *self = Self { epoch: Some(head.epoch), head: head.rev, ..Self::default() };
    }

    /// Discards every message and every change up to `head`, where `last_seq` was the session's last message. The
    /// timeline starts after it; the history has everything before, the newest first, and `more` says whether there is
    /// anything.
    pub(crate) fn let_go(&mut self, head: Head, last_seq: Seq, more: bool) {
        let (rev, epoch) = (head.rev, Some(head.epoch));
        let floor = if more { Seq(last_seq.0 + 1) } else { Seq(0) };
        *self = Self { epoch, rev, head: rev, floor, more, ..Self::default() };
    }

    /// Adds messages from the history: all before `end` that the user may see, back to the oldest of them. `more` says
    /// whether there are still older ones. Ignores what does not connect to what is held, and returns false: an answer
    /// from before a reset or a discard, or a duplicate.
    pub fn prepend(&mut self, end: Seq, messages: Vec<Message>, more: bool) -> bool {
        let is_older = messages.first().is_none_or(|oldest| oldest.seq < self.floor);
        if !(self.more && end >= self.floor && is_older) {
            return false;
        }
        self.more = more;
        self.floor = messages.first().filter(|_| more).map_or(Seq(0), |oldest| oldest.seq);
        for message in messages {
            self.insert(message);
        }
        true
    }

    /// Returns the change after which to fetch a page, if one is missing and none is on its way, and marks it as being
    /// fetched.
    pub fn take_fetch(&mut self) -> Option<Rev> {
        if !self.is_behind() || self.is_fetching() {
            return None;
        }
        self.fetching = Some(self.rev);
        self.fetching
    }

    /// Notes that the server sends the page after this change unprompted.
    pub(crate) fn expect_page(&mut self, after: Rev) {
        self.fetching = Some(after);
    }

    /// The server may have forgotten what it was about to send: what is missing must be requested again.
    pub fn answers_lost(&mut self) {
        self.fetching = None;
    }

    /// The connection is gone, and every answer in flight with it. The server will say again where the session stands.
    pub fn disconnected(&mut self) {
        self.fetching = None;
        self.head = self.rev;
    }

    /// Replaces a row only with a later state of itself: pages and history may overtake each other.
    fn insert(&mut self, message: Message) {
        match self.messages.get(&message.seq) {
            Some(held) if held.rev > message.rev => {}
            _ => {
                self.messages.insert(message.seq, message);
            }
        }
    }
}

/// A bug planted on purpose, for `make faults` to catch: see `chat::planted`.
#[cfg(feature = "planted")]
fn skips_gaps() -> bool {
    static CHOSEN: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| std::env::var("NATTER_PLANTED").is_ok_and(|bug| bug == "skip-on-gap"));
    *CHOSEN
}

#[cfg(not(feature = "planted"))]
const fn skips_gaps() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageId, TimeStamp, UserId};

    fn message(seq: i64, rev: i64, data: &str) -> Message {
        Message {
            message_id: MessageId::new(),
            data: data.into(),
            time_stamp: TimeStamp(0),
            sender: UserId::new(),
            seq: Seq(seq),
            rev: Rev(rev),
            edited_at: None,
            deleted_at: None,
        }
    }

    fn texts(timeline: &Timeline) -> Vec<&str> {
        timeline.messages().map(|m| m.data.as_str()).collect()
    }

    /// Holds the messages 3 and 4 of four, and knows that there are older ones.
    fn newest(epoch: Epoch) -> Timeline {
        Timeline::from_newest(
            Head { epoch, rev: Rev(4) },
            vec![message(3, 3, "three"), message(4, 4, "four")],
            true,
        )
    }

    #[test]
    fn only_the_next_change_is_applied() {
        let mut timeline = newest(Epoch::new());
        assert_eq!(timeline.apply(message(4, 4, "again")), Applied::Repeat);
        assert_eq!(timeline.apply(message(6, 6, "six")), Applied::Gap);
        assert_eq!(texts(&timeline), ["three", "four"]);
        assert_eq!(timeline.take_fetch(), Some(Rev(4)));
        assert_eq!(timeline.take_fetch(), None, "it is on its way");
        assert_eq!(timeline.apply(message(5, 5, "five")), Applied::Next);
        assert_eq!(texts(&timeline), ["three", "four", "five"]);
    }

    #[test]
    fn a_part_is_what_is_held_of_that_range() {
        use Bound::{Excluded, Included, Unbounded};

        let timeline = newest(Epoch::new());
        let part = |range: (Bound<Seq>, Bound<Seq>)| {
            timeline.messages_in(&range).map(|m| m.data.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(part((Unbounded, Unbounded)), ["three", "four"]);
        assert_eq!(part((Included(Seq(1)), Included(Seq(3)))), ["three"]);
        assert_eq!(part((Excluded(Seq(3)), Unbounded)), ["four"]);
        assert_eq!(part((Included(Seq(1)), Excluded(Seq(3)))), [""; 0], "what is not held yet");
        assert_eq!(part((Included(Seq(9)), Included(Seq(2)))), [""; 0]);
    }

    #[test]
    fn a_page_that_does_not_join_on_changes_nothing() {
        let epoch = Epoch::new();
        let mut timeline = newest(epoch);
        assert!(!timeline.apply_page(Epoch::new(), Rev(4), Rev(5), false, vec![message(5, 5, "five")]));
        assert!(!timeline.apply_page(epoch, Rev(5), Rev(6), false, vec![message(6, 6, "six")]));
        assert_eq!((texts(&timeline), timeline.rev()), (vec!["three", "four"], Rev(4)));
    }

    #[test]
    fn an_old_page_does_not_answer_the_question_that_was_asked_since() {
        let epoch = Epoch::new();
        let mut timeline = newest(epoch);
        timeline.observe(Head { epoch, rev: Rev(6) });
        assert_eq!(timeline.take_fetch(), Some(Rev(4)));
        assert!(timeline.apply_page(epoch, Rev(2), Rev(4), true, vec![message(4, 4, "four")]));
        assert!(timeline.is_fetching());
        assert!(timeline.apply_page(
            epoch,
            Rev(4),
            Rev(6),
            false,
            vec![message(5, 5, "five"), message(6, 6, "six")]
        ));
        assert!(!timeline.is_fetching() && !timeline.is_behind());
    }

    #[test]
    fn a_change_of_a_message_not_loaded_yet_outlives_an_older_answer_of_the_history() {
        let mut timeline = newest(Epoch::new());
        let history = vec![message(1, 1, "one"), message(2, 2, "two")];
        assert_eq!(timeline.apply(message(2, 5, "two, edited")), Applied::Next);
        assert_eq!(texts(&timeline), ["three", "four"], "what is not loaded is not shown");
        timeline.prepend(Seq(3), history, false);
        assert_eq!(texts(&timeline), ["one", "two, edited", "three", "four"]);
        assert!(!timeline.has_older());
    }

    #[test]
    fn history_that_does_not_join_on_is_ignored() {
        let epoch = Epoch::new();
        let mut timeline = newest(epoch);
        timeline.prepend(Seq(2), vec![message(1, 1, "one")], false);
        assert_eq!(texts(&timeline), ["three", "four"], "two is missing");
        timeline.prepend(Seq(5), vec![message(3, 3, "three"), message(4, 4, "four")], true);
        assert_eq!(texts(&timeline), ["three", "four"], "nothing is older");
        timeline.let_go(Head { epoch, rev: Rev(9) }, Seq(9), true);
        assert!(!timeline.prepend(Seq(3), vec![], false), "nothing before three says nothing about nine");
        assert!(timeline.has_older());
        timeline.reset(Head { epoch: Epoch::new(), rev: Rev(2) });
        timeline.prepend(Seq(3), vec![message(1, 1, "one"), message(2, 2, "two")], false);
        assert!(texts(&timeline).is_empty(), "an answer from before the reset");
    }

    #[test]
    fn when_the_connection_is_lost_so_is_every_answer() {
        let epoch = Epoch::new();
        let mut timeline = newest(epoch);
        timeline.observe(Head { epoch, rev: Rev(9) });
        assert_eq!(timeline.take_fetch(), Some(Rev(4)));
        timeline.disconnected();
        assert_eq!(timeline.take_fetch(), None, "where it stands is told at the next Welcome");
        timeline.observe(Head { epoch, rev: Rev(9) });
        assert_eq!(timeline.take_fetch(), Some(Rev(4)));
    }
}
