//! Messages: storing, repeating and reading them.

use std::collections::BTreeMap;

use protocol::{Answer, Message, MessageId, Rev, Seq, SessionId};

use super::super::{Event, NotStored};
use super::walk_on;
use crate::origin::{ConnId, Origin};
use crate::sessions::View;
use crate::testing::{Database, Person, invite, invited, opened, post, stored};

#[tokio::test]
async fn places_have_no_holes_and_a_repeat_gets_the_first_answer_for_ever() {
    let mut db = Database::new().await;
    let (ada, bob, eve) = (db.person("Ada").await, db.person("Bob").await, db.person("Eve").await);
    let session = db.pair(ada, bob).await;
    let (first, second) = (MessageId::new(), MessageId::new());
    let one = stored(db.say(ada, session, first, "one").await).message;
    assert_eq!((one.seq, one.rev, one.data.as_str()), (Seq(1), Rev(1), "one"));
    let acknowledged = |event: Event| match event {
        Event::Repeated { seq, rev, time_stamp, .. } => (seq, rev, time_stamp),
        other => panic!("{other:?}"),
    };
    assert_eq!(acknowledged(db.say(ada, session, first, "one").await), (one.seq, one.rev, one.time_stamp));
    let refused = |event: Event| match event {
        Event::NotStored { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(db.say(bob, session, first, "mine").await), NotStored::Taken);
    assert_eq!(refused(db.say(eve, session, MessageId::new(), "let me in").await), NotStored::NotInSession);
    assert_eq!(
        refused(db.say(ada, SessionId::new(), MessageId::new(), "nowhere").await),
        NotStored::NotInSession
    );
    assert_eq!(stored(db.say(bob, session, second, "two").await).message.seq, Seq(2));

    let mut db = db.reopened().await;
    assert_eq!(acknowledged(db.say(ada, session, first, "one").await), (one.seq, one.rev, one.time_stamp));
    assert_eq!(stored(db.say(ada, session, MessageId::new(), "three").await).message.seq, Seq(3));
}

#[tokio::test]
async fn many_at_once_keep_their_order_and_repeats_among_them_are_stored_once() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let ids: Vec<MessageId> = (0..300).map(|_| MessageId::new()).collect();
    for (nth, id) in ids.iter().enumerate() {
        for _ in 0..=nth % 2 {
            db.store.post(post(ada, session, *id, &nth.to_string())).await.unwrap();
        }
    }
    let (mut order, mut repeats) = (Vec::new(), 0);
    while order.len() + repeats < 450 {
        for event in db.announced().await {
            match event {
                Event::Changed { live, .. } => order.push((live.message.message_id, live.message.seq.0)),
                Event::Repeated { message_id, seq, .. } => {
                    repeats += 1;
                    assert!(order.contains(&(message_id, seq.0)), "a repeat is told the first one's place");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(order, ids.into_iter().zip(1..=300).collect::<Vec<_>>());
    let history = db.store.history(bob.id, session, None, 500, usize::MAX).await.unwrap().unwrap();
    assert_eq!(history.messages.len(), 300);
}

#[tokio::test]
async fn a_failed_commit_stores_nothing_lets_its_sockets_go_and_writing_goes_on() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    // A full disk, as far as this SQLite connection is concerned.
    db.store
        .writer
        .run(|tx| {
            Box::pin(async move {
                let pages: i64 = sqlx::query_scalar("pragma page_count").fetch_one(&mut *tx.db).await?;
                let full = sqlx::AssertSqlSafe(format!("pragma max_page_count = {pages}"));
                sqlx::query(full).execute(tx.db).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    let (big, small) = ("x".repeat(16_000), MessageId::new());
    assert!(matches!(db.say(ada, session, MessageId::new(), &big).await, Event::Failed { .. }));

    db.store.post(post(ada, session, small, "behind it, on the same socket")).await.unwrap();
    let mut elsewhere = post(bob, session, MessageId::new(), "on another socket");
    elsewhere.origin = Origin(ConnId(8));
    db.store.post(elsewhere).await.unwrap();
    let stored = stored(db.announced().await.remove(0)).message;
    assert_eq!((stored.sender, stored.seq), (bob.id, Seq(1)), "nothing overtakes what has to be sent again");
    let mut again = post(ada, session, small, "behind it, on the same socket");
    again.origin = Origin(ConnId(9));
    db.store.post(again).await.unwrap();
    assert!(matches!(db.announced().await[..], [Event::Changed { .. }]));
}

#[tokio::test]
async fn history_and_changes_come_in_parts() {
    let mut db = Database::new().await;
    let (ada, bob, eve) = (db.person("Ada").await, db.person("Bob").await, db.person("Eve").await);
    let session = db.pair(ada, bob).await;
    for nth in 1..=10 {
        db.say(ada, session, MessageId::new(), &nth.to_string()).await;
    }
    let seqs = |messages: &[Message]| messages.iter().map(|m| m.seq.0).collect::<Vec<_>>();
    let newest = db.store.history(bob.id, session, None, 4, usize::MAX).await.unwrap().unwrap();
    assert_eq!((seqs(&newest.messages), newest.more), (vec![7, 8, 9, 10], true));
    let oldest = db.store.history(bob.id, session, Some(Seq(5)), 4, usize::MAX).await.unwrap().unwrap();
    assert_eq!((seqs(&oldest.messages), oldest.more), (vec![1, 2, 3, 4], false));
    let changes = db.store.changes(bob.id, session, Rev(7), 2, usize::MAX).await.unwrap().unwrap();
    assert_eq!(
        (seqs(&changes.messages), changes.rev),
        (vec![8, 9, 10], Rev(10)),
        "one more than asked: there are more"
    );
    assert!(db.store.history(eve.id, session, None, 4, usize::MAX).await.unwrap().is_none());
    assert!(db.store.loaded(eve.id, session, 4).await.unwrap().is_none());
    assert!(db.store.weight(eve.id, session, 4).await.unwrap().is_none());
    assert!(db.store.changes(eve.id, session, Rev(0), 4, usize::MAX).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_read_stops_where_it_is_full_and_one_message_always_comes() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let (long, mut ids) = ("x".repeat(1_000), Vec::new());
    for _ in 0..12 {
        ids.push(MessageId::new());
        db.say(ada, session, ids[ids.len() - 1], &long).await;
    }
    for id in [ids[1], ids[3], ids[10]] {
        db.change(ada, session, id, Some("y".repeat(1_000))).await.unwrap();
        db.announced().await;
    }
    let seqs = |messages: &[Message]| messages.iter().map(|m| m.seq.0).collect::<Vec<_>>();
    // Each weighs 1,280.
    let newest = db.store.history(bob.id, session, None, 50, 4_000).await.unwrap().unwrap();
    assert_eq!((seqs(&newest.messages), newest.more), (vec![10, 11, 12], true));
    let all = db.store.history(bob.id, session, None, 50, 40_000).await.unwrap().unwrap();
    assert_eq!((all.messages.len(), all.more), (12, false));
    let one = db.store.history(bob.id, session, None, 50, 0).await.unwrap().unwrap();
    assert_eq!((seqs(&one.messages), one.more), (vec![12], true), "however little fits");
    let order = [1, 3, 5, 6, 7, 8, 9, 10, 12, 2, 4, 11];
    for bytes in [0, 1, 4_000, 9_000, 40_000] {
        let found = db.store.changes(bob.id, session, Rev(0), 50, bytes).await.unwrap().unwrap();
        let found = seqs(&found.messages);
        // It is cut where it is full: enough is there, in order, but not everything.
        let fits = (bytes / 1_280 + 1).min(12);
        assert_eq!(found[..fits], order[..fits], "{bytes}");
        assert!(found.len() <= 2 * fits, "{bytes}: {}", found.len());
        let tail = db.store.tail(session, Rev(0), 50, bytes).await.unwrap().unwrap();
        let held: Vec<_> = tail.messages.iter().map(|m| m.seq.0).collect();
        assert_eq!(held, order[12 - (bytes / 1_280).min(12)..], "{bytes}");
    }
}

#[tokio::test]
async fn what_changed_is_found_whatever_was_edited_and_deleted_in_between() {
    let mut db = Database::new().await;
    let (ada, bob, eve) = (db.person("Ada").await, db.person("Bob").await, db.person("Eve").await);
    let session = db.group(ada, &[bob]).await;
    let (mut ids, mut now) = (Vec::new(), BTreeMap::new());
    for step in 0..60_usize {
        let Some(message) = walk_on(&mut db, ada, session, (step, &mut ids)).await else { continue };
        now.insert(message.seq, message);
        if step == 30 {
            db.ask_new(invite(ada, eve, Some(session), true)).await.unwrap();
            let invite_id = invited(&db.announced().await);
            db.answer(eve, invite_id, Answer::Accepted).await.unwrap();
            opened(&db.announced().await);
        }
    }
    let since = db.store.sessions_of(eve.id).await.unwrap()[0].2.clone();
    let mut all: Vec<_> = now.into_values().collect();
    all.sort_by_key(|message| message.rev);
    let head = all[all.len() - 1].rev;
    for after in -1..=head.0 + 2 {
        for (who, view) in [(bob, &View::since(Seq(0))), (eve, &since)] {
            for limit in [1, 4, 100] {
                let found =
                    db.store.changes(who.id, session, Rev(after), limit, usize::MAX).await.unwrap().unwrap();
                let expected: Vec<_> =
                    all.iter().filter(|m| m.rev.0 > after && view.sees(m.seq)).cloned().collect();
                let most = usize::try_from(limit + 1).unwrap().min(expected.len());
                assert_eq!((found.rev, &found.messages[..]), (head, &expected[..most]), "{after} {limit}");
            }
        }
        for rows in [1, 4, 100] {
            let tail = db.store.tail(session, Rev(after), rows, usize::MAX).await.unwrap().unwrap();
            let floor = after.max(head.0 - i64::try_from(rows).unwrap()).min(head.0);
            assert_eq!((tail.rev, tail.floor), (head, Rev(floor)), "{after} {rows}");
            assert!(tail.messages.iter().eq(all.iter().filter(|m| m.rev.0 > floor)), "{after} {rows}");
        }
    }
}

#[tokio::test]
async fn the_read_marker_goes_forward_only_and_never_past_the_end() {
    let mut db = Database::new().await;
    let (ada, bob, eve) = (db.person("Ada").await, db.person("Bob").await, db.person("Eve").await);
    let session = db.pair(ada, bob).await;
    for _ in 0..3 {
        db.say(ada, session, MessageId::new(), "x").await;
    }
    let read = async |who: Person| db.store.sessions_with_users(who.id).await.unwrap()[0].0.read_seq;
    assert_eq!(read(ada).await, Seq(3), "one has read what one wrote");
    let mark = async |who: Person, seq| db.store.mark_read(who.id, session, Seq(seq)).await.unwrap();
    assert_eq!(mark(ada, 2).await, None, "and more than that");
    assert_eq!(mark(bob, 2).await, Some(Seq(2)));
    assert_eq!(mark(bob, 1).await, None);
    assert_eq!(mark(bob, 99).await, Some(Seq(3)));
    assert_eq!(mark(eve, 3).await, None);
    assert_eq!(read(bob).await, Seq(3));
}

#[tokio::test]
async fn what_somebody_else_said_is_unread_until_it_is_seen_whatever_its_reader_writes() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let read =
        async |db: &Database, who: Person| db.store.sessions_with_users(who.id).await.unwrap()[0].0.read_seq;
    db.say(ada, session, MessageId::new(), "one").await;
    db.say(bob, session, MessageId::new(), "two").await;
    // Written without a connection, say.
    db.say(ada, session, MessageId::new(), "three").await;
    assert_eq!((read(&db, ada).await, read(&db, bob).await), (Seq(1), Seq(0)));
    assert_eq!(db.store.mark_read(ada.id, session, Seq(2)).await.unwrap(), Some(Seq(2)));
    assert_eq!(read(&db, ada).await, Seq(3), "one's own words are no news");
    assert_eq!(db.store.mark_read(ada.id, session, Seq(3)).await.unwrap(), None);
    // A user talks forever and reads nothing: the marker does not stay behind.
    for _ in 0..=256 {
        db.say(ada, session, MessageId::new(), "on and on").await;
    }
    assert_eq!(read(&db, ada).await, Seq(260));
    let noted = sqlx::query_scalar("select read_seq from session_users where user_id = $1");
    let noted: i64 = noted.bind(ada.id).fetch_one(&db.store.read).await.unwrap();
    assert_eq!(noted, 256);
    assert_eq!(read(&db, bob).await, Seq(0));
}
