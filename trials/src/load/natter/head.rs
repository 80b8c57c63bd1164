//! Where a session stands, as the server says at first.

use protocol::{ServerFrame, SessionHead, SessionId};

use crate::load::Error;

/// Returns a session's head from a `Welcome`.
pub(super) fn head(welcome: &ServerFrame, session: SessionId) -> Result<&SessionHead, Error> {
    match welcome {
        ServerFrame::Welcome { sessions, .. } => sessions
            .get(&session)
            .ok_or_else(|| Error::protocol(format!("the session {session} is not in the Welcome"))),
        _ => Err(Error::protocol("this is no Welcome")),
    }
}
