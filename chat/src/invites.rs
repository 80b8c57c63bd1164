//! Finding a person by name, and what becomes of the invitation.

use protocol::{Answer, Asked, InviteId, Outcome, Presence, SearchNotice};

use crate::name::Sought;
use crate::store::{AskResult, NewInvite};
use crate::{Chat, Connection, Result};

impl Chat {
    /// Looks for a person and invites them. Every search is answered on the socket that asked: what names a session
    /// comes behind that session's own frame, the rest is returned. What became of an invitation goes to all sockets
    /// of both sides.
    ///
    /// # Errors
    /// [`protocol::Code::Yourself`]; [`protocol::Code::NotFound`] when the session is not the asker's;
    /// [`protocol::Code::TooMany`] when they have invited too many, or the same person too often; the database
    /// failed.
    pub async fn ask(&self, conn: &Connection, asked: Asked) -> Result<Option<SearchNotice>> {
        let actor = conn.actor();
        self.0.live.pace(actor.user_id()).await;
        let answer = |status, name: &str, session_id| {
            let (username, reason) = (name.to_owned(), sentence(status, name));
            Some(SearchNotice::Outcome { username, status, reason, invite_id: None, session_id })
        };
        let found = match Sought::of(&asked.username) {
            Some(name) => self.0.store.user_named(&name).await?,
            None => None,
        };
        let Some(found) = found else {
            return Ok(answer(Outcome::NoUser, asked.username.trim(), None));
        };
        let is_here = self.0.live.presence(found.user_id) == Presence::Online;
        let new = NewInvite {
            from: actor.user_id(),
            from_name: actor.username().to_owned(),
            conn: conn.id(),
            to: found.user_id,
            to_name: found.username.clone(),
            session: asked.session_id,
            may_wait: is_here || asked.leave,
            held_back: self.0.options.hold_back_invitations,
        };
        Ok(match self.0.store.ask(new).await? {
            AskResult::Pending | AskResult::Accepted(_) | AskResult::AlreadyConnected(_) => None,
            // Theirs to take back, so without its name.
            AskResult::AskedByOther => answer(Outcome::Pending, &found.username, asked.session_id),
            AskResult::Offline => answer(Outcome::Offline, &found.username, None),
        })
    }

    /// Accepts, rejects or takes back an invitation. Both sides are told. The same answer once more changes nothing,
    /// and the socket that gave it is told again.
    ///
    /// # Errors
    /// [`protocol::Code::NotFound`] when it is not theirs to answer; [`protocol::Code::Gone`] when it was answered
    /// otherwise; the database failed.
    pub async fn answer(&self, conn: &Connection, invite: InviteId, answer: Answer) -> Result<()> {
        let user = conn.actor().user_id();
        self.0.live.pace(user).await;
        self.0.store.answer(user, conn.id(), invite, answer).await
    }
}

/// What somebody reads who searches for a person that has invited them.
pub(crate) fn both_want(name: &str) -> String {
    format!("{name} has invited you as well. You can talk now.")
}

/// What a searcher reads.
pub(crate) fn sentence(status: Outcome, name: &str) -> String {
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
