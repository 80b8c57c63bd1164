//! Who may invite whom, and what an answer leads to. Decided inside the transactions, because only there do two people
//! who act concurrently come one after the other.

use protocol::{Answer, Code, Fault, InviteId, SessionId, UserId};

use super::invite::Invite;
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::sessions::{begin_pair, has_room, join, own_group};
use crate::store::{Event, Store, Tx};

/// An invitation that somebody wants to make.
#[derive(Debug, Clone)]
pub(crate) struct NewInvite {
    pub(crate) from: UserId,
    pub(crate) from_name: String,
    /// The socket that asks.
    pub(crate) origin: Origin,
    /// `None` if nobody has this name.
    pub(crate) to: Option<UserId>,
    pub(crate) to_name: String,
    /// Into this session, or a new one of their own.
    pub(crate) session: Option<SessionId>,
    /// Whether it may wait: the person is online, or it should be left for their return.
    pub(crate) may_wait: bool,
    /// Whether to refuse it if its sender has made too many, or the person has enough.
    pub(crate) held_back: bool,
    /// The reason, if its sender may not be told about people they do not know.
    pub(crate) refused: Option<Fault>,
    /// Most conversations of one user.
    pub(crate) conversations: Option<u32>,
}

/// An answer to an invitation, or its sender taking it back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewAnswer {
    pub(crate) user: UserId,
    /// The socket that answers.
    pub(crate) origin: Origin,
    pub(crate) invite: InviteId,
    pub(crate) answer: Answer,
    /// Most conversations of one user.
    pub(crate) conversations: Option<u32>,
}

/// The result of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskResult {
    /// The invitation waits for an answer. Its sender's sockets were notified.
    Pending,
    /// Somebody else in the session has already asked them.
    AskedByOther,
    /// They had asked us: the session now exists. Everybody was notified.
    Accepted(SessionId),
    /// They already share a session with us. The socket that asks was notified.
    AlreadyConnected(SessionId),
    /// They are offline, and no invitation was left.
    Offline,
    /// Too many invitations wait for them to add one more.
    Full,
    /// Nobody has this name.
    NoUser,
}

/// Most open invitations of one user.
const OPEN: i64 = 20;

/// Most invitations of one user in a day that failed or are still open, and most of them to the same person: the
/// invitee has to deal with each, whereas an accepted one was welcome.
const OF_A_DAY: i64 = 50;
const TO_THE_SAME: i64 = 5;

/// Most open invitations for one person.
const WAITING: i64 = 100;

/// In milliseconds. Learning that a person is away counts as an invitation of the day, but only once per `LOOK_AGAIN`.
const DAY: i64 = 24 * 60 * 60 * 1000;
const LOOK_AGAIN: i64 = 10 * 60 * 1000;

/// Stands in for the user of a name that nobody has, so that the same lookups are made.
const NOBODY: UserId = UserId(uuid::Uuid::nil());

/// Invites a user to a session, new or existing, on behalf of another.
pub(crate) async fn ask(store: &Store, new: NewInvite) -> Result<AskResult> {
    store
        .run(move |mut tx| {
            let new = new.clone();
            Box::pin(async move { ask_within(&mut tx, &new).await })
        })
        .await
}

/// Answers an invitation, or takes it back, and notifies everybody concerned; a repeated answer notifies only the
/// socket that gave it.
pub(crate) async fn answer(store: &Store, new: NewAnswer) -> Result<()> {
    store.run(move |mut tx| Box::pin(async move { answer_within(&mut tx, new).await })).await
}

/// Asks, and tells the asking socket which session exists or was created, after the session itself was announced.
async fn ask_within(tx: &mut Tx<'_>, new: &NewInvite) -> Result<AskResult> {
    let result = invite_or_find(tx, new).await?;
    let met = match result {
        AskResult::Accepted(session) => Some((session, true)),
        AskResult::AlreadyConnected(session) => Some((session, false)),
        _ => None,
    };
    if let Some((session, is_new)) = met {
        tx.announce(Event::Met { origin: new.origin, username: new.to_name.clone(), session, is_new });
    }
    Ok(result)
}

async fn invite_or_find(tx: &mut Tx<'_>, new: &NewInvite) -> Result<AskResult> {
    let to = new.to.unwrap_or(NOBODY);
    if new.from == to {
        return Err(Error::refused(Code::Yourself));
    }
    match new.session {
        Some(session) => {
            let group = own_group(tx, session, new.from).await?;
            match tx.stay(session, to).await? {
                Some(stay) if stay.is_in => return Ok(AskResult::AlreadyConnected(session)),
                Some(stay) if stay.is_removed && group.owner != Some(new.from) => {
                    let reason =
                        format!("{} was removed, and only the owner can invite them again.", new.to_name);
                    return Err(Fault::new(Code::NotOwner, reason).into());
                }
                _ => {}
            }
        }
        None => {
            if let Some(session) = tx.session_of_pair(new.from, to).await? {
                return Ok(AskResult::AlreadyConnected(session));
            }
            // Two people who invite each other concurrently want the same thing.
            if let Some(theirs) = tx.open_between(to, new.from).await? {
                let session = end(tx, theirs, Answer::Accepted, new.conversations).await?;
                return Ok(AskResult::Accepted(session.expect("accepting leads to a session")));
            }
        }
    }
    let waiting = match new.session {
        Some(session) => tx.open_into(session, to).await?,
        None => tx.open_between(new.from, to).await?,
    };
    let invite = match waiting {
        Some(theirs) if theirs.from_user != new.from => return Ok(AskResult::AskedByOther),
        Some(own) => own,
        None => match permit(tx, new, to).await? {
            Some(not) => return Ok(not),
            None => create(tx, new, to).await?,
        },
    };
    tx.announce(Event::Waits { invite });
    Ok(AskResult::Pending)
}

