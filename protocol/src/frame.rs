//! Everything that crosses the WebSocket: JSON text frames, each with a `type`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::strict;
use crate::{
    Code, Epoch, InviteId, Kind, Message, MessageId, Presence, Rev, Search, SearchNotice, Seq, SessionId,
    Span, TimeStamp, User, UserId,
};

/// WebSocket close codes that Natter uses (RFC 6455 7.4; 4000 to 4999 are ours to define).
pub mod close {
    /// The client broke a rule: no `Hello` in time, or a fifth malformed frame.
    pub const POLICY: u16 = 1008;
    /// A frame over [`crate::MAX_FRAME_BYTES`].
    pub const TOO_BIG: u16 = 1009;
    /// The server is restarting; reconnect.
    pub const RESTART: u16 = 1012;
    /// The server cannot store right now; reconnect and send again.
    pub const TRY_LATER: u16 = 1013;
    /// The login was revoked; sign in again.
    pub const LOGIN_REVOKED: u16 = 4001;
    /// The client read too slowly; reconnect and catch up.
    pub const SLOW: u16 = 4008;
    /// The user has reached the limit of sockets; close a page or sign out elsewhere, then reconnect. Sent right after
    /// the upgrade, because browsers do not tell a page why an upgrade was refused.
    pub const TOO_MANY: u16 = 4009;
}

/// What a client sends. Unknown fields and types are refused as [`Code::Malformed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "PascalCase", deny_unknown_fields)]
pub enum ClientFrame {
    /// First, within 5 s of connecting: what the client holds, so the server can catch it up.
    Hello {
        /// The position in each session the client knows.
        #[serde(default, deserialize_with = "strict::objects")]
        sessions: BTreeMap<SessionId, Position>,
    },
    /// Send a message.
    Message(SendMessage),
    /// Search for a person, or answer an invitation.
    Search(Search),
    /// The user has seen everything up to this place.
    Read {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Up to and including.
        seq: Seq,
    },
    /// The user is writing.
    Typing {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
    },
    /// What changed after this number? Answered by a `Page`.
    Fetch {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The last change the client has applied.
        rev: Rev,
    },
    /// Replace the text of your own message.
    Edit {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The message.
        #[serde(rename = "MessageID")]
        message_id: MessageId,
        /// The new text.
        data: String,
    },
    /// Delete your own message.
    Delete {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The message.
        #[serde(rename = "MessageID")]
        message_id: MessageId,
    },
    /// Begin a group, with only oneself in it.
    Begin {
        /// Made by the client, kept through every retry.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// What it is called.
        title: String,
    },
    /// Leave a group.
    Leave {
        /// The group.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
    },
    /// Remove somebody from one's own group.
    Remove {
        /// The group.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Who has to go.
        #[serde(rename = "UserID")]
        user_id: UserId,
    },
    /// Rename one's own group.
    Rename {
        /// The group.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// What it is called from now on.
        title: String,
    },
    /// Give one's own group to somebody else in it.
    Owner {
        /// The group.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Whose it is from now on.
        #[serde(rename = "UserID")]
        user_id: UserId,
    },
    /// The answer to `Heads`.
    Pong {},
}

/// The body of a client's `Message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SendMessage {
    /// The target session.
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
    /// The seed's field. If present it must name the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<UserId>,
}

/// How far a client has got in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Position {
    /// The last change applied.
    pub rev: Rev,
    /// The history it belongs to, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
}

