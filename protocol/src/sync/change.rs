//! What comes out of the state machine: frames to send, and what a person may see changed.

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
    /// The socket is another user's: nothing of it was taken, and the driver has to close it.
    Stranger,
    /// Sessions were added or taken away.
    Sessions,
    /// Rows of a session were added, taken away, or changed.
    Rows(SessionId),
    /// Too much was missing in a session: its messages were let go, and the newest are to be had from the history.
    LetGo(SessionId),
    /// The users of a session, or whether they are here, changed.
    Users(SessionId),
    /// How much of a session is unread changed.
    Unread(SessionId),
    /// Somebody is writing; good for 5 s.
    Typing(SessionId, UserId),
    /// A message from somebody else arrived just now, or while the client was away.
    Arrived(SessionId, MessageId),
    /// The invitations that wait for an answer, one's own or the other side's, changed.
    Invitations,
    /// What came of a search.
    Found(SearchNotice),
    /// A message was refused for now, the first of its session: after so many milliseconds the driver calls
    /// [`Sync::resume`](super::Sync::resume).
    PutOff(SessionId, u64),
    /// The server waits for a message that was taken back: the driver opens another socket, which knows nothing of it.
    Renew,
    /// Something other than a message was refused.
    Refused(Refused),
    /// The server will close; reconnect after this many milliseconds.
    Drain(u64),
}
