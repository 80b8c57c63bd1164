//! Rows and SQL for invitations. The rules of who may meet whom live here, inside the transactions, because only there
//! do two people who act concurrently come one after the other.

use protocol::{
    Answer, Code, Fault, InviteId, Invited, Outcome, SearchNotice, ServerFrame, SessionId, UserId,
};
use sqlx::SqliteConnection;

use super::writer::Tx;
use super::{Event, Store, sessions};
use crate::hub::ConnId;
use crate::{Error, Result, clock, invites};

/// An invitation to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewInvite {
    pub(crate) from: UserId,
    pub(crate) from_name: String,
    /// The socket that asks.
    pub(crate) conn: ConnId,
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

/// Counts a user's open invitations.
pub(super) const OPEN_OF: &str = "select count(*) from invites where from_user = $1 and status = 'Pending'";

/// Counts a user's recent invitations that were not accepted, plus how often they learned that a person is away; and of
/// the former, those to one person. Rows that a wrong clock dated into the future do not count.
pub(super) const LATELY: &str =
    "select count(*), count(case when to_user = $2 and status <> 'Offline' then 1 end) from invites
     where from_user = $1 and created_at > $3 and created_at <= $4 and status <> 'Accepted'";

/// Counts the open invitations for a user.
pub(super) const WAITING_FOR: &str = "select count(*) from invites where to_user = $1 and status = 'Pending'";

/// Forgets whom a user learned to be away once that no longer counts; and checks whether they learned it recently.
pub(super) const FORGET_LOOKS: &str = "delete from invites
     where from_user = $1 and created_at <= $2 and status <> 'Accepted' and status = 'Offline'";
pub(super) const LOOKED: &str = "select count(*) from invites
     where from_user = $1 and created_at > $3 and created_at <= $4 and status <> 'Accepted' and status = 'Offline'
     and to_user = $2";

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

#[derive(sqlx::FromRow)]
struct InviteRow {
    invite_id: InviteId,
    from_user: UserId,
    from_name: String,
    to_user: UserId,
    to_name: String,
    session_id: Option<SessionId>,
    status: String,
}

macro_rules! invite {
    ($rest:literal) => {
        concat!(
            "select i.invite_id, i.from_user, f.username as from_name, i.to_user, t.username as to_name,
                    i.session_id, i.status
             from invites i join users f on f.user_id = i.from_user join users t on t.user_id = i.to_user ",
            $rest
        )
    };
}

impl Store {
    /// Invites a user to a session, new or existing, on behalf of another.
    pub(crate) async fn ask(&self, new: NewInvite) -> Result<AskResult> {
        self.writer.run(move |tx| Box::pin(ask(tx, new))).await
    }

    /// Answers an invitation, or takes it back, and notifies everybody concerned; a repeated answer notifies only the
    /// socket that gave it. `conversations` is the limit per user.
    pub(crate) async fn answer_within(
        &self,
        user: UserId,
        conn: ConnId,
        invite: InviteId,
        answer: Answer,
        conversations: Option<u32>,
    ) -> Result<()> {
        self.writer
            .run(move |mut tx| {
                Box::pin(async move {
                    let row = by_id(tx.db, invite).await?;
                    let may = |row: &InviteRow| match answer {
                        Answer::Accepted | Answer::Rejected => row.to_user == user,
                        Answer::Cancelled => row.from_user == user,
                    };
                    // The same error for somebody else's invitation and one that never existed.
                    let row = row.filter(may).ok_or(Error::refused(Code::NotFound))?;
                    match row.status.as_str() {
                        "Pending" => settle(&mut tx, row, answer, conversations).await.map(drop),
                        status if status == answer_name(answer) => {
                            let frame = ServerFrame::Search(told_again(tx.db, row, answer).await?);
                            tx.announce(Event::ToConn { conn, frame });
                            Ok(())
                        }
                        _ => Err(Error::refused(Code::Gone)),
                    }
                })
            })
            .await
    }

