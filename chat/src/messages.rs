//! Sending, changing and reading messages.

use std::time::Instant;

use bytes::Bytes;
use protocol::api::History;
use protocol::{Code, Epoch, Fault, Message, MessageId, Rev, SendMessage, Seq, ServerFrame, SessionId, text};

use crate::live::{Ticket, encode};
use crate::store::{Changes, Post};
use crate::{Actor, Chat, Connection, Error, Result};

/// Most messages in a `Page` or a part of the history. Pages are as large as their byte limit allows, because a client
/// that was away for long pays a round trip for each.
const PAGE_ROWS: i64 = 256;
const HISTORY_ROWS: i64 = 50;

/// Most bytes in a `Page`, to stay below [`protocol::MAX_FRAME_BYTES`], and in a part of the history.
pub(crate) const PAGE_BYTES: usize = 60 * 1024;

/// Most bytes a message takes in a page besides its text: field names, identifiers, numbers.
const ROW_BYTES: usize = 280;

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
        let (conn, gate) = (conn.id(), conn.gate());
        self.0.store.post(Post { sender, conn, gate, message, handed_in, _held: held }).await
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
        self.0.store.change(user, conn.id(), session, id, Some(data)).await
    }

    /// Deletes the user's own message: its text is gone for good, its place stays.
    ///
    /// # Errors
    /// [`Code::NotFound`] if the message is not the user's own; the database failed.
    pub async fn delete(&self, conn: &Connection, session: SessionId, id: MessageId) -> Result<()> {
        self.0.live.pace(conn.actor().user_id()).await;
        self.0.store.change(conn.actor().user_id(), conn.id(), session, id, None).await
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
        if let Some(joined) = conn.joined(session)
            && let Some(page) = tails.page(store, session, joined, rev).await?
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

/// Builds a page: as much of what changed after `from`, up to `head`, as fits into one frame.
pub(crate) fn page(
    session_id: SessionId,
    epoch: Epoch,
    from: Rev,
    head: Rev,
    changed: impl IntoIterator<Item = Message>,
) -> ServerFrame {
    let (mut messages, mut bytes, mut to) = (Vec::<Message>::new(), 0, None);
    for message in changed {
        bytes += weight(&message);
        let is_full = bytes > PAGE_BYTES || i64::try_from(messages.len()).is_ok_and(|held| held == PAGE_ROWS);
        if let Some(last) = messages.last().filter(|_| is_full) {
            to = Some(last.rev);
            break;
        }
        messages.push(message);
    }
    ServerFrame::Page { session_id, epoch, from, to: to.unwrap_or(head), more: to.is_some(), messages }
}

/// Returns how many bytes a message takes in a page: of all that a text may hold, JSON escapes these bytes, as two.
pub(crate) fn weight(message: &Message) -> usize {
    let escaped = message.data.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\t'));
    ROW_BYTES + message.data.len() + escaped.count()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use protocol::text::MAX_MESSAGE_BYTES;

    use super::*;
    use crate::Options;
    use crate::live::Live;
    use crate::store::Store;

    /// Sends the longest possible message to a session that does not exist: its fate does not matter here.
    async fn say(chat: &Chat, conn: &Connection) -> Result<()> {
        let (session_id, message_id) = (SessionId::new(), MessageId::new());
        let data = "x".repeat(MAX_MESSAGE_BYTES);
        let message = SendMessage { session_id, message_id, data, time_stamp: None, sender: None };
        chat.post(conn, message, Box::new(())).await
    }

    #[tokio::test]
    async fn of_what_one_user_writes_at_once_each_commit_takes_little_and_nobody_else_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut engine, _commits) = Store::connect(folder.path(), false).await.unwrap();
        let (live, _edges) = Live::at_rest(store.clone(), &Options::default());
        let chat = Chat::of(store, live, Options::default());
        let [ada, bob] = [engine.person("ada").await, engine.person("bob").await];
        let [ada, bob] = [chat.actor(ada).await.unwrap().unwrap(), chat.actor(bob).await.unwrap().unwrap()];
        let devices = [ada.clone(), ada].map(|ada| chat.connect(ada));
        for n in 0..4 {
            assert!(say(&chat, &devices[n % 2]).now_or_never().is_some());
        }
        let mut fifth = Box::pin(say(&chat, &devices[0]));
        assert!((&mut fifth).now_or_never().is_none(), "its place is in a later commit");
        assert!(say(&chat, &chat.connect(bob)).now_or_never().is_some());
        assert!(engine.step().await);
        assert!((&mut fifth).now_or_never().is_some());
    }
}
