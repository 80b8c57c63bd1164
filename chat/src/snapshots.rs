//! Snapshots: what a page renders first, what `load` answers, what welcomes a socket.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use bytes::Bytes;
use futures::{Stream, stream};
use protocol::api::LoadedSession;
use protocol::{
    Code, Head, Me, Message, Outcome, Position, SearchNotice, Seq, ServerFrame, SessionHead, SessionId,
    Snapshot, SnapshotSession, User, UserId,
};

use crate::invites::invite::Invite;
use crate::invites::notices;
use crate::live::{encode, presence_of};
use crate::page::{PAGE_BYTES, weight};
use crate::sessions::View;
use crate::store::SessionRow;
use crate::turns::Turn;
use crate::{Actor, Chat, Connection, Error, Result, Room};

/// Newest messages per session in a `load`.
const LOAD_ROWS: i64 = 30;

/// Newest messages of the session that a page opens with.
const OPEN_ROWS: i64 = 50;

/// Sessions in a snapshot: the most recently active. The page gets the others from its `Welcome`.
const DRAWN: i64 = 100;

/// Most bytes of their newest messages. Those that do not fit come from the history.
const DRAWN_BYTES: i64 = 256 * 1024;

/// Approximate size of a session in a `Welcome`: two people, with longer names than most.
const HEAD_BYTES: usize = 640;

/// Cost of choosing among a user's sessions, per session.
const CHOICE_BYTES: usize = 64;

/// How much of a `load` is gathered before it is written.
const PART_BYTES: usize = 32 * 1024;

/// The answer to a `Hello`: the `Welcome`, the first `Page` (or a `Reset`) of each session where the client named a
/// position other than the head, and the open invitations. One frame at a time, so that a client that is behind in many
/// sessions and reads slowly does not have all their pages in memory.
#[derive(Default)]
pub struct Greeting {
    welcome: Option<Bytes>,
    behind: VecDeque<(SessionRow, Position)>,
    invitations: VecDeque<Bytes>,
    /// Room for the `Welcome`, held until all of it is written.
    _room: Room,
}

impl Greeting {
    /// Returns the next frame to write; `None` after the last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next(&mut self, chat: &Chat, conn: &Connection) -> Result<Option<Bytes>> {
        if let Some(welcome) = self.welcome.take() {
            return Ok(Some(welcome));
        }
        while let Some((row, position)) = self.behind.pop_front() {
            let SessionRow { session_id, epoch, rev, .. } = row;
            let other_history = position.epoch.is_some_and(|own| own != epoch);
            if other_history || position.rev > rev {
                return Ok(Some(encode(&ServerFrame::Reset { session_id, epoch, rev })));
            }
            match chat.page(conn, session_id, position.rev).await {
                Err(Error::Refused(fault)) if fault.error == Code::NotFound => {} // they have left it meanwhile
                page => return page.map(Some),
            }
        }
        Ok(self.invitations.pop_front())
    }
}

impl Chat {
    /// Streams every session of a user, its users and its newest messages: the answer of `GET /api/load`, as JSON, part
    /// by part. Each session is read on its own, after the parts before it are written: no read stays open while
    /// waiting for a client, and at most one session is in memory.
    ///
    /// # Errors
    /// The database failed; this may happen midway.
    pub async fn load(
        &self,
        actor: &Actor,
        address: Option<IpAddr>,
    ) -> Result<impl Stream<Item = Result<Part>> + Send + use<>> {
        let user = actor.user_id();
        let mut sessions: Vec<_> = {
            let turn = self.0.live.turn(user).await;
            let sessions = self.0.store.sessions_of(user).await?;
            turn.cost(sessions.len() * CHOICE_BYTES);
            sessions.into_iter().map(|(session, ..)| session).collect()
        };
        sessions.sort_unstable_by(|one, other| other.cmp(one));
        let load = Load { chat: self.clone(), user, address, sessions, began: false, ended: false };
        Ok(stream::try_unfold(load, |mut load| async move {
            let part = load.next().await?;
            Ok(part.map(|part| (part, load)))
        }))
    }

