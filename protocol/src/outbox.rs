//! Outgoing messages, in the order they were written.

use std::collections::BTreeMap;

use crate::{ClientFrame, Code, Fault, MAX_UNACKED, MessageId, SendMessage, SessionId, TimeStamp};

/// How far an outgoing message has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingState {
    /// Written, but not sent on this connection.
    Waiting,
    /// Sent on this connection; no answer yet.
    Sent,
    /// Refused temporarily. It is retried automatically.
    PutOff,
    /// Refused permanently.
    Failed(Fault),
}

/// One outgoing message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its identifier, kept through every retry.
    pub message_id: MessageId,
    /// The target session.
    pub session_id: SessionId,
    /// The text.
    pub data: String,
    /// When it was written, by this client's clock; shown until the server's time is known.
    pub written: TimeStamp,
    /// How far it has got.
    pub state: PendingState,
    /// It was sent, on this connection or an earlier one, and no answer came: the server may have it.
    pub unanswered: bool,
    /// Why it was last refused temporarily.
    pub put_off: Option<Fault>,
}

const NOT_SENT: &str = "You are not in this conversation any more. This was not sent.";
const MAY_HAVE_ARRIVED: &str =
    "You are not in this conversation any more. This was being sent when it ended, and may have arrived.";

/// Messages not acknowledged yet. Keeps their order through every reconnect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox {
    pending: Vec<Pending>,
    /// The first message of each session that was refused temporarily. Those written after it wait for its
    /// acknowledgement; on the connection that received the refusal the server accepts nothing else.
    first: BTreeMap<SessionId, MessageId>,
}

impl Outbox {
    /// Returns every message held, oldest first.
    #[must_use]
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Returns why what is written in a session has to wait, if it does.
    pub(crate) fn put_off(&self, session_id: SessionId) -> Option<&Fault> {
        let first = self.first.get(&session_id)?;
        self.pending.iter().find(|p| p.message_id == *first)?.put_off.as_ref()
    }

    /// Enqueues a message.
    pub fn push(&mut self, message: Pending) {
        self.pending.push(message);
    }

    /// Returns the frames that may go out now: at most [`MAX_UNACKED`] in flight, and in a session with a temporary
    /// refusal only the refused message.
    pub fn take_ready(&mut self) -> Vec<ClientFrame> {
        let under_way = self.pending.iter().filter(|p| p.state == PendingState::Sent).count();
        let first = &self.first;
        let may_go = |p: &&mut Pending| {
            p.state == PendingState::Waiting
                && first.get(&p.session_id).is_none_or(|first| *first == p.message_id)
        };
        let ready = self.pending.iter_mut().filter(may_go).take(MAX_UNACKED.saturating_sub(under_way));
        ready
            .map(|p| {
                (p.state, p.unanswered) = (PendingState::Sent, true);
                ClientFrame::Message(SendMessage {
                    session_id: p.session_id,
                    message_id: p.message_id,
                    data: p.data.clone(),
                    time_stamp: None,
                    sender: None,
                })
            })
            .collect()
    }

    /// Removes a message that is stored. What waited behind it may go.
    pub fn settle(&mut self, message_id: MessageId) -> Option<Pending> {
        let at = self.at(message_id)?;
        let pending = self.pending.remove(at);
        self.lets_go(&pending);
        Some(pending)
    }

    /// Marks a message as refused permanently: it stays, with the reason, for its writer to decide.
    pub fn fail(&mut self, message_id: MessageId, fault: Fault) -> Option<SessionId> {
        let at = self.at(message_id)?;
        self.answered(at, PendingState::Failed(fault));
        let pending = self.pending[at].clone();
        self.lets_go(&pending);
        Some(pending.session_id)
    }

    /// Marks a message as refused temporarily. Returns its session, and whether it is the first one refused there: if
    /// so, the caller retries it later with [`Outbox::resume`], and the others follow.
    pub(crate) fn postpone(&mut self, message_id: MessageId, fault: Fault) -> Option<(SessionId, bool)> {
        let at = self.at(message_id)?;
        self.answered(at, PendingState::PutOff);
        self.pending[at].put_off = Some(fault);
        let session_id = self.pending[at].session_id;
        // The answer to an earlier message may have been discarded when this client lagged.
        let waits = |p: &&Pending| p.session_id == session_id && !matches!(p.state, PendingState::Failed(_));
        let first = self.pending.iter().find(waits).map_or(message_id, |p| p.message_id);
        Some((session_id, *self.first.entry(session_id).or_insert(first) == message_id))
    }

