//! What came of committed work, in the order of the commits. `live` turns each into frames for sockets.

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::{Answer, LiveMessage, MessageId, Rev, Seq, SessionId, TimeStamp, UserId};

use crate::invites::invite::Invite;
use crate::origin::Origin;
use crate::quota::Full;
use crate::sessions::View;
use crate::sessions::session::StoredSession;

/// Something that happened and is on disk.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message is new, edited or deleted. If `origin` sent it, it gets an acknowledgement instead of the message.
    Changed {
        live: LiveMessage,
        origin: Option<Origin>,
        /// When it was handed in, if its way to the sockets is measured.
        handed_in: Option<Instant>,
    },
    /// A message was sent again: it is stored already.
    Repeated { origin: Origin, message_id: MessageId, seq: Seq, rev: Rev, time_stamp: TimeStamp },
    /// A message is not stored.
    NotStored { origin: Origin, session_id: SessionId, message_id: MessageId, why: NotStored },
    /// A message was to be changed into what it already is.
    Unchanged { origin: Origin, live: LiveMessage },
    /// A session was created, or gained the users in `joined`, who may see this of it.
    Opened { session: StoredSession, users: BTreeMap<UserId, String>, joined: Vec<(UserId, View)> },
    /// A session was to be created or changed into what it already is. The asker may see this of it.
    OpenedAgain { origin: Origin, session: StoredSession, users: BTreeMap<UserId, String>, view: View },
    /// A group has another name or owner, or fewer users.
    Altered { session: StoredSession, users: BTreeMap<UserId, String> },
    /// A user is in a group no more.
    Left { session_id: SessionId, user: UserId },
    /// An invitation is new.
    Invited { invite: Invite },
    /// An invitation waits for its answer: it is new, or was made again.
    Waits { invite: Invite },
    /// An invitation has ended; accepting it led to a session.
    Ended { invite: Invite, answer: Answer, session: Option<SessionId> },
    /// An invitation was ended the same way again.
    EndedAgain { origin: Origin, invite: Invite, answer: Answer, session: Option<SessionId> },
    /// Asking for somebody led to the session that the two share, which is new if both had asked.
    Met { origin: Origin, username: String, session: SessionId, is_new: bool },
    /// The commit failed: what this origin sent is not stored, and it must reconnect and send it again.
    Failed { origin: Origin },
}

/// Why a message is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// Its sender is not in the session.
    NotInSession,
    /// Somebody else's message has its identifier.
    Taken,
    /// There is no room for it now.
    Full(Full),
}
