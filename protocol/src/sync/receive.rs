//! What each frame from the server does to the client's state.

use std::collections::BTreeMap;

use super::{Change, SessionState, Step, Sync};
use crate::keyed;
use crate::{
    Applied, ClientFrame, Code, Epoch, Fault, Head, InviteId, Invited, LiveMessage, Message, MessageId,
    Outcome, Presence, Refused, Rev, SearchNotice, Seq, ServerFrame, SessionHead, SessionId, SessionNotice,
    TimeStamp, User, UserId,
};

impl Sync {
    /// Processes a frame from the server.
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
                self.reset(session_id, Head { epoch, rev }, &mut step);
            }
            ServerFrame::Search(notice) => self.search(notice, &mut step),
            ServerFrame::Session(notice) => self.session(notice, &mut step),
            ServerFrame::Left { session_id } => self.left(session_id, &mut step),
            ServerFrame::Read { session_id, seq } => {
                self.mark_read(session_id, seq, &mut step);
            }
            ServerFrame::Status { user_id, status } => self.status(user_id, status, &mut step),
            ServerFrame::Typing { session_id, user_id } => {
                step.changes.push(Change::Typing(session_id, user_id));
            }
            ServerFrame::Lagged => {
                // A reconnect on the same connection: anything in flight may be lost, and recovery is the same.
                self.disconnected();
                step.send.push(self.connected());
            }
            ServerFrame::Drain { after_ms } => step.changes.push(Change::Drain(after_ms)),
            ServerFrame::Unknown => {}
        }
        self.flush(&mut step); // every answer may have made room for the next message
        step
    }

    fn welcome(&mut self, user_id: UserId, heads: BTreeMap<SessionId, SessionHead>, step: &mut Step) {
        if *self.me.get_or_insert(user_id) != user_id {
            // Somebody else has signed in here meanwhile: the pending messages are not theirs to send.
            self.ready = false;
            return step.changes.push(Change::Stranger);
        }
        self.ready = true;
        // The server names the open invitations next; any it no longer names have been answered.
        self.invited.clear();
        self.asked.clear();
        self.sessions.retain(|id, _| heads.contains_key(id));
        step.changes.push(Change::Sessions);
        let hello = std::mem::take(&mut self.hello);
        for (session_id, head) in heads {
            let named = hello.iter().find(|(id, _)| *id == session_id).map(|(_, position)| *position);
            let is_new = !self.sessions.contains_key(&session_id);
            let session = self.sessions.entry(session_id).or_default();
            session.users = head.users;
            (session.kind, session.title, session.owner) = (head.kind, head.title, head.owner);
            (session.began_at, session.last_seq) = (head.began_at, head.last_seq);
            let (epoch, rev) = (head.epoch, head.rev);
            // They left and came back meanwhile, and may see other parts of it.
            let is_other = session.spans != head.spans;
            if is_other {
                session.spans = head.spans;
                session.read_seq = head.read_seq;
                session.timeline.reset(Head { epoch, rev });
                step.changes.push(Change::Rows(session_id));
            }
            let is_new = is_new || is_other;
            if session.timeline.epoch().is_some_and(|own| own != epoch) {
                session.read_seq = head.read_seq; // the old marker belongs to another history
                if named.is_none() {
                    session.timeline.reset(Head { epoch, rev }); // and no Reset comes for it
                    step.changes.push(Change::Rows(session_id));
                }
            }
            if session.read_seq > head.read_seq {
                step.send.push(ClientFrame::Read { session_id, seq: session.read_seq }); // read while offline
            }
            session.read_seq = session.read_seq.max(head.read_seq);
            step.changes.extend([Change::Users(session_id), Change::Unread(session_id)]);
            if is_new && self.patience.is_some() {
                // With very many sessions, the user may never open most of them.
                session.let_go(Head { epoch, rev });
                step.changes.push(Change::LetGo(session_id));
                continue;
            }
            if self.let_go(session_id, Head { epoch, rev }, step) {
                continue; // the page that comes unprompted holds nothing new
            }
            let session = self.sessions.entry(session_id).or_default();
            session.timeline.observe(Head { epoch, rev });
            // The server answers every named session that is not at its head unprompted: with a page, or a Reset.
            match named {
                Some(position)
                    if !is_new && (position.rev != rev || position.epoch.is_some_and(|own| own != epoch)) =>
                {
                    session.timeline.expect_page(position.rev);
                }
                _ => self.fetch(session_id, step),
            }
        }
        self.give_back(step);
        step.changes.extend([Change::Invitations, Change::Ready]);
    }

    fn reset(&mut self, session_id: SessionId, head: Head, step: &mut Step) {
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        session.timeline.reset(head);
        step.changes.push(Change::Rows(session_id));
        if !self.let_go(session_id, head, step) {
            self.fetch(session_id, step);
        }
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
        let Some(session) = self.sessions.get_mut(&session_id) else {
            return step.changes.push(Change::Returned); // it had arrived before they left
        };
        // The answer to a retry may stand for a later state of the message. A client that retries was away, so a page
        // with that state is on its way, or will be after the `Welcome`; until it arrives the row stays as written and
        // does not flicker.
        if out_of_step
            || session.timeline.is_fetching()
            || session.timeline.apply(message.clone()) == Applied::Gap
        {
            session.timeline.hold(message);
        }
        session.last_seq = session.last_seq.max(seq);
        session.pass_own(self.me);
        step.changes.extend([Change::Rows(session_id), Change::Unread(session_id)]);
        self.fetch(session_id, step);
    }

    fn refused(&mut self, refused: Refused, step: &mut Step) {
        let fault = Fault::new(refused.code, refused.reason.clone());
        let put_off = refused.after_ms.zip(refused.message_id);
        if let Some((after, (session_id, is_first))) =
            put_off.and_then(|(after, id)| Some((after, self.outbox.postpone(id, fault.clone())?)))
        {
            step.changes.push(Change::Rows(session_id));
            step.changes.extend(is_first.then_some(Change::PutOff(session_id, after)));
            return;
        }
        let has_left = refused.session_id.is_some_and(|id| !self.sessions.contains_key(&id));
        match refused.message_id.and_then(|id| self.outbox.fail(id, fault)) {
            Some(session_id) => step.changes.push(Change::Rows(session_id)),
            None if has_left && refused.message_id.is_some() => {} // it was returned then
            None => {
                if refused.code == Code::Gone
                    && let Some(id) = refused.invite_id
                {
                    self.invited.retain(|invited| invited.invite_id != id);
                    self.asked.retain(|asked| asked.invite_id != id);
                    step.changes.push(Change::Invitations);
                }
                step.changes.push(Change::Refused(refused));
            }
        }
    }

    fn live(&mut self, LiveMessage { session_id, message }: LiveMessage, step: &mut Step) {
        let (id, seq, sender) = (message.message_id, message.seq, message.sender);
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
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
                session.pass_own(self.me);
                if is_new && self.me != Some(sender) {
                    step.changes.push(Change::Arrived(session_id, id));
                }
                step.changes.push(Change::Unread(session_id));
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
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
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
            session.pass_own(self.me);
        }
        self.fetch(session_id, step);
    }

    fn observe(&mut self, session_id: SessionId, head: Head, step: &mut Step) {
        // For an unknown session, the `Session` frame is on its way.
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        session.timeline.observe(head);
        session.timeline.answers_lost();
        self.fetch(session_id, step);
    }

    fn session(&mut self, notice: SessionNotice, step: &mut Step) {
        let SessionNotice { session_id, epoch, rev, last_seq, users, kind, title, owner, began_at, spans } =
            notice;
        let has_joined = match self.sessions.get(&session_id) {
            Some(known) => !spans.is_empty() && known.spans != spans,
            None => true,
        };
        if has_joined {
            // What was held belongs to another stay. Everything said before counts as read.
            let new = SessionState { last_seq, read_seq: last_seq, spans, ..SessionState::default() };
            self.sessions.insert(session_id, new);
            self.joined(session_id, Head { epoch, rev }, step);
        }
        let session = self.sessions.entry(session_id).or_default();
        (session.kind, session.title, session.owner, session.began_at) = (kind, title, owner, began_at);
        session.last_seq = session.last_seq.max(last_seq);
        session.timeline.observe(Head { epoch, rev: session.timeline.rev() });
        let known = std::mem::take(&mut session.users);
        session.users = keyed(users.into_iter().map(|(id, username)| {
            let status = known.get(&id).map(|user| user.status).unwrap_or_default();
            (id, User { username, status })
        }));
        step.changes.extend([Change::Sessions, Change::Users(session_id)]);
    }

    /// Begins with a session that the user has just joined, which stands here: with what they may see of it from before,
    /// if there is anything.
    fn joined(&mut self, session_id: SessionId, head: Head, step: &mut Step) {
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        step.changes.push(Change::Rows(session_id));
        let sees_some = session.last_seq > session.begins_after();
        if self.patience.is_some() || !sees_some {
            session.let_go(head);
            step.changes.extend(sees_some.then_some(Change::LetGo(session_id)));
        } else {
            session.timeline.observe(head);
            self.fetch(session_id, step);
        }
    }

    fn left(&mut self, session_id: SessionId, step: &mut Step) {
        if self.sessions.remove(&session_id).is_some() {
            step.changes.push(Change::Sessions);
        }
        self.give_back(step);
    }

    /// Returns to its writer what waits in sessions that they are in no more.
    pub(super) fn give_back(&mut self, step: &mut Step) {
        let sessions = &self.sessions;
        if self.outbox.give_back(|session_id| !sessions.contains_key(&session_id)) {
            step.changes.push(Change::Returned);
        }
    }

    fn search(&mut self, notice: SearchNotice, step: &mut Step) {
        match &notice {
            SearchNotice::Invited { invite_id, username } => {
                hold(&mut self.invited, *invite_id, username);
            }
            SearchNotice::Closed { invite_id, .. } => {
                self.invited.retain(|invited| invited.invite_id != *invite_id);
            }
            SearchNotice::Outcome { username, status: Outcome::Pending, invite_id: Some(id), .. } => {
                hold(&mut self.asked, *id, username);
            }
            SearchNotice::Outcome { invite_id: Some(id), .. } => {
                self.asked.retain(|asked| asked.invite_id != *id);
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
}

/// Adds an invitation once, however often it is announced.
fn hold(open: &mut Vec<Invited>, invite_id: InviteId, username: &str) {
    open.retain(|held| held.invite_id != invite_id);
    let at = open.partition_point(|held| held.invite_id < invite_id);
    open.insert(at, Invited { invite_id, username: username.to_owned() });
}
