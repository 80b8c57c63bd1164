//! A message as a row on the screen: the same row from the moment it is written.

use crate::{Fault, Message, MessageId, Pending, PendingState, Seq, TimeStamp, UserId};

/// The state of a message, as its row shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowState {
    /// Stored.
    Sent,
    /// Not sent yet: the user can take it back.
    Waiting,
    /// In flight: the server may have it.
    Pending,
    /// Refused temporarily, or waiting behind a message that was, and why. It is retried automatically, and can be
    /// taken back.
    PutOff(Fault),
    /// Refused, and why.
    Failed(Fault),
}

/// One message as a row: the same from the moment it is written to the moment it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The row's key, from pending to sent.
    pub message_id: MessageId,
    /// Who wrote it.
    pub sender: UserId,
    /// The text.
    pub data: String,
    /// When it was stored; until then, when it was written.
    pub time_stamp: TimeStamp,
    /// Its place in the session, once stored.
    pub seq: Option<Seq>,
    /// Its state.
    pub state: RowState,
    /// Its text was changed.
    pub edited: bool,
    /// It was deleted.
    pub deleted: bool,
}

impl Row {
    pub(super) fn stored(message: &Message) -> Self {
        Self {
            message_id: message.message_id,
            sender: message.sender,
            data: message.data.clone(),
            time_stamp: message.time_stamp,
            seq: Some(message.seq),
            state: RowState::Sent,
            edited: message.edited_at.is_some(),
            deleted: message.deleted_at.is_some(),
        }
    }

    /// `put_off` is why messages in its session have to wait, if they do.
    pub(super) fn pending(pending: &Pending, me: UserId, put_off: Option<&Fault>) -> Self {
        Self {
            message_id: pending.message_id,
            sender: me,
            data: pending.data.clone(),
            time_stamp: pending.written,
            seq: None,
            state: match (&pending.state, pending.put_off.as_ref().or(put_off)) {
                (PendingState::Failed(fault), _) => RowState::Failed(fault.clone()),
                // Also while it is being retried: that is over in a moment.
                (_, Some(fault)) if pending.put_off.is_some() || !pending.unanswered => {
                    RowState::PutOff(fault.clone())
                }
                (PendingState::Waiting, _) if !pending.unanswered => RowState::Waiting,
                _ => RowState::Pending,
            },
            edited: false,
            deleted: false,
        }
    }
}
