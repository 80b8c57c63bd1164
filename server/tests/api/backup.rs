//! `natter backup` and `natter restore`, with the binary itself.

use std::path::Path;

use headless::Client;
use protocol::SessionId;
use tokio::sync::watch;

use crate::process::{last_line, one_sentence};
use crate::reconnect::converse;
use crate::support::{Natter, PASSWORD, befriend, holds, natter, open, run, texts, within};

async fn pair(natter: &Natter) -> (Client, Client, SessionId) {
    let (mut ada, mut bob) = (natter.online("Ada").await, natter.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    (ada, bob, session)
}

async fn backup(data: &Path, file: &Path) -> (Option<i32>, String, String) {
    run(natter(data).arg("backup").arg(file), "").await
}

async fn restore(data: &Path, file: &Path) -> (Option<i32>, String, String) {
    run(natter(data).arg("restore").arg(file), "").await
}

/// Returns the sentence of a refused command, which prints nothing on standard output.
fn refusal((code, out, err): (Option<i32>, String, String)) -> String {
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    let said = last_line(&err);
    assert!(one_sentence(said) || said.ends_with("Nothing was changed."), "{err}");
    said.to_owned()
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_in_the_middle_of_talk_is_whole_and_nobody_is_held_up() {
    let (data, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let natter = Natter::start(data.path()).await;
    let (ada, bob, session) = pair(&natter).await;
    let ((over, told), (acks, mut count)) = (watch::channel(false), watch::channel(0));
    let talks = [ada, bob].map(|client| tokio::spawn(converse(client, session, told.clone(), acks.clone())));
    let (mut acked, mut meanwhile) = (Vec::new(), 0); // acknowledgements before each backup, and during all of them
    for nth in 0..5 {
        let goal = *count.borrow() + 50;
        let began = *within("acknowledgements", count.wait_for(|acks| *acks >= goal)).await.unwrap();
        let file = backups.path().join(format!("{nth}.sqlite"));
        let (code, out, err) = backup(data.path(), &file).await;
        assert_eq!(code, Some(0), "{err}");
        assert!(one_sentence(&out) && out.contains("2 users") && out.contains("KiB"), "{out}");
        acked.push(began);
        meanwhile += *count.borrow() - began;
    }
    assert!(meanwhile >= 5, "{meanwhile} acknowledgements");
    over.send(true).unwrap();
    let (mut talkers, mut written) = (Vec::new(), 0);
    for talk in talks {
        let record = within("the end of the talk", talk).await.unwrap();
        written += record.written.len();
        talkers.push(record.client);
    }
    for client in &mut talkers {
        client.wait_for("every message", |sync| sync.rows(session).len() == written).await.unwrap();
    }
    assert_eq!(*count.borrow(), written, "nobody was cut off, and each message was acknowledged once");

    assert_eq!(names_in(backups.path()), ["0.sqlite", "1.sqlite", "2.sqlite", "3.sqlite", "4.sqlite"]);
    for (nth, acked) in acked.into_iter().enumerate() {
        let mut db = open(&backups.path().join(format!("{nth}.sqlite"))).await;
        let found: (i64, i64, i64) = sqlx::query_as(
            "select count(*), max(m.seq), max(s.last_seq) from messages m join sessions s using (session_id)",
        )
        .fetch_one(&mut db)
        .await
        .unwrap();
        assert_eq!((found.0, found.0), (found.1, found.2), "a moment, with no hole");
        let found = usize::try_from(found.0).unwrap();
        assert!((acked..=written).contains(&found), "everything acknowledged is in it: {found}, {acked}");
    }
}

#[tokio::test]
async fn a_backup_is_never_written_over_anything_and_needs_a_natter() {
    let (data, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = backups.path().join("backup.sqlite");
    assert!(refusal(backup(data.path(), &file).await).contains("There is no Natter"));
    let _natter = Natter::start(data.path()).await;
    std::fs::write(&file, "mine").unwrap();
    assert!(refusal(backup(data.path(), &file).await).contains("already"));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    refusal(backup(data.path(), &backups.path().join("no/such/folder")).await);
    assert_eq!(names_in(backups.path()), ["backup.sqlite"]);

    std::fs::remove_file(&file).unwrap();
    let both = tokio::join!(backup(data.path(), &file), backup(data.path(), &file));
    let done = [both.0, both.1].iter().filter(|(code, ..)| *code == Some(0)).count();
    assert_eq!(done, 1, "the other one finds a file");
    assert_eq!(names_in(backups.path()), ["backup.sqlite"]);
    sqlx::query("select * from users").execute(&mut open(&file).await).await.unwrap();
}

#[tokio::test]
async fn after_a_restore_clients_begin_anew_and_end_in_what_was_restored() {
    let (data, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = backups.path().join("backup.sqlite");
    let mut natter = Natter::start(data.path()).await;
    let (mut ada, mut bob, session) = pair(&natter).await;
    ada.say_and_wait(session, "before").await.unwrap();
    assert_eq!(backup(data.path(), &file).await.0, Some(0));
    for n in 0..3 {
        bob.say_and_wait(session, format!("after {n}")).await.unwrap();
    }
    ada.wait_for("the rest", |sync| sync.rows(session).len() == 4).await.unwrap();

    let saved = std::fs::read(&file).unwrap();
    assert!(refusal(restore(data.path(), &file).await).contains("Another Natter"), "while it runs");
    assert!(natter.terminate().await.success());
    let (code, out, err) = restore(data.path(), &file).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("2 users and 1 messages") && out.contains("2 logins go on"), "{out}");
    assert!(saved == std::fs::read(&file).unwrap(), "the backup itself stays as it is");

    natter.start_again().await;
    for client in [&mut ada, &mut bob] {
        client.reconnect().await.unwrap();
        holds(client, session, &["before"]).await;
    }
    ada.say_and_wait(session, "and on").await.unwrap();
    holds(&mut bob, session, &["before", "and on"]).await;
    assert_eq!(texts(&ada, session), ["before", "and on"]);

    let replaced = names_in(data.path()).into_iter().find(|name| name.contains(".replaced-20")).unwrap();
    assert!(out.contains(&replaced), "{out}");
    let mut old = open(&data.path().join(replaced)).await;
    let kept: i64 = sqlx::query_scalar("select count(*) from messages").fetch_one(&mut old).await.unwrap();
    assert_eq!(kept, 4, "what was replaced is kept, to the last message");
}

#[tokio::test]
async fn a_login_that_was_ended_stays_ended_when_an_older_backup_comes_back() {
    let (data, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = backups.path().join("backup.sqlite");
    let mut natter = Natter::start(data.path()).await;
    let mut before = natter.client();
    before.register("Ada", PASSWORD).await.unwrap();
    before.login("Ada", PASSWORD).await.unwrap();
    let mut ended = natter.client();
    ended.login("Ada", PASSWORD).await.unwrap();
    let token = ended.http.cookie().map(str::to_owned);
    assert_eq!(backup(data.path(), &file).await.0, Some(0));
    ended.logout().await.unwrap();
    let mut since = natter.client();
    since.login("Ada", PASSWORD).await.unwrap();
    let mut newcomer = natter.client();
    newcomer.register("Bob", PASSWORD).await.unwrap();
    newcomer.login("Bob", PASSWORD).await.unwrap();
    assert!(natter.terminate().await.success());
    let (code, out, err) = restore(data.path(), &file).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("2 logins go on"), "{out}");

    natter.start_again().await;
    before.load().await.unwrap();
    since.load().await.unwrap();
    ended.http.set_cookie(token);
    assert!(ended.load().await.is_err(), "signed out");
    assert!(newcomer.load().await.is_err(), "not in the backup");
    newcomer.register("Bob", PASSWORD).await.unwrap();

    // The next database to be replaced is unreadable: nobody knows who was signed out, so everybody is.
    assert!(natter.terminate().await.success());
    std::fs::write(data.path().join("natter.sqlite"), "torn").unwrap();
    let (code, out, err) = restore(data.path(), &file).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("everybody signs in again"), "{out}");
    natter.start_again().await;
    assert!(before.load().await.is_err());
    before.login("Ada", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn what_is_no_whole_backup_is_refused_and_the_database_stays() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut natter = Natter::start(data.path()).await;
    let (mut ada, _bob, session) = pair(&natter).await;
    ada.say_and_wait(session, "still here").await.unwrap();
    let good = files.path().join("good.sqlite");
    assert_eq!(backup(data.path(), &good).await.0, Some(0));
    assert!(natter.terminate().await.success());
    let before = std::fs::read(data.path().join("natter.sqlite")).unwrap();

    let file = |name: &str, bytes: &[u8]| {
        let file = files.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    let bytes = std::fs::read(&good).unwrap();
    let (text, cut) = (file("text", &[b'x'; 9000]), file("cut", &bytes[..bytes.len() / 2]));
    let mut spoilt = bytes.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle..middle + 4096].fill(0xa5);
    let (spoilt, empty) = (file("spoilt", &spoilt), file("empty", b""));
    let other = files.path().join("other");
    sqlx::query("create table notes (x)").execute(&mut open(&other).await).await.unwrap();
    let newer = file("newer", &bytes);
    let version = "insert into _sqlx_migrations values (9999, 'later', current_timestamp, true, x'00', 0)";
    sqlx::query(version).execute(&mut open(&newer).await).await.unwrap();
    let used = file("used", &bytes);
    file("used-wal", b"some of it is in here");
    for wrong in [text, cut, spoilt, empty, other, newer, used, files.path().join("none")] {
        let said = refusal(restore(data.path(), &wrong).await);
        assert!(said.contains(wrong.file_name().unwrap().to_str().unwrap()), "{said}");
        assert!(before == std::fs::read(data.path().join("natter.sqlite")).unwrap(), "{wrong:?}");
        assert_eq!(names_in(data.path()), ["natter.lock", "natter.sqlite"], "{wrong:?}");
    }
    natter.start_again().await;
    within("the page's data", ada.load()).await.unwrap();
}
