//! The store's contract: every method, on a real database in a temporary folder. To test a second engine, open another
//! [`Database`] in [`Database::new`].

mod messages;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{
    Answer, Code, Fault, InviteId, LiveMessage, MessageId, Outcome, Presence, Rev, SearchNotice, SendMessage,
    Seq, ServerFrame, SessionId, TimeStamp, UserId,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{AskResult, Event, NewInvite, Post, Store, Taken, UserRow};
use crate::hub::ConnId;
use crate::name::Sought;
use crate::{Error, Lock, Login, LoginId, OpenError, Username};

pub(super) struct Database {
    pub(super) store: Store,
    pub(super) events: mpsc::Receiver<Vec<Event>>,
    pub(super) folder: TempDir,
}

/// Reopens what this process just closed. A process that another test spawns has a copy of everything open here until
/// it execs its program, so the folder may still be in use for a moment.
pub(super) async fn undisturbed<T>(
    mut open: impl AsyncFnMut() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
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

/// A user with an account.
#[derive(Clone, Copy)]
pub(super) struct Person {
    pub(super) id: UserId,
    pub(super) name: &'static str,
}

impl Database {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, events) = Store::open(folder.path()).await.unwrap();
        Self { store, events, folder }
    }

    async fn reopened(self) -> Self {
        self.store.close().await;
        drop((self.store, self.events));
        let (store, events) = undisturbed(async || Store::open(self.folder.path()).await).await.unwrap();
        Self { store, events, folder: self.folder }
    }

    pub(super) async fn person(&self, name: &'static str) -> Person {
        let username = Username::parse(name).unwrap();
        let id = self.store.create_user(&username, "hash".into(), None).await.unwrap().expect("a free name");
        Person { id, name }
    }

    async fn found(&self, name: &str) -> Option<UserRow> {
        self.store.user_named(&Sought::of(name).unwrap()).await.unwrap()
    }

    /// Returns the next announcements that are not empty.
    pub(super) async fn announced(&mut self) -> Vec<Event> {
        loop {
            let events = self.events.recv().await.expect("the store is open");
            if !events.is_empty() {
                return events;
            }
        }
    }

    async fn ask(&mut self, from: Person, to: Person, may_wait: bool) -> AskResult {
        self.store.ask(invite(from, to, None, may_wait)).await.unwrap()
    }

    /// Makes every invitation a day older.
    async fn invited_earlier(&self) {
        let older = sqlx::query("update invites set created_at = created_at - 86400000");
        let done = self
            .store
            .writer
            .run(move |tx| Box::pin(async move { Ok(older.execute(&mut *tx.db).await.map(drop)?) }));
        done.await.unwrap();
    }

    /// Gives two people a session.
    pub(super) async fn pair(&mut self, a: Person, b: Person) -> SessionId {
        self.ask(a, b, true).await;
        let invite_id = invited(&self.announced().await);
        self.store.answer(b.id, ConnId(7), invite_id, Answer::Accepted).await.unwrap();
        opened(&self.announced().await).0
    }

    async fn say(&mut self, from: Person, session: SessionId, id: MessageId, data: &str) -> Event {
        self.store.post(post(from, session, id, data)).await.unwrap();
        self.announced().await.remove(0)
    }
}

impl Store {
    /// Answers an invitation without a limit on conversations.
    pub(crate) async fn answer(
        &self,
        user: UserId,
        conn: ConnId,
        invite: InviteId,
        answer: Answer,
    ) -> crate::Result<()> {
        self.answer_within(user, conn, invite, answer, None).await
    }
}

fn invite(from: Person, to: Person, session: Option<SessionId>, may_wait: bool) -> NewInvite {
    let (from_name, to_name) = (from.name.to_owned(), to.name.to_owned());
    NewInvite {
        from: from.id,
        from_name,
        conn: ConnId(7),
        to: Some(to.id),
        to_name,
        session,
        may_wait,
        held_back: true,
        refused: None,
        conversations: None,
    }
}

