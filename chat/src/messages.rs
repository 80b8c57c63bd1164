//! Sending, changing and reading messages.

#[cfg(test)]
mod tests;

use std::time::Instant;

use bytes::Bytes;
use protocol::api::History;
use protocol::{
    Code, Fault, LiveMessage, MessageId, Rev, SendMessage, Seq, ServerFrame, SessionId, UserId, text,
};

use crate::live::{Ticket, encode};
use crate::origin::Origin;
use crate::page::{PAGE_BYTES, PAGE_ROWS, page, weight};
use crate::quota::Quota;
use crate::store::{Changes, Event, Post, Store, Tx};
use crate::{Actor, Chat, Connection, Error, Result, clock};

/// Most messages in a part of the history.
const HISTORY_ROWS: i64 = 50;

impl Chat {
    /// Hands in a message. Its answer comes through the socket: an `Ack` once it is committed and on disk, a `Refused`
    /// if it is not allowed or there is no room for it now, a close with `TRY_LATER` if the server cannot store it now.
    /// Waits while the user is over their limit. `ticket` is dropped when the message has been dealt with.
    ///
    /// # Errors
    /// The text or the sender is refused; the database is closed.
    pub async fn post(&self, conn: &Connection, message: SendMessage, ticket: Ticket) -> Result<()> {
        let sender = conn.actor().user_id();
        text::check_message(&message.data)?;
        if message.sender.is_some_and(|named| named != sender) {
            return Err(Fault::new(Code::Invalid, "Sender must be yourself; leave it out.").into());
        }
        self.0.live.pace_text(sender, message.data.len()).await;
        let handed_in = Instant::now();
        let held = Box::new((ticket, self.0.live.storing(sender, message.data.len()).await));
        let (origin, gate) = (conn.origin(), conn.gate());
        self.0.store.post(Post { sender, origin, gate, message, handed_in, _held: held }).await
    }

    /// Replaces the text of the user's own message. Everybody, this socket included, gets the message in its new state.
    ///
    /// # Errors
    /// The text is refused; [`Code::NotFound`] if the message is not the user's own, or deleted; [`Error::TooMany`] if
    /// there is no room for more text now; the database failed.
    pub async fn edit(
        &self,
        conn: &Connection,
        session: SessionId,
        id: MessageId,
        data: String,
    ) -> Result<()> {
        text::check_message(&data)?;
        let user = conn.actor().user_id();
        self.0.live.pace_text(user, data.len()).await;
        let _held = self.0.live.storing(user, data.len()).await;
        let (origin, data) = (conn.origin(), Some(data));
        change(&self.0.store, NewChange { user, origin, session, message: id, data }).await
    }

    /// Deletes the user's own message: its text is gone for good, its place stays.
    ///
    /// # Errors
    /// [`Code::NotFound`] if the message is not the user's own; the database failed.
    pub async fn delete(&self, conn: &Connection, session: SessionId, id: MessageId) -> Result<()> {
        let (user, origin) = (conn.actor().user_id(), conn.origin());
        self.0.live.pace(user).await;
        change(&self.0.store, NewChange { user, origin, session, message: id, data: None }).await
    }

