//! Searches the files for what was deleted or replaced: after a stop, after a crash, and in a database of an earlier
//! version.

use std::collections::HashSet;
use std::path::Path;

use protocol::{MessageId, SessionId};
use tempfile::TempDir;

use super::Store;
use crate::testing::{Database, Person, post, undisturbed};

/// Bytes of a word that only one text contains.
const WORD: usize = 16;

/// Counts the words that occur in any file of the folder.
fn left(words: &[String], folder: &Path) -> usize {
    let wanted: HashSet<_> = words.iter().map(String::as_bytes).collect();
    let mut found = HashSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        found.extend(bytes.windows(WORD).filter(|part| wanted.contains(part)).map(<[u8]>::to_vec));
    }
    found.len()
}

fn word() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(WORD).collect()
}

/// Copies the folder as it is right now: what another process would find if this one had ended.
fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Sends texts of many lengths. Returns their identifiers and words.
async fn say(db: &mut Database, who: Person, session: SessionId) -> (Vec<MessageId>, Vec<String>) {
    let (mut ids, mut words) = (Vec::new(), Vec::new());
    for length in [0, 5, 50, 200, 700, 3_000, 12_000].into_iter().cycle().take(70) {
        let (id, word) = (MessageId::new(), word());
        let text = format!("{word}{}", "x".repeat(length));
        db.store.post(post(who, session, id, &text)).await.unwrap();
        db.announced().await;
        ids.push(id);
        words.push(word);
    }
    (ids, words)
}

#[tokio::test]
async fn what_was_deleted_or_edited_is_in_no_file_after_a_stop_or_a_crash() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let (ids, words) = say(&mut db, ada, session).await;
    assert_eq!(left(&words, db.folder.path()), words.len(), "the search finds what is there");
    for (nth, id) in ids.into_iter().enumerate() {
        let data = (nth % 2 == 0).then(|| format!("edited {}", "y".repeat(nth * 40)));
        db.change(ada, session, id, data).await.unwrap();
        db.announced().await;
    }
    let crashed = copy_of(db.folder.path());
    assert!(left(&words, crashed.path()) > 0, "the log holds it still");
    let (store, _events) = Store::open(crashed.path()).await.unwrap();
    assert_eq!(left(&words, crashed.path()), 0, "after a crash");
    store.close().await;
    db.store.close().await;
    assert_eq!(left(&words, db.folder.path()), 0, "after a stop");
}

#[tokio::test]
async fn what_an_earlier_version_left_of_deleted_texts_is_gone_after_the_first_start() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let (_, words) = say(&mut db, ada, session).await;
    db.store.close().await;
    let Database { store, folder, .. } = db;
    drop(store);
    let folder = folder.path();
    let old = rusqlite::Connection::open(folder.join("natter.sqlite")).unwrap();
    old.execute_batch(
        "drop table vacuumed; delete from _sqlx_migrations where version = 7;
         pragma secure_delete = off; update messages set data = '', deleted_at = 1, altered = 1",
    )
    .unwrap();
    drop(old);
    assert!(left(&words, folder) > 0, "they are left");
    let open = async || undisturbed(async || Store::open(folder).await).await;
    let (store, _events) = open().await.unwrap();
    assert_eq!(left(&words, folder), 0);
    let done = async |store: &Store| {
        sqlx::query_scalar::<_, i64>("select at from vacuumed").fetch_all(&store.read).await.unwrap()
    };
    let once = done(&store).await;
    store.close().await;
    drop(store);
    let (store, _events) = open().await.unwrap();
    assert_eq!((once.len(), done(&store).await), (1, once), "once, and never again");
    store.close().await;
}
