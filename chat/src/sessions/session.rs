//! A session.

use protocol::{Head, Kind, Seq, SessionId, TimeStamp, UserId};

/// A session as it is for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSession {
    pub(crate) session_id: SessionId,
    pub(crate) head: Head,
    pub(crate) last_seq: Seq,
    pub(crate) kind: Kind,
    pub(crate) title: Option<String>,
    pub(crate) owner: Option<UserId>,
    /// Who began it, if it was begun as a group.
    pub(crate) began_by: Option<UserId>,
    pub(crate) began_at: TimeStamp,
}
