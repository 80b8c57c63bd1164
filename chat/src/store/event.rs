//! What a committed unit of work announces. `live` carries it to the sockets.

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::{Head, LiveMessage, Seq, ServerFrame, SessionId, UserId};

use crate::hub::ConnId;

/// Something that happened and is on disk.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message is new, edited or deleted. If `origin` is the socket that sent it, that socket gets an acknowledgement
    /// instead of the message.
    Changed {
        live: LiveMessage,
        origin: Option<ConnId>,
        /// When it was handed in, if its way to the sockets is measured.
        handed_in: Option<Instant>,
    },
    /// A session was created, or gained the users in `joined`.
    Opened {
        session_id: SessionId,
        head: Head,
        last_seq: Seq,
        users: BTreeMap<UserId, String>,
        joined: Vec<UserId>,
    },
    /// A frame for every socket of a user, except one.
    ToUser { user_id: UserId, frame: ServerFrame, except: Option<ConnId> },
    /// A frame for one socket.
    ToConn { conn: ConnId, frame: ServerFrame },
    /// The commit failed: what this socket sent is not stored, and it must reconnect and send it again.
    Failed { conn: ConnId },
}