    /// Returns what a page renders first: the most recently active sessions with their newest message each, and the
    /// session it opens with, with more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn snapshot(&self, actor: &Actor, open: Option<SessionId>) -> Result<Snapshot> {
        let (user, store) = (actor.user_id(), &self.0.store);
        let turn = self.0.live.turn(user).await;
        let rows = store.chosen_with_users(user, DRAWN, open).await?;
        let heads = self.heads(rows);
        let mut newest: HashMap<SessionId, Vec<Message>> = HashMap::new();
        for (session, message) in store.chosen_newest(user, DRAWN, DRAWN_BYTES).await? {
            newest.entry(session).or_default().push(message);
        }
        if let Some(open) = open.filter(|open| heads.iter().any(|(row, _)| row.session_id == *open)) {
            let history = store.history(user, open, None, OPEN_ROWS, PAGE_BYTES).await?;
            newest.insert(open, history.map(|history| history.messages).unwrap_or_default());
        }
        let said: usize = newest.values().flatten().map(weight).sum();
        turn.cost(said + heads.len() * (HEAD_BYTES + CHOICE_BYTES));
        let sessions = heads.into_iter().map(|(row, head)| {
            let messages = newest.remove(&row.session_id).unwrap_or_default();
            let oldest = messages.first().map_or(Seq(row.last_seq.0 + 1), |message| message.seq);
            let more = oldest.0 > row.view.begins_after().0 + 1;
            (row.session_id, SnapshotSession { head, messages, more })
        });
        let sessions = sessions.collect();
        let me = Me { user_id: user, username: actor.username().to_owned() };
        let (invited, asked) = store.invitations(user).await?;
        let invited = invited.into_iter().map(notices::invited).collect();
        let asked = asked.iter().map(waits).collect();
        Ok(Snapshot { me, sessions, invited, asked })
    }

    /// Waits for room for an answer to a user: see [`Room`].
    pub async fn room(&self, actor: &Actor, address: Option<IpAddr>, bytes: usize) -> Room {
        self.0.live.room(actor.user_id(), address, bytes).await
    }

    /// Answers a `Hello`, the first as well as those after a lag: returns the frames to write before anything that is
    /// queued for the socket.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hello(
        &self,
        conn: &Connection,
        positions: BTreeMap<SessionId, Position>,
    ) -> Result<Greeting> {
        let (actor, user) = (conn.actor(), conn.actor().user_id());
        if self.actor(actor.login()).await?.is_none() {
            // Signed out while the socket was opening: its current holder must not see what came since.
            self.0.live.revoke(actor.login());
            drop(conn.left());
            return Ok(Greeting::default());
        }
        let turn = self.0.live.turn(user).await;
        let sessions = self.0.store.sessions_of(user).await?;
        let bytes = sessions.len() * HEAD_BYTES;
        conn.follow_exactly(sessions);
        drop(turn); // the holder of the room may need it
        let mut room = self.0.live.room(user, conn.address(), bytes).await;
        let turn = self.0.live.turn(user).await;
        turn.cost(bytes);
        // Read again: this includes what was committed before the socket followed; what comes later is queued. And once
        // more as long as the user comes and goes meanwhile, so that what is followed is what was read.
        let heads = loop {
            let rows = self.0.store.sessions_with_users(user).await?;
            if !conn.follow_exactly(followed(&rows)) {
                break self.heads(rows);
            }
        };
        let behind =
            heads.iter().filter_map(|(row, _)| Some((row.clone(), *positions.get(&row.session_id)?)));
        let is_behind = |row: &SessionRow, position: &Position| {
            position.rev != row.rev || position.epoch.is_some_and(|own| own != row.epoch)
        };
        let behind = behind.filter(|(row, position)| is_behind(row, position)).collect();
        let sessions = heads.into_iter().map(|(row, head)| (row.session_id, head)).collect();
        let (invited, asked) = self.0.store.invitations(user).await?;
        let invited = invited
            .into_iter()
            .map(|invite| SearchNotice::Invited { invite_id: invite.invite_id, username: invite.from_name });
        let asked = asked.iter().map(waits);
        let welcome = encode(&ServerFrame::Welcome { user_id: user, sessions });
        room.shrink_to(welcome.len());
        Ok(Greeting {
            welcome: Some(welcome),
            behind,
            invitations: invited.chain(asked).map(|notice| encode(&ServerFrame::Search(notice))).collect(),
            _room: room,
        })
    }

    /// Returns where each session stands for a user, and who is in it, by session.
    fn heads(&self, rows: Vec<(SessionRow, UserId, String)>) -> Vec<(SessionRow, SessionHead)> {
        let presence = presence_of(&self.0.live, rows.iter().map(|(_, id, _)| id));
        let mut heads: Vec<(SessionRow, SessionHead)> = Vec::new();
        for (row, id, username) in rows {
            let status = presence.get(&id).copied().unwrap_or_default();
            if heads.last().is_none_or(|(last, _)| last.session_id != row.session_id) {
                let head = SessionHead {
                    epoch: row.epoch,
                    rev: row.rev,
                    last_seq: row.last_seq,
                    read_seq: row.read_seq,
                    users: BTreeMap::new(),
                    kind: row.kind(),
                    title: row.title.clone(),
                    owner: row.owner,
                    began_at: row.began_at,
                    spans: row.view.spans(),
                };
                heads.push((row, head));
            }
            let (_, head) = heads.last_mut().expect("just pushed");
            head.users.insert(id, User { username, status });
        }
        heads
    }
}