/// What the server sends. Clients ignore unknown fields and types, and show what they can without a value they do not
/// know, so the server may add new ones.
///
/// The browser only ever reads it, and reads it with `tagged`: see there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "PascalCase")]
#[cfg_attr(not(target_arch = "wasm32"), serde(tag = "type"))]
pub enum ServerFrame {
    /// The answer to `Hello`: who you are and where every session stands. The missing changes and the pending
    /// invitations follow unprompted.
    Welcome {
        /// The signed-in user.
        #[serde(rename = "UserID")]
        user_id: UserId,
        /// Every session of this user.
        sessions: BTreeMap<SessionId, SessionHead>,
    },
    /// Your message is committed and on disk. Replaces the `Message` on the sending socket.
    Ack {
        /// The message.
        #[serde(rename = "MessageID")]
        message_id: MessageId,
        /// Its place in the session.
        seq: Seq,
        /// The number of this change.
        rev: Rev,
        /// When it was stored.
        time_stamp: TimeStamp,
    },
    /// The request was refused. Without `AfterMs` that is final, and sending it again will not help.
    Refused(Refused),
    /// A new, edited or deleted message.
    Message(LiveMessage),
    /// Every change with `From < Rev <= To`, in the order of `Rev`.
    Page {
        /// The session.
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
    /// Where every session stands, every 15 s. Answered by `Pong`.
    Heads {
        /// Every session of this user.
        sessions: BTreeMap<SessionId, Head>,
    },
    /// Forget what you hold of this session: it belongs to another history, or is ahead of this one.
    Reset {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The current history.
        epoch: Epoch,
        /// Where it stands.
        rev: Rev,
    },
    /// News about an invitation.
    Search(SearchNotice),
    /// A session of yours was created, gained a user, or is another one in something that it names.
    Session(SessionNotice),
    /// You are in this session no more: you left it, or were removed. Nothing that comes later is told.
    Left {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
    },
    /// Another socket of yours has seen everything up to this place.
    Read {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// Up to and including.
        seq: Seq,
    },
    /// Somebody you share a session with came online or went offline.
    Status {
        /// The user.
        #[serde(rename = "UserID")]
        user_id: UserId,
        /// Their presence.
        status: Presence,
    },
    /// Somebody is writing. Good for 5 s.
    Typing {
        /// The session.
        #[serde(rename = "SessionID")]
        session_id: SessionId,
        /// The user.
        #[serde(rename = "UserID")]
        user_id: UserId,
    },
    /// Frames for you were discarded because you read too slowly; send `Hello` again, as on a new socket.
    Lagged,
    /// The server is about to close this socket; reconnect after this many milliseconds.
    Drain {
        /// Different for each socket, to spread the reconnects.
        after_ms: u64,
    },
    /// A type this client does not know yet.
    #[cfg_attr(not(target_arch = "wasm32"), serde(other, skip_serializing))]
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    Unknown,
}

/// The body of a `Refused`: the reason, and which frame it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Refused {
    /// The message this answers.
    #[serde(rename = "MessageID", default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The session this answers.
    #[serde(rename = "SessionID", default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The invitation this answers.
    #[serde(rename = "InviteID", default, skip_serializing_if = "Option::is_none")]
    pub invite_id: Option<InviteId>,
    /// The search this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The reason.
    #[serde(default)]
    pub code: Code,
    /// The reason, as a sentence.
    #[serde(default)]
    pub reason: String,
    /// A temporary refusal: send the message again after this many milliseconds, before any other of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

/// The body of a server's `Message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LiveFields")]
pub struct LiveMessage {
    /// The session.
    #[serde(rename = "SessionID")]
    pub session_id: SessionId,
    /// The message.
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

/// The body of a `Session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SessionNotice {
    /// The session.
    #[serde(rename = "SessionID")]
    pub session_id: SessionId,
    /// Its history.
    pub epoch: Epoch,
    /// Its last change.
    #[serde(default)]
    pub rev: Rev,
    /// Its last message. A user who just joined has nothing to read up to there.
    #[serde(default)]
    pub last_seq: Seq,
    /// Everybody in it.
    pub users: BTreeMap<UserId, String>,
    /// What it is.
    #[serde(default)]
    pub kind: Kind,
    /// A group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whose group it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// When it began, by the server's clock.
    #[serde(default)]
    pub began_at: TimeStamp,
    /// For a user who has just joined, the parts of it that they may see. Empty if that is all of it, and for everybody
    /// else, for whom nothing changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
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
    /// Everybody in it, including the user.
    pub users: BTreeMap<UserId, User>,
    /// What it is.
    #[serde(default)]
    pub kind: Kind,
    /// A group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whose group it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// When it began, by the server's clock.
    #[serde(default)]
    pub began_at: TimeStamp,
    /// The parts of it that this user may see; empty if that is all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
}

impl ClientFrame {
    /// Reads a frame from a client: one object, without duplicate fields.
    ///
    /// # Errors
    /// What is wrong with the JSON, in the parser's words.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let frame = strict::object(&mut json)?;
        json.end()?;
        Ok(frame)
    }

    /// Encodes the frame as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a frame has string keys only")
    }
}

impl ServerFrame {
    /// Makes the acknowledgement of a stored message, for the socket that sent it.
    #[must_use]
    pub fn ack(message: &Message) -> Self {
        let Message { message_id, seq, rev, time_stamp, .. } = *message;
        Self::Ack { message_id, seq, rev, time_stamp }
    }

    /// Reads a frame from the server. An unknown type becomes [`ServerFrame::Unknown`], or an error in the browser:
    /// either way the client ignores it.
    ///
    /// # Errors
    /// What is wrong with the JSON, in the parser's words.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        #[cfg(target_arch = "wasm32")]
        return crate::tagged::from_str(text);
        #[cfg(not(target_arch = "wasm32"))]
        serde_json::from_str(text)
    }

    /// Encodes the frame as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a frame has string keys only")
    }
}
