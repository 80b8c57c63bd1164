//! First pictures: what a page renders, what `load` answers, what a socket is welcomed with.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use protocol::api::{Loaded, LoadedSession};
use protocol::{
    Me, Message, Position, SearchNotice, ServerFrame, SessionHead, SessionId, Snapshot, SnapshotSession,
    User, UserId,
};

use crate::live::{encode, presence_of};
use crate::store::SessionRow;
use crate::{Actor, Chat, Connection, Result};

/// Newest messages of each session in a `load`.
const LOAD_ROWS: i64 = 30;

/// Newest messages of the session that a page shows.
const OPEN_ROWS: i64 = 50;

/// The answer to a `Hello`: the `Welcome`, the first `Page` (or a `Reset`) of each session that the client named
/// and does not stand at the head of, and the open invitations. One frame at a time, so that a client that is
/// behind in many sessions and reads slowly does not have all their pages in memory.
#[derive(Default)]
pub struct Greeting {
    welcome: Option<Bytes>,
    behind: VecDeque<(SessionRow, Position)>,
    invitations: VecDeque<Bytes>,
}

impl Greeting {
    /// The next frame to write; `None` when it was the last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next(&mut self, chat: &Chat, conn: &Connection) -> Result<Option<Bytes>> {
        if let Some(welcome) = self.welcome.take() {
            return Ok(Some(welcome));
        }
        let Some((row, position)) = self.behind.pop_front() else {
            return Ok(self.invitations.pop_front());
        };
        let SessionRow { session_id, epoch, rev, .. } = row;
        let other_history = position.epoch.is_some_and(|own| own != epoch);
        if other_history || position.rev > rev {
            return Ok(Some(encode(&ServerFrame::Reset { session_id, epoch, rev })));
        }
        chat.page(conn, session_id, position.rev).await.map(Some)
    }
}

