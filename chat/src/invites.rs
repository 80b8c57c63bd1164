//! Finding a person by name, and what becomes of the invitation.

use protocol::{Answer, Asked, InviteId, Outcome, Presence, SearchNotice};

use crate::store::{AskResult, NewInvite};
use crate::{Actor, Chat, Result, Username};

impl Chat {
    /// Looks for a person and invites them. When there is something to tell the asking socket alone, it is
    /// returned; everything else goes to all sockets of both sides, in the order it happened.
    ///
    /// # Errors
    /// [`protocol::Code::Yourself`]; [`protocol::Code::NotFound`] when the session is not the actor's;
    /// [`protocol::Code::TooMany`] when the actor has invited too many, or the same person too often; the database
    /// failed.
    pub async fn ask(&self, actor: &Actor, asked: Asked) -> Result<Option<SearchNotice>> {
        self.0.live.pace(actor.user_id()).await;
        let answer = |status, name: &str, session_id| {
            let (username, reason) = (name.to_owned(), sentence(status, name));
            Some(SearchNotice::Outcome { username, status, reason, invite_id: None, session_id })
        };
        // A name that cannot exist is one that does not.
        let found = match Username::parse(&asked.username) {
            Ok(name) => self.0.store.user_by_key(name.key()).await?,
            Err(_) => None,
        };
        let Some(found) = found else {
            return Ok(answer(Outcome::NoUser, asked.username.trim(), None));
        };
        let is_here = self.0.live.presence(found.user_id) == Presence::Online;
        let new = NewInvite {
            from: actor.user_id(),
            from_name: actor.username().to_owned(),
            to: found.user_id,
            to_name: found.username.clone(),
            session: asked.session_id,
            may_wait: is_here || asked.leave,
            held_back: self.0.options.hold_back_invitations,
        };
        Ok(match self.0.store.ask(new).await? {
            AskResult::Pending | AskResult::Accepted => None,
            // Theirs to take back, so without its name.
            AskResult::AskedByOther => answer(Outcome::Pending, &found.username, asked.session_id),
            AskResult::Offline => answer(Outcome::Offline, &found.username, None),
            AskResult::AlreadyConnected(session) => {
                answer(Outcome::AlreadyConnected, &found.username, Some(session))
            }
        })
    }

    /// Accepts, rejects or takes back an invitation. Both sides are told.
    ///
    /// # Errors
    /// [`protocol::Code::NotFound`] when it is not the actor's to answer; [`protocol::Code::Gone`] when it was
    /// answered or taken back already; the database failed.
    pub async fn answer(&self, actor: &Actor, invite: InviteId, answer: Answer) -> Result<()> {
        self.0.live.pace(actor.user_id()).await;
        self.0.store.answer(actor.user_id(), invite, answer).await
    }
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
