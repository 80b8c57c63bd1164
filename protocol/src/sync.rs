//! A whole client as a pure state machine: frames in, frames and changes out.
//!
//! The driver (the page's socket, the headless client) owns connection, clock and backoff. It calls
//! [`Sync::connected`], [`Sync::receive`] for every frame and [`Sync::disconnected`], sends the frames in each [`Step`]
//! and redraws what it names.

mod change;
mod receive;
mod row;

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use crate::api::History;
use crate::keyed;
use crate::{
    ClientFrame, Epoch, Head, Invited, Kind, MessageId, Outbox, Pending, PendingState, Position,
    SearchNotice, Seq, SessionHead, SessionId, Snapshot, Span, TimeStamp, Timeline, User, UserId,
};
pub use change::{Change, Step};
pub use row::{Row, RowState};

/// One session, as the client holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Its messages.
    pub timeline: Timeline,
    /// Everybody in it, including the user.
    pub users: BTreeMap<UserId, User>,
    /// What it is.
    pub kind: Kind,
    /// A group's name.
    pub title: Option<String>,
    /// Whose group it is.
    pub owner: Option<UserId>,
    /// When it began, by the server's clock.
    pub began_at: TimeStamp,
    last_seq: Seq,
    read_seq: Seq,
    /// The parts of it that the user may see, as the server names them.
    spans: Vec<Span>,
}

impl SessionState {
    /// Counts the messages of others that `me` has not seen, plus unseen messages of `me` that are not held here.
    #[must_use]
    pub fn unread(&self, me: Option<UserId>) -> i64 {
        let behind = (Bound::Excluded(self.read_seq), Bound::Unbounded);
        let own = self.timeline.messages_in(&behind).filter(|message| Some(message.sender) == me);
        (self.last_seq.0 - self.read_seq.0).saturating_sub_unsigned(own.count() as u64).max(0)
    }

    /// Returns what to ask the history for next: the messages before the oldest one held.
    #[must_use]
    pub fn earlier(&self) -> Earlier {
        let behind_all = Seq(self.last_seq.0 + 1);
        let before = self.timeline.messages().next().map_or(behind_all, |oldest| oldest.seq);
        Earlier { before, epoch: self.timeline.epoch(), spans: self.spans.clone() }
    }

    /// Returns the place of the last message the user has seen.
    #[must_use]
    pub fn read_seq(&self) -> Seq {
        self.read_seq
    }

    /// Returns the place of the session's last message.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// Discards its messages; the history has what the user may see.
    fn let_go(&mut self, head: Head) {
        self.timeline.let_go(head, self.last_seq, self.last_seq > self.begins_after());
    }

    /// Returns the place after which the user may see anything of it.
    fn begins_after(&self) -> Seq {
        self.spans.first().map_or(Seq(0), |span| span.after)
    }

    /// Moves the read marker over the user's own messages that directly follow it: they are not news. Returns whether
    /// it moved.
    fn pass_own(&mut self, me: Option<UserId>) -> bool {
        let read = self.read_seq;
        for message in self.timeline.messages_in(&(Bound::Excluded(read), Bound::Unbounded)) {
            if Some(message.sender) != me || message.seq.0 != self.read_seq.0 + 1 {
                break;
            }
            self.read_seq = message.seq;
        }
        self.read_seq > read
    }
}

/// A request to the history of a session; its answer goes to [`Sync::prepend`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Messages before this place.
    pub before: Seq,
    /// The history it is about: an answer from another one is useless.
    epoch: Option<Epoch>,
    /// What the user could see of it: so is an answer from before they left, or came back.
    spans: Vec<Span>,
}

/// Most sessions named in a `Hello`.
const MAX_NAMED: usize = 256;

/// Everything a client knows.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    me: Option<UserId>,
    ready: bool,
    sessions: BTreeMap<SessionId, SessionState>,
    /// Sorted by identifier, which is by age.
    invited: Vec<Invited>,
    asked: Vec<Invited>,
    outbox: Outbox,
    /// If more changes than this are missing in a session, its messages are discarded instead of fetched page by page.
    patience: Option<i64>,
    /// What the last `Hello` named: the server answers that, no matter what happened since.
    hello: Vec<(SessionId, Position)>,
}

