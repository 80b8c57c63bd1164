//! An invitation.

use protocol::{Answer, InviteId, SessionId, UserId};

/// An invitation, with the names of both.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Invite {
    pub(crate) invite_id: InviteId,
    pub(crate) from_user: UserId,
    pub(crate) from_name: String,
    pub(crate) to_user: UserId,
    pub(crate) to_name: String,
    /// Into this session, or a new one of their own.
    pub(crate) session_id: Option<SessionId>,
    /// Stored: `Pending`, the name of an answer, or `Offline` where nothing was left.
    status: String,
}

impl Invite {
    /// Makes one that waits for its answer.
    pub(crate) fn new(
        (from_user, from_name): (UserId, String),
        (to_user, to_name): (UserId, String),
        session_id: Option<SessionId>,
    ) -> Self {
        let (invite_id, status) = (InviteId::new(), PENDING.to_owned());
        Self { invite_id, from_user, from_name, to_user, to_name, session_id, status }
    }

    /// Whether it waits for its answer.
    pub(crate) fn is_open(&self) -> bool {
        self.status == PENDING
    }

    /// Whether it ended with this answer.
    pub(crate) fn ended_with(&self, answer: Answer) -> bool {
        self.status == status_of(answer)
    }
}

/// The status of an invitation that waits.
pub(crate) const PENDING: &str = "Pending";

/// Returns the status of an invitation that ended with this answer.
pub(crate) fn status_of(answer: Answer) -> &'static str {
    match answer {
        Answer::Accepted => "Accepted",
        Answer::Rejected => "Rejected",
        Answer::Cancelled => "Cancelled",
    }
}