/// Returns what a socket follows that is told these sessions.
fn followed(rows: &[(SessionRow, UserId, String)]) -> Vec<(SessionId, Head, View)> {
    let one_each = rows.chunk_by(|(one, ..), (other, ..)| one.session_id == other.session_id);
    let row = |rows: &[(SessionRow, UserId, String)]| {
        let (SessionRow { session_id, epoch, rev, view, .. }, ..) = &rows[0];
        (*session_id, Head { epoch: *epoch, rev: *rev }, view.clone())
    };
    one_each.map(row).collect()
}

/// Returns what a user is told about an invitation of theirs that waits.
fn waits(invite: &Invite) -> SearchNotice {
    notices::outcome(invite, Outcome::Pending, invite.session_id)
}

/// A part of an answer, and the room that it takes until it is written.
pub struct Part {
    /// What to write.
    pub bytes: Bytes,
    /// Hold it until then.
    pub room: Room,
}

/// A `load` in progress.
struct Load {
    chat: Chat,
    user: UserId,
    address: Option<IpAddr>,
    /// The sessions still to come, the last first.
    sessions: Vec<SessionId>,
    began: bool,
    ended: bool,
}

impl Load {
    /// Returns the next part: many small sessions together, or one large one.
    async fn next(&mut self) -> Result<Option<Part>> {
        let mut small = Vec::new();
        while small.len() < PART_BYTES {
            let Some(session) = self.sessions.pop() else { break };
            let turn = self.chat.0.live.turn(self.user).await;
            let Some(weight) = self.chat.0.store.weight(self.user, session, LOAD_ROWS).await? else {
                continue;
            };
            let weight = usize::try_from(weight).unwrap_or_default();
            if small.len() + weight <= 2 * PART_BYTES {
                self.read(&turn, session, &mut small).await?;
            } else if small.is_empty() {
                drop(turn); // the holder of the room may need it
                let mut room = self.chat.0.live.room(self.user, self.address, weight).await;
                let mut large = Vec::with_capacity(weight);
                let turn = self.chat.0.live.turn(self.user).await;
                self.read(&turn, session, &mut large).await?;
                room.shrink_to(large.len());
                return Ok(Some(Part { bytes: large.into(), room }));
            } else {
                self.sessions.push(session); // after the gathered part is written
                break;
            }
        }
        if small.is_empty() {
            if std::mem::replace(&mut self.ended, true) {
                return Ok(None);
            }
            small.extend_from_slice(if self.began { b"}" } else { b"{}" });
        }
        Ok(Some(Part { bytes: small.into(), room: Room::default() }))
    }

