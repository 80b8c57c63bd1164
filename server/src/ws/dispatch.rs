//! Maps each frame from a client to one method of the chat.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use chat::{Chat, Connection, Error};
use protocol::{
    ClientFrame, Code, Fault, InviteId, MAX_UNACKED, MessageId, Position, Refused, Search, ServerFrame,
    SessionId, close,
};
use tokio::sync::Semaphore;
use tungstenite::protocol::Message;

use crate::limits::log;

/// The fifth malformed frame ends a socket.
const MALFORMED: u8 = 5;

/// How a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl End {
    /// The client is gone already: nobody is left to send a close to.
    pub(super) const GONE: End = End { code: 0, reason: "" };

    /// The client read nothing, or sent no `Hello` after `Lagged`, for too long.
    pub(super) const SLOW: End = End { code: close::SLOW, reason: "Too slow. Come back and catch up." };

    /// The client sent a close: we answer it (RFC 6455 5.5.1), nothing more.
    pub(super) const LEFT: End = End { code: 0, reason: "left" };

    /// The user has the most sockets allowed.
    pub(super) const TOO_MANY: End = End {
        code: close::TOO_MANY,
        reason: "Natter is open in too many places. Please close a window or sign out elsewhere.",
    };

    /// The server failed: the client reconnects and resends what was not acknowledged. Logs the cause.
    pub(super) fn of_failure(error: Error) -> Self {
        let _ = error.into_fault();
        End { code: close::TRY_LATER, reason: "The server cannot do this just now." }
    }

    /// The library failed to read or write.
    pub(super) fn of_error(error: tungstenite::Error) -> Self {
        use tungstenite::Error;
        match error {
            Error::Capacity(_) => End { code: close::TOO_BIG, reason: "A frame has at most 64 KiB." },
            Error::Utf8(_) => End { code: 1007, reason: "Text frames are UTF-8." },
            Error::Protocol(_) => End { code: 1002, reason: "This is no WebSocket frame." },
            Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => End::SLOW,
            _ => End::GONE,
        }
    }
}

/// What a refusal refers to.
#[derive(Default)]
struct Subject {
    message_id: Option<MessageId>,
    session_id: Option<SessionId>,
    invite_id: Option<InviteId>,
    username: Option<String>,
}

/// Handles the frames of one socket, in order.
pub(super) struct Dispatch {
    chat: Chat,
    conn: Arc<Connection>,
    /// The client's address.
    address: Option<IpAddr>,
    /// Permits for messages not acknowledged yet. Without one left, the socket reads nothing more.
    unacked: Arc<Semaphore>,
    malformed: u8,
}

impl Dispatch {
    pub(super) fn new(chat: Chat, conn: Arc<Connection>, address: Option<IpAddr>) -> Self {
        Self { chat, conn, address, unacked: Arc::new(Semaphore::new(MAX_UNACKED)), malformed: 0 }
    }

    /// Returns the connection that the frames come from.
    pub(super) fn conn(&self) -> &Arc<Connection> {
        &self.conn
    }

    /// Handles a frame. Returns a `Hello` that answers `Lagged`, for the greeting to handle. An error ends the socket.
    pub(super) async fn take(
        &mut self,
        frame: Message,
    ) -> Result<Option<BTreeMap<SessionId, Position>>, End> {
        if let Some((code, reason)) = self.conn.ending() {
            return Err(End { code, reason });
        }
        match frame {
            Message::Text(text) => match ClientFrame::decode(&text) {
                Ok(ClientFrame::Hello { sessions }) if self.conn.reopen() => return Ok(Some(sessions)),
                Ok(ClientFrame::Hello { .. }) => self.malformed("Hello is said once, and after Lagged.")?,
                Ok(frame) => self.handle(frame).await?,
                Err(error) => self.malformed(&error.to_string())?,
            },
            Message::Binary(_) => self.malformed("Frames are text.")?,
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return Err(End::LEFT),
            Message::Frame(_) => {} // never read: the library reassembles messages
        }
        Ok(None)
    }