    /// Retries the first temporarily refused message of a session.
    pub(crate) fn resume(&mut self, session_id: SessionId) -> bool {
        let Some(first) = self.first.get(&session_id) else { return false };
        match self.pending.iter_mut().find(|p| p.message_id == *first && p.state == PendingState::PutOff) {
            Some(pending) => {
                pending.state = PendingState::Waiting;
                true
            }
            None => false,
        }
    }

    /// Marks what waits in sessions that the user is in no more as refused permanently. Returns whether there was any.
    pub(crate) fn give_back(&mut self, is_gone: impl Fn(SessionId) -> bool) -> bool {
        let mut found = false;
        for pending in &mut self.pending {
            if is_gone(pending.session_id) && !matches!(pending.state, PendingState::Failed(_)) {
                let reason = if pending.unanswered { MAY_HAVE_ARRIVED } else { NOT_SENT };
                pending.state = PendingState::Failed(Fault::new(Code::NotFound, reason));
                pending.put_off = None;
                self.first.remove(&pending.session_id);
                found = true;
            }
        }
        found
    }

    /// Removes a message that is not in flight: unsent, refused, or returned to its writer. An unanswered message stays,
    /// because it may be stored already. Also returns whether the server may be waiting for it, as the first that it refused temporarily.
    pub(crate) fn take_back(&mut self, message_id: MessageId) -> Option<(Pending, bool)> {
        let is_done = |p: &Pending| !p.unanswered || matches!(p.state, PendingState::Failed(_));
        let at = self.at(message_id).filter(|at| is_done(&self.pending[*at]))?;
        let pending = self.pending.remove(at);
        let is_missed = self.lets_go(&pending);
        Some((pending, is_missed))
    }

    /// Retries a permanently refused message, after everything written since.
    pub fn retry(&mut self, message_id: MessageId) -> Option<SessionId> {
        let at =
            self.at(message_id).filter(|at| matches!(self.pending[*at].state, PendingState::Failed(_)))?;
        let mut pending = self.pending.remove(at);
        pending.state = PendingState::Waiting;
        let session_id = pending.session_id;
        self.pending.push(pending);
        Some(session_id)
    }

    /// Resets what was in flight, to be sent again, after the connection ended. Temporarily refused messages wait
    /// behind the first.
    pub fn disconnected(&mut self) {
        for pending in &mut self.pending {
            let is_first = self.first.get(&pending.session_id) == Some(&pending.message_id);
            if pending.state == PendingState::Sent || (is_first && pending.state == PendingState::PutOff) {
                pending.state = PendingState::Waiting;
            }
        }
    }

    fn at(&self, message_id: MessageId) -> Option<usize> {
        self.pending.iter().position(|p| p.message_id == message_id)
    }

    fn answered(&mut self, at: usize, state: PendingState) {
        let pending = &mut self.pending[at];
        (pending.state, pending.unanswered, pending.put_off) = (state, false, None);
    }