    /// Reads a session and appends it.
    async fn read(&mut self, turn: &Turn, session: SessionId, json: &mut Vec<u8>) -> Result<()> {
        let Some((users, messages)) = self.chat.0.store.loaded(self.user, session, LOAD_ROWS).await? else {
            return Ok(()); // left meanwhile
        };
        turn.cost(messages.iter().map(|message| message.data.len()).sum());
        let user_ids = users.into_iter().collect();
        let messages = messages.into_iter().map(Into::into).collect();
        json.push(if std::mem::replace(&mut self.began, true) { b',' } else { b'{' });
        let loaded = LoadedSession { user_ids, messages };
        serde_json::to_writer(&mut *json, &session).expect("an identifier");
        json.push(b':');
        serde_json::to_writer(json, &loaded).expect("string keys only");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::{TimeStamp, close};

    use super::*;
    use crate::invites::{NewInvite, rules};
    use crate::{Lock, Login, LoginId, Options, Outgoing, Username};

    /// Creates a user who is signed in.
    async fn person(chat: &Chat, name: &str) -> Actor {
        let user =
            chat.0.store.create_user(&Username::parse(name).unwrap(), "hash".into(), None).await.unwrap();
        let login = Login {
            user_id: user.unwrap(),
            user_agent: String::new(),
            ip: String::new(),
            expires_at: TimeStamp(i64::MAX),
            data: "{}".into(),
        };
        let id = LoginId::of_token(name.as_bytes());
        let lock = Lock::of(login.user_id, "hash");
        assert!(chat.create_login(id, login, lock).await.unwrap());
        chat.actor(id).await.unwrap().unwrap()
    }

    /// Waits until something is queued for a socket.
    async fn told(conn: &Connection) {
        let told = async {
            while conn.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), told).await.expect("something is published");
    }

    #[tokio::test]
    async fn a_socket_that_opens_while_its_user_leaves_a_group_hears_nothing_of_what_comes_then() {
        let data = tempfile::tempdir().unwrap();
        let chat = Chat::open(data.path(), Options::default()).await.unwrap();
        let ada = person(&chat, "Ada").await;
        let (conn, group, other) = (chat.connect(ada.clone()), SessionId::new(), SessionId::new());
        for (session, title) in [(group, "A group"), (other, "Another")] {
            chat.begin(&conn, session, title).await.unwrap();
        }
        // What its greeting read first, before she left.
        let stale = chat.0.store.sessions_of(ada.user_id()).await.unwrap();
        let late = chat.connect(ada.clone());
        chat.leave(&conn, group).await.unwrap();
        // From here on nobody but the greeting takes the group from it.
        let has_left = |frame: &Bytes| frame.starts_with(br#"{"type":"Left""#);
        loop {
            let Outgoing::Frames(frames) = late.outgoing().await else { panic!("it is open") };
            if frames.iter().any(has_left) {
                break;
            }
        }
        late.follow_exactly(stale);
        let head = Head { epoch: protocol::Epoch::new(), rev: protocol::Rev(1) };
        let heads = encode(&ServerFrame::Heads { sessions: [(group, head)].into() });
        chat.0.live.hub().publish(group, &heads);
        let mut greeting = chat.hello(&late, BTreeMap::new()).await.unwrap();
        let welcome = greeting.next(&chat, &late).await.unwrap().unwrap();
        let names = |session: SessionId| String::from_utf8_lossy(&welcome).contains(&session.to_string());
        assert_eq!((names(group), names(other)), (false, true));
        assert!(late.view(group).is_none() && late.view(other).is_some());
        assert_eq!(late.waiting(), 0, "what was queued since may be of the group");
        chat.0.live.hub().publish(group, &heads);
        assert_eq!(late.waiting(), 0);
        chat.close().await;
    }

    #[tokio::test]
    async fn a_login_that_ends_while_its_socket_is_opened_is_told_nothing_of_what_comes_then() {
        let data = tempfile::tempdir().unwrap();
        let chat = Chat::open(data.path(), Options::default()).await.unwrap();
        let (ada, bob) = (person(&chat, "Ada").await, person(&chat, "Bob").await);
        chat.0.store.revoke_login(ada.login()).await.unwrap(); // and then a socket arrives that was requested before
        let conn = chat.connect(ada.clone());
        let (from, to) = (bob.user_id(), ada.user_id());
        let (from_name, to_name) = ("Bob".to_owned(), "Ada".to_owned());
        let new = NewInvite {
            from,
            from_name,
            origin: conn.origin(),
            to: Some(to),
            to_name,
            session: None,
            may_wait: true,
            held_back: false,
            refused: None,
            conversations: None,
        };
        rules::ask(&chat.0.store, new).await.unwrap();
        told(&conn).await;
        let mut greeting = chat.hello(&conn, BTreeMap::new()).await.unwrap();
        assert!(greeting.next(&chat, &conn).await.unwrap().is_none());
        assert!(matches!(conn.outgoing().await, Outgoing::Close(close::LOGIN_REVOKED, _)));
        chat.close().await;
    }
}
