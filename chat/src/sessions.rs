//! Sessions: who is in one, and how many of them somebody may have. Decided inside the transactions of the store.

use protocol::{Code, Fault, SessionId, UserId};

use crate::error::Result;
use crate::store::{Event, Tx};

/// Creates the session of a pair and announces it.
pub(crate) async fn begin(tx: &mut Tx<'_>, a: UserId, b: UserId) -> Result<SessionId> {
    let session = SessionId::new();
    tx.insert_session(session, (a, b)).await?;
    for user in [a, b] {
        tx.add_user(session, user).await?;
    }
    announce(tx, session, vec![a, b]).await?;
    Ok(session)
}

/// Adds a user to a session and announces it. From then on it is no longer the pair's session, so the pair may start a
/// new one.
pub(crate) async fn join(tx: &mut Tx<'_>, session: SessionId, user: UserId) -> Result<()> {
    tx.add_user(session, user).await?;
    tx.widen(session).await?;
    announce(tx, session, vec![user]).await
}

/// Refuses one more conversation of a user who has reached the limit: the actor, or the other, who is named.
pub(crate) async fn has_room(
    tx: &mut Tx<'_>,
    most: Option<u32>,
    actor: Option<UserId>,
    (other, name): (UserId, &str),
) -> Result<()> {
    let Some(most) = most else { return Ok(()) };
    for (user, name) in actor.map(|actor| (actor, None)).into_iter().chain([(other, Some(name))]) {
        if tx.count_sessions(user, most).await? < i64::from(most) {
            continue;
        }
        let reason = match name {
            Some(name) => format!("{name} has {most} conversations already, and nobody can have more here."),
            None => format!("You have {most} conversations already, and nobody can have more here."),
        };
        return Err(Fault::new(Code::TooMany, reason).into());
    }
    Ok(())
}

async fn announce(tx: &mut Tx<'_>, session_id: SessionId, joined: Vec<UserId>) -> Result<()> {
    let (head, last_seq) = tx.head(session_id).await?;
    let users = tx.users_in(session_id).await?;
    tx.announce(Event::Opened { session_id, head, last_seq, users, joined });
    Ok(())
}