    /// Releases what waits behind a message that is done, if it was the first one refused temporarily.
    fn lets_go(&mut self, ended: &Pending) -> bool {
        let is_first = self.first.get(&ended.session_id) == Some(&ended.message_id);
        if is_first {
            self.first.remove(&ended.session_id);
            let behind =
                |p: &&mut Pending| p.session_id == ended.session_id && p.state == PendingState::PutOff;
            for pending in self.pending.iter_mut().filter(behind) {
                (pending.state, pending.put_off) = (PendingState::Waiting, None);
            }
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn written_in(sessions: &[SessionId]) -> (Outbox, Vec<MessageId>) {
        let mut outbox = Outbox::default();
        let write = |session_id: &SessionId| {
            let message_id = MessageId::new();
            outbox.push(Pending {
                message_id,
                session_id: *session_id,
                data: "hello".into(),
                written: TimeStamp(0),
                state: PendingState::Waiting,
                unanswered: false,
                put_off: None,
            });
            message_id
        };
        let ids = sessions.iter().map(write).collect();
        (outbox, ids)
    }

    fn written(count: usize) -> (Outbox, Vec<MessageId>) {
        written_in(&vec![SessionId::new(); count])
    }

    fn sent(frames: &[ClientFrame]) -> Vec<MessageId> {
        let id = |frame: &ClientFrame| match frame {
            ClientFrame::Message(message) => message.message_id,
            other => panic!("{other:?}"),
        };
        frames.iter().map(id).collect()
    }

    fn held(outbox: &Outbox) -> Vec<MessageId> {
        outbox.pending().iter().map(|p| p.message_id).collect()
    }

    #[test]
    fn no_more_are_under_way_than_the_server_reads() {
        let (mut outbox, ids) = written(MAX_UNACKED + 2);
        assert_eq!(sent(&outbox.take_ready()), ids[..MAX_UNACKED]);
        assert_eq!(outbox.take_ready(), []);
        outbox.settle(ids[0]);
        outbox.fail(ids[1], Fault::of(Code::TooLong));
        assert_eq!(sent(&outbox.take_ready()), ids[MAX_UNACKED..], "an answer of either kind makes room");
    }

    #[test]
    fn after_a_loss_what_was_under_way_goes_out_again_in_order_and_what_was_refused_does_not() {
        let (mut outbox, ids) = written(4);
        let _ = outbox.take_ready();
        outbox.settle(ids[1]);
        outbox.fail(ids[2], Fault::of(Code::TooLong));
        outbox.disconnected();
        assert_eq!(sent(&outbox.take_ready()), [ids[0], ids[3]]);
    }

    #[test]
    fn only_what_was_refused_is_retried() {
        let (mut outbox, ids) = written(2);
        let _ = outbox.take_ready();
        assert_eq!(outbox.retry(ids[0]), None);
        outbox.fail(ids[0], Fault::of(Code::TooLong));
        assert!(outbox.retry(ids[0]).is_some());
        assert_eq!(held(&outbox), [ids[1], ids[0]]);
    }

    #[test]
    fn what_was_not_sent_or_was_refused_is_taken_back_and_nothing_that_may_be_stored() {
        let (mut outbox, ids) = written(3);
        assert!(outbox.take_back(ids[2]).is_some());
        let _ = outbox.take_ready();
        assert_eq!(outbox.take_back(ids[0]), None);
        outbox.disconnected();
        assert_eq!(outbox.take_back(ids[0]), None, "it may have been stored before the connection was lost");
        outbox.fail(ids[0], Fault::of(Code::TooLong));
        outbox.postpone(ids[1], Fault::of(Code::TooMany));
        assert!(outbox.take_back(ids[0]).is_some_and(|(_, is_missed)| !is_missed));
        assert!(outbox.take_back(ids[1]).is_some_and(|(_, is_missed)| is_missed));
        assert_eq!(held(&outbox), []);
    }

    #[test]
    fn what_is_refused_for_now_goes_out_alone_and_the_rest_of_its_session_behind_it() {
        let [here, there] = [(); 2].map(|()| SessionId::new());
        let (mut outbox, ids) = written_in(&[here, here, there, here]);
        let _ = outbox.take_ready();
        let why = || Fault::of(Code::TooMany);
        assert_eq!(outbox.postpone(ids[0], why()), Some((here, true)));
        assert_eq!(outbox.postpone(ids[1], why()), Some((here, false)));
        assert_eq!(outbox.postpone(ids[2], why()), Some((there, true)), "each session by itself");
        assert_eq!(outbox.postpone(ids[3], why()), Some((here, false)));
        assert_eq!(outbox.take_ready(), []);
        assert_eq!(outbox.put_off(here), Some(&why()));
        assert!(outbox.resume(here) && !outbox.resume(here));
        assert_eq!(sent(&outbox.take_ready()), [ids[0]]);
        assert_eq!(outbox.postpone(ids[0], why()), Some((here, true)), "once more");
        outbox.disconnected();
        assert_eq!(sent(&outbox.take_ready()), [ids[0], ids[2]], "a new connection is asked as carefully");
        outbox.settle(ids[0]);
        assert_eq!(sent(&outbox.take_ready()), [ids[1], ids[3]]);
    }
}
