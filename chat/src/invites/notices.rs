//! What the two sides of an invitation are told.

use protocol::{Invited, Outcome, SearchNotice, SessionId};

use super::invite::Invite;

/// Returns what the sender of an invitation is told about it.
pub(crate) fn outcome(invite: &Invite, status: Outcome, session_id: Option<SessionId>) -> SearchNotice {
    let username = invite.to_name.clone();
    let reason = sentence(status, &username);
    SearchNotice::Outcome { username, status, reason, invite_id: Some(invite.invite_id), session_id }
}

/// Returns what the person who is invited is told.
pub(crate) fn invited(invite: Invite) -> Invited {
    Invited { invite_id: invite.invite_id, username: invite.from_name }
}

/// Returns what a searcher is told who shares a session with that person: a new one, if both had asked.
pub(crate) fn met(username: String, session: SessionId, is_new: bool) -> SearchNotice {
    let (status, reason) = match is_new {
        true => (Outcome::Accepted, format!("{username} has invited you as well. You can talk now.")),
        false => (Outcome::AlreadyConnected, sentence(Outcome::AlreadyConnected, &username)),
    };
    SearchNotice::Outcome { username, status, reason, invite_id: None, session_id: Some(session) }
}

/// Returns the sentence for a searcher.
pub(super) fn sentence(status: Outcome, name: &str) -> String {
    match status {
        Outcome::Pending => format!("Your invitation is with {name}."),
        Outcome::Accepted => format!("{name} accepted. You can talk now."),
        Outcome::Rejected => format!("{name} does not want to talk now."),
        Outcome::Offline => format!("{name} is offline: cannot establish a session."),
        Outcome::NoUser => format!("There is no user “{name}”."),
        Outcome::AlreadyConnected => format!("You talk with {name} already."),
        Outcome::Cancelled => format!("Your invitation to {name} was taken back."),
        Outcome::Unknown => String::new(), // nothing that a server says
    }
}
