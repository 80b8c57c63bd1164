//! What the sockets are told of what happened.

use std::collections::BTreeMap;

use protocol::{
    Answer, Code, Fault, Head, MessageId, Outcome, Refused, SearchNotice, ServerFrame, SessionId,
    SessionNotice, UserId,
};

use crate::invites::invite::Invite;
use crate::invites::notices;
use crate::sessions::View;
use crate::sessions::session::StoredSession;
use crate::store::NotStored;

/// Tells the sender of a message that it is not stored.
pub(super) fn not_stored(session_id: SessionId, message_id: MessageId, why: NotStored) -> ServerFrame {
    let (fault, after_ms) = match why {
        NotStored::NotInSession => (Fault::of(Code::NotFound), None),
        NotStored::Taken => (Fault::of(Code::Conflict), None),
        NotStored::Full(full) => {
            (full.fault(), Some(u64::try_from(full.wait().as_millis()).unwrap_or(u64::MAX)))
        }
    };
    ServerFrame::Refused(Refused {
        message_id: Some(message_id),
        session_id: Some(session_id),
        invite_id: None,
        username: None,
        code: fault.error,
        reason: fault.reason,
        after_ms,
    })
}

/// Tells what a session is, and who is in it.
pub(super) fn session(session: StoredSession, users: BTreeMap<UserId, String>) -> SessionNotice {
    let StoredSession { session_id, head, last_seq, kind, title, owner, began_by: _, began_at } = session;
    let Head { epoch, rev } = head;
    let spans = Vec::new();
    SessionNotice { session_id, epoch, rev, last_seq, users, kind, title, owner, began_at, spans }
}

/// Tells it to somebody who may see this of it.
pub(super) fn session_seen(notice: SessionNotice, view: &View) -> ServerFrame {
    ServerFrame::Session(SessionNotice { spans: view.spans(), ..notice })
}

/// Tells the person who is invited.
pub(super) fn invited(invite: &Invite) -> ServerFrame {
    let (invite_id, username) = (invite.invite_id, invite.from_name.clone());
    ServerFrame::Search(SearchNotice::Invited { invite_id, username })
}

/// Tells the sender of an invitation what came of it.
pub(super) fn outcome(invite: &Invite, status: Outcome, session: Option<SessionId>) -> ServerFrame {
    ServerFrame::Search(notices::outcome(invite, status, session))
}

/// Tells the person who was invited that the invitation has ended.
pub(super) fn closed(invite: &Invite, answer: Answer, session_id: Option<SessionId>) -> ServerFrame {
    let (invite_id, status) = (invite.invite_id, answer.into());
    ServerFrame::Search(SearchNotice::Closed { invite_id, status, session_id })
}

/// Tells whoever ended an invitation the same way again.
pub(super) fn ended_again(invite: &Invite, answer: Answer, session: Option<SessionId>) -> ServerFrame {
    match answer {
        Answer::Accepted | Answer::Rejected => closed(invite, answer, session),
        Answer::Cancelled => outcome(invite, Outcome::Cancelled, None),
    }
}

/// Tells the searcher which session the two share.
pub(super) fn met(username: String, session: SessionId, is_new: bool) -> ServerFrame {
    ServerFrame::Search(notices::met(username, session, is_new))
}
