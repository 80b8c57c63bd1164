//! Read markers, stored with SQLite's own API as `posting` stores messages: after a message in a large session,
//! everybody who sees it moves their marker.

use protocol::{Seq, SessionId, UserId};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::sql::read_seq;
use crate::{Error, Result};

/// Forward only, and never beyond the last message. Numbered in SQLite's style: to SQLite, `$1` is a name.
pub(super) const MARK: &str = concat!(
    "update session_users as own set read_seq = min(?3, s.last_seq) from sessions s
     where s.session_id = own.session_id
       and own.session_id = ?1 and own.user_id = ?2 and own.left_at is null and ",
    read_seq!(),
    " < min(?3, s.last_seq) returning read_seq",
);

/// Moves a user's marker past what they wrote themselves.
pub(super) const PASS: &str = concat!(
    "update session_users as own set read_seq = ",
    read_seq!(),
    " from sessions s where s.session_id = own.session_id and own.session_id = ?1 and own.user_id = ?2",
);

/// A marker to move.
pub(super) struct Mark {
    user: UserId,
    session: SessionId,
    seq: Seq,
    /// Where it stands afterwards, if it moved.
    moved: Option<Seq>,
    reply: oneshot::Sender<Result<Option<Seq>>>,
}

impl Mark {
    /// Makes the request, and the receiver of its answer.
    pub(super) fn new(
        user: UserId,
        session: SessionId,
        seq: Seq,
    ) -> (Self, oneshot::Receiver<Result<Option<Seq>>>) {
        let (reply, answer) = oneshot::channel();
        (Self { user, session, seq, moved: None, reply }, answer)
    }

    /// Moves the marker, within a transaction.
    pub(super) fn set(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let place = (self.session.0, self.user.0, self.seq.0);
        let mut mark = db.prepare_cached(MARK)?;
        self.moved = mark.query_row(place, |row| row.get(0)).optional()?.map(Seq);
        Ok(())
    }

    /// Answers the caller, who may be gone.
    pub(super) fn finish(self, committed: bool) {
        let _ = self.reply.send(if committed { Ok(self.moved) } else { Err(Error::NO_COMMITS) });
    }
}
