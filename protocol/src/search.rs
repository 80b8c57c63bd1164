//! Searching for a person by name, and the invitation that follows.
//!
//! The seed sends all of it as frames of type `Search`, and only the fields show which kind a frame is. Here the kinds
//! are told apart once, at the edge.

use serde::{Deserialize, Serialize};

use crate::{InviteId, SessionId, strict};

/// What a client sends under `Search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SearchFields", into = "SearchFields")]
pub enum Search {
    /// Look for a person and invite them.
    Ask(Asked),
    /// Answer an invitation, or cancel your own.
    Answer {
        /// Which invitation.
        invite_id: InviteId,
        /// The answer.
        answer: Answer,
    },
}

/// A search for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name to look for.
    pub username: String,
    /// Invite them into this session instead of a new one.
    pub session_id: Option<SessionId>,
    /// If they are offline, leave the invitation for their return.
    pub leave: bool,
}

/// How an invitation is answered or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// From the invitee: let us talk.
    Accepted,
    /// From the invitee: no.
    Rejected,
    /// From the inviter: taken back.
    Cancelled,
}

/// What a searcher learns about the person they searched for. A client shows an unknown outcome by its `Reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The invitation waits for their answer.
    Pending,
    /// They accepted; the session exists.
    Accepted,
    /// They rejected.
    Rejected,
    /// They are offline and no invitation was left (the seed's case 2).
    Offline,
    /// Nobody has this name (the seed's case 3).
    NoUser,
    /// You are already connected; the frame names the session.
    AlreadyConnected,
    /// The invitation was taken back.
    Cancelled,
    /// An outcome from a later server. This one never sends it.
    #[serde(other)]
    Unknown,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Accepted => Outcome::Accepted,
            Answer::Rejected => Outcome::Rejected,
            Answer::Cancelled => Outcome::Cancelled,
        }
    }
}

/// What the server sends under `Search`. One pass over the fields tells the kinds apart, because trying one kind after
/// the other is three times the code in the browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "PascalCase", try_from = "NoticeFields")]
pub enum SearchNotice {
    /// To the person searched for: somebody invites you.
    Invited {
        /// The invitation to answer.
        #[serde(rename = "InviteID")]
        invite_id: InviteId,
        /// Who it is from (the seed's spelling).
        #[serde(rename = "UserName")]
        username: String,
    },
    /// To the searcher.
    Outcome {
        /// The name they looked for.
        username: String,
        /// What came of it.
        status: Outcome,
        /// The same, as a sentence.
        reason: String,
        /// The invitation, while it is open.
        #[serde(rename = "InviteID", default, skip_serializing_if = "Option::is_none")]
        invite_id: Option<InviteId>,
        /// The session, once it exists.
        #[serde(rename = "SessionID", default, skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    },
    /// To every socket of the invitee: the card can go.
    Closed {
        /// The invitation.
        #[serde(rename = "InviteID")]
        invite_id: InviteId,
        /// How it ended.
        status: Outcome,
        /// The session it led to, if accepted.
        #[serde(rename = "SessionID", default, skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
    },
}

/// The fields of a server's `Search`, before its kind is known.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NoticeFields {
    #[serde(rename = "InviteID")]
    invite_id: Option<InviteId>,
    #[serde(rename = "UserName")]
    from: Option<String>,
    username: Option<String>,
    status: Option<Outcome>,
    reason: Option<String>,
    #[serde(rename = "SessionID")]
    session_id: Option<SessionId>,
}

impl TryFrom<NoticeFields> for SearchNotice {
    type Error = &'static str;

    fn try_from(fields: NoticeFields) -> Result<Self, Self::Error> {
        let NoticeFields { invite_id, from, username, status, reason, session_id } = fields;
        match (invite_id, from, username, status) {
            (Some(invite_id), Some(username), ..) => Ok(Self::Invited { invite_id, username }),
            (invite_id, None, Some(username), Some(status)) => {
                let reason = reason.unwrap_or_default();
                Ok(Self::Outcome { username, status, reason, invite_id, session_id })
            }
            (Some(invite_id), None, None, Some(status)) => Ok(Self::Closed { invite_id, status, session_id }),
            _ => Err("a Search names an invitation or a person"),
        }
    }
}

/// The fields of a client's `Search`, before its kind is known.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SearchFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(rename = "SessionID", default, skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leave: bool,
    #[serde(rename = "InviteID", default, skip_serializing_if = "Option::is_none")]
    invite_id: Option<InviteId>,
    #[serde(default, deserialize_with = "strict::word", skip_serializing_if = "Option::is_none")]
    status: Option<Answer>,
}

impl TryFrom<SearchFields> for Search {
    type Error = &'static str;

    fn try_from(fields: SearchFields) -> Result<Self, Self::Error> {
        match fields {
            SearchFields { username: Some(username), session_id, leave, invite_id: None, status: None } => {
                Ok(Search::Ask(Asked { username, session_id, leave }))
            }
            SearchFields {
                username: None,
                session_id: None,
                leave: false,
                invite_id: Some(invite_id),
                status: Some(answer),
            } => Ok(Search::Answer { invite_id, answer }),
            _ => Err("a Search names either a Username, or an InviteID with a Status"),
        }
    }
}

impl From<Search> for SearchFields {
    fn from(search: Search) -> Self {
        let empty =
            SearchFields { username: None, session_id: None, leave: false, invite_id: None, status: None };
        match search {
            Search::Ask(Asked { username, session_id, leave }) => {
                SearchFields { username: Some(username), session_id, leave, ..empty }
            }
            Search::Answer { invite_id, answer } => {
                SearchFields { invite_id: Some(invite_id), status: Some(answer), ..empty }
            }
        }
    }
}
