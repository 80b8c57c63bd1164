//! Leaving a group and removing somebody, and what its owner may do.

use protocol::{Answer, Code, Fault, SessionId, UserId};

use super::session::StoredSession;
use super::{Title, as_it_is, own_group, tell_again};
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::store::{Event, Store, Tx};
use crate::{Chat, Connection};

impl Chat {
    /// Takes the user out of a group. All their sockets are told, and whoever stays.
    ///
    /// # Errors
    /// [`Code::NotFound`] if they are not in it; [`Code::PairStays`] if it is a pair's; the database failed.
    pub async fn leave(&self, conn: &Connection, session: SessionId) -> Result<()> {
        self.change_group(conn, session, Change::Leave).await
    }

    /// Takes somebody else out of the user's own group. Removing them again changes nothing, and only the socket that
    /// asks is told.
    ///
    /// # Errors
    /// [`Code::NotFound`] if the user is not in it, or the other never was; [`Code::PairStays`] if it is a pair's;
    /// [`Code::NotOwner`]; [`Code::Yourself`]; the database failed.
    pub async fn remove(&self, conn: &Connection, session: SessionId, whom: UserId) -> Result<()> {
        self.change_group(conn, session, Change::Remove(whom)).await
    }

    /// Renames the user's own group.
    ///
    /// # Errors
    /// [`Code::UnusableTitle`]; otherwise as [`Chat::remove`].
    pub async fn rename(&self, conn: &Connection, session: SessionId, title: &str) -> Result<()> {
        self.change_group(conn, session, Change::Rename(Title::parse(title)?)).await
    }

    /// Gives the user's own group to somebody else who is in it.
    ///
    /// # Errors
    /// As [`Chat::remove`].
    pub async fn give(&self, conn: &Connection, session: SessionId, to: UserId) -> Result<()> {
        self.change_group(conn, session, Change::Give(to)).await
    }

    async fn change_group(&self, conn: &Connection, session: SessionId, change: Change) -> Result<()> {
        let user = conn.actor().user_id();
        self.0.live.pace(user).await;
        let origin = conn.origin();
        change_group(&self.0.store, GroupChange { user, origin, session, change }).await
    }
}

/// A change of a group that somebody wants to make.
#[derive(Debug, Clone)]
pub(crate) struct GroupChange {
    pub(crate) user: UserId,
    /// The socket that asks.
    pub(crate) origin: Origin,
    pub(crate) session: SessionId,
    pub(crate) change: Change,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Leave,
    Remove(UserId),
    Rename(Title),
    Give(UserId),
}

/// Changes a group.
pub(crate) async fn change_group(store: &Store, new: GroupChange) -> Result<()> {
    store
        .run(move |mut tx| {
            let new = new.clone();
            Box::pin(async move { change_within(&mut tx, new).await })
        })
        .await
}

async fn change_within(tx: &mut Tx<'_>, new: GroupChange) -> Result<()> {
    let GroupChange { user, origin, session, change } = new;
    let group = own_group(tx, session, user).await?;
    if !matches!(change, Change::Leave) && group.owner != Some(user) {
        return Err(Error::refused(Code::NotOwner));
    }
    let is_news = match change {
        Change::Leave => {
            take_out(tx, &group, user, false).await?;
            true
        }
        Change::Remove(whom) if whom == user => {
            let reason = "You cannot remove yourself. You can leave the group.";
            return Err(Fault::new(Code::Yourself, reason).into());
        }
        Change::Remove(whom) => remove(tx, &group, whom).await?,
        Change::Rename(title) if group.title.as_deref() == Some(title.as_str()) => false,
        Change::Rename(title) => {
            tx.rename(session, title.as_str()).await?;
            true
        }
        Change::Give(to) if to == user => false,
        Change::Give(to) => {
            if !tx.is_in(session, to).await? {
                return Err(Error::refused(Code::NotFound));
            }
            tx.set_owner(session, Some(to)).await?;
            true
        }
    };
    if !is_news {
        return tell_again(tx, origin, group, user).await;
    }
    let (session, users) = as_it_is(tx, session).await?;
    tx.announce(Event::Altered { session, users });
    Ok(())
}

/// Removes somebody. Returns false if they are out already.
async fn remove(tx: &mut Tx<'_>, group: &StoredSession, whom: UserId) -> Result<bool> {
    match tx.stay(group.session_id, whom).await? {
        None => Err(Error::refused(Code::NotFound)),
        // Somebody who left can be kept out as well.
        Some(stay) if !stay.is_in => {
            tx.note_removed(group.session_id, whom).await?;
            cancel_invites(tx, group.session_id, whom).await?;
            Ok(false)
        }
        Some(_) => {
            take_out(tx, group, whom, true).await?;
            Ok(true)
        }
    }
}

/// Ends a user's stay. An owner who goes leaves the group to whoever has been in it longest. Invitations into the group
/// that the user made end, because nobody is there to welcome whoever accepts; so do those for somebody removed.
async fn take_out(tx: &mut Tx<'_>, group: &StoredSession, user: UserId, is_removed: bool) -> Result<()> {
    let session_id = group.session_id;
    tx.end_stay(session_id, user).await?;
    if is_removed {
        tx.note_removed(session_id, user).await?;
    }
    if group.owner == Some(user) {
        let next = tx.longest_in(session_id).await?;
        tx.set_owner(session_id, next).await?;
    }
    tx.announce(Event::Left { session_id, user });
    cancel_invites(tx, session_id, user).await
}

async fn cancel_invites(tx: &mut Tx<'_>, session: SessionId, user: UserId) -> Result<()> {
    for invite in tx.open_of(session, user).await? {
        tx.end_invite(invite.invite_id, Answer::Cancelled).await?;
        tx.announce(Event::Ended { invite, answer: Answer::Cancelled, session: None });
    }
    Ok(())
}
