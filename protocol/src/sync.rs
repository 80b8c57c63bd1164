//! A whole client as a pure state machine: frames in, frames and changes out.
//!
//! The driver (the page's socket, the headless client) owns connection, clock and backoff. It calls
//! [`Sync::connected`], [`Sync::receive`] for every frame and [`Sync::disconnected`], sends what a [`Step`] holds
//! and redraws what it names.

mod change;
mod row;

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use crate::keyed;
use crate::{
    Applied, ClientFrame, Code, Epoch, Fault, Head, InviteId, Invited, LiveMessage, Message, MessageId,
    Outbox, Outcome, Pending, PendingState, Position, Presence, Refused, Rev, SearchNotice, Seq, ServerFrame,
    SessionHead, SessionId, Snapshot, TimeStamp, Timeline, User, UserId,
};
pub use change::{Change, Step};
pub use row::{Row, RowState};

/// One session as the client holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Its messages.
    pub timeline: Timeline,
    /// Everybody in it, oneself included.
    pub users: BTreeMap<UserId, User>,
    last_seq: Seq,
    read_seq: Seq,
}

impl Conversation {
    /// How many messages one has not seen.
    #[must_use]
    pub fn unread(&self) -> i64 {
        (self.last_seq.0 - self.read_seq.0).max(0)
    }

    /// The last message one has seen.
    #[must_use]
    pub fn read_seq(&self) -> Seq {
        self.read_seq
    }

    /// The last message there is.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.last_seq
    }
}

/// Most sessions that a `Hello` names.
const MAX_NAMED: usize = 256;

/// Everything a client knows.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    me: Option<UserId>,
    ready: bool,
    sessions: BTreeMap<SessionId, Conversation>,
    invited: BTreeMap<InviteId, String>,
    asked: BTreeMap<InviteId, String>,
    outbox: Outbox,
    /// What the last `Hello` said: the server answers to that, whatever happened since.
    hello: BTreeMap<SessionId, Position>,
}

