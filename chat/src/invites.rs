//! Finding a person by name, and the life of the invitation.

pub(crate) mod invite;
pub(crate) mod notices;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Instant;

use protocol::{Answer, Asked, Code, Fault, InviteId, Outcome, Presence, SearchNotice};

use crate::accounts::too_many;
use crate::name::Sought;
use crate::{Chat, Connection, Result};
use notices::sentence;
use rules::NewAnswer;
pub(crate) use rules::{AskResult, NewInvite};

impl Chat {
    /// Searches for a person and invites them. Every search is answered on the socket that asked: a notice that names a
    /// session comes after that session's own frame; any other is returned. The outcome of an invitation goes to all
    /// sockets of both sides.
    ///
    /// # Errors
    /// [`Code::Yourself`]; [`Code::NotFound`] if the session is not the asker's; [`Code::TooMany`] if they have
    /// searched for or invited too many, or the same person too often, or that person has enough invitations, or one of
    /// the two has reached the limit of conversations; the database failed.
    pub async fn ask(
        &self,
        conn: &Connection,
        address: Option<IpAddr>,
        asked: Asked,
    ) -> Result<Option<SearchNotice>> {
        let user = conn.actor().user_id();
        self.0.live.pace(user).await;
        let name = Sought::of(&asked.username);
        let key = name.as_ref().map_or("", |name| name.key.as_str());
        let question = self.guesses(|guesses| guesses.search(Instant::now(), user, address, key)).transpose();
        let found = match &name {
            Some(name) => self.0.store.user_named(name).await?,
            None => None,
        };
        let to = found.as_ref().map(|found| found.user_id);
        let is_here = to.is_some_and(|to| self.0.live.presence(to) == Presence::Online);
        let to_name = found.map_or_else(|| asked.username.trim().to_owned(), |found| found.username);
        let new = NewInvite {
            from: user,
            from_name: conn.actor().username().to_owned(),
            origin: conn.origin(),
            to,
            to_name: to_name.clone(),
            session: asked.session_id,
            may_wait: is_here || asked.leave,
            held_back: self.0.options.hold_back_invitations,
            refused: question.as_ref().err().map(|wait| too_many(*wait).into_fault()),
            conversations: self.0.options.conversations,
        };
        let result = rules::ask(&self.0.store, new).await;
        if !matches!(result, Ok(AskResult::NoUser)) {
            self.not_told(question.unwrap_or_default());
        }
        let answer = |status, session_id| {
            let reason = sentence(status, &to_name);
            let username = to_name.clone();
            Ok(Some(SearchNotice::Outcome { username, status, reason, invite_id: None, session_id }))
        };
        match result? {
            AskResult::Pending | AskResult::Accepted(_) | AskResult::AlreadyConnected(_) => Ok(None),
            // Only its sender may take it back, so its identifier is left out.
            AskResult::AskedByOther => answer(Outcome::Pending, asked.session_id),
            AskResult::Offline => answer(Outcome::Offline, None),
            AskResult::NoUser => answer(Outcome::NoUser, None),
            // The asker must not learn the reason.
            AskResult::Full => {
                let reason = format!("{to_name} cannot be invited just now. Please try again another day.");
                Err(Fault::new(Code::TooMany, reason).into())
            }
        }
    }

    /// Accepts, rejects or takes back an invitation, and notifies both sides. Repeating the same answer changes
    /// nothing, and only the socket that repeated it is notified again.
    ///
    /// # Errors
    /// [`Code::NotFound`] if it is not theirs to answer; [`Code::Gone`] if it was answered otherwise; [`Code::TooMany`]
    /// if one of the two has reached the limit of conversations; the database failed.
    pub async fn answer(&self, conn: &Connection, invite: InviteId, answer: Answer) -> Result<()> {
        let user = conn.actor().user_id();
        self.0.live.pace(user).await;
        let (origin, conversations) = (conn.origin(), self.0.options.conversations);
        rules::answer(&self.0.store, NewAnswer { user, origin, invite, answer, conversations }).await
    }
}
