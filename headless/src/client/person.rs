//! What a person does at their device.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::{Answer, Asked, ClientFrame, InviteId, MessageId, Search, Seq, SessionId, Sync, TimeStamp};

use super::Client;
use crate::Error;

impl Client {
    /// Sends a message. Returns immediately; the row stays pending, across reconnects, until the server has it.
    ///
    /// # Errors
    /// Never for lack of a connection: the message waits for the next one.
    pub async fn say(&mut self, session_id: SessionId, text: impl Into<String>) -> Result<MessageId, Error> {
        let (message_id, step) = self.sync.send(session_id, text.into(), now());
        self.queue(step);
        match self.flush().await {
            Err(error) if !error.is_disconnect() => Err(error),
            _ => Ok(message_id), // `next` finds out what became of the socket
        }
    }

    /// Sends a message and waits until the server has it.
    ///
    /// # Errors
    /// When it is not acknowledged: the socket closed, the message was refused, or it took too long.
    pub async fn say_and_wait(
        &mut self,
        session_id: SessionId,
        text: impl Into<String>,
    ) -> Result<MessageId, Error> {
        let message_id = self.say(session_id, text).await?;
        let waiting = |sync: &Sync| sync.outbox().iter().any(|p| p.message_id == message_id);
        self.wait_for("an acknowledgement", |sync| !waiting(sync)).await?;
        Ok(message_id)
    }

    /// Searches for a person by name and invites them to talk.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn search(&mut self, username: &str) -> Result<(), Error> {
        self.ask(Asked { username: username.into(), session_id: None, leave: false }).await
    }

    /// Searches for a person, with all the options of a search.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn ask(&mut self, asked: Asked) -> Result<(), Error> {
        self.send(&ClientFrame::Search(Search::Ask(asked))).await
    }

    /// Begins a group with only this person in it, and waits until the server has it.
    ///
    /// # Errors
    /// When it is refused, the socket closes, or it takes too long.
    pub async fn begin(&mut self, title: &str) -> Result<SessionId, Error> {
        let session_id = SessionId::new();
        self.send(&ClientFrame::Begin { session_id, title: title.into() }).await?;
        self.wait_for("the group", |sync| sync.sessions().contains_key(&session_id)).await?;
        Ok(session_id)
    }

    /// Answers an invitation, or withdraws one that this person sent.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn answer(&mut self, invite_id: InviteId, answer: Answer) -> Result<(), Error> {
        self.send(&ClientFrame::Search(Search::Answer { invite_id, answer })).await
    }

    /// Reports everything up to `seq` as read.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn read(&mut self, session_id: SessionId, seq: Seq) -> Result<(), Error> {
        let step = self.sync.read(session_id, seq);
        self.queue(step);
        self.flush().await
    }

    /// Reports that the person is typing.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn typing(&mut self, session_id: SessionId) -> Result<(), Error> {
        self.send(&ClientFrame::Typing { session_id }).await
    }

    /// Replaces the text of the person's own message.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn edit(
        &mut self,
        session_id: SessionId,
        message_id: MessageId,
        data: &str,
    ) -> Result<(), Error> {
        self.send(&ClientFrame::Edit { session_id, message_id, data: data.into() }).await
    }

    /// Deletes the person's own message.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn delete(&mut self, session_id: SessionId, message_id: MessageId) -> Result<(), Error> {
        self.send(&ClientFrame::Delete { session_id, message_id }).await
    }

    /// Sends any frame, bypassing what the device knows.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn send(&mut self, frame: &ClientFrame) -> Result<(), Error> {
        self.socket()?.send_text(frame.encode()).await
    }
}

/// This device's clock, which decides nothing.
fn now() -> TimeStamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeStamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