async fn create(tx: &mut Tx<'_>, new: &NewInvite, to: UserId) -> Result<Invite> {
    let asked = (to, Some(new.to_name.as_str()));
    match new.session {
        Some(_) => has_room(tx, new.conversations, [asked]).await?,
        None => has_room(tx, new.conversations, [(new.from, None), asked]).await?,
    }
    let (from, to) = ((new.from, new.from_name.clone()), (to, new.to_name.clone()));
    let invite = Invite::new(from, to, new.session);
    tx.insert_invite(&invite).await?;
    tx.announce(Event::Invited { invite: invite.clone() });
    Ok(invite)
}

/// Checks whether one more invitation may be made; otherwise returns what its sender is told instead. Limits come
/// first, so that beyond them the sender learns nothing about anybody: neither who exists, nor who is online.
async fn permit(tx: &mut Tx<'_>, new: &NewInvite, to: UserId) -> Result<Option<AskResult>> {
    if let Some(fault) = &new.refused {
        return Err(fault.clone().into());
    }
    if new.held_back {
        hold_back(tx, new, to).await?;
    }
    if new.to.is_none() {
        return Ok(Some(AskResult::NoUser));
    }
    let waiting = tx.count_open_for(to).await?;
    let not = match (new.held_back && waiting >= WAITING, new.may_wait) {
        (true, _) => AskResult::Full,
        (false, false) => AskResult::Offline,
        (false, true) => return Ok(None),
    };
    if new.held_back {
        look(tx, new.from, to).await?;
    }
    Ok(Some(not))
}

/// Counts that a user learned something about a person who gets no invitation.
async fn look(tx: &mut Tx<'_>, from: UserId, to: UserId) -> Result<()> {
    tx.forget_looks(from, DAY).await?;
    if !tx.has_looked(from, to, LOOK_AGAIN).await? {
        tx.note_look(from, to).await?;
    }
    Ok(())
}

/// Refuses one more invitation from a user who has made too many.
async fn hold_back(tx: &mut Tx<'_>, new: &NewInvite, to: UserId) -> Result<()> {
    let refused = |reason: String| Err(Fault::new(Code::TooMany, reason).into());
    if tx.count_open_of(new.from).await? >= OPEN {
        return refused(format!(
            "{OPEN} of your invitations wait for an answer. Take one back, or wait until somebody has answered."
        ));
    }
    let lately = tx.lately(new.from, to, DAY).await?;
    if lately.all >= OF_A_DAY {
        return refused("You have searched for and invited many people today. Please wait a day.".into());
    }
    if lately.same >= TO_THE_SAME {
        return refused(format!(
            "You have asked {} often enough for today. Please wait a day, or for an answer.",
            new.to_name
        ));
    }
    Ok(())
}

async fn answer_within(tx: &mut Tx<'_>, new: NewAnswer) -> Result<()> {
    let NewAnswer { user, origin, invite, answer, conversations } = new;
    let may = |invite: &Invite| match answer {
        Answer::Accepted | Answer::Rejected => invite.to_user == user,
        Answer::Cancelled => invite.from_user == user,
    };
    // The same error for somebody else's invitation and one that never existed.
    let invite = tx.invite(invite).await?.filter(may).ok_or(Error::refused(Code::NotFound))?;
    if invite.is_open() {
        return end(tx, invite, answer, conversations).await.map(drop);
    }
    if !invite.ended_with(answer) {
        return Err(Error::refused(Code::Gone));
    }
    let session = match (answer, invite.session_id) {
        (Answer::Accepted, None) => tx.session_of_pair(invite.from_user, invite.to_user).await?,
        (Answer::Accepted, session) => session,
        (Answer::Rejected | Answer::Cancelled, _) => None,
    };
    tx.announce(Event::EndedAgain { origin, invite, answer, session });
    Ok(())
}

/// Ends an open invitation and notifies both sides. The session comes first, so that it exists when they learn the
/// outcome. Returns the session that it led to.
async fn end(
    tx: &mut Tx<'_>,
    invite: Invite,
    answer: Answer,
    conversations: Option<u32>,
) -> Result<Option<SessionId>> {
    if answer == Answer::Accepted {
        let own = (invite.to_user, None);
        match invite.session_id {
            Some(_) => has_room(tx, conversations, [own]).await?,
            // The inviter gains one too.
            None => has_room(tx, conversations, [own, (invite.from_user, Some(&invite.from_name))]).await?,
        }
    }
    tx.end_invite(invite.invite_id, answer).await?;
    let session = match (answer, invite.session_id) {
        (Answer::Accepted, None) => Some(begin_pair(tx, invite.from_user, invite.to_user).await?),
        (Answer::Accepted, Some(session)) => {
            join(tx, session, invite.to_user).await?;
            Some(session)
        }
        (Answer::Rejected | Answer::Cancelled, _) => None,
    };
    tx.announce(Event::Ended { invite, answer, session });
    Ok(session)
}
