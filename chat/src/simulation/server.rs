//! The server under manual control: the real chat on a real database, driven only by the schedule.
//!
//! Only what the crate `server` does is modelled: a socket is two queues of encoded frames, and its loop (first a
//! `Hello`, then frame by frame, then what the outbox holds) is [`Server::handle`] and [`Link::write`].

mod tables;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use protocol::{Answer, ClientFrame, Message, MessageId, Refused, ServerFrame, SessionId, UserId};
use sqlx::SqliteConnection;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::truth::{Log, Truth};
use super::{Plant, Verdict};
use crate::invites::NewInvite;
use crate::invites::rules::{self, NewAnswer};
use crate::live::Live;
use crate::origin::{ConnId, Origin};
use crate::sessions::members::{self, Change, GroupChange};
use crate::sessions::{self, NewGroup, Title};
use crate::store::{Engine, Event, Store};
use crate::{Actor, Chat, Connection, Error, Options, Outgoing, Result};

/// No socket.
const NOBODY: Origin = Origin(ConnId(0));

/// One connection between a device and the server, with the frames in flight in both directions.
#[derive(Default)]
pub(super) struct Link {
    /// The server's end, while it exists.
    conn: Option<Arc<Connection>>,
    greeted: bool,
    /// From the device, not read by the server yet.
    pub(super) up: VecDeque<String>,
    /// From the server, not delivered yet.
    pub(super) down: VecDeque<Bytes>,
}

impl Link {
    pub(super) fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Drops the server's end: what the device sends from now on is lost, what was on its way to it is not.
    pub(super) fn end(&mut self) {
        self.conn = None;
        self.up.clear();
    }

    /// Writes what the server has queued for the device.
    pub(super) fn write(&mut self) {
        let Some(conn) = self.conn.clone().filter(|_| self.greeted) else { return };
        while let Some(outgoing) = conn.outgoing().now_or_never() {
            match outgoing {
                Outgoing::Frames(frames) => self.down.extend(frames),
                Outgoing::Lagged => self.down.push_back(ServerFrame::Lagged.encode().into()),
                Outgoing::Close(..) => return self.end(),
            }
        }
    }

    /// Sends the device a `Heads`.
    pub(super) fn heads(&mut self) {
        if let Some(conn) = self.conn.as_ref().filter(|_| self.greeted) {
            self.down.push_back(conn.heads());
        }
    }
}

/// The server, and the database that outlives it.
pub(super) struct Server {
    pub(super) chat: Chat,
    store: Store,
    engine: Engine,
    commits: mpsc::Receiver<Vec<Event>>,
    /// The disk is nearly full.
    full: bool,
    /// Units of work waiting for the writer.
    pub(super) handed_in: usize,
    /// Committed, but not carried to the sockets yet.
    announced: VecDeque<Event>,
    /// What a planted bug holds back until the commit really happens.
    late: Vec<Event>,
    pub(super) truth: Truth,
    pub(super) plant: Option<Plant>,
    /// Identifiers that were stored once, for the bug that forgets them.
    names: Vec<MessageId>,
    _folder: TempDir,
}

fn at_rest(store: &Store) -> Chat {
    let options = Options {
        messages_per_second: None,
        text_per_second: None,
        text_per_day: None,
        disk_floor: None,
        ..Options::default()
    };
    let (live, _comings_and_goings) = Live::at_rest(store.clone(), &options);
    Chat::of(store.clone(), live, options)
}

