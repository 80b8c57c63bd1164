//! Sessions: of whom they are, who is in one, and how many of them somebody may have. Decided inside the transactions of
//! the store.

pub(crate) mod members;
pub(crate) mod session;
#[cfg(test)]
mod tests;
mod title;
mod view;

use std::collections::BTreeMap;

use protocol::{Code, Fault, Kind, SessionId, UserId};

use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::store::{Event, Store, Tx};
use crate::{Chat, Connection};
use session::StoredSession;
pub(crate) use title::Title;
pub(crate) use view::View;

impl Chat {
    /// Begins a group with only the user in it, and tells their sockets of it. Beginning the same one again changes
    /// nothing, and only the socket that asks is told.
    ///
    /// # Errors
    /// [`Code::UnusableTitle`]; [`Code::Conflict`] if another session has this identifier; [`Code::TooMany`] if the user
    /// has reached the limit of conversations; the database failed.
    pub async fn begin(&self, conn: &Connection, session: SessionId, title: &str) -> Result<()> {
        let title = Title::parse(title)?;
        let user = conn.actor().user_id();
        self.0.live.pace(user).await;
        let conversations = self.0.options.conversations;
        begin(&self.0.store, NewGroup { user, origin: conn.origin(), session, title, conversations }).await
    }
}

/// A group that somebody wants to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewGroup {
    pub(crate) user: UserId,
    /// The socket that asks.
    pub(crate) origin: Origin,
    pub(crate) session: SessionId,
    pub(crate) title: Title,
    /// Most conversations of one user.
    pub(crate) conversations: Option<u32>,
}

/// Begins a group.
pub(crate) async fn begin(store: &Store, new: NewGroup) -> Result<()> {
    store
        .run(move |mut tx| {
            let new = new.clone();
            Box::pin(async move { begin_within(&mut tx, &new).await })
        })
        .await
}

async fn begin_within(tx: &mut Tx<'_>, new: &NewGroup) -> Result<()> {
    if let Some(there) = tx.session(new.session).await? {
        // Sent again after a lost answer. For anybody else the identifier is taken.
        if there.began_by != Some(new.user) || !tx.is_in(new.session, new.user).await? {
            let reason = "Another conversation has this identifier already.";
            return Err(Fault::new(Code::Conflict, reason).into());
        }
        return tell_again(tx, new.origin, there, new.user).await;
    }
    let (conversations, user) = (new.conversations, new.user);
    has_room(tx, conversations, [(user, None)]).await?;
    tx.insert_group(new.session, new.title.as_str(), user).await?;
    tx.add_user(new.session, user).await?;
    announce(tx, new.session, &[user]).await
}

/// Creates the session of a pair and announces it.
pub(crate) async fn begin_pair(tx: &mut Tx<'_>, a: UserId, b: UserId) -> Result<SessionId> {
    let session = SessionId::new();
    tx.insert_pair(session, (a, b)).await?;
    for user in [a, b] {
        tx.add_user(session, user).await?;
    }
    announce(tx, session, &[a, b]).await?;
    Ok(session)
}

/// Adds a user to a group, for the first time or again, and announces it.
pub(crate) async fn join(tx: &mut Tx<'_>, session: SessionId, user: UserId) -> Result<()> {
    tx.add_user(session, user).await?;
    announce(tx, session, &[user]).await
}

/// Refuses one more conversation of a user who has reached the limit. A name says that it is not the actor who has.
pub(crate) async fn has_room<const N: usize>(
    tx: &mut Tx<'_>,
    most: Option<u32>,
    users: [(UserId, Option<&str>); N],
) -> Result<()> {
    let Some(most) = most else { return Ok(()) };
    for (user, name) in users {
        if tx.count_sessions(user, most).await? < i64::from(most) {
            continue;
        }
        let reason = match name {
            Some(name) => format!("{name} has {most} conversations already, and nobody can have more here."),
            None => format!("You have {most} conversations already, and nobody can have more here."),
        };
        return Err(Fault::new(Code::TooMany, reason).into());
    }
    Ok(())
}

async fn announce(tx: &mut Tx<'_>, session: SessionId, new: &[UserId]) -> Result<()> {
    let (session, users) = as_it_is(tx, session).await?;
    let mut joined = Vec::new();
    for user in new {
        let view = tx.view(session.session_id, *user).await?.expect("the user who has just been added");
        joined.push((*user, view));
    }
    tx.announce(Event::Opened { session, users, joined });
    Ok(())
}

/// Returns a session that this transaction has changed, and who is in it.
async fn as_it_is(tx: &mut Tx<'_>, session: SessionId) -> Result<(StoredSession, BTreeMap<UserId, String>)> {
    let found = tx.session(session).await?.expect("the session that this transaction has just changed");
    let users = tx.users_in(session).await?;
    Ok((found, users))
}

/// Returns a group that the user is in. The same error for a session of others and one that never existed.
pub(crate) async fn own_group(tx: &mut Tx<'_>, session: SessionId, user: UserId) -> Result<StoredSession> {
    if !tx.is_in(session, user).await? {
        return Err(Error::refused(Code::NotFound));
    }
    let group = tx.session(session).await?.filter(|session| session.kind == Kind::Group);
    group.ok_or(Error::refused(Code::PairStays))
}

/// Tells a socket of a user what one of their sessions is, because it asked for what is so already.
async fn tell_again(tx: &mut Tx<'_>, origin: Origin, session: StoredSession, user: UserId) -> Result<()> {
    let view = tx.view(session.session_id, user).await?.expect("a session of the user");
    let users = tx.users_in(session.session_id).await?;
    tx.announce(Event::OpenedAgain { origin, session, users, view });
    Ok(())
}
