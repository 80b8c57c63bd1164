//! Messages on their way out, in the order they were written.

use crate::{ClientFrame, Fault, MAX_UNACKED, MessageId, SendMessage, SessionId, TimeStamp};

/// How far a message on its way out has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingState {
    /// Written, and not sent on this connection.
    Waiting,
    /// Sent on this connection; no answer yet.
    Sent,
    /// Refused for good.
    Failed(Fault),
}

/// One message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its name, kept through every retry.
    pub message_id: MessageId,
    /// Where to.
    pub session_id: SessionId,
    /// The text.
    pub data: String,
    /// When it was written, by this client's clock; shown until the server's time is known.
    pub written: TimeStamp,
    /// How far it has come.
    pub state: PendingState,
}

/// Messages not acknowledged yet. Keeps their order through every reconnect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox {
    pending: Vec<Pending>,
}

impl Outbox {
    /// Everything held, oldest first.
    #[must_use]
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Takes a message to be sent.
    pub fn push(&mut self, message: Pending) {
        self.pending.push(message);
    }

    /// The frames that may go out now: at most [`MAX_UNACKED`] are under way at once.
    pub fn take_ready(&mut self) -> Vec<ClientFrame> {
        let under_way = self.pending.iter().filter(|p| p.state == PendingState::Sent).count();
        self.pending
            .iter_mut()
            .filter(|p| p.state == PendingState::Waiting)
            .take(MAX_UNACKED.saturating_sub(under_way))
            .map(|p| {
                p.state = PendingState::Sent;
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

    /// The message is stored: takes it out.
    pub fn settle(&mut self, message_id: MessageId) -> Option<Pending> {
        let at = self.pending.iter().position(|p| p.message_id == message_id)?;
        Some(self.pending.remove(at))
    }

    /// The message was refused for good: keeps it, with the reason, for its writer to decide.
    pub fn fail(&mut self, message_id: MessageId, fault: Fault) -> Option<SessionId> {
        let pending = self.pending.iter_mut().find(|p| p.message_id == message_id)?;
        pending.state = PendingState::Failed(fault);
        Some(pending.session_id)
    }

    /// Takes out a refused message. One that is still under way stays: it may be stored already.
    pub fn take_failed(&mut self, message_id: MessageId) -> Option<Pending> {
        let failed = |p: &Pending| p.message_id == message_id && matches!(p.state, PendingState::Failed(_));
        let at = self.pending.iter().position(failed)?;
        Some(self.pending.remove(at))
    }

    /// Sends a refused message once more, after everything written since.
    pub fn retry(&mut self, message_id: MessageId) -> Option<SessionId> {
        let mut pending = self.take_failed(message_id)?;
        pending.state = PendingState::Waiting;
        let session_id = pending.session_id;
        self.pending.push(pending);
        Some(session_id)
    }

    /// The connection is gone: what was under way has to be sent again.
    pub fn disconnected(&mut self) {
        for pending in &mut self.pending {
            if pending.state == PendingState::Sent {
                pending.state = PendingState::Waiting;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn written(count: usize) -> (Outbox, Vec<MessageId>) {
        let mut outbox = Outbox::default();
        let ids: Vec<_> = (0..count).map(|_| MessageId::new()).collect();
        for id in &ids {
            outbox.push(Pending {
                message_id: *id,
                session_id: SessionId::new(),
                data: "hello".into(),
                written: TimeStamp(0),
                state: PendingState::Waiting,
            });
        }
        (outbox, ids)
    }

    fn sent(frames: &[ClientFrame]) -> Vec<MessageId> {
        let id = |frame: &ClientFrame| match frame {
            ClientFrame::Message(message) => message.message_id,
            other => panic!("{other:?}"),
        };
        frames.iter().map(id).collect()
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
    fn only_what_was_refused_is_retried_or_taken_out() {
        let (mut outbox, ids) = written(2);
        let _ = outbox.take_ready();
        assert_eq!(outbox.retry(ids[0]), None);
        assert_eq!(outbox.take_failed(ids[0]), None);
        outbox.fail(ids[0], Fault::of(Code::TooLong));
        assert!(outbox.retry(ids[0]).is_some());
        assert_eq!(outbox.pending().iter().map(|p| p.message_id).collect::<Vec<_>>(), [ids[1], ids[0]]);
    }
}