    /// Returns a user's open invitations, oldest first: those that wait for this user's answer, and this user's own
    /// that wait for another's.
    pub(crate) async fn invitations(&self, user: UserId) -> Result<(Vec<Invited>, Vec<SearchNotice>)> {
        let rows: Vec<InviteRow> = sqlx::query_as(concat!(
            invite!("where i.to_user = $1 and i.status = 'Pending'"),
            " union all ",
            invite!("where i.from_user = $1 and i.status = 'Pending'"),
            " order by 1",
        ))
        .bind(user)
        .fetch_all(&self.read)
        .await?;
        let (to, from): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.to_user == user);
        let invited = |row: InviteRow| Invited { invite_id: row.invite_id, username: row.from_name };
        let asked = |row: InviteRow| row.outcome(Outcome::Pending, row.session_id);
        Ok((to.into_iter().map(invited).collect(), from.into_iter().map(asked).collect()))
    }
}

/// Asks, and tells the asking socket which session exists or was created, after the frame that introduces the session.
async fn ask(mut tx: Tx<'_>, new: NewInvite) -> Result<AskResult> {
    let (conn, username) = (new.conn, new.to_name.clone());
    let result = invite_or_find(&mut tx, new).await?;
    let told = match result {
        AskResult::Accepted(session) => Some((Outcome::Accepted, invites::both_want(&username), session)),
        AskResult::AlreadyConnected(session) => {
            let status = Outcome::AlreadyConnected;
            Some((status, invites::sentence(status, &username), session))
        }
        _ => None,
    };
    if let Some((status, reason, session)) = told {
        let session_id = Some(session);
        let notice = SearchNotice::Outcome { username, status, reason, invite_id: None, session_id };
        tx.announce(Event::ToConn { conn, frame: ServerFrame::Search(notice) });
    }
    Ok(result)
}

async fn invite_or_find(tx: &mut Tx<'_>, new: NewInvite) -> Result<AskResult> {
    let to = new.to.unwrap_or(NOBODY);
    if new.from == to {
        return Err(Error::refused(Code::Yourself));
    }
    match new.session {
        Some(session) => {
            if !sessions::has_user(tx.db, session, new.from).await? {
                return Err(Error::refused(Code::NotFound));
            }
            if sessions::has_user(tx.db, session, to).await? {
                return Ok(AskResult::AlreadyConnected(session));
            }
        }
        None => {
            if let Some(session) = sessions::of_pair(tx.db, new.from, to).await? {
                return Ok(AskResult::AlreadyConnected(session));
            }
            // Two people who invite each other concurrently want the same thing.
            if let Some(theirs) = open_between(tx.db, to, new.from).await? {
                let session = settle(tx, theirs, Answer::Accepted, new.conversations).await?;
                return Ok(AskResult::Accepted(session.expect("accepting leads to a session")));
            }
        }
    }
    let waiting = match new.session {
        Some(session) => open_into(tx.db, session, to).await?,
        None => open_between(tx.db, new.from, to).await?,
    };
    let row = match waiting {
        Some(row) if row.from_user != new.from => return Ok(AskResult::AskedByOther),
        Some(row) => row,
        None => match permit(tx.db, &new, to).await? {
            Some(not) => return Ok(not),
            None => {
                let begins = new.session.is_none().then_some(new.from);
                has_room(tx.db, new.conversations, begins, (to, Some(&new.to_name))).await?;
                insert(tx, &new, to).await?
            }
        },
    };
    let frame = ServerFrame::Search(row.outcome(Outcome::Pending, new.session));
    tx.announce(Event::ToUser { user_id: new.from, frame, except: None });
    Ok(AskResult::Pending)
}