impl Chat {
    /// Every session of a user, who is in it, and its newest messages: the answer of `GET /api/load`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn load(&self, actor: &Actor) -> Result<Loaded> {
        let user = actor.user_id();
        let _turn = self.0.live.turn(user).await;
        let mut loaded = Loaded::new();
        for (session, id, name) in self.0.store.users_around(user).await? {
            let empty = || LoadedSession { user_ids: BTreeMap::new(), messages: BTreeMap::new() };
            loaded.entry(session).or_insert_with(empty).user_ids.insert(id, name);
        }
        for (session, message) in self.0.store.newest(user, LOAD_ROWS).await? {
            if let Some(session) = loaded.get_mut(&session) {
                session.messages.extend([message.into()]);
            }
        }
        Ok(loaded)
    }

    /// What a page renders first: every session with its newest message, the one it opens with some more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn snapshot(&self, actor: &Actor, open: Option<SessionId>) -> Result<Snapshot> {
        let user = actor.user_id();
        let _turn = self.0.live.turn(user).await;
        let heads = self.heads(user).await?;
        let mut newest: HashMap<SessionId, Vec<Message>> = HashMap::new();
        for (session, message) in self.0.store.newest(user, 1).await? {
            newest.entry(session).or_default().push(message);
        }
        if let Some(open) = open.filter(|open| heads.iter().any(|(row, _)| row.session_id == *open)) {
            let history = self.0.store.history(user, open, None, OPEN_ROWS).await?;
            newest.insert(open, history.map(|history| history.messages).unwrap_or_default());
        }
        let sessions = heads.into_iter().map(|(row, head)| {
            let messages = newest.remove(&row.session_id).unwrap_or_default();
            let oldest = messages.first().map_or(row.last_seq, |message| message.seq);
            let more = oldest.0 > row.joined_seq.0 + 1;
            (row.session_id, SnapshotSession { head, messages, more })
        });
        let sessions = sessions.collect();
        let me = Me { user_id: user, username: actor.username().to_owned() };
        let (invited, asked) = self.0.store.invitations(user).await?;
        Ok(Snapshot { me, sessions, invited, asked })
    }

    /// Answers a `Hello`: gives the frames to write before anything that waits for the socket, the first time as
    /// every time it lagged.
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
            // Signed out while the socket was being opened: what came since is not for whoever has it.
            self.0.live.revoke(actor.login());
            drop(conn.left());
            return Ok(Greeting::default());
        }
        let _turn = self.0.live.turn(user).await;
        for (session, head, joined) in self.0.store.sessions_of(user).await? {
            conn.follow(session, head, joined);
        }
        // Read again: what was committed before the socket followed shows here, what comes later is queued.
        let heads = self.heads(user).await?;
        let behind =
            heads.iter().filter_map(|(row, _)| Some((row.clone(), *positions.get(&row.session_id)?)));
        let is_behind = |row: &SessionRow, position: &Position| {
            position.rev != row.rev || position.epoch.is_some_and(|own| own != row.epoch)
        };
        let behind = behind.filter(|(row, position)| is_behind(row, position)).collect();
        let sessions = heads.into_iter().map(|(row, head)| (row.session_id, head)).collect();
        let (invited, asked) = self.0.store.invitations(user).await?;
        let invited = invited.into_iter().map(|invited| SearchNotice::Invited {
            invite_id: invited.invite_id,
            username: invited.username,
        });
        Ok(Greeting {
            welcome: Some(encode(&ServerFrame::Welcome { user_id: user, sessions })),
            behind,
            invitations: invited.chain(asked).map(|notice| encode(&ServerFrame::Search(notice))).collect(),
        })
    }

    /// Where each session stands for a user, and who is in it; by session.
    async fn heads(&self, user: UserId) -> Result<Vec<(SessionRow, SessionHead)>> {
        let rows = self.0.store.sessions_with_users(user).await?;
        let presence = presence_of(&self.0.live, rows.iter().map(|(_, id, _)| id));
        let mut heads: Vec<(SessionRow, SessionHead)> = Vec::new();
        for (row, id, username) in rows {
            let status = presence.get(&id).copied().unwrap_or_default();
            if heads.last().is_none_or(|(last, _)| last.session_id != row.session_id) {
                let SessionRow { epoch, rev, last_seq, read_seq, .. } = row;
                heads.push((row, SessionHead { epoch, rev, last_seq, read_seq, users: BTreeMap::new() }));
            }
            let (_, head) = heads.last_mut().expect("just pushed");
            head.users.insert(id, User { username, status });
        }
        Ok(heads)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::{TimeStamp, close};

    use super::*;
    use crate::store::NewInvite;
    use crate::{Lock, Login, LoginId, Options, Outgoing, Username};

    #[tokio::test]
    async fn a_login_that_ends_while_its_socket_is_opened_is_told_nothing_of_what_comes_then() {
        let data = tempfile::tempdir().unwrap();
        let chat = Chat::open(data.path(), Options::default()).await.unwrap();
        let mut actors = Vec::new();
        for name in ["Ada", "Bob"] {
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
            actors.push(chat.actor(id).await.unwrap().unwrap());
        }
        let (ada, bob) = (actors.remove(0), actors.remove(0));
        chat.0.store.revoke_login(ada.login()).await.unwrap(); // and then the socket comes, asked before
        let conn = chat.connect(ada.clone());
        let (from, to) = (bob.user_id(), ada.user_id());
        let (from_name, to_name) = ("Bob".to_owned(), "Ada".to_owned());
        chat.0
            .store
            .ask(NewInvite {
                from,
                from_name,
                conn: conn.id(),
                to: Some(to),
                to_name,
                session: None,
                may_wait: true,
                held_back: false,
                refused: None,
            })
            .await
            .unwrap();
        let told = async {
            while conn.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), told).await.expect("the invitation is published");
        let mut greeting = chat.hello(&conn, BTreeMap::new()).await.unwrap();
        assert!(greeting.next(&chat, &conn).await.unwrap().is_none());
        assert!(matches!(conn.outgoing().await, Outgoing::Close(close::LOGIN_REVOKED, _)));
        chat.close().await;
    }
}
