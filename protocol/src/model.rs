//! Users, messages and the first load, as a client sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{InviteId, MessageId, Rev, SearchNotice, Seq, SessionHead, SessionId, TimeStamp, UserId};

/// Whether a user has a living connection (the seed's `Status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Presence {
    /// At least one connection, or signed in less than 30 s ago.
    Online,
    /// No connection for 5 s; to a client that does not know a later server's word, nothing that it can count on.
    #[default]
    #[serde(other)]
    Offline,
}

/// Another person in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct User {
    /// The name as its owner wrote it.
    pub username: String,
    /// Here or not.
    pub status: Presence,
}

/// Oneself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Me {
    /// One's identifier.
    #[serde(rename = "UserID")]
    pub user_id: UserId,
    /// One's name.
    pub username: String,
}

/// One line in a session, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// Its name, made by the sender's client.
    #[serde(rename = "MessageID")]
    pub message_id: MessageId,
    /// The text; empty once deleted.
    pub data: String,
    /// When the server stored it.
    pub time_stamp: TimeStamp,
    /// Who wrote it.
    pub sender: UserId,
    /// Its place.
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

/// An invitation that waits for one's answer; where a client holds it, also one's own that waits for somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Invited {
    /// The invitation.
    #[serde(rename = "InviteID")]
    pub invite_id: InviteId,
    /// The other person, as they are called (the seed's spelling).
    #[serde(rename = "UserName")]
    pub username: String,
}

/// Everything a page needs for its first picture: it is rendered on the server from this value and hydrated
/// from the same value, so nothing is fetched twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Snapshot {
    /// Who is looking.
    pub me: Me,
    /// Every session of theirs.
    pub sessions: BTreeMap<SessionId, SnapshotSession>,
    /// Invitations that wait for their answer, oldest first.
    pub invited: Vec<Invited>,
    /// Their own invitations that wait for somebody else's.
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