/// Checks whether one more invitation may be made; otherwise returns what its sender is told instead. Limits come
/// first, so that beyond them the sender learns nothing about anybody: neither who exists, nor who is online.
async fn permit(db: &mut SqliteConnection, new: &NewInvite, to: UserId) -> Result<Option<AskResult>> {
    if let Some(fault) = &new.refused {
        return Err(fault.clone().into());
    }
    if new.held_back {
        hold_back(db, new, to).await?;
    }
    if new.to.is_none() {
        return Ok(Some(AskResult::NoUser));
    }
    let waiting: i64 = sqlx::query_scalar(WAITING_FOR).bind(to).fetch_one(&mut *db).await?;
    let not = match (new.held_back && waiting >= WAITING, new.may_wait) {
        (true, _) => AskResult::Full,
        (false, false) => AskResult::Offline,
        (false, true) => return Ok(None),
    };
    if new.held_back {
        look(db, new.from, to).await?;
    }
    Ok(Some(not))
}

/// Counts that a user learned something about a person who gets no invitation.
async fn look(db: &mut SqliteConnection, from: UserId, to: UserId) -> Result<()> {
    let now = clock::now();
    sqlx::query(FORGET_LOOKS).bind(from).bind(now.0 - DAY).execute(&mut *db).await?;
    let lately = sqlx::query_scalar(LOOKED).bind(from).bind(to).bind(now.0 - LOOK_AGAIN).bind(now);
    let looked: i64 = lately.fetch_one(&mut *db).await?;
    if looked == 0 {
        insert_row(db, InviteId::new(), from, to, None, "Offline").await?;
    }
    Ok(())
}

/// Refuses one more invitation from a user who has made too many.
async fn hold_back(db: &mut SqliteConnection, new: &NewInvite, to: UserId) -> Result<()> {
    let refused = |reason: String| Err(Fault::new(Code::TooMany, reason).into());
    let open: i64 = sqlx::query_scalar(OPEN_OF).bind(new.from).fetch_one(&mut *db).await?;
    if open >= OPEN {
        return refused(format!(
            "{OPEN} of your invitations wait for an answer. Take one back, or wait until somebody has answered."
        ));
    }
    let now = clock::now();
    let lately = sqlx::query_as(LATELY).bind(new.from).bind(to).bind(now.0 - DAY).bind(now);
    let (all, same): (i64, i64) = lately.fetch_one(db).await?;
    if all >= OF_A_DAY {
        return refused("You have searched for and invited many people today. Please wait a day.".into());
    }
    if same >= TO_THE_SAME {
        return refused(format!(
            "You have asked {} often enough for today. Please wait a day, or for an answer.",
            new.to_name
        ));
    }
    Ok(())
}

