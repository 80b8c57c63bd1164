//! The state machine's output: frames to send, and what a person may see changed.

use crate::{ClientFrame, MessageId, Refused, SearchNotice, SessionId, UserId};

/// What the driver has to do after an event.
#[derive(Debug, Default, PartialEq)]
#[must_use]
pub struct Step {
    /// Frames to send, in order.
    pub send: Vec<ClientFrame>,
    /// What changed, in order.
    pub changes: Vec<Change>,
}

/// Something a person may see changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The socket is in step: sending works.
    Ready,
    /// The socket belongs to another user: nothing from it was applied, and the driver must close it.
    Stranger,
    /// Sessions were added or removed.
    Sessions,
    /// Rows of a session were added, removed, or changed.
    Rows(SessionId),
    /// Too much was missing in a session: its messages were discarded, and the history has the newest.
    LetGo(SessionId),
    /// The users of a session, or their presence, changed.
    Users(SessionId),
    /// A session's unread count changed.
    Unread(SessionId),
    /// Somebody is writing; good for 5 s.
    Typing(SessionId, UserId),
    /// A message from somebody else arrived just now, or while the client was away.
    Arrived(SessionId, MessageId),
    /// The pending invitations, received or sent, changed.
    Invitations,
    /// What came of a search.
    Found(SearchNotice),
    /// What waited in a session that the user is in no more was returned, or is there no more:
    /// [`Sync::returned`](super::Sync::returned).
    Returned,
    /// A message was temporarily refused, the first of its session: after this many milliseconds the driver calls
    /// [`Sync::resume`](super::Sync::resume).
    PutOff(SessionId, u64),
    /// The server waits for a message that was taken back: the driver opens a new socket, which does not expect it.
    Renew,
    /// Something other than a message was refused.
    Refused(Refused),
    /// The server is about to close; reconnect after this many milliseconds.
    Drain(u64),
}