    /// Notes that the user has seen everything up to `seq`, and notifies their other sockets.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read(&self, conn: &Connection, session_id: SessionId, seq: Seq) -> Result<()> {
        let user = conn.actor().user_id();
        self.0.live.pace(user).await;
        if let Some(seq) = self.0.store.mark_read(user, session_id, seq).await? {
            let frame = ServerFrame::Read { session_id, seq }.encode().into();
            self.0.live.hub().send_to_user(user, &frame, Some(conn.id()));
        }
        Ok(())
    }

    /// Returns messages before a place, or the newest: at most 50, and as many as fit into 60 KiB, oldest first.
    ///
    /// # Errors
    /// [`Code::NotFound`] if the session is not the actor's; the database failed.
    pub async fn history(&self, actor: &Actor, session: SessionId, before: Option<Seq>) -> Result<History> {
        let turn = self.0.live.turn(actor.user_id()).await;
        let (store, user) = (&self.0.store, actor.user_id());
        let found = store.history(user, session, before, HISTORY_ROWS, PAGE_BYTES).await?;
        let found = found.ok_or(Error::refused(Code::NotFound))?;
        turn.cost(found.messages.iter().map(weight).sum());
        Ok(found)
    }

    /// Returns what changed in a session after `rev`, encoded: a `Page`, or a `Reset` if the client is ahead of it.
    /// Served from memory if that reaches back far enough.
    ///
    /// # Errors
    /// [`Code::NotFound`] if the session is not the actor's; the database failed.
    pub async fn page(&self, conn: &Connection, session: SessionId, rev: Rev) -> Result<Bytes> {
        let (store, tails) = (&self.0.store, self.0.live.tails());
        let turn = self.0.live.turn(conn.actor().user_id()).await; // a tail may have to be read first
        if let Some(view) = conn.view(session)
            && let Some(page) = tails.page(store, session, &view, rev).await?
            // Still: what was said after they left may be in the page.
            && conn.view(session).as_ref() == Some(&view)
        {
            turn.cost(page.len());
            return Ok(page);
        }
        tails.read_past();
        let found = store.changes(conn.actor().user_id(), session, rev, PAGE_ROWS, PAGE_BYTES).await?;
        let Changes { epoch, rev: head, messages } = found.ok_or(Error::refused(Code::NotFound))?;
        turn.cost(messages.iter().map(weight).sum());
        Ok(encode(&match rev > head || rev < Rev(0) {
            true => ServerFrame::Reset { session_id: session, epoch, rev: head },
            false => page(session, epoch, rev, head, messages),
        }))
    }
}

/// A change that a user wants to make to their own message.
#[derive(Debug, Clone)]
pub(crate) struct NewChange {
    pub(crate) user: UserId,
    /// The socket that asks.
    pub(crate) origin: Origin,
    pub(crate) session: SessionId,
    pub(crate) message: MessageId,
    /// The new text; `None` deletes the message.
    pub(crate) data: Option<String>,
}

/// Replaces the text of the user's own message, or deletes it, which is allowed however full the disk is. A repeat
/// changes nothing more and is answered again, to its origin alone.
pub(crate) async fn change(store: &Store, new: NewChange) -> Result<()> {
    let quota = store.quota().clone();
    store
        .run(move |mut tx| {
            let (new, quota) = (new.clone(), quota.clone());
            Box::pin(async move { change_within(&mut tx, &quota, new).await })
        })
        .await
}

async fn change_within(tx: &mut Tx<'_>, quota: &Quota, new: NewChange) -> Result<()> {
    let NewChange { user, origin, session: session_id, message, data } = new;
    let found = tx.own_message(user, session_id, message).await?;
    // The same error for somebody else's message, a deleted one, and one that never existed.
    let mut message = found.ok_or(Error::refused(Code::NotFound))?;
    if message.deleted_at.is_some() && data.is_some() {
        return Err(Error::refused(Code::NotFound));
    }
    let is_same = match &data {
        Some(data) => *data == message.data,
        None => message.deleted_at.is_some(),
    };
    if is_same {
        tx.announce(Event::Unchanged { origin, live: LiveMessage { session_id, message } });
        return Ok(());
    }
    if let Some(data) = &data {
        if let Some(full) = quota.now().full(user, data.len()) {
            return Err(full.into());
        }
        tx.count(user, data.len());
    }
    let now = clock::now();
    match data {
        Some(data) => (message.data, message.edited_at) = (data, Some(now)),
        None => (message.data, message.deleted_at) = (String::new(), Some(now)),
    }
    tx.change(session_id, &mut message).await?;
    let live = LiveMessage { session_id, message };
    tx.announce(Event::Changed { live, origin: None, handed_in: None });
    Ok(())
}