impl Server {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (store, engine, commits) = Store::connect(folder.path(), false).await.expect("a new database");
        let mut server = Self {
            chat: at_rest(&store),
            store,
            engine,
            commits,
            full: false,
            handed_in: 0,
            announced: VecDeque::new(),
            late: Vec::new(),
            truth: Truth::default(),
            plant: None,
            names: Vec::new(),
            _folder: folder,
        };
        server.sql("pragma synchronous = off").await; // here processes crash, not machines
        server
    }

    pub(super) fn db(&mut self) -> &mut SqliteConnection {
        self.engine.db()
    }

    async fn sql(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.db()).await.expect("good SQL");
    }

    /// Ends the process at any point and starts another. What was not committed is gone, and so is everything that was
    /// only in memory.
    pub(super) async fn crash(&mut self) {
        for event in std::mem::take(&mut self.late).into_iter().rev() {
            self.undo(&event).await; // the commit that a planted bug did not wait for never happened
        }
        self.announced.clear();
        self.handed_in = 0;
        let (store, engine, commits) = self.store.crashed(&mut self.engine);
        (self.store, self.engine, self.commits) = (store, engine, commits);
        self.chat = at_rest(&self.store);
        self.set_full(self.full);
    }

    /// Makes the disk low on space, or not.
    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
        self.store.quota().pretend(full);
    }

    /// Creates a person with a login.
    pub(super) async fn person(&mut self, name: &str) -> Actor {
        let login = self.engine.person(name).await;
        self.chat.actor(login).await.expect("the database is whole").expect("signed in")
    }

    /// Lets somebody begin a group.
    pub(super) async fn begin(&mut self, host: &Actor) -> std::result::Result<SessionId, String> {
        let (user, session, origin) = (host.user_id(), SessionId::new(), NOBODY);
        let title = Title::parse("A group").expect("a title");
        let store = self.store.clone();
        let new = NewGroup { user, origin, session, title, conversations: None };
        self.at_once(sessions::begin(&store, new)).await?.expect("may begin one");
        Ok(session)
    }

    /// Starts a session of two people, or adds one to a group.
    pub(super) async fn join(&mut self, from: &Actor, to: &Actor, session: Option<SessionId>) -> Verdict {
        let name = |actor: &Actor| actor.username().to_owned();
        self.really_commit();
        let new = NewInvite {
            from: from.user_id(),
            from_name: name(from),
            origin: NOBODY,
            to: Some(to.user_id()),
            to_name: name(to),
            session,
            may_wait: true,
            held_back: false,
            refused: None,
            conversations: None,
        };
        let store = self.store.clone();
        self.at_once(async { rules::ask(&store, new).await.map(drop) }).await?.expect("may be asked");
        let waiting = self.store.invitations(to.user_id()).await.expect("the database is whole").0;
        let invite = waiting.first().expect("asked just now").invite_id;
        let (user, answer) = (to.user_id(), Answer::Accepted);
        let new = NewAnswer { user, origin: NOBODY, invite, answer, conversations: None };
        self.at_once(rules::answer(&store, new)).await?.expect("may be accepted");
        Ok(())
    }

    /// Lets somebody change a group.
    pub(super) async fn change_group(&mut self, user: UserId, session: SessionId, change: Change) -> Verdict {
        let new = GroupChange { user, origin: NOBODY, session, change };
        let store = self.store.clone();
        self.at_once(members::change_group(&store, new))
            .await?
            .map_err(|error| format!("not changed: {error}"))
    }

    /// Opens a socket.
    pub(super) fn connect(&self, actor: &Actor) -> Link {
        Link { conn: Some(Arc::new(self.chat.connect(actor.clone()))), ..Link::default() }
    }

    /// Publishes so much to a person that their sockets' queues are discarded.
    pub(super) fn flood(&self, actor: &Actor) {
        let flood = format!(r#"{{"type":"Flood","Data":"{}"}}"#, "x".repeat(64 * 1024));
        self.chat.0.live.hub().send_to_user(actor.user_id(), &flood.into(), None);
    }

    /// Handles the socket's next frame.
    pub(super) async fn handle(&mut self, link: &mut Link) -> Verdict {
        let Some(conn) = link.conn.clone() else { return Ok(()) };
        if conn.ending().is_some() {
            link.end();
            return Ok(());
        }
        let Some(text) = link.up.pop_front() else { return Ok(()) };
        let frame = ClientFrame::decode(&text).expect("the client's own words");
        match frame {
            ClientFrame::Hello { sessions } => {
                ensure!(!link.greeted || conn.reopen(), "a Hello that nobody asked for");
                let greeting = self.chat.hello(&conn, sessions).await;
                let mut greeting = greeting.map_err(|error| format!("no greeting: {error}"))?;
                while let Some(frame) = greeting.next(&self.chat, &conn).await.expect("the database is whole")
                {
                    link.down.push_back(frame);
                }
                link.greeted = true;
                Ok(())
            }
            frame => self.dispatch(&conn, frame).await,
        }
    }

    async fn dispatch(&mut self, conn: &Arc<Connection>, frame: ClientFrame) -> Verdict {
        let chat = self.chat.clone();
        let mut subject = (None, None);
        let done = match frame {
            ClientFrame::Message(mut message) => {
                subject = (Some(message.message_id), Some(message.session_id));
                if self.plant == Some(Plant::NoUniqueKey) && self.names.contains(&message.message_id) {
                    message.message_id = MessageId::new();
                }
                self.names.push(message.message_id);
                let done = chat.post(conn, message, Box::new(())).await;
                self.handed_in += usize::from(done.is_ok());
                done
            }
            ClientFrame::Fetch { session_id, rev } => {
                chat.page(conn, session_id, rev).await.map(|page| conn.send_encoded(page))
            }
            ClientFrame::Read { session_id, seq } => self.at_once(chat.read(conn, session_id, seq)).await?,
            ClientFrame::Edit { session_id, message_id, data } => {
                self.at_once(chat.edit(conn, session_id, message_id, data)).await?
            }
            ClientFrame::Delete { session_id, message_id } => {
                self.at_once(chat.delete(conn, session_id, message_id)).await?
            }
            ClientFrame::Pong {} => Ok(()),
            other => panic!("no device here says {other:?}"),
        };
        match done {
            Ok(()) => {}
            Err(error @ (Error::Refused(_) | Error::TooMany { .. })) => {
                let (message_id, session_id) = subject;
                let fault = error.into_fault();
                let refused = Refused {
                    message_id,
                    session_id,
                    invite_id: None,
                    username: None,
                    code: fault.error,
                    reason: fault.reason,
                    after_ms: None,
                };
                conn.send(&ServerFrame::Refused(refused));
            }
            Err(error) => return Err(format!("the server failed: {error}")),
        }
        Ok(())
    }

    /// Runs a unit of work whose caller waits for its commit: everything queued is committed with it.
    async fn at_once(
        &mut self,
        work: impl Future<Output = Result<()>>,
    ) -> std::result::Result<Result<()>, String> {
        self.really_commit();
        let mut work = std::pin::pin!(work);
        let done = tokio::select! {
            biased;
            done = &mut work => return Ok(done), // refused before it reached the writer
            events = self.commits_next() => events,
        };
        self.committed(done)?;
        Ok(work.await)
    }

    /// Runs the engine until a transaction has ended.
    async fn commits_next(&mut self) -> Vec<Event> {
        loop {
            assert!(self.engine.step().await, "the writer lives");
            if let Ok(events) = self.commits.try_recv() {
                return events;
            }
        }
    }

    /// Commits what is queued for the writer.
    pub(super) async fn commit(&mut self) -> Verdict {
        self.really_commit();
        if self.handed_in == 0 {
            return Ok(());
        }
        let events = self.commits_next().await;
        self.committed(events)
    }

    /// Fails one commit. Every socket with work in it is closed.
    pub(super) async fn fail_commit(&mut self) -> Verdict {
        if self.handed_in == 0 {
            return Ok(());
        }
        self.really_commit();
        self.sql("pragma query_only = on").await;
        let events = self.commits_next().await;
        self.sql("pragma query_only = off; pragma synchronous = off").await;
        self.committed(events)
    }

    fn committed(&mut self, events: Vec<Event>) -> Verdict {
        self.handed_in = 0;
        self.truth.committed(&events)?;
        for event in events {
            self.announce(event);
        }
        Ok(())
    }

    /// Passes an event on: immediately what a planted bug does not wait with, later what it does wait with.
    fn announce(&mut self, event: Event) {
        match (self.plant, event) {
            (Some(Plant::AckBeforeCommit), Event::Changed { live, origin: Some(origin), .. }) => {
                self.announced.push_back(acknowledged(origin, &live.message));
                self.late.push(Event::Changed { live, origin: None, handed_in: None });
            }
            (Some(Plant::FanOutBeforeCommit), Event::Changed { live, origin: Some(origin), .. }) => {
                self.announced.push_back(Event::Changed {
                    live: live.clone(),
                    origin: None,
                    handed_in: None,
                });
                self.late.push(Event::Changed { live, origin: Some(origin), handed_in: None });
            }
            (_, event) => self.announced.push_back(event),
        }
    }

    fn really_commit(&mut self) {
        for event in std::mem::take(&mut self.late) {
            let rest = match (self.plant, event) {
                (Some(Plant::FanOutBeforeCommit), Event::Changed { live, origin: Some(origin), .. }) => {
                    acknowledged(origin, &live.message)
                }
                (_, event) => event,
            };
            self.announced.push_back(rest);
        }
    }

    /// Whether something is committed but not carried to the sockets.
    pub(super) fn has_news(&self) -> bool {
        !self.announced.is_empty() || !self.late.is_empty()
    }

    /// Carries one committed change to the sockets.
    pub(super) fn carry(&mut self) {
        match self.announced.pop_front() {
            Some(event) => self.chat.0.live.carry(event),
            None => self.really_commit(),
        }
    }
}

/// Returns the acknowledgement of a message alone.
fn acknowledged(origin: Origin, message: &Message) -> Event {
    let Message { message_id, seq, rev, time_stamp, .. } = *message;
    Event::Repeated { origin, message_id, seq, rev, time_stamp }
}
