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
