//! Changing messages, and what waits while there is no room for it.

use std::sync::Arc;

use futures::FutureExt;
use protocol::text::MAX_MESSAGE_BYTES;
use protocol::{Code, MessageId, Rev, SendMessage, Seq, SessionId};

use crate::live::Live;
use crate::quota::Gate;
use crate::store::{Event, NotStored, Post, Store};
use crate::testing::{Database, Person, code, post, stored};
use crate::{Chat, Connection, Error, Options, Result};

/// A socket that sends messages: everything passes through one gate.
#[derive(Default)]
struct Speaker(Arc<Gate>);

impl Speaker {
    async fn says(&self, db: &mut Database, from: Person, session: SessionId, id: MessageId) -> Event {
        let post = Post { gate: self.0.clone(), ..post(from, session, id, "something") };
        db.store.post(post).await.unwrap();
        db.announced().await.remove(0)
    }
}

fn is_put_off(event: &Event) -> bool {
    matches!(event, Event::NotStored { why: NotStored::Full(_), .. })
}

#[tokio::test]
async fn on_a_disk_that_is_nearly_full_new_messages_wait_in_order_and_everything_else_passes() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let (session, other) = (db.pair(ada, bob).await, db.pair(ada, cleo).await);
    let [old, first, second, elsewhere] = [(); 4].map(|()| MessageId::new());
    let (desk, phone) = (Speaker::default(), Speaker::default());
    stored(desk.says(&mut db, ada, session, old).await);

    db.store.quota().pretend(true);
    assert!(is_put_off(&desk.says(&mut db, ada, session, first).await));
    assert!(is_put_off(&desk.says(&mut db, ada, session, second).await));
    let repeated = desk.says(&mut db, ada, session, old).await;
    assert!(matches!(repeated, Event::Repeated { seq: Seq(1), .. }));
    let edit = |text: &str| db.change(ada, session, old, Some(text.to_owned()));
    assert!(matches!(edit("another text").await, Err(Error::TooMany { .. })), "an edit is text as well");
    edit("something").await.unwrap(); // unchanged
    let _told = db.announced().await;
    db.change(ada, session, old, None).await.unwrap();
    assert!(stored(db.announced().await.remove(0)).message.deleted_at.is_some(), "a deletion passes");

    db.store.quota().pretend(false);
    assert!(is_put_off(&desk.says(&mut db, ada, session, second).await), "whatever room there is");
    stored(desk.says(&mut db, ada, other, elsewhere).await);
    stored(phone.says(&mut db, ada, session, MessageId::new()).await);
    assert!(is_put_off(&desk.says(&mut db, ada, session, second).await));
    assert_eq!(stored(desk.says(&mut db, ada, session, first).await).message.seq, Seq(3));
    assert_eq!(stored(desk.says(&mut db, ada, session, second).await).message.seq, Seq(4));
}

#[tokio::test]
async fn what_was_put_off_and_stored_by_another_socket_meanwhile_is_acknowledged_and_lets_the_rest_pass() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let [first, second] = [(); 2].map(|()| MessageId::new());
    let (desk, phone) = (Speaker::default(), Speaker::default());
    db.store.quota().pretend(true);
    assert!(is_put_off(&desk.says(&mut db, ada, session, first).await));
    stored_elsewhere(&mut db, &phone, ada, session, first).await;
    db.store.quota().pretend(true);
    let repeated = desk.says(&mut db, ada, session, first).await;
    assert!(matches!(repeated, Event::Repeated { .. }), "{repeated:?}");
    assert!(is_put_off(&desk.says(&mut db, ada, session, second).await));
    stored_elsewhere(&mut db, &phone, ada, session, second).await;
    stored(desk.says(&mut db, ada, session, MessageId::new()).await);
}

