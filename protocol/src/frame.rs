//! Everything that crosses the WebSocket: JSON text frames, each with a `type`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::strict;
use crate::{
    Code, Epoch, InviteId, Message, MessageId, Presence, Rev, Search, SearchNotice, Seq, SessionId,
    TimeStamp, User, UserId,
};

/// WebSocket close codes that Natter gives a meaning (RFC 6455 7.4; 4000 to 4999 are ours to define).
pub mod close {
    /// The client broke a rule: no `Hello` in time, or a fifth malformed frame.
    pub const POLICY: u16 = 1008;
    /// A frame over [`crate::MAX_FRAME_BYTES`].
    pub const TOO_BIG: u16 = 1009;
    /// The server restarts; come back.
    pub const RESTART: u16 = 1012;
    /// The server cannot store just now; come back and send again.
    pub const TRY_LATER: u16 = 1013;
    /// The login was revoked; sign in again.
    pub const LOGIN_REVOKED: u16 = 4001;
    /// The client read too slowly; come back and catch up.
    pub const SLOW: u16 = 4008;
    /// The user has as many sockets as one may have; close a page, or sign out elsewhere, then come back. Sent right
    /// after the upgrade: a browser does not tell a page why an upgrade was refused.
    pub const TOO_MANY: u16 = 4009;
}

/// What a client sends. Unknown fields and types are refused as [`Code::Malformed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "PascalCase", deny_unknown_fields)]
pub enum ClientFrame {
    /// First, within 5 s of connecting: what the client holds, for the server to catch it up.
    Hello {
        /// The position in each session the client knows.
        #[serde(default, deserialize_with = "strict::objects")]
        sessions: BTreeMap<SessionId, Position>,
    },
    /// Say something.
    Message(SendMessage),
    /// Look for a person, or answer an invitation.
    Search(Search),
    /// Everything up to this place has been seen.
    Read {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Up to and including.
        seq: Seq,
    },
    /// The user is writing.
    Typing {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
    },
    /// What changed after this number? Answered by a `Page`.
    Fetch {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The last change the client has applied.
        rev: Rev,
    },
    /// Replace the text of one's own message.
    Edit {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Which.
        #[serde(rename = "MessageID")]
        message_id: MessageId,
        /// The new text.
        data: String,
    },
    /// Delete one's own message.
    Delete {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Which.
        #[serde(rename = "MessageID")]
        message_id: MessageId,
    },
    /// The answer to `Heads`.
    Pong {},
}

/// The body of a client's `Message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SendMessage {
    /// Where to.
    #[serde(rename = "SessionID")]
    pub session_id: SessionId,
    /// Made by the client, kept through every retry.
    #[serde(rename = "MessageID")]
    pub message_id: MessageId,
    /// The text: see [`crate::text`].
    pub data: String,
    /// The seed's field. Taken and ignored: the server's clock decides.
    #[serde(default, skip_serializing)]
    pub time_stamp: Option<Value>,
    /// The seed's field. When present it must name oneself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<UserId>,
}

/// How far a client has come in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Position {
    /// The last change applied.
    pub rev: Rev,
    /// The history it belongs to, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
}

/// What the server sends. Clients ignore unknown fields and types, and take a word that they do not know for what they
/// can show without it, so that the server may learn new ones.
///
/// In the browser it is only ever read, and by `tagged`: see there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "PascalCase")]
#[cfg_attr(not(target_arch = "wasm32"), serde(tag = "type"))]
pub enum ServerFrame {
    /// The answer to `Hello`: who you are and where every session stands. The missing changes and the pending
    /// invitations follow unasked.
    Welcome {
        /// Oneself.
        #[serde(rename = "UserID")]
        user_id: UserId,
        /// Every session of this user.
        sessions: BTreeMap<SessionId, SessionHead>,
    },
    /// Your message is committed and on disk. Stands for the `Message` on the sending socket.
    Ack {
        /// Which.
        #[serde(rename = "MessageID")]
        message_id: MessageId,
        /// Its place.
        seq: Seq,
        /// Its number.
        rev: Rev,
        /// When it was stored.
        time_stamp: TimeStamp,
    },
    /// This will not be done. Without `AfterMs` that is final, and sending it again will not help.
    Refused(Refused),
    /// A new, edited or deleted message.
    Message(LiveMessage),
    /// Every change with `From < Rev <= To`, in the order of `Rev`.
    Page {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The history it belongs to.
        epoch: Epoch,
        /// After this change.
        from: Rev,
        /// Up to and including this one.
        to: Rev,
        /// Whether there are more after `To`.
        more: bool,
        /// Each changed message as it is now.
        messages: Vec<Message>,
    },
    /// Where every session stands: every 15 s. Answered by `Pong`.
    Heads {
        /// Every session of this user.
        sessions: BTreeMap<SessionId, Head>,
    },
    /// Forget what you hold of this session: it belongs to another history, or is ahead of this one.
    Reset {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The history that counts.
        epoch: Epoch,
        /// Where it stands.
        rev: Rev,
    },
    /// About an invitation.
    Search(SearchNotice),
    /// A session of yours began or gained a user.
    Session {
        /// Which.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Its history.
        epoch: Epoch,
        /// Its last message. Whoever is new in it has nothing to read up to there.
        #[serde(default)]
        last_seq: Seq,
        /// Everybody in it.
        users: BTreeMap<UserId, String>,
    },
    /// Another socket of yours has seen everything up to this place.
    Read {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Up to and including.
        seq: Seq,
    },
    /// Somebody you share a session with came or went.
    Status {
        /// Who.
        #[serde(rename = "UserID")]
        user_id: UserId,
        /// Which.
        status: Presence,
    },
    /// Somebody is writing. Good for 5 s.
    Typing {
        /// Where.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Who.
        #[serde(rename = "UserID")]
        user_id: UserId,
    },
    /// Frames for you were let go, because you read too slowly; say `Hello` again, as on a new socket.
    Lagged,
    /// The server will close this socket; reconnect after this many milliseconds.
    Drain {
        /// Different for each socket, so that not everybody comes at once.
        after_ms: u64,
    },
    /// A type this client does not know yet.
    #[cfg_attr(not(target_arch = "wasm32"), serde(other, skip_serializing))]
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    Unknown,
}

