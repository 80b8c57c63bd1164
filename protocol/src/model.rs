//! Users, messages and the initial load, as a client sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{InviteId, MessageId, Rev, SearchNotice, Seq, SessionHead, SessionId, TimeStamp, UserId};

/// Whether a user has a live connection (the seed's `Status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Presence {
    /// At least one connection, or signed in less than 30 s ago.
    Online,
    /// No connection for 5 s. Also what a client falls back to for a status it does not know, from a later server.
    #[default]
    #[serde(other)]
    Offline,
}

/// What a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// The conversation of two people, for ever: nobody can be added, and nobody leaves it.
    Pair,
    /// A group that somebody began.
    Group,
    /// Notes to oneself.
    #[serde(rename = "Self")]
    Notes,
    /// A kind that this client does not know, from a later server; or one from before there were kinds.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A part of a session that a user was in, and may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Span {
    /// After this message.
    pub after: Seq,
    /// Up to this one; `None` if the user is in the session now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Seq>,
}

/// Another person in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct User {
    /// The name as its owner wrote it.
    pub username: String,
    /// Online or offline.
    pub status: Presence,
}

/// The signed-in user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Me {
    /// Their identifier.
    #[serde(rename = "UserID")]
    pub user_id: UserId,
    /// Their name.
    pub username: String,
}

/// One message in a session, in its current state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// Its identifier, made by the sender's client.
    #[serde(rename = "MessageID")]
    pub message_id: MessageId,
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
    /// When it was deleted; its text is gone for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<TimeStamp>,
}

/// An invitation that waits for this user's answer; a client also uses it for invitations the user sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Invited {
    /// The invitation.
    #[serde(rename = "InviteID")]
    pub invite_id: InviteId,
    /// The other person's name (the seed's spelling).
    #[serde(rename = "UserName")]
    pub username: String,
}

/// Everything a page needs for its first render: the server renders from this value and the browser hydrates from the
/// same value, so nothing is fetched twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Snapshot {
    /// The signed-in user.
    pub me: Me,
    /// Every session they are in.
    pub sessions: BTreeMap<SessionId, SnapshotSession>,
    /// Invitations that wait for their answer, oldest first.
    pub invited: Vec<Invited>,
    /// Invitations they sent that wait for an answer.
    pub asked: Vec<SearchNotice>,
}

/// One session in a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SnapshotSession {
    /// Where the session stands and who is in it.
    pub head: SessionHead,
    /// Its newest messages, oldest first.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub more: bool,
}
