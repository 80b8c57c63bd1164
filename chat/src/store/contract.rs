//! The store's contract: every method, on a real database in a temporary folder. A second engine passes the same suite:
//! only [`Database::new`] knows how one is opened.

mod messages;
mod stays;

use std::collections::HashSet;

use protocol::{Answer, Code, Kind, Message, MessageId, Presence, Rev, Seq, SessionId, TimeStamp};

use super::{Store, Taken};
use crate::invites::AskResult;
use crate::sessions::View;
use crate::testing::{
    Database, Person, code, invite, invited, login, met, opened, post, stored, undisturbed,
};
use crate::{Lock, Login, LoginId, OpenError, Username};

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
    assert!(db.create_login(id, login.clone(), lock).await.unwrap());
    assert!(!db.create_login(id, login, lock).await.unwrap(), "one of a name");
    db.store.save_login(id, "{\"a\":1}".into(), end).await.unwrap();
    assert_eq!(db.store.load_login(id).await.unwrap().expect("it").data, "{\"a\":1}");
    let (user, name, _) = db.store.login_user(id).await.unwrap().expect("a login");
    assert_eq!((user, name.as_str()), (ada.id, "Ada"));
    assert!(db.store.ended_logins(HashSet::from([id])).await.unwrap().is_empty());
    let strange: HashSet<_> = (0..600_u16).map(|n| LoginId::of_token(&n.to_le_bytes())).collect();
    let all = strange.iter().copied().chain([id]).collect();
    assert_eq!(db.store.ended_logins(all).await.unwrap(), strange, "more than are asked for at a time");

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
    let login = |end: i64| login(ada.id, TimeStamp(end));
    let (expired, open) = (LoginId::of_token(b"1"), LoginId::of_token(b"2"));
    let lock = Lock::of(ada.id, "hash");
    db.create_login(expired, login(crate::clock::now().0 - 1), lock).await.unwrap();
    db.create_login(open, login(crate::clock::now().0 + 60_000), lock).await.unwrap();
    assert!(db.store.login_user(expired).await.unwrap().is_none());
    assert!(db.store.login_user(open).await.unwrap().is_some());
    db.store.set_password(ada.id, "new".into()).await.unwrap();
    assert!(db.store.login_user(open).await.unwrap().is_none());
    let late = db.create_login(LoginId::of_token(b"3"), login(i64::MAX), lock).await;
    assert_eq!(code(late), Code::WrongPassword, "the password was right when it was looked at");
    assert_eq!(db.found("ada").await.unwrap().password_hash, "new");
}

#[tokio::test]
async fn a_hash_is_renewed_once_and_ends_no_login() {
    let db = Database::new().await;
    let ada = db.person("Ada").await;
    let id = LoginId::of_token(b"token");
    let login = login(ada.id, TimeStamp(i64::MAX));
    assert!(db.create_login(id, login.clone(), Lock::of(ada.id, "hash")).await.unwrap());
    assert!(db.store.renew_password_hash(ada.id, "hash", "dearer").await.unwrap());
    assert!(
        !db.store.renew_password_hash(ada.id, "hash", "another").await.unwrap(),
        "it is not that any more"
    );
    assert_eq!(db.found("ada").await.unwrap().password_hash, "dearer");
    assert!(db.store.login_user(id).await.unwrap().is_some(), "the password is the same");
    let late = db.create_login(LoginId::of_token(b"2"), login, Lock::of(ada.id, "dearer")).await;
    assert!(late.unwrap());
}

#[tokio::test]
async fn of_too_many_logins_those_used_last_stay_and_those_of_others_too() {
    let db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let end = TimeStamp(crate::clock::now().0 + 60_000);
    let ids = ["1", "2", "3", "4"].map(|token| LoginId::of_token(token.as_bytes()));
    for (id, who) in ids.into_iter().zip([&ada, &ada, &ada, &bob]) {
        assert!(db.create_login(id, login(who.id, end), Lock::of(who.id, "hash")).await.unwrap());
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
    let login = login(ada, TimeStamp(i64::MAX));
    db.create_login(LoginId::of_token(b"1"), login, Lock::of(ada, "hash")).await.unwrap();
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
async fn who_joins_a_group_sees_what_comes_after() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let session = db.group(ada, &[bob]).await;
    db.say(ada, session, MessageId::new(), "before").await;
    assert_eq!(code(db.ask_new(invite(cleo, bob, Some(session), true)).await), Code::NotFound, "not hers");
    assert_eq!(
        db.ask_new(invite(bob, ada, Some(session), true)).await.unwrap(),
        AskResult::AlreadyConnected(session)
    );
    assert_eq!(met(&db.announced().await), ("Ada".to_owned(), session, false));

    db.ask_new(invite(bob, cleo, Some(session), true)).await.unwrap();
    let id = invited(&db.announced().await);
    db.answer(cleo, id, Answer::Accepted).await.unwrap();
    assert_eq!(opened(&db.announced().await), (session, vec![cleo.id]));
    let dara = db.person("Dara").await;
    db.ask_new(invite(bob, dara, Some(session), true)).await.unwrap();
    db.announced().await;
    let by_other = db.ask_new(invite(ada, dara, Some(session), true)).await.unwrap();
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
    assert!(with_users.iter().all(|(row, ..)| row.session_id == session && row.view == View::since(Seq(1))));
    assert_eq!(with_users.len(), 3);

    let [row, ..] = &with_users[..] else { panic!("nobody is in it") };
    assert_eq!(
        (row.0.kind(), row.0.title.as_deref(), row.0.owner),
        (Kind::Group, Some("A group"), Some(ada.id))
    );
    assert_eq!(db.ask(ada, bob, true).await, AskResult::Pending, "a group of two is no pair");
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
        db.store.said_at(sessions[session], i64::MAX / 2 + at).await;
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

/// Goes one step of a fixed walk through a session: sends, edits or deletes; every third takes an old message. Returns
/// the message as it is then, unless it had been deleted.
async fn walk_on(
    db: &mut Database,
    who: Person,
    session: SessionId,
    (step, ids): (usize, &mut Vec<MessageId>),
) -> Option<Message> {
    let at = step * 7 % ids.len().max(1);
    match step % 5 {
        2 | 4 if step > 4 => {
            let data = (step % 3 > 0).then(|| format!("edited in step {step}"));
            db.change(who, session, ids[at], data).await.ok()?;
        }
        _ => {
            ids.push(MessageId::new());
            db.store.post(post(who, session, ids[ids.len() - 1], "new")).await.unwrap();
        }
    }
    Some(stored(db.announced().await.remove(0)).message)
}