/// Stores a message through another socket.
async fn stored_elsewhere(
    db: &mut Database,
    socket: &Speaker,
    from: Person,
    session: SessionId,
    id: MessageId,
) {
    db.store.quota().pretend(false);
    stored(socket.says(db, from, session, id).await);
}

#[tokio::test]
async fn a_days_text_counts_for_each_user_with_edits_and_without_repeats() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let options = Options { text_per_day: Some(25), disk_floor: None, ..Options::default() };
    db.store.quota().set(&options);
    let (desk, id) = (Speaker::default(), MessageId::new());
    for _ in 0..5 {
        desk.says(&mut db, ada, session, id).await; // nine bytes, and repeats
    }
    let edit = |text: &str| db.change(ada, session, id, Some(text.to_owned()));
    edit("sixteen bytes....").await.unwrap_err();
    edit("eight b.").await.unwrap();
    let _told = db.announced().await;
    assert!(is_put_off(&desk.says(&mut db, ada, session, MessageId::new()).await), "17 and 9");
    stored(Speaker::default().says(&mut db, bob, session, MessageId::new()).await);
}

#[tokio::test]
async fn only_the_writer_changes_a_message_and_each_change_is_the_next() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let id = MessageId::new();
    db.say(ada, session, id, "helo").await;
    assert_eq!(code(db.change(bob, session, id, Some("no".into())).await), Code::NotFound);
    assert_eq!(code(db.change(ada, session, MessageId::new(), None).await), Code::NotFound);

    db.change(ada, session, id, Some("hello".into())).await.unwrap();
    let edited = stored(db.announced().await.remove(0)).message;
    assert_eq!((edited.seq, edited.rev, edited.data.as_str()), (Seq(1), Rev(2), "hello"));
    assert!(edited.edited_at.is_some());
    db.change(ada, session, id, Some("hello".into())).await.unwrap();
    assert!(
        matches!(db.announced().await.remove(0), Event::Unchanged { .. }),
        "nothing new: told again to one"
    );

    db.change(ada, session, id, None).await.unwrap();
    let deleted = stored(db.announced().await.remove(0)).message;
    assert_eq!((deleted.rev, deleted.data.as_str()), (Rev(3), ""));
    assert_eq!(code(db.change(ada, session, id, Some("back".into())).await), Code::NotFound);
    let changes = db.store.changes(bob.id, session, Rev(1), 9, usize::MAX).await.unwrap().unwrap();
    assert_eq!(changes.messages, [deleted]);
}

/// Sends the longest possible message to a session that does not exist: its fate does not matter here.
async fn say(chat: &Chat, conn: &Connection) -> Result<()> {
    let (session_id, message_id) = (SessionId::new(), MessageId::new());
    let data = "x".repeat(MAX_MESSAGE_BYTES);
    let message = SendMessage { session_id, message_id, data, time_stamp: None, sender: None };
    chat.post(conn, message, Box::new(())).await
}

#[tokio::test]
async fn of_what_one_user_writes_at_once_each_commit_takes_little_and_nobody_else_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut engine, _commits) = Store::connect(folder.path(), false).await.unwrap();
    let (live, _edges) = Live::at_rest(store.clone(), &Options::default());
    let chat = Chat::of(store, live, Options::default());
    let [ada, bob] = [engine.person("ada").await, engine.person("bob").await];
    let [ada, bob] = [chat.actor(ada).await.unwrap().unwrap(), chat.actor(bob).await.unwrap().unwrap()];
    let devices = [ada.clone(), ada].map(|ada| chat.connect(ada));
    for n in 0..4 {
        assert!(say(&chat, &devices[n % 2]).now_or_never().is_some());
    }
    let mut fifth = Box::pin(say(&chat, &devices[0]));
    assert!((&mut fifth).now_or_never().is_none(), "its place is in a later commit");
    assert!(say(&chat, &chat.connect(bob)).now_or_never().is_some());
    assert!(engine.step().await);
    assert!((&mut fifth).now_or_never().is_some());
}