impl Sync {
    /// A client that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that starts from the server's first picture.
    #[must_use]
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let sessions = snapshot.sessions.iter().map(|(id, session)| {
            let SessionHead { epoch, rev, last_seq, read_seq, ref users } = session.head;
            let timeline = Timeline::from_newest(Head { epoch, rev }, session.messages.clone(), session.more);
            (*id, Conversation { timeline, users: users.clone(), last_seq, read_seq })
        });
        let asked = snapshot.asked.iter().filter_map(|notice| match notice {
            SearchNotice::Outcome { username, invite_id: Some(id), .. } => Some((*id, username.clone())),
            _ => None,
        });
        Self {
            me: Some(snapshot.me.user_id),
            ready: false,
            sessions: keyed(sessions),
            invited: keyed(snapshot.invited.iter().map(|i| (i.invite_id, i.username.clone()))),
            asked: keyed(asked),
            outbox: Outbox::default(),
            hello: BTreeMap::new(),
        }
    }

    /// Oneself, once known.
    #[must_use]
    pub fn me(&self) -> Option<UserId> {
        self.me
    }

    /// Whether the socket is in step.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Every session.
    #[must_use]
    pub fn sessions(&self) -> &BTreeMap<SessionId, Conversation> {
        &self.sessions
    }

    /// Invitations that wait for one's own answer, oldest first.
    #[must_use]
    pub fn invited(&self) -> Vec<Invited> {
        self.invited.iter().map(|(id, name)| Invited { invite_id: *id, username: name.clone() }).collect()
    }

    /// One's own invitations that wait for an answer, by the name asked for.
    #[must_use]
    pub fn asked(&self) -> &BTreeMap<InviteId, String> {
        &self.asked
    }

    /// Messages on their way out.
    #[must_use]
    pub fn outbox(&self) -> &[Pending] {
        self.outbox.pending()
    }

    /// The rows of a session: what is stored, by place, then what is on its way.
    #[must_use]
    pub fn rows(&self, session_id: SessionId) -> Vec<Row> {
        let stored = self.sessions.get(&session_id).into_iter().flat_map(|s| s.timeline.messages());
        stored.map(Row::stored).chain(self.rows_on_their_way(session_id)).collect()
    }

    /// Those rows of a session that lie in a range of places. What is on its way comes after every place, so it
    /// is only in a range without an end. For a page that shows a part of a long session.
    #[must_use]
    pub fn rows_in(&self, session_id: SessionId, range: impl RangeBounds<Seq>) -> Vec<Row> {
        let open_end = matches!(range.end_bound(), Bound::Unbounded);
        let stored = self.sessions.get(&session_id).into_iter().flat_map(|s| s.timeline.messages_in(&range));
        let on_its_way = open_end.then(|| self.rows_on_their_way(session_id));
        stored.map(Row::stored).chain(on_its_way.into_iter().flatten()).collect()
    }

    /// The newest row of a session.
    #[must_use]
    pub fn last_row(&self, session_id: SessionId) -> Option<Row> {
        self.rows_on_their_way(session_id)
            .next_back()
            .or_else(|| self.sessions.get(&session_id)?.timeline.messages().next_back().map(Row::stored))
    }

    fn rows_on_their_way(&self, session_id: SessionId) -> impl DoubleEndedIterator<Item = Row> {
        let on_its_way = move |p: &&Pending| p.session_id == session_id;
        self.me.into_iter().flat_map(move |me| {
            self.outbox.pending().iter().filter(on_its_way).map(move |p| Row::pending(p, me))
        })
    }

    /// The socket is open: gives the `Hello` to send.
    pub fn connected(&mut self) -> ClientFrame {
        let position = |s: &Conversation| Position { rev: s.timeline.rev(), epoch: s.timeline.epoch() };
        // The newest: what is not named is asked for after the welcome, and a frame has its limit.
        let newest = self.sessions.iter().rev().take(MAX_NAMED);
        self.hello = keyed(newest.map(|(id, session)| (*id, position(session))));
        ClientFrame::Hello { sessions: self.hello.clone() }
    }

    /// The socket is gone: every answer under way is lost.
    pub fn disconnected(&mut self) -> Step {
        self.ready = false;
        self.outbox.disconnected();
        for session in self.sessions.values_mut() {
            session.timeline.disconnected();
        }
        Step::default()
    }

    /// Writes a message: its row is there at once, and it is sent as soon as the socket is in step.
    /// The name is made here, by the client, and `now` is this client's clock.
    pub fn send(&mut self, session_id: SessionId, data: String, now: TimeStamp) -> (MessageId, Step) {
        let message_id = MessageId::new();
        self.outbox.push(Pending {
            message_id,
            session_id,
            data,
            written: now,
            state: PendingState::Waiting,
        });
        let mut step = Step::default();
        step.changes.push(Change::Rows(session_id));
        self.flush(&mut step);
        (message_id, step)
    }

    /// Takes back messages that an earlier run of this client wrote and never saw acknowledged, oldest first. They
    /// keep their names, so what the server has stored already stays one message. Those of unknown sessions are
    /// dropped.
    pub fn restore(&mut self, written: impl IntoIterator<Item = Pending>) -> Step {
        let mut step = Step::default();
        for pending in written {
            let Some(session) = self.sessions.get(&pending.session_id) else { continue };
            let stored = session.timeline.messages().any(|m| m.message_id == pending.message_id);
            let held = self.outbox.pending().iter().any(|p| p.message_id == pending.message_id);
            if !stored && !held {
                step.changes.push(Change::Rows(pending.session_id));
                self.outbox.push(pending);
            }
        }
        self.flush(&mut step);
        step
    }

    /// Sends a refused message once more.
    pub fn retry(&mut self, message_id: MessageId) -> Step {
        let mut step = Step::default();
        if let Some(session_id) = self.outbox.retry(message_id) {
            step.changes.push(Change::Rows(session_id));
            self.flush(&mut step);
        }
        step
    }

    /// Lets go of a refused message. Returns its text.
    pub fn discard(&mut self, message_id: MessageId) -> (Option<String>, Step) {
        let mut step = Step::default();
        let dropped = self.outbox.take_failed(message_id).map(|pending| {
            step.changes.push(Change::Rows(pending.session_id));
            pending.data
        });
        (dropped, step)
    }

    /// Notes that everything up to `seq` was seen here, and tells the server.
    pub fn read(&mut self, session_id: SessionId, seq: Seq) -> Step {
        let mut step = Step::default();
        if self.mark_read(session_id, seq, &mut step) && self.ready {
            step.send.push(ClientFrame::Read { session_id, seq });
        }
        step
    }

    /// Adds older messages, as the history endpoint gave them.
    pub fn prepend(&mut self, session_id: SessionId, messages: Vec<Message>, more: bool) -> Step {
        let mut step = Step::default();
        if let Some(session) = self.sessions.get_mut(&session_id) {
            let stored: Vec<MessageId> = messages.iter().map(|m| m.message_id).collect();
            if session.timeline.prepend(messages, more) {
                // After the server's history was replaced, and before that is known here, one of them may be one's
                // own and waiting.
                for id in stored {
                    self.outbox.settle(id);
                }
            }
            step.changes.push(Change::Rows(session_id));
        }
        step
    }

    /// Takes a frame from the server.
    pub fn receive(&mut self, frame: ServerFrame) -> Step {
        let mut step = Step::default();
        match frame {
            ServerFrame::Welcome { user_id, sessions } => self.welcome(user_id, sessions, &mut step),
            ServerFrame::Ack { message_id, seq, rev, time_stamp } => {
                self.acknowledged(message_id, seq, rev, time_stamp, &mut step);
            }
            ServerFrame::Refused(refused) => self.refused(refused, &mut step),
            ServerFrame::Message(live) => self.live(live, &mut step),
            ServerFrame::Page { session_id, epoch, from, to, more, messages } => {
                self.page(session_id, (epoch, from, to, more), messages, &mut step);
            }
            ServerFrame::Heads { sessions } => {
                step.send.push(ClientFrame::Pong {});
                for (session_id, head) in sessions {
                    self.observe(session_id, head, &mut step);
                }
            }
            ServerFrame::Reset { session_id, epoch, rev } => {
                let session = self.sessions.entry(session_id).or_default();
                session.timeline.reset(Head { epoch, rev });
                step.changes.push(Change::Rows(session_id));
                self.fetch(session_id, &mut step);
            }
            ServerFrame::Search(notice) => self.search(notice, &mut step),
            ServerFrame::Session { session_id, epoch, last_seq, users } => {
                self.session(session_id, (epoch, last_seq), users, &mut step);
            }
            ServerFrame::Read { session_id, seq } => {
                self.mark_read(session_id, seq, &mut step);
            }
            ServerFrame::Status { user_id, status } => self.status(user_id, status, &mut step),
            ServerFrame::Typing { session_id, user_id } => {
                step.changes.push(Change::Typing(session_id, user_id));
            }
            ServerFrame::Lagged => {
                // A reconnect without the connection: whatever was under way may be lost, and is made good alike.
                step = self.disconnected();
                step.send.push(self.connected());
            }
            ServerFrame::Drain { after_ms } => step.changes.push(Change::Drain(after_ms)),
            ServerFrame::Unknown => {}
        }
        self.flush(&mut step); // every answer may have made room for the next message
        step
    }

    fn welcome(&mut self, user_id: UserId, heads: BTreeMap<SessionId, SessionHead>, step: &mut Step) {
        self.me = Some(user_id);
        self.ready = true;
        // The server says next which invitations wait; what it does not name any more is answered.
        self.invited.clear();
        self.asked.clear();
        self.sessions.retain(|id, _| heads.contains_key(id));
        step.changes.push(Change::Sessions);
        let hello = std::mem::take(&mut self.hello);
        for (session_id, head) in heads {
            let named = hello.get(&session_id);
            let session = self.sessions.entry(session_id).or_default();
            session.users = head.users;
            session.last_seq = head.last_seq;
            if session.timeline.epoch().is_some_and(|epoch| epoch != head.epoch) {
                session.read_seq = head.read_seq; // what was read stood in another history
            }
            if session.read_seq > head.read_seq {
                step.send.push(ClientFrame::Read { session_id, seq: session.read_seq }); // read while offline
            }
            session.read_seq = session.read_seq.max(head.read_seq);
            session.timeline.observe(Head { epoch: head.epoch, rev: head.rev });
            step.changes.extend([Change::Users(session_id), Change::Unread(session_id)]);
            // What was named and does not stand at the head is answered unasked: by a page, or by a Reset.
            match named {
                Some(position)
                    if position.rev != head.rev || position.epoch.is_some_and(|e| e != head.epoch) =>
                {
                    session.timeline.expect_page(position.rev);
                }
                _ => self.fetch(session_id, step),
            }
        }
        step.changes.extend([Change::Invitations, Change::Ready]);
    }

    fn acknowledged(&mut self, id: MessageId, seq: Seq, rev: Rev, at: TimeStamp, step: &mut Step) {
        let Some(pending) = self.outbox.settle(id) else { return };
        let session_id = pending.session_id;
        let sender = self.me.expect("a client that sends was welcomed");
        let message = Message {
            message_id: id,
            data: pending.data,
            time_stamp: at,
            sender,
            seq,
            rev,
            edited_at: None,
            deleted_at: None,
        };
        let out_of_step = !self.ready;
        let session = self.sessions.entry(session_id).or_default();
        // The answer to a retry may stand for a later state of the message. Whoever retries was away, so a page
        // with that state is on its way, or will be after the `Welcome`; until it is here the row is held as it was
        // written, and does not blink.
        if out_of_step
            || session.timeline.is_fetching()
            || session.timeline.apply(message.clone()) == Applied::Gap
        {
            session.timeline.hold(message);
        }
        session.last_seq = session.last_seq.max(seq);
        step.changes.push(Change::Rows(session_id));
        self.mark_read(session_id, seq, step);
        self.fetch(session_id, step);
    }

    fn refused(&mut self, refused: Refused, step: &mut Step) {
        let fault = Fault::new(refused.code, refused.reason.clone());
        match refused.message_id.and_then(|id| self.outbox.fail(id, fault)) {
            Some(session_id) => step.changes.push(Change::Rows(session_id)),
            None => {
                if refused.code == Code::Gone
                    && let Some(id) = refused.invite_id
                {
                    self.invited.remove(&id);
                    self.asked.remove(&id);
                    step.changes.push(Change::Invitations);
                }
                step.changes.push(Change::Refused(refused));
            }
        }
    }

    fn live(&mut self, LiveMessage { session_id, message }: LiveMessage, step: &mut Step) {
        let (id, seq, sender) = (message.message_id, message.seq, message.sender);
        let session = self.sessions.entry(session_id).or_default();
        let is_new = seq > session.last_seq;
        match session.timeline.apply(message) {
            Applied::Repeat => return,
            Applied::Gap => {
                session.last_seq = session.last_seq.max(seq);
                step.changes.extend([Change::Rows(session_id), Change::Unread(session_id)]);
            }
            Applied::Next => {
                session.last_seq = session.last_seq.max(seq);
                self.outbox.settle(id);
                step.changes.push(Change::Rows(session_id));
                if self.me == Some(sender) {
                    self.mark_read(session_id, seq, step);
                } else if is_new {
                    step.changes.extend([Change::Arrived(session_id, id), Change::Unread(session_id)]);
                }
            }
        }
        self.fetch(session_id, step);
    }

    fn page(
        &mut self,
        session_id: SessionId,
        (epoch, from, to, more): (Epoch, Rev, Rev, bool),
        messages: Vec<Message>,
        step: &mut Step,
    ) {
        let session = self.sessions.entry(session_id).or_default();
        let held = session
            .timeline
            .messages()
            .next_back()
            .map(|m| m.seq)
            .filter(|_| session.timeline.rev() > Rev(0));
        let brought: Vec<_> = messages.iter().map(|m| (m.message_id, m.seq, m.sender)).collect();
        if session.timeline.apply_page(epoch, from, to, more, messages) {
            step.changes.extend([Change::Rows(session_id), Change::Unread(session_id)]);
            for (id, seq, sender) in brought {
                session.last_seq = session.last_seq.max(seq);
                self.outbox.settle(id);
                if self.me != Some(sender) && held.is_some_and(|held| seq > held) {
                    step.changes.push(Change::Arrived(session_id, id));
                }
            }
        }
        self.fetch(session_id, step);
    }

    fn observe(&mut self, session_id: SessionId, head: Head, step: &mut Step) {
        let timeline = &mut self.sessions.entry(session_id).or_default().timeline;
        timeline.observe(head);
        timeline.answers_lost();
        self.fetch(session_id, step);
    }

    fn session(
        &mut self,
        session_id: SessionId,
        (epoch, last_seq): (Epoch, Seq),
        users: BTreeMap<UserId, String>,
        step: &mut Step,
    ) {
        // Whoever is new in a session has read what was said before.
        let new = || Conversation { last_seq, read_seq: last_seq, ..Conversation::default() };
        let session = self.sessions.entry(session_id).or_insert_with(new);
        session.last_seq = session.last_seq.max(last_seq);
        session.timeline.observe(Head { epoch, rev: session.timeline.rev() });
        let known = std::mem::take(&mut session.users);
        session.users = keyed(users.into_iter().map(|(id, username)| {
            let status = known.get(&id).map(|user| user.status).unwrap_or_default();
            (id, User { username, status })
        }));
        step.changes.extend([Change::Sessions, Change::Users(session_id)]);
    }

    fn search(&mut self, notice: SearchNotice, step: &mut Step) {
        match &notice {
            SearchNotice::Invited { invite_id, username } => {
                self.invited.insert(*invite_id, username.clone());
            }
            SearchNotice::Closed { invite_id, .. } => {
                self.invited.remove(invite_id);
            }
            SearchNotice::Outcome { username, status: Outcome::Pending, invite_id: Some(id), .. } => {
                self.asked.insert(*id, username.clone());
            }
            SearchNotice::Outcome { invite_id: Some(id), .. } => {
                self.asked.remove(id);
            }
            SearchNotice::Outcome { .. } => {}
        }
        step.changes.extend([Change::Invitations, Change::Found(notice)]);
    }

    fn status(&mut self, user_id: UserId, status: Presence, step: &mut Step) {
        for (session_id, session) in &mut self.sessions {
            if let Some(user) = session.users.get_mut(&user_id) {
                user.status = status;
                step.changes.push(Change::Users(*session_id));
            }
        }
    }

    /// Moves the read marker forward, never back. Returns whether it moved.
    fn mark_read(&mut self, session_id: SessionId, seq: Seq, step: &mut Step) -> bool {
        match self.sessions.get_mut(&session_id) {
            Some(session) if seq > session.read_seq => {
                session.read_seq = seq;
                step.changes.push(Change::Unread(session_id));
                true
            }
            _ => false,
        }
    }

    /// Asks for what is missing in a session, unless it is on its way or the socket is not in step.
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