/// The body of a `Refused`: why, and which frame it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Refused {
    /// The message it answers.
    #[serde(rename = "MessageID", default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The session it answers.
    #[serde(rename = "SessionID", default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The invitation it answers.
    #[serde(rename = "InviteID", default, skip_serializing_if = "Option::is_none")]
    pub invite_id: Option<InviteId>,
    /// The search it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Why.
    #[serde(default)]
    pub code: Code,
    /// Why, in a sentence.
    #[serde(default)]
    pub reason: String,
    /// Only for now: the message may be sent again after so many milliseconds, before all others of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

/// The body of a server's `Message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LiveFields")]
pub struct LiveMessage {
    /// Where.
    #[serde(rename = "SessionID")]
    pub session_id: SessionId,
    /// What.
    #[serde(flatten)]
    pub message: Message,
}

/// A [`LiveMessage`] as it is read: flattened fields cost a browser several times as much code.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LiveFields {
    #[serde(rename = "SessionID")]
    session_id: SessionId,
    #[serde(rename = "MessageID")]
    message_id: MessageId,
    data: String,
    time_stamp: TimeStamp,
    sender: UserId,
    seq: Seq,
    rev: Rev,
    edited_at: Option<TimeStamp>,
    deleted_at: Option<TimeStamp>,
}

impl From<LiveFields> for LiveMessage {
    fn from(fields: LiveFields) -> Self {
        let LiveFields { session_id, message_id, data, time_stamp, sender, seq, rev, edited_at, deleted_at } =
            fields;
        let message = Message { message_id, data, time_stamp, sender, seq, rev, edited_at, deleted_at };
        Self { session_id, message }
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Head {
    /// Its history.
    pub epoch: Epoch,
    /// Its last change.
    pub rev: Rev,
}

/// Where a session stands for one user, and who is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SessionHead {
    /// Its history.
    pub epoch: Epoch,
    /// Its last change.
    pub rev: Rev,
    /// Its last message.
    pub last_seq: Seq,
    /// The last message this user has seen.
    pub read_seq: Seq,
    /// Everybody in it, oneself included.
    pub users: BTreeMap<UserId, User>,
}

impl ClientFrame {
    /// Reads a frame from a client: one object, with every field once.
    ///
    /// # Errors
    /// What is wrong with the JSON, in the parser's words.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let frame = strict::object(&mut json)?;
        json.end()?;
        Ok(frame)
    }

    /// The frame as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a frame has string keys only")
    }
}

impl ServerFrame {
    /// The acknowledgement of a stored message, for the socket that sent it.
    #[must_use]
    pub fn ack(message: &Message) -> Self {
        let Message { message_id, seq, rev, time_stamp, .. } = *message;
        Self::Ack { message_id, seq, rev, time_stamp }
    }

    /// Reads a frame from the server; a type unknown here is [`ServerFrame::Unknown`], or an error in the browser:
    /// either way it is passed over.
    ///
    /// # Errors
    /// What is wrong with the JSON, in the parser's words.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        #[cfg(target_arch = "wasm32")]
        return crate::tagged::from_str(text);
        #[cfg(not(target_arch = "wasm32"))]
        serde_json::from_str(text)
    }

    /// The frame as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a frame has string keys only")
    }
}
