//! What the tests of the domain share: a database in a temporary folder, people, and what is announced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{
    Answer, Code, InviteId, LiveMessage, MessageId, Outcome, SendMessage, SessionId, TimeStamp, UserId,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::invites::rules::{self, NewAnswer};
use crate::invites::{AskResult, NewInvite};
use crate::logins;
use crate::messages::{self, NewChange};
use crate::name::Sought;
use crate::origin::{ConnId, Origin};
use crate::sessions::members::{self, Change, GroupChange};
use crate::sessions::{self, NewGroup, Title};
use crate::store::{Event, Post, Store, UserRow};
use crate::{Error, Lock, Login, LoginId, OpenError, Result, Username};

/// Where everything comes from, unless a test says otherwise.
pub(crate) const HERE: Origin = Origin(ConnId(7));

/// A store, and what it announces.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) events: mpsc::Receiver<Vec<Event>>,
    pub(crate) folder: TempDir,
}

/// A user with an account.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) name: &'static str,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, events) = Store::open(folder.path()).await.unwrap();
        Self { store, events, folder }
    }

    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        drop((self.store, self.events));
        let (store, events) = undisturbed(async || Store::open(self.folder.path()).await).await.unwrap();
        Self { store, events, folder: self.folder }
    }

    pub(crate) async fn person(&self, name: &'static str) -> Person {
        let username = Username::parse(name).unwrap();
        let id = self.store.create_user(&username, "hash".into(), None).await.unwrap().expect("a free name");
        Person { id, name }
    }

    pub(crate) async fn found(&self, name: &str) -> Option<UserRow> {
        self.store.user_named(&Sought::of(name).unwrap()).await.unwrap()
    }

    /// Returns the next announcements that are not empty.
    pub(crate) async fn announced(&mut self) -> Vec<Event> {
        loop {
            let events = self.events.recv().await.expect("the store is open");
            if !events.is_empty() {
                return events;
            }
        }
    }

    pub(crate) async fn ask(&mut self, from: Person, to: Person, may_wait: bool) -> AskResult {
        self.ask_new(invite(from, to, None, may_wait)).await.unwrap()
    }

    pub(crate) async fn ask_new(&self, new: NewInvite) -> Result<AskResult> {
        rules::ask(&self.store, new).await
    }

    /// Answers an invitation without a limit on conversations.
    pub(crate) async fn answer(&self, who: Person, invite: InviteId, answer: Answer) -> Result<()> {
        self.answer_within(who, invite, answer, None).await
    }

    pub(crate) async fn answer_within(
        &self,
        who: Person,
        invite: InviteId,
        answer: Answer,
        conversations: Option<u32>,
    ) -> Result<()> {
        let new = NewAnswer { user: who.id, origin: HERE, invite, answer, conversations };
        rules::answer(&self.store, new).await
    }

    /// Gives two people a session.
    pub(crate) async fn pair(&mut self, a: Person, b: Person) -> SessionId {
        self.ask(a, b, true).await;
        let invite_id = invited(&self.announced().await);
        self.answer(b, invite_id, Answer::Accepted).await.unwrap();
        opened(&self.announced().await).0
    }

    /// Lets somebody begin a group, and takes others into it.
    pub(crate) async fn group(&mut self, host: Person, guests: &[Person]) -> SessionId {
        let session = SessionId::new();
        self.begin(host, session, "A group", None).await.unwrap();
        self.announced().await;
        for guest in guests {
            self.join(host, *guest, session).await;
        }
        session
    }

    /// Begins a group.
    pub(crate) async fn begin(
        &self,
        who: Person,
        session: SessionId,
        title: &str,
        conversations: Option<u32>,
    ) -> Result<()> {
        let (origin, title) = (HERE, Title::parse(title)?);
        sessions::begin(&self.store, NewGroup { user: who.id, origin, session, title, conversations }).await
    }

    /// Changes a group, or leaves it.
    pub(crate) async fn change_group(&self, who: Person, session: SessionId, change: Change) -> Result<()> {
        members::change_group(&self.store, GroupChange { user: who.id, origin: HERE, session, change }).await
    }

    /// Takes somebody into a group.
    pub(crate) async fn join(&mut self, host: Person, guest: Person, session: SessionId) {
        self.ask_new(invite(host, guest, Some(session), true)).await.unwrap();
        let invite_id = invited(&self.announced().await);
        self.answer(guest, invite_id, Answer::Accepted).await.unwrap();
        assert_eq!(opened(&self.announced().await), (session, vec![guest.id]));
    }

    pub(crate) async fn say(&mut self, from: Person, session: SessionId, id: MessageId, data: &str) -> Event {
        self.store.post(post(from, session, id, data)).await.unwrap();
        self.announced().await.remove(0)
    }

    /// Edits a message, or deletes it.
    pub(crate) async fn change(
        &self,
        who: Person,
        session: SessionId,
        message: MessageId,
        data: Option<String>,
    ) -> Result<()> {
        let new = NewChange { user: who.id, origin: HERE, session, message, data };
        messages::change(&self.store, new).await
    }

    pub(crate) async fn create_login(&self, id: LoginId, login: Login, lock: Lock) -> Result<bool> {
        logins::create(&self.store, id, login, lock).await
    }
}