pub(super) fn post(from: Person, session_id: SessionId, message_id: MessageId, data: &str) -> Post {
    let message = SendMessage { session_id, message_id, data: data.into(), time_stamp: None, sender: None };
    Post {
        sender: from.id,
        conn: ConnId(7),
        message,
        handed_in: Instant::now(),
        gate: Arc::default(),
        _held: Box::new(()),
    }
}

fn invited(events: &[Event]) -> InviteId {
    let found = events.iter().find_map(|event| match event {
        Event::ToUser { frame: ServerFrame::Search(SearchNotice::Invited { invite_id, .. }), .. } => {
            Some(*invite_id)
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no invitation in {events:?}"))
}

fn opened(events: &[Event]) -> (SessionId, Vec<UserId>) {
    let found = events.iter().find_map(|event| match event {
        Event::Opened { session_id, joined, .. } => Some((*session_id, joined.clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no session in {events:?}"))
}

fn outcome(events: &[Event], of: Person) -> Outcome {
    let found = events.iter().find_map(|event| match event {
        Event::ToUser {
            user_id, frame: ServerFrame::Search(SearchNotice::Outcome { status, .. }), ..
        } => (*user_id == of.id).then_some(*status),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no outcome in {events:?}"))
}

/// Returns what the searching socket is told last.
fn answered(events: &[Event]) -> (String, Outcome, Option<SessionId>) {
    match events.last() {
        Some(Event::ToConn {
            conn: ConnId(7),
            frame: ServerFrame::Search(SearchNotice::Outcome { username, status, session_id, .. }),
        }) => (username.clone(), *status, *session_id),
        _ => panic!("no answer in {events:?}"),
    }
}

fn stored(event: Event) -> LiveMessage {
    match event {
        Event::Changed { live, .. } => live,
        other => panic!("not stored: {other:?}"),
    }
}

fn code<T>(result: crate::Result<T>) -> Code {
    match result.err().expect("refused") {
        Error::Refused(fault) => fault.error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_name_is_given_once_and_found_by_its_key() {
    let db = Database::new().await;
    let ada = db.person("Ada").await;
    let again = db.store.create_user(&Username::parse("ADA").unwrap(), "other".into(), None).await.unwrap();
    assert_eq!(again, Err(Taken::Same));
    let found = db.found("aDa").await.expect("Ada");
    assert_eq!(
        (found.user_id, found.username.as_str(), found.password_hash.as_str()),
        (ada.id, "Ada", "hash")
    );
    assert!(db.found("nobody").await.is_none());
}

#[tokio::test]
async fn a_name_that_looks_like_one_that_is_there_is_not_given() {
    let db = Database::new().await;
    db.person("modern").await;
    let alike = Username::parse("rnodern").unwrap();
    assert_eq!(db.store.taken(&alike).await.unwrap(), Some(Taken::LooksSame));
    assert_eq!(db.store.create_user(&alike, "hash".into(), None).await.unwrap(), Err(Taken::LooksSame));
    assert!(db.found("rnodern").await.is_none());
    let db = db.reopened().await;
    assert_eq!(db.store.taken(&alike).await.unwrap(), Some(Taken::LooksSame), "after a start too");
    assert_eq!(db.store.taken(&Username::parse("Modern").unwrap()).await.unwrap(), Some(Taken::Same));
    assert_eq!(db.store.taken(&Username::parse("northern").unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn a_revoked_login_stays_revoked_whatever_is_saved_later() {
    let db = Database::new().await;
    let ada = db.person("Ada").await;
    let id = LoginId::of_token(b"token");
    let end = TimeStamp(crate::clock::now().0 + 60_000);
    let login = Login {
        user_id: ada.id,
        user_agent: "test".into(),
        ip: "127.0.0.1".into(),
        expires_at: end,
        data: "{}".into(),
    };
    let lock = Lock::of(ada.id, "hash");
    assert!(db.store.create_login(id, login.clone(), lock).await.unwrap());
    assert!(!db.store.create_login(id, login, lock).await.unwrap(), "one of a name");
    db.store.save_login(id, "{\"a\":1}".into(), end).await.unwrap();
    assert_eq!(db.store.load_login(id).await.unwrap().expect("it").data, "{\"a\":1}");
    let (user, name, _) = db.store.login_user(id).await.unwrap().expect("a login");
    assert_eq!((user, name.as_str()), (ada.id, "Ada"));
    assert!(db.store.ended_logins(HashSet::from([id])).await.unwrap().is_empty());

    let ended = db.store.end_surplus_logins(ada.id, LoginId::of_token(b"new"), 2).await.unwrap();
    assert!(ended.is_empty(), "one beside the new one may be");
    db.store.revoke_login(id).await.unwrap();
    db.store.save_login(id, "{}".into(), end).await.unwrap();
    assert!(db.store.load_login(id).await.unwrap().is_none());
    assert!(db.store.login_user(id).await.unwrap().is_none());
    assert_eq!(db.store.ended_logins(HashSet::from([id])).await.unwrap(), HashSet::from([id]));
}

#[tokio::test]
async fn an_expired_login_and_those_of_an_old_password_are_over() {
    let db = Database::new().await;
    let ada = db.person("Ada").await;
    let login = |end: i64| Login {
        user_id: ada.id,
        user_agent: String::new(),
        ip: String::new(),
        expires_at: TimeStamp(end),
        data: "{}".into(),
    };
    let (expired, open) = (LoginId::of_token(b"1"), LoginId::of_token(b"2"));
    let lock = Lock::of(ada.id, "hash");
    db.store.create_login(expired, login(crate::clock::now().0 - 1), lock).await.unwrap();
    db.store.create_login(open, login(crate::clock::now().0 + 60_000), lock).await.unwrap();
    assert!(db.store.login_user(expired).await.unwrap().is_none());
    assert!(db.store.login_user(open).await.unwrap().is_some());
    db.store.set_password(ada.id, "new".into()).await.unwrap();
    assert!(db.store.login_user(open).await.unwrap().is_none());
    let late = db.store.create_login(LoginId::of_token(b"3"), login(i64::MAX), lock).await;
    assert_eq!(code(late), Code::WrongPassword, "the password was right when it was looked at");
    assert_eq!(db.found("ada").await.unwrap().password_hash, "new");
}

#[tokio::test]
async fn a_hash_is_renewed_once_and_ends_no_login() {
    let db = Database::new().await;
    let ada = db.person("Ada").await;
    let id = LoginId::of_token(b"token");
    let login = Login {
        user_id: ada.id,
        user_agent: String::new(),
        ip: String::new(),
        expires_at: TimeStamp(i64::MAX),
        data: "{}".into(),
    };
    assert!(db.store.create_login(id, login.clone(), Lock::of(ada.id, "hash")).await.unwrap());
    assert!(db.store.renew_password_hash(ada.id, "hash", "dearer").await.unwrap());
    assert!(
        !db.store.renew_password_hash(ada.id, "hash", "another").await.unwrap(),
        "it is not that any more"
    );
    assert_eq!(db.found("ada").await.unwrap().password_hash, "dearer");
    assert!(db.store.login_user(id).await.unwrap().is_some(), "the password is the same");
    let late = db.store.create_login(LoginId::of_token(b"2"), login, Lock::of(ada.id, "dearer")).await;
    assert!(late.unwrap());
}

#[tokio::test]
async fn of_too_many_logins_those_used_last_stay_and_those_of_others_too() {
    let db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let end = TimeStamp(crate::clock::now().0 + 60_000);
    let ids = ["1", "2", "3", "4"].map(|token| LoginId::of_token(token.as_bytes()));
    for (id, who) in ids.into_iter().zip([&ada, &ada, &ada, &bob]) {
        let (user_agent, ip, data) = (String::new(), String::new(), "{}".into());
        let login = Login { user_id: who.id, user_agent, ip, expires_at: end, data };
        assert!(db.store.create_login(id, login, Lock::of(who.id, "hash")).await.unwrap());
        let made = crate::clock::now();
        while crate::clock::now() == made {
            tokio::task::yield_now().await; // so that the next one falls in another millisecond
        }
    }
    db.store.save_login(ids[0], "{}".into(), end).await.unwrap(); // used again
    assert_eq!(db.store.end_surplus_logins(ada.id, ids[2], 2).await.unwrap(), [ids[1]]);
    let left = HashSet::from(ids);
    assert_eq!(db.store.ended_logins(left).await.unwrap(), HashSet::from([ids[1]]));
    let all = db.store.end_surplus_logins(ada.id, ids[2], 1).await.unwrap();
    assert_eq!(all, [ids[0]], "the new one stays, however it came");
}

#[tokio::test]
async fn asking_twice_is_one_invitation_and_asking_back_is_accepting() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    assert_eq!(code(db.store.ask(invite(ada, ada, None, true)).await), Code::Yourself);
    assert_eq!(db.ask(ada, bob, false).await, AskResult::Offline);
    assert!(db.store.invitations(bob.id).await.unwrap().0.is_empty(), "nothing was left");

    assert_eq!(db.ask(ada, bob, true).await, AskResult::Pending);
    let first = invited(&db.announced().await);
    assert_eq!(db.ask(ada, bob, false).await, AskResult::Pending, "it waits already");
    assert_eq!(outcome(&db.announced().await, ada), Outcome::Pending);
    let waiting: Vec<_> =
        db.store.invitations(bob.id).await.unwrap().0.into_iter().map(|i| i.invite_id).collect();
    assert_eq!(waiting, [first]);
    assert_eq!(db.store.invitations(ada.id).await.unwrap().1.len(), 1);

    let asked_back = db.ask(bob, ada, false).await;
    let events = db.announced().await;
    let (session, joined) = opened(&events);
    assert_eq!(asked_back, AskResult::Accepted(session));
    assert_eq!(joined.len(), 2);
    assert_eq!(outcome(&events, ada), Outcome::Accepted);
    assert_eq!(answered(&events), ("Ada".to_owned(), Outcome::Accepted, Some(session)));
    for (from, to) in [(ada, bob), (bob, ada)] {
        assert_eq!(db.ask(from, to, true).await, AskResult::AlreadyConnected(session));
        let told = answered(&db.announced().await);
        assert_eq!(told, (to.name.to_owned(), Outcome::AlreadyConnected, Some(session)));
    }
    assert!(db.store.invitations(bob.id).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn who_asks_the_same_person_again_and_again_waits_a_day() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    for answer in [Answer::Rejected, Answer::Cancelled].into_iter().cycle().take(5) {
        db.ask(ada, bob, true).await;
        let id = invited(&db.announced().await);
        let who = if answer == Answer::Rejected { bob } else { ada };
        db.store.answer(who.id, ConnId(7), id, answer).await.unwrap();
        db.announced().await;
    }
    assert_eq!(code(db.store.ask(invite(ada, bob, None, true)).await), Code::TooMany);
    assert_eq!(code(db.store.ask(invite(ada, bob, None, false)).await), Code::TooMany, "here or away");
    assert_eq!(db.ask(ada, cleo, true).await, AskResult::Pending, "somebody else may be asked");
    db.announced().await;
    // Open ones count as well, and so do those into sessions.
    for name in ["Dan", "Eve", "Fay", "Gil", "Hal", "Ida"] {
        let friend = db.person(name).await;
        let session = db.pair(ada, friend).await;
        let asked = db.store.ask(invite(ada, cleo, Some(session), true)).await;
        match name {
            "Hal" | "Ida" => assert_eq!(code(asked), Code::TooMany, "{name}"),
            _ => assert!(!db.announced().await.is_empty() && asked.unwrap() == AskResult::Pending),
        }
    }
    db.invited_earlier().await;
    assert_eq!(db.ask(ada, bob, true).await, AskResult::Pending, "the next day");
    db.announced().await;
    assert!(matches!(db.ask(bob, ada, true).await, AskResult::Accepted(_)));
}

#[tokio::test]
async fn who_asks_everybody_is_held_back_and_whoever_is_welcome_is_not() {
    let mut db = Database::new().await;
    let ada = db.person("Ada").await;
    let mut guests = Vec::new();
    for n in 0..57 {
        guests.push(db.person(format!("Guest{n}").leak()).await);
        while db.events.try_recv().is_ok() {} // the channel is short
    }
    let mut open = Vec::new();
    for guest in &guests[..20] {
        db.ask(ada, *guest, true).await;
        open.push((*guest, invited(&db.announced().await)));
    }
    let one_more = || invite(ada, guests[56], None, true);
    assert_eq!(code(db.store.ask(one_more()).await), Code::TooMany, "20 wait for an answer");
    assert_eq!(db.ask(ada, guests[0], true).await, AskResult::Pending, "that is the same invitation");
    db.announced().await;
    db.ask(guests[20], ada, true).await;
    db.announced().await;
    let back = db.ask(ada, guests[20], true).await;
    assert!(matches!(back, AskResult::Accepted(_)), "asking back is accepting: {back:?}");
    db.announced().await;
    for (guest, id) in open.drain(..5) {
        db.store.answer(guest.id, ConnId(7), id, Answer::Accepted).await.unwrap();
        db.announced().await;
    }
    for (guest, id) in open {
        db.store.answer(guest.id, ConnId(7), id, Answer::Rejected).await.unwrap();
        db.announced().await;
    }
    // 15 failed today. 35 more are allowed.
    for guest in &guests[21..56] {
        db.ask(ada, *guest, true).await;
        let id = invited(&db.announced().await);
        db.store.answer(guest.id, ConnId(7), id, Answer::Rejected).await.unwrap();
        db.announced().await;
    }
    assert_eq!(code(db.store.ask(one_more()).await), Code::TooMany);
    db.invited_earlier().await;
    assert_eq!(db.store.ask(one_more()).await.unwrap(), AskResult::Pending, "the next day");
}

/// Security's finding 5: users could probe without limit who is away, and so who is online.
#[tokio::test]
async fn that_somebody_is_away_counts_and_beyond_the_limits_all_are_alike() {
    let mut db = Database::new().await;
    let ada = db.person("Ada").await;
    let mut away = Vec::new();
    for n in 0..51 {
        away.push(db.person(format!("Guest{n}").leak()).await);
        while db.events.try_recv().is_ok() {} // the channel is short
    }
    for (n, guest) in away[..50].iter().enumerate() {
        for _ in 0..if n < 49 { 3 } else { 1 } {
            assert_eq!(db.ask(ada, *guest, false).await, AskResult::Offline, "once in a while is enough");
        }
        while db.events.try_recv().is_ok() {}
    }
    let nobody = || NewInvite { to: None, ..invite(ada, away[50], None, false) };
    let alike = async |db: &Database| {
        let mut said = HashSet::new();
        for asked in [
            nobody(),
            invite(ada, away[50], None, false),
            invite(ada, away[50], None, true),
            invite(ada, away[0], None, false),
        ] {
            let refused = db.store.ask(asked).await.expect_err("refused");
            let Error::Refused(fault) = refused else { panic!("{refused}") };
            assert_eq!(fault.error, Code::TooMany);
            said.insert(fault.reason);
        }
        assert_eq!(said.len(), 1, "{said:?}");
    };
    alike(&db).await;
    // For one person it counts again after ten minutes; it is forgotten after a day.
    db.invited_earlier().await;
    assert_eq!(db.store.ask(nobody()).await.unwrap(), AskResult::NoUser);
    assert_eq!(db.ask(ada, away[0], false).await, AskResult::Offline);
    let looks = async |db: &Database| -> i64 {
        let looks = sqlx::query_scalar("select count(*) from invites where status = 'Offline'");
        looks.fetch_one(&db.store.read).await.unwrap()
    };
    assert_eq!(looks(&db).await, 1);
    let earlier = sqlx::query("update invites set created_at = created_at - 600001");
    let done = db
        .store
        .writer
        .run(move |tx| Box::pin(async move { Ok(earlier.execute(&mut *tx.db).await.map(drop)?) }));
    done.await.unwrap();
    assert_eq!(db.ask(ada, away[0], false).await, AskResult::Offline);
    assert_eq!(looks(&db).await, 2);
    // It is not an invitation: five may still be sent to the same person.
    for _ in 0..5 {
        assert_eq!(db.ask(ada, away[0], true).await, AskResult::Pending);
        let id = invited(&db.announced().await);
        db.store.answer(ada.id, ConnId(7), id, Answer::Cancelled).await.unwrap();
        db.announced().await;
    }
    // A user who may not be told about names is refused before anything else, except about people they know.
    let refused =
        |to: Person| NewInvite { refused: Some(Fault::of(Code::TooMany)), ..invite(ada, to, None, true) };
    assert_eq!(code(db.store.ask(refused(away[1])).await), Code::TooMany);
    let session = db.pair(ada, away[2]).await;
    assert_eq!(db.store.ask(refused(away[2])).await.unwrap(), AskResult::AlreadyConnected(session));
}

/// Security's finding 11.
#[tokio::test]
async fn a_hundred_invitations_wait_for_one_person_and_no_more() {
    let mut db = Database::new().await;
    let ada = db.person("Ada").await;
    let mut first = None;
    for n in 0..100 {
        let guest = db.person(format!("Guest{n}").leak()).await;
        assert_eq!(db.ask(guest, ada, true).await, AskResult::Pending);
        first = first.or(Some(invited(&db.announced().await)));
        while db.events.try_recv().is_ok() {} // the channel is short
    }
    let bob = db.person("Bob").await;
    for here in [true, false] {
        assert_eq!(db.ask(bob, ada, here).await, AskResult::Full, "whether they are here or not");
    }
    assert_eq!(db.store.invitations(ada.id).await.unwrap().0.len(), 100);
    db.store.answer(ada.id, ConnId(7), first.unwrap(), Answer::Rejected).await.unwrap();
    db.announced().await;
    assert_eq!(db.ask(bob, ada, true).await, AskResult::Pending);
}

#[tokio::test]
async fn where_somebody_registered_is_known_until_their_first_login() {
    let db = Database::new().await;
    let made = async |name: &str| {
        let name = Username::parse(name).unwrap();
        let made = db.store.create_user(&name, "hash".into(), Some("203.0.113.0".into())).await;
        made.unwrap().expect("a free name")
    };
    let (ada, bob) = (made("Ada").await, made("Bob").await);
    for user in [ada, bob] {
        let (from, at) = db.store.never_signed_in(user).await.unwrap().expect("where");
        assert_eq!((from.as_str(), at <= crate::clock::now()), ("203.0.113.0", true));
    }
    let login = Login {
        user_id: ada,
        user_agent: String::new(),
        ip: String::new(),
        expires_at: TimeStamp(i64::MAX),
        data: "{}".into(),
    };
    db.store.create_login(LoginId::of_token(b"1"), login, Lock::of(ada, "hash")).await.unwrap();
    assert_eq!(db.store.never_signed_in(ada).await.unwrap(), None);
    assert!(db.store.never_signed_in(bob).await.unwrap().is_some(), "that was somebody else");
    let db = db.reopened().await;
    assert_eq!(db.store.never_signed_in(ada).await.unwrap(), None, "after a restart too");
    assert!(db.store.never_signed_in(bob).await.unwrap().is_some());
    db.store.made_earlier(3_600_001).await;
    db.person("Cleo").await;
    assert_eq!(db.store.never_signed_in(bob).await.unwrap(), None, "nor is it kept of who never comes");
}

#[tokio::test]
async fn an_invitation_is_answered_once_and_by_the_right_person() {
    let mut db = Database::new().await;
    let (ada, bob, eve) = (db.person("Ada").await, db.person("Bob").await, db.person("Eve").await);
    for answer in [Answer::Rejected, Answer::Cancelled, Answer::Accepted] {
        db.ask(ada, bob, true).await;
        let id = invited(&db.announced().await);
        let (may, may_not) = if answer == Answer::Cancelled { (ada, bob) } else { (bob, ada) };
        assert_eq!(code(db.store.answer(eve.id, ConnId(7), id, answer).await), Code::NotFound);
        assert_eq!(code(db.store.answer(may_not.id, ConnId(7), id, answer).await), Code::NotFound);
        db.store.answer(may.id, ConnId(7), id, answer).await.unwrap();
        assert_eq!(outcome(&db.announced().await, ada), answer.into());
        for (who, again) in [(bob, Answer::Accepted), (bob, Answer::Rejected), (ada, Answer::Cancelled)] {
            let twice = db.store.answer(who.id, ConnId(7), id, again).await;
            if again != answer {
                assert_eq!(code(twice), Code::Gone);
                continue;
            }
            twice.unwrap(); // a repeat is news only to the socket that asks
            let told = db.announced().await;
            assert!(matches!(&told[..], [Event::ToConn { conn: ConnId(7), .. }]), "{told:?}");
        }
    }
    assert_eq!(
        code(db.store.answer(bob.id, ConnId(7), InviteId::new(), Answer::Accepted).await),
        Code::NotFound
    );
    assert_eq!(db.store.sessions_of(bob.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_third_user_sees_what_comes_after_and_the_pair_may_begin_anew() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let session = db.pair(ada, bob).await;
    db.say(ada, session, MessageId::new(), "before").await;
    assert_eq!(code(db.store.ask(invite(cleo, bob, Some(session), true)).await), Code::NotFound, "not hers");
    assert_eq!(
        db.store.ask(invite(bob, ada, Some(session), true)).await.unwrap(),
        AskResult::AlreadyConnected(session)
    );
    assert_eq!(answered(&db.announced().await).1, Outcome::AlreadyConnected);

    db.store.ask(invite(bob, cleo, Some(session), true)).await.unwrap();
    let id = invited(&db.announced().await);
    db.store.answer(cleo.id, ConnId(7), id, Answer::Accepted).await.unwrap();
    assert_eq!(opened(&db.announced().await), (session, vec![cleo.id]));
    let dara = db.person("Dara").await;
    db.store.ask(invite(bob, dara, Some(session), true)).await.unwrap();
    db.announced().await;
    let by_other = db.store.ask(invite(ada, dara, Some(session), true)).await.unwrap();
    assert_eq!(by_other, AskResult::AskedByOther);
    db.say(ada, session, MessageId::new(), "after").await;

    let texts =
        |history: protocol::api::History| history.messages.into_iter().map(|m| m.data).collect::<Vec<_>>();
    assert_eq!(
        texts(db.store.history(cleo.id, session, None, 9, usize::MAX).await.unwrap().unwrap()),
        ["after"]
    );
    assert_eq!(
        texts(db.store.history(bob.id, session, None, 9, usize::MAX).await.unwrap().unwrap()),
        ["before", "after"]
    );
    let changes = db.store.changes(cleo.id, session, Rev(0), 9, usize::MAX).await.unwrap().unwrap();
    assert_eq!((changes.rev, changes.messages.len()), (Rev(2), 1));
    let (users, newest) = db.store.loaded(cleo.id, session, 9).await.unwrap().unwrap();
    assert_eq!((users.len(), newest.len()), (3, 1));
    assert!(db.store.weight(cleo.id, session, 9).await.unwrap() >= Some(3 * 512 + 5));
    let mut around = db.store.acquaintances(&[cleo.id]).await.unwrap();
    around.sort_unstable();
    assert_eq!(around, [(cleo.id, ada.id), (cleo.id, bob.id)]);
    let with_users = db.store.sessions_with_users(cleo.id).await.unwrap();
    assert!(with_users.iter().all(|(row, ..)| row.session_id == session && row.joined_seq == Seq(1)));
    assert_eq!(with_users.len(), 3);

    assert_eq!(db.ask(ada, bob, true).await, AskResult::Pending, "the session is no pair's any more");
}

#[tokio::test]
async fn sessions_are_chosen_by_what_was_said_last() {
    let mut db = Database::new().await;
    let ada = db.person("Ada").await;
    let mut sessions = Vec::new();
    for name in ["Bob", "Cleo", "Dara", "Eve"] {
        let other = db.person(name).await;
        sessions.push(db.pair(ada, other).await);
    }
    // Explicit times in milliseconds, beyond the writer's clock.
    for (session, at) in [(0, 30), (2, 20), (1, 40)] {
        db.say(ada, sessions[session], MessageId::new(), &"x".repeat(1_000)).await;
        let when = sqlx::query("update messages set time_stamp = $2 where session_id = $1");
        let when = when.bind(sessions[session]).bind(i64::MAX / 2 + at);
        let done = db
            .store
            .writer
            .run(move |tx| Box::pin(async move { Ok(when.execute(&mut *tx.db).await.map(drop)?) }));
        done.await.unwrap();
    }
    let chosen = async |most, open| {
        let rows = db.store.chosen_with_users(ada.id, most, open).await.unwrap();
        assert!(rows.chunk_by(|a, b| a.0.session_id == b.0.session_id).all(|users| users.len() == 2));
        rows.into_iter().map(|(row, ..)| row.session_id).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(chosen(2, None).await, [sessions[0], sessions[1]].into());
    assert_eq!(chosen(2, Some(sessions[3])).await, [sessions[0], sessions[1], sessions[3]].into());
    assert_eq!(chosen(1, Some(SessionId::new())).await, [sessions[1]].into(), "not theirs");
    let newest = async |most, bytes| {
        let found = db.store.chosen_newest(ada.id, most, bytes).await.unwrap();
        found.into_iter().map(|(session, _)| session).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(newest(9, i64::MAX).await, sessions[..3].iter().copied().collect());
    assert_eq!(newest(9, 2_000).await, [sessions[0], sessions[1]].into(), "as many as fit");
    assert_eq!(newest(1, i64::MAX).await, [sessions[1]].into());
}

#[tokio::test]
async fn nobody_has_more_conversations_than_they_may() {
    let mut db = Database::new().await;
    let [ada, bob, cleo, dara] =
        [db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await, db.person("Dara").await];
    let session = db.pair(ada, bob).await;
    db.ask(ada, cleo, true).await; // before there is a limit
    let waiting = invited(&db.announced().await);
    let ask = async |from: Person, to: Person, session| {
        let new = NewInvite { conversations: Some(1), ..invite(from, to, session, true) };
        match db.store.ask(new).await {
            Err(crate::Error::Refused(fault)) => fault.reason,
            other => format!("{other:?}"),
        }
    };
    assert!(ask(ada, dara, None).await.starts_with("You have 1 conversations"));
    assert!(ask(dara, ada, None).await.starts_with("Ada has 1 conversations"));
    assert!(ask(cleo, ada, None).await.starts_with("Ada has 1 conversations"), "nor by asking back");
    assert_eq!(ask(ada, bob, None).await, format!("Ok(AlreadyConnected({session:?}))"));
    assert_eq!(ask(ada, dara, Some(session)).await, "Ok(Pending)", "into one that is there");
    let accept = async |who: Person, invite, most| {
        db.store.answer_within(who.id, ConnId(7), invite, Answer::Accepted, Some(most)).await
    };
    assert_eq!(code(accept(cleo, waiting, 1).await), Code::TooMany, "the other one has too many since");
    accept(cleo, waiting, 2).await.unwrap();
}

#[tokio::test]
async fn a_start_leaves_nobody_online() {
    let db = Database::new().await;
    let ada = db.person("Ada").await;
    let status = async |store: &Store| -> String {
        let status = sqlx::query_scalar("select status from users where user_id = $1").bind(ada.id);
        status.fetch_one(&store.read).await.unwrap()
    };
    db.store.set_status(&[(ada.id, Presence::Online)]).await.unwrap();
    assert_eq!(status(&db.store).await, "Online");
    let db = db.reopened().await;
    assert_eq!(status(&db.store).await, "Offline");
}

#[tokio::test]
async fn a_folder_is_served_by_one_process_and_a_damaged_file_by_none() {
    let db = Database::new().await;
    let second = Store::open(db.folder.path()).await.err().expect("refused");
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
    db.store.close().await;
    let path = db.folder.path().join("natter.sqlite");
    drop((db.store, db.events));
    for beside in ["natter.sqlite-wal", "natter.sqlite-shm"] {
        let _ = std::fs::remove_file(db.folder.path().join(beside));
    }
    std::fs::write(&path, b"this is no database, it is a letter to the editor of some length".repeat(100))
        .unwrap();
    let damaged = undisturbed(async || Store::open(db.folder.path()).await).await.err().expect("refused");
    assert!(matches!(damaged, OpenError::Damaged(..)), "{damaged}");
}
