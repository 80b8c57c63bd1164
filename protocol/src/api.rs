//! The bodies of the HTTP endpoints under `/api`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::strict;
use crate::{Message, MessageId, Rev, Seq, SessionId, Span, TimeStamp, UserId};

/// The body of `POST /api/register` and `POST /api/login`. Read from a map, because that is how a server function's
/// flattened argument can still refuse unknown and duplicate fields.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", try_from = "Texts")]
pub struct Credentials {
    /// The name, as typed.
    pub username: String,
    /// The password, taken byte for byte.
    pub password: String,
}

/// Raw fields, before a body's type has claimed them.
#[derive(Deserialize)]
#[serde(transparent)]
struct Texts(#[serde(deserialize_with = "strict::texts")] BTreeMap<String, String>);

impl TryFrom<Texts> for Credentials {
    type Error = String;

    fn try_from(Texts(mut fields): Texts) -> Result<Self, Self::Error> {
        let mut take = |name: &str| fields.remove(name).ok_or_else(|| format!("missing field `{name}`"));
        let (username, password) = (take("Username")?, take("Password")?);
        match fields.keys().next() {
            Some(name) => Err(format!("unknown field `{name}`, expected `Username` and `Password`")),
            None => Ok(Self { username, password }),
        }
    }
}

/// Written by hand so that no log line can ever show a password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The body of `POST /api/logout`: an object without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Texts")]
pub struct Nothing {}

impl TryFrom<Texts> for Nothing {
    type Error = String;

    fn try_from(Texts(fields): Texts) -> Result<Self, Self::Error> {
        match fields.keys().next() {
            Some(name) => Err(format!("unknown field `{name}`, expected none")),
            None => Ok(Self {}),
        }
    }
}

/// The answer of `POST /api/register`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The new account.
    #[serde(rename = "UserID")]
    pub user_id: UserId,
}

/// The answer of `GET /api/load`: every session with its users and its newest messages.
pub type Loaded = BTreeMap<SessionId, LoadedSession>;

/// One session in a [`Loaded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadedSession {
    /// Everybody in it: identifier to name (the seed's spelling).
    pub user_ids: BTreeMap<UserId, String>,
    /// Its newest messages. JSON objects have no order: sort by `Seq`.
    pub messages: BTreeMap<MessageId, LoadedMessage>,
}

/// One message in a [`LoadedSession`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadedMessage {
    /// The text; empty once deleted.
    pub data: String,
    /// When the server stored it.
    pub time_stamp: TimeStamp,
    /// Who wrote it.
    pub sender: UserId,
    /// Its place in the session.
    pub seq: Seq,
    /// The number of its last change.
    pub rev: Rev,
    /// When its text was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<TimeStamp>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<TimeStamp>,
}

/// The query of `GET /api/history`. Read from a map for the same reason as [`Credentials`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", try_from = "Texts")]
pub struct HistoryPart {
    /// The session.
    #[serde(rename = "SessionID")]
    pub session_id: SessionId,
    /// Messages before this place; the newest if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Seq>,
}

impl TryFrom<Texts> for HistoryPart {
    type Error = String;

    fn try_from(Texts(mut fields): Texts) -> Result<Self, Self::Error> {
        let session_id = fields.remove("SessionID").ok_or("missing field `SessionID`")?;
        let session_id = session_id.parse().map_err(|error| format!("`SessionID`: {error}"))?;
        let before = fields.remove("Before").map(|before| before.parse().map(Seq));
        let before = before.transpose().map_err(|error| format!("`Before`: {error}"))?;
        match fields.keys().next() {
            Some(name) => Err(format!("unknown field `{name}`, expected `SessionID` and `Before`")),
            None => Ok(Self { session_id, before }),
        }
    }
}

/// The answer of `GET /api/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct History {
    /// Messages before the requested place, oldest first.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub more: bool,
    /// The places they cover: nothing else that this user may see stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Span>,
}

impl From<Message> for (MessageId, LoadedMessage) {
    fn from(message: Message) -> Self {
        let Message { message_id, data, time_stamp, sender, seq, rev, edited_at, deleted_at } = message;
        (message_id, LoadedMessage { data, time_stamp, sender, seq, rev, edited_at, deleted_at })
    }
}
