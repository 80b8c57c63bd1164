//! The tables the seed asks for, read while the server runs.

use protocol::{Answer, MessageId, Presence, SessionId, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::support::{PASSWORD, TestServer, accepted_session, invited, open, status_of, within};

async fn status(db: &mut SqliteConnection, user: UserId) -> String {
    let status = sqlx::query_scalar("select status from users where user_id = $1").bind(user.0);
    status.fetch_one(db).await.unwrap()
}

/// Waits until the table has this status.
async fn becomes(db: &mut SqliteConnection, user: UserId, wanted: &str) {
    within(wanted, async { while status(db, user).await != wanted {} }).await;
}

#[tokio::test]
async fn users_have_a_status_that_follows_their_connections() {
    let server = TestServer::start().await;
    let mut db = open(&server.database()).await;
    let mut ada = server.client();
    let id = ada.register("Ada", PASSWORD).await.unwrap();
    assert_eq!(status(&mut db, id).await, "Offline", "at first");
    ada.login("Ada", PASSWORD).await.unwrap();
    becomes(&mut db, id, "Online").await;
    ada.online().await.unwrap();
    ada.kill();
    becomes(&mut db, id, "Offline").await;
    ada.online().await.unwrap();
    becomes(&mut db, id, "Online").await;
}

#[tokio::test]
async fn passwords_and_tokens_are_stored_as_hashes_only() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    server.user("Bob").await;
    ada.load().await.unwrap();
    let mut db = open(&server.database()).await;
    let hashes: Vec<String> =
        sqlx::query_scalar("select password_hash from users").fetch_all(&mut db).await.unwrap();
    assert!(hashes.iter().all(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")), "{hashes:?}");
    assert_ne!(hashes[0], hashes[1], "the same password, salted");

    let token = ada.http.cookie().unwrap().split_once('=').unwrap().1.to_owned();
    sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut db).await.unwrap();
    let file = std::fs::read(server.database()).unwrap();
    let holds = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("Ada"), "it is the file that is looked at");
    assert!(!holds(&token) && !holds(PASSWORD));
}

#[tokio::test]
async fn a_hash_that_cost_less_is_renewed_at_the_next_login_and_nobody_is_signed_out() {
    /// A hash of [`PASSWORD`] at an outdated cost.
    const CHEAP: &str =
        "$argon2id$v=19$m=64,t=1,p=1$x8y+Cjlp7i/CABk3QoMfzA$bvXqMU9x/g2iAWZVBVPkWlFj4pxseTTepae74M9FFXo";
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    let mut db = open(&server.database()).await;
    sqlx::query("update users set password_hash = $1").bind(CHEAP).execute(&mut db).await.unwrap();
    let mut phone = server.client();
    phone.login("Ada", "battery staple").await.unwrap_err();
    let hash = async |db: &mut SqliteConnection| {
        let hash = sqlx::query_scalar("select password_hash from users").fetch_one(db);
        hash.await.map(|hash: String| hash).unwrap()
    };
    assert_eq!(hash(&mut db).await, CHEAP, "a wrong password renews nothing");
    phone.login("Ada", PASSWORD).await.unwrap();
    let renewed = hash(&mut db).await;
    assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
    phone.load().await.unwrap();
    ada.load().await.expect("this login goes on");
    ada.login("Ada", PASSWORD).await.unwrap();
    assert_eq!(hash(&mut db).await, renewed, "once is enough");
}

#[tokio::test]
async fn a_session_is_stored_with_its_users_once_the_invitation_is_accepted_and_not_before() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let mut db = open(&server.database()).await;
    ada.search("Bob").await.unwrap();
    let (invite, _) = bob.expect("an invitation", invited).await.unwrap();
    let sessions = "select count(*) from sessions";
    assert_eq!(sqlx::query_scalar::<_, i64>(sessions).fetch_one(&mut db).await.unwrap(), 0);

    bob.answer(invite, Answer::Accepted).await.unwrap();
    let session = accepted_session(&mut ada).await;
    let stored: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select session_id, user_id from session_users order by user_id")
            .fetch_all(&mut db)
            .await
            .unwrap();
    let mut wanted = [ada.id(), bob.id()].map(|user| (session.0, user.0));
    wanted.sort_unstable();
    assert_eq!(stored, wanted);
}

#[tokio::test]
async fn a_message_is_stored_with_session_text_time_and_sender_when_it_is_acknowledged() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    let mut db = open(&server.database()).await;
    for text in ["hello", "0", "null", "{\"a\":1}"] {
        let said = ada.say_and_wait(session, text).await.unwrap();
        let stored: (Uuid, String, i64, Uuid) = sqlx::query_as(
            "select session_id, data, time_stamp, sender_id from messages where message_id = $1",
        )
        .bind(said.0)
        .fetch_one(&mut db)
        .await
        .unwrap();
        let (in_session, data, time, sender) = stored;
        assert_eq!((SessionId(in_session), data.as_str(), UserId(sender)), (session, text, ada.id()));
        assert!(time > 1_700_000_000_000);
    }
    let removed = ada.say_and_wait(session, "a secret said by mistake").await.unwrap();
    ada.delete(session, removed).await.unwrap();
    ada.wait_for("the deletion", |sync| sync.rows(session).last().is_some_and(|row| row.deleted))
        .await
        .unwrap();
    assert_eq!(text_of(&mut db, removed).await, "", "a deleted text is gone for good");
}

async fn text_of(db: &mut SqliteConnection, id: MessageId) -> String {
    let data = sqlx::query_scalar("select data from messages where message_id = $1").bind(id.0);
    data.fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn after_a_restart_everybody_is_offline_until_they_return() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, _) = server.pair().await;
    let (a, b) = (ada.id(), bob.id());
    bob.kill();
    ada.kill();
    let server = server.restart().await;
    let mut db = open(&server.database()).await;
    assert_eq!(
        (status(&mut db, a).await.as_str(), status(&mut db, b).await.as_str()),
        ("Offline", "Offline")
    );
    ada.reconnect().await.unwrap();
    bob.reconnect().await.unwrap();
    ada.expect("Bob Online", status_of(b, Presence::Online)).await.unwrap();
    becomes(&mut db, b, "Online").await;
}