impl Sync {
    /// Makes a client that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a client that starts from the server's first snapshot.
    #[must_use]
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let sessions = snapshot.sessions.iter().map(|(id, session)| {
            let SessionHead { epoch, rev, last_seq, read_seq, users, kind, title, owner, began_at, spans } =
                session.head.clone();
            let mut timeline =
                Timeline::from_newest(Head { epoch, rev }, session.messages.clone(), session.more);
            if session.messages.is_empty() && session.more {
                timeline.let_go(Head { epoch, rev }, last_seq, true);
            }
            (*id, SessionState { timeline, users, kind, title, owner, began_at, last_seq, read_seq, spans })
        });
        let asked = snapshot.asked.iter().filter_map(|notice| match notice {
            SearchNotice::Outcome { username, invite_id: Some(id), .. } => {
                Some(Invited { invite_id: *id, username: username.clone() })
            }
            _ => None,
        });
        Self {
            me: Some(snapshot.me.user_id),
            ready: false,
            sessions: keyed(sessions),
            invited: snapshot.invited.clone(),
            asked: asked.collect(),
            outbox: Outbox::default(),
            patience: None,
            hello: Vec::new(),
        }
    }

    /// Configures a client for a user who reads the newest messages and scrolls back for others. If more than `changes`
    /// changes are missing in a session, it discards what it holds there ([`Change::LetGo`]), and a session that a
    /// `Welcome` names for the first time starts empty. When the user opens such a session, the driver asks the history
    /// for what is [earlier](SessionState::earlier) and passes it to [`Sync::prepend`].
    #[must_use]
    pub fn letting_go_beyond(self, changes: i64) -> Self {
        Self { patience: Some(changes), ..self }
    }

    /// Returns the signed-in user, once known.
    #[must_use]
    pub fn me(&self) -> Option<UserId> {
        self.me
    }

    /// Whether the socket is in step.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether the server is about to send something that may be large: where everything stands, or a page.
    #[must_use]
    pub fn awaits_answers(&self) -> bool {
        !self.ready || self.sessions.values().any(|session| session.timeline.is_fetching())
    }

    /// Returns every session.
    #[must_use]
    pub fn sessions(&self) -> &BTreeMap<SessionId, SessionState> {
        &self.sessions
    }

    /// Returns the invitations that wait for the user's answer, oldest first.
    #[must_use]
    pub fn invited(&self) -> &[Invited] {
        &self.invited
    }

    /// Returns the user's own invitations that wait for an answer, oldest first, each with the name asked for.
    #[must_use]
    pub fn asked(&self) -> &[Invited] {
        &self.asked
    }

    /// Returns the outgoing messages.
    #[must_use]
    pub fn outbox(&self) -> &[Pending] {
        self.outbox.pending()
    }

    /// Returns what was written in sessions that the user is in no more, oldest first. It stays until it is
    /// [taken back](Sync::take_back), and shows in its session again if the user returns there.
    pub fn returned(&self) -> impl Iterator<Item = &Pending> {
        let is_failed = |pending: &Pending| matches!(pending.state, PendingState::Failed(_));
        let pending = self.outbox.pending().iter();
        pending.filter(move |p| is_failed(p) && !self.sessions.contains_key(&p.session_id))
    }

    /// Returns the rows of a session: the stored ones by place, then the outgoing ones.
    #[must_use]
    pub fn rows(&self, session_id: SessionId) -> Vec<Row> {
        let stored = self.sessions.get(&session_id).into_iter().flat_map(|s| s.timeline.messages());
        stored.map(Row::stored).chain(self.rows_on_their_way(session_id)).collect()
    }

    /// Returns the rows of a session that lie in a range of places. Outgoing messages come after every place, so only
    /// an unbounded range includes them. For a page that shows part of a long session.
    #[must_use]
    pub fn rows_in(&self, session_id: SessionId, range: impl RangeBounds<Seq>) -> Vec<Row> {
        let open_end = matches!(range.end_bound(), Bound::Unbounded);
        let stored = self.sessions.get(&session_id).into_iter().flat_map(|s| s.timeline.messages_in(&range));
        let on_its_way = open_end.then(|| self.rows_on_their_way(session_id));
        stored.map(Row::stored).chain(on_its_way.into_iter().flatten()).collect()
    }

    /// Returns the row that represents a session in a list: the newest refused message if there is one, or else the
    /// newest.
    #[must_use]
    pub fn last_row(&self, session_id: SessionId) -> Option<Row> {
        let on_its_way = self.outbox.pending().iter().filter(|p| p.session_id == session_id);
        on_its_way
            .max_by_key(|p| matches!(p.state, PendingState::Failed(_))) // the last one with the highest key
            .and_then(|p| Some(Row::pending(p, self.me?, self.outbox.put_off(session_id))))
            .or_else(|| self.sessions.get(&session_id)?.timeline.messages().next_back().map(Row::stored))
    }

    fn rows_on_their_way(&self, session_id: SessionId) -> impl DoubleEndedIterator<Item = Row> {
        let on_its_way = move |p: &&Pending| p.session_id == session_id;
        self.me.into_iter().flat_map(move |me| {
            let put_off = self.outbox.put_off(session_id);
            self.outbox.pending().iter().filter(on_its_way).map(move |p| Row::pending(p, me, put_off))
        })
    }

    /// Call when the socket opens. Returns the `Hello` to send.
    pub fn connected(&mut self) -> ClientFrame {
        let position = |s: &SessionState| Position { rev: s.timeline.rev(), epoch: s.timeline.epoch() };
        // The newest sessions: a frame has a size limit, and the rest are fetched after the welcome.
        let newest = self.sessions.iter().rev().take(MAX_NAMED);
        self.hello = newest.map(|(id, session)| (*id, position(session))).collect();
        ClientFrame::Hello { sessions: keyed(self.hello.iter().copied()) }
    }

    /// Call when the socket is gone: every answer in flight is lost.
    pub fn disconnected(&mut self) {
        self.ready = false;
        self.outbox.disconnected();
        for session in self.sessions.values_mut() {
            session.timeline.disconnected();
        }
    }

    /// Writes a message: its row appears immediately, and it is sent as soon as the socket is in step. The client makes
    /// the identifier here, and `now` is this client's clock. Identifiers give pending messages their order, even when
    /// a later run restores them, so they must rise even if the clock is set back.
    pub fn send(&mut self, session_id: SessionId, data: String, now: TimeStamp) -> (MessageId, Step) {
        let newest = self.outbox.pending().iter().map(|pending| pending.message_id).max();
        let message_id = newest.map_or_else(MessageId::new, MessageId::new_after);
        self.outbox.push(Pending {
            message_id,
            session_id,
            data,
            written: now,
            state: PendingState::Waiting,
            unanswered: false,
            put_off: None,
        });
        let mut step = Step::default();
        step.changes.push(Change::Rows(session_id));
        self.flush(&mut step);
        (message_id, step)
    }

    /// Restores messages that an earlier run of this client wrote and never saw acknowledged, oldest first. They keep
    /// their identifiers, so a message the server has already stored stays one message. Until a `Welcome` has named
    /// every session, those of unknown sessions are passed over, so call this again then.
    pub fn restore(&mut self, written: impl IntoIterator<Item = Pending>) -> Step {
        let mut step = Step::default();
        for pending in written {
            let session = self.sessions.get(&pending.session_id);
            if session.is_none() && !self.ready {
                continue;
            }
            let stored =
                session.is_some_and(|s| s.timeline.messages().any(|m| m.message_id == pending.message_id));
            let held = self.outbox.pending().iter().any(|p| p.message_id == pending.message_id);
            if !stored && !held {
                step.changes.push(Change::Rows(pending.session_id));
                self.outbox.push(pending);
            }
        }
        if self.ready {
            self.give_back(&mut step);
        }
        self.flush(&mut step);
        step
    }

    /// Retries a refused message. If it was refused temporarily, those before it go out first.
    pub fn retry(&mut self, message_id: MessageId) -> Step {
        let mut step = Step::default();
        if let Some(session_id) = self.outbox.retry(message_id) {
            step.changes.push(Change::Rows(session_id));
            self.flush(&mut step);
        } else if let Some(pending) = self.outbox.pending().iter().find(|p| p.message_id == message_id) {
            return self.resume(pending.session_id);
        }
        step
    }

    /// Retries what was temporarily refused in a session: when [`Change::PutOff`] says, or earlier.
    pub fn resume(&mut self, session_id: SessionId) -> Step {
        let mut step = Step::default();
        if self.outbox.resume(session_id) {
            step.changes.push(Change::Rows(session_id));
            self.flush(&mut step);
        }
        step
    }

    /// Takes back a message that is unsent or was refused, and returns it. Returns `None` if it is in flight, because
    /// it may be stored already.
    pub fn take_back(&mut self, message_id: MessageId) -> (Option<Pending>, Step) {
        let mut step = Step::default();
        let Some((pending, is_missed)) = self.outbox.take_back(message_id) else { return (None, step) };
        step.changes.push(Change::Rows(pending.session_id));
        if !self.sessions.contains_key(&pending.session_id) {
            step.changes.push(Change::Returned);
        }
        if is_missed {
            self.disconnected();
            step.changes.push(Change::Renew);
        }
        self.flush(&mut step);
        (Some(pending), step)
    }

    /// Notes that the user has seen everything up to `seq` here, and sends that to the server.
    pub fn read(&mut self, session_id: SessionId, seq: Seq) -> Step {
        let mut step = Step::default();
        if self.mark_read(session_id, seq, &mut step) && self.ready {
            step.send.push(ClientFrame::Read { session_id, seq });
        }
        step
    }

    /// Adds earlier messages, the history endpoint's answer to `asked`.
    pub fn prepend(&mut self, session_id: SessionId, asked: Earlier, found: History) -> Step {
        let mut step = Step::default();
        let same = |session: &&mut SessionState| {
            session.timeline.epoch() == asked.epoch && session.spans == asked.spans
        };
        if let Some(session) = self.sessions.get_mut(&session_id).filter(same) {
            let History { messages, more, covers } = found;
            let stored: Vec<MessageId> = messages.iter().map(|m| m.message_id).collect();
            // An earlier server does not say what it covers: there, places have no gaps.
            let newest = covers.and_then(|covers| covers.up_to).or(messages.last().map(|newest| newest.seq));
            let end = newest.map_or(asked.before, |newest| Seq(newest.0 + 1));
            if session.timeline.prepend(end, messages, more) {
                // If the server's history was replaced and this client does not know yet, one of these may be the
                // user's own message that still waits here.
                for id in stored {
                    self.outbox.settle(id);
                }
            }
            step.changes.push(Change::Rows(session_id));
        }
        step
    }

    /// Moves the read marker forward, never back. Returns whether it moved.
    fn mark_read(&mut self, session_id: SessionId, seq: Seq, step: &mut Step) -> bool {
        match self.sessions.get_mut(&session_id) {
            Some(session) if seq > session.read_seq => {
                session.read_seq = seq;
                session.pass_own(self.me);
                step.changes.push(Change::Unread(session_id));
                true
            }
            _ => false,
        }
    }

    /// Discards a session's messages if more changes are missing than `patience` allows. Outgoing messages and the read
    /// marker stay. Returns whether it did.
    fn let_go(&mut self, session_id: SessionId, head: Head, step: &mut Step) -> bool {
        let (Some(patience), Some(session)) = (self.patience, self.sessions.get_mut(&session_id)) else {
            return false;
        };
        let same_history = session.timeline.epoch().is_none_or(|epoch| epoch == head.epoch);
        let far = same_history && head.rev.0 - session.timeline.rev().0 > patience;
        if far {
            session.let_go(head);
            step.changes.push(Change::LetGo(session_id));
        }
        far
    }

    /// Fetches what is missing in a session, unless it is on its way or the socket is not in step.
    fn fetch(&mut self, session_id: SessionId, step: &mut Step) {
        if !self.ready {
            return;
        }
        let rev = self.sessions.get_mut(&session_id).and_then(|s| s.timeline.take_fetch());
        step.send.extend(rev.map(|rev| ClientFrame::Fetch { session_id, rev }));
    }

    fn flush(&mut self, step: &mut Step) {
        if self.ready {
            step.send.extend(self.outbox.take_ready());
        }
    }
}