    async fn handle(&self, frame: ClientFrame) -> Result<(), End> {
        let mut subject = Subject::default();
        let done = match frame {
            ClientFrame::Message(message) => {
                (subject.session_id, subject.message_id) =
                    (Some(message.session_id), Some(message.message_id));
                let ticket = self.unacked.clone().acquire_owned().await.expect("never closed");
                self.chat.post(&self.conn, message, Box::new(ticket)).await
            }
            ClientFrame::Typing { session_id } => {
                self.conn.typing(session_id);
                Ok(())
            }
            ClientFrame::Hello { .. } | ClientFrame::Pong {} => Ok(()),
            // Boxed: these futures are large, and every idle socket would reserve their memory.
            seldom => Box::pin(self.handle_seldom(seldom, &mut subject)).await,
        };
        match done {
            Ok(()) => Ok(()),
            Err(Error::Refused(fault)) => {
                self.refuse(subject, fault, None);
                Ok(())
            }
            Err(error @ Error::TooMany { wait, .. }) => {
                self.refuse(subject, error.into_fault(), u64::try_from(wait.as_millis()).ok());
                Ok(())
            }
            // Not a refusal: the client resends it later, and nothing sent after it may overtake it.
            Err(error) => Err(End::of_failure(error)),
        }
    }

    async fn handle_seldom(&self, frame: ClientFrame, subject: &mut Subject) -> chat::Result<()> {
        let (chat, conn) = (&self.chat, &self.conn);
        match frame {
            ClientFrame::Search(Search::Ask(asked)) => {
                (subject.session_id, subject.username) = (asked.session_id, Some(asked.username.clone()));
                let told = chat.ask(conn, self.address, asked).await;
                told.map(|told| told.into_iter().for_each(|notice| conn.send(&ServerFrame::Search(notice))))
            }
            ClientFrame::Search(Search::Answer { invite_id, answer }) => {
                subject.invite_id = Some(invite_id);
                chat.answer(conn, invite_id, answer).await
            }
            ClientFrame::Read { session_id, seq } => {
                subject.session_id = Some(session_id);
                chat.read(conn, session_id, seq).await
            }
            // The answer would be discarded; the coming `Hello` brings it.
            ClientFrame::Fetch { .. } if !conn.is_open() => Ok(()),
            ClientFrame::Fetch { session_id, rev } => {
                subject.session_id = Some(session_id);
                chat.page(conn, session_id, rev).await.map(|page| conn.send_encoded(page))
            }
            ClientFrame::Edit { session_id, message_id, data } => {
                (subject.session_id, subject.message_id) = (Some(session_id), Some(message_id));
                chat.edit(conn, session_id, message_id, data).await
            }
            ClientFrame::Delete { session_id, message_id } => {
                (subject.session_id, subject.message_id) = (Some(session_id), Some(message_id));
                chat.delete(conn, session_id, message_id).await
            }
            ClientFrame::Begin { session_id, title } => {
                subject.session_id = Some(session_id);
                chat.begin(conn, session_id, &title).await
            }
            ClientFrame::Leave { session_id } => {
                subject.session_id = Some(session_id);
                chat.leave(conn, session_id).await
            }
            ClientFrame::Remove { session_id, user_id } => {
                subject.session_id = Some(session_id);
                chat.remove(conn, session_id, user_id).await
            }
            ClientFrame::Rename { session_id, title } => {
                subject.session_id = Some(session_id);
                chat.rename(conn, session_id, &title).await
            }
            ClientFrame::Owner { session_id, user_id } => {
                subject.session_id = Some(session_id);
                chat.give(conn, session_id, user_id).await
            }
            ClientFrame::Message(_)
            | ClientFrame::Typing { .. }
            | ClientFrame::Hello { .. }
            | ClientFrame::Pong {} => Ok(()),
        }
    }

    fn malformed(&mut self, what: &str) -> Result<(), End> {
        self.malformed += 1;
        if self.malformed >= MALFORMED {
            return Err(End { code: close::POLICY, reason: "Too many frames that cannot be read." });
        }
        let reason = format!("This frame cannot be read: {what}");
        self.refuse(Subject::default(), Fault::new(Code::Malformed, reason), None);
        Ok(())
    }

    fn refuse(&self, subject: Subject, fault: Fault, after_ms: Option<u64>) {
        let Subject { message_id, session_id, invite_id, username } = subject;
        let (code, reason) = (fault.error, fault.reason);
        if code == Code::TooMany {
            log::held_back_user("what one user may do", self.conn.actor().user_id());
        }
        let refused = Refused { message_id, session_id, invite_id, username, code, reason, after_ms };
        self.conn.send(&ServerFrame::Refused(refused));
    }
}