/// Reopens what this process just closed. A process that another test spawns has a copy of everything open here until
/// it execs its program, so the folder may still be in use for a moment.
pub(crate) async fn undisturbed<T>(
    mut open: impl AsyncFnMut() -> std::result::Result<T, OpenError>,
) -> std::result::Result<T, OpenError> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        match open().await {
            Err(OpenError::InUse(_) | OpenError::Older(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => return opened,
        }
    }
}

/// Returns an invitation under the limits of a server.
pub(crate) fn invite(from: Person, to: Person, session: Option<SessionId>, may_wait: bool) -> NewInvite {
    let (from_name, to_name) = (from.name.to_owned(), to.name.to_owned());
    NewInvite {
        from: from.id,
        from_name,
        origin: HERE,
        to: Some(to.id),
        to_name,
        session,
        may_wait,
        held_back: true,
        refused: None,
        conversations: None,
    }
}

pub(crate) fn post(from: Person, session_id: SessionId, message_id: MessageId, data: &str) -> Post {
    let message = SendMessage { session_id, message_id, data: data.into(), time_stamp: None, sender: None };
    let (gate, handed_in) = (Arc::default(), Instant::now());
    Post { sender: from.id, origin: HERE, message, handed_in, gate, _held: Box::new(()) }
}

/// Returns a login of a user that ends at this time.
pub(crate) fn login(user_id: UserId, expires_at: TimeStamp) -> Login {
    Login { user_id, user_agent: String::new(), ip: String::new(), expires_at, data: "{}".into() }
}

pub(crate) fn invited(events: &[Event]) -> InviteId {
    let found = events.iter().find_map(|event| match event {
        Event::Invited { invite } => Some(invite.invite_id),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no invitation in {events:?}"))
}

pub(crate) fn opened(events: &[Event]) -> (SessionId, Vec<UserId>) {
    let found = events.iter().find_map(|event| match event {
        Event::Opened { session, joined, .. } => {
            Some((session.session_id, joined.iter().map(|(user, _)| *user).collect()))
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no session in {events:?}"))
}

/// Returns what the sender of an invitation is told.
pub(crate) fn outcome(events: &[Event], of: Person) -> Outcome {
    let found = events.iter().find_map(|event| match event {
        Event::Waits { invite } => (invite.from_user == of.id).then_some(Outcome::Pending),
        Event::Ended { invite, answer, .. } => (invite.from_user == of.id).then_some((*answer).into()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no outcome in {events:?}"))
}

/// Returns what whoever asked is told last: whom they met, in which session, and whether it is new.
pub(crate) fn met(events: &[Event]) -> (String, SessionId, bool) {
    match events.last() {
        Some(Event::Met { origin: HERE, username, session, is_new }) => (username.clone(), *session, *is_new),
        _ => panic!("no answer in {events:?}"),
    }
}

pub(crate) fn stored(event: Event) -> LiveMessage {
    match event {
        Event::Changed { live, .. } => live,
        other => panic!("not stored: {other:?}"),
    }
}

pub(crate) fn code<T>(result: Result<T>) -> Code {
    match result.err().expect("refused") {
        Error::Refused(fault) => fault.error,
        other => panic!("{other}"),
    }
}