/// Refuses one more conversation of a user who has reached the limit: the actor, or the other, who is named.
async fn has_room(
    db: &mut SqliteConnection,
    most: Option<u32>,
    actor: Option<UserId>,
    (other, name): (UserId, Option<&str>),
) -> Result<()> {
    let Some(most) = most else { return Ok(()) };
    for (user, name) in actor.map(|actor| (actor, None)).into_iter().chain([(other, name)]) {
        if sessions::count(db, user, most).await? < i64::from(most) {
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

async fn insert(tx: &mut Tx<'_>, new: &NewInvite, to: UserId) -> Result<InviteRow> {
    let row = InviteRow {
        invite_id: InviteId::new(),
        from_user: new.from,
        from_name: new.from_name.clone(),
        to_user: to,
        to_name: new.to_name.clone(),
        session_id: new.session,
        status: "Pending".into(),
    };
    insert_row(tx.db, row.invite_id, row.from_user, to, row.session_id, "Pending").await?;
    let notice = SearchNotice::Invited { invite_id: row.invite_id, username: row.from_name.clone() };
    tx.announce(Event::ToUser { user_id: row.to_user, frame: ServerFrame::Search(notice), except: None });
    Ok(row)
}

async fn insert_row(
    db: &mut SqliteConnection,
    id: InviteId,
    from: UserId,
    to: UserId,
    session: Option<SessionId>,
    status: &str,
) -> Result<()> {
    sqlx::query(
        "insert into invites (invite_id, from_user, to_user, session_id, status, created_at, answered_at)
         values ($1, $2, $3, $4, $5, $6, null)",
    )
    .bind(id)
    .bind(from)
    .bind(to)
    .bind(session)
    .bind(status)
    .bind(clock::now())
    .execute(db)
    .await?;
    Ok(())
}

/// Ends an open invitation and notifies both sides. The session comes first, so that it exists when they learn the
/// outcome. Returns the session that it led to.
async fn settle(
    tx: &mut Tx<'_>,
    row: InviteRow,
    answer: Answer,
    conversations: Option<u32>,
) -> Result<Option<SessionId>> {
    if answer == Answer::Accepted {
        // The inviter is already in the session, unless a new one is created.
        let begins = if row.session_id.is_none() { row.from_user } else { row.to_user };
        has_room(tx.db, conversations, Some(row.to_user), (begins, Some(&row.from_name))).await?;
    }
    sqlx::query("update invites set status = $2, answered_at = $3 where invite_id = $1")
        .bind(row.invite_id)
        .bind(answer_name(answer))
        .bind(clock::now())
        .execute(&mut *tx.db)
        .await?;
    let session = match (answer, row.session_id) {
        (Answer::Accepted, None) => Some(sessions::begin(tx, row.from_user, row.to_user).await?),
        (Answer::Accepted, Some(session)) => {
            sessions::join(tx, session, row.to_user).await?;
            Some(session)
        }
        (Answer::Rejected | Answer::Cancelled, _) => None,
    };
    let (invite_id, status) = (row.invite_id, answer.into());
    let closed = SearchNotice::Closed { invite_id, status, session_id: session };
    tx.announce(Event::ToUser { user_id: row.to_user, frame: ServerFrame::Search(closed), except: None });
    let outcome = ServerFrame::Search(row.outcome(answer.into(), session));
    tx.announce(Event::ToUser { user_id: row.from_user, frame: outcome, except: None });
    Ok(session)
}

/// Returns what to send to a user who ends an invitation the same way again.
async fn told_again(db: &mut SqliteConnection, row: InviteRow, answer: Answer) -> Result<SearchNotice> {
    let session_id = match (answer, row.session_id) {
        (Answer::Accepted, None) => sessions::of_pair(db, row.from_user, row.to_user).await?,
        (Answer::Accepted, session) => session,
        (Answer::Cancelled, _) => return Ok(row.outcome(Outcome::Cancelled, None)),
        (Answer::Rejected, _) => None,
    };
    Ok(SearchNotice::Closed { invite_id: row.invite_id, status: answer.into(), session_id })
}

async fn by_id(db: &mut SqliteConnection, invite: InviteId) -> Result<Option<InviteRow>> {
    Ok(sqlx::query_as(invite!("where i.invite_id = $1")).bind(invite).fetch_optional(db).await?)
}

async fn open_between(db: &mut SqliteConnection, from: UserId, to: UserId) -> Result<Option<InviteRow>> {
    let row = sqlx::query_as(invite!(
        "where i.from_user = $1 and i.to_user = $2 and i.session_id is null and i.status = 'Pending'"
    ));
    Ok(row.bind(from).bind(to).fetch_optional(db).await?)
}

async fn open_into(db: &mut SqliteConnection, session: SessionId, to: UserId) -> Result<Option<InviteRow>> {
    let row = sqlx::query_as(invite!("where i.session_id = $1 and i.to_user = $2 and i.status = 'Pending'"));
    Ok(row.bind(session).bind(to).fetch_optional(db).await?)
}

impl InviteRow {
    /// Returns what its sender is told.
    fn outcome(&self, status: Outcome, session_id: Option<SessionId>) -> SearchNotice {
        SearchNotice::Outcome {
            username: self.to_name.clone(),
            status,
            reason: invites::sentence(status, &self.to_name),
            invite_id: Some(self.invite_id),
            session_id,
        }
    }
}

fn answer_name(answer: Answer) -> &'static str {
    match answer {
        Answer::Accepted => "Accepted",
        Answer::Rejected => "Rejected",
        Answer::Cancelled => "Cancelled",
    }
}
