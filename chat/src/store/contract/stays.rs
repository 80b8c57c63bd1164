//! Coming, leaving and coming back: what of a session somebody may read.

use std::collections::BTreeMap;

use protocol::{Message, MessageId, Rev, Seq, SessionId, Span};

use super::super::{Event, NotStored};
use super::walk_on;
use crate::sessions::View;
use crate::sessions::members::Change;
use crate::testing::{Database, Person};

/// Says so many messages.
async fn talk(db: &mut Database, who: Person, session: SessionId, messages: usize) {
    for n in 0..messages {
        db.say(who, session, MessageId::new(), &format!("message {n} of {messages}")).await;
    }
}

async fn leave(db: &mut Database, who: Person, session: SessionId) {
    db.change_group(who, session, Change::Leave).await.unwrap();
    assert!(matches!(db.announced().await[..], [Event::Left { .. }, Event::Altered { .. }]));
}

async fn view(db: &Database, who: Person) -> View {
    db.store.sessions_of(who.id).await.unwrap().remove(0).2
}

#[tokio::test]
async fn somebody_who_left_reads_nothing_and_whoever_comes_back_reads_both_stays() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.group(ada, &[]).await;
    talk(&mut db, ada, session, 2).await;
    db.join(ada, bob, session).await;
    talk(&mut db, ada, session, 3).await;
    leave(&mut db, bob, session).await;
    let store = &db.store;
    assert!(store.sessions_of(bob.id).await.unwrap().is_empty());
    assert!(store.changes(bob.id, session, Rev(0), 9, usize::MAX).await.unwrap().is_none());
    assert!(store.history(bob.id, session, None, 9, usize::MAX).await.unwrap().is_none());
    assert!(store.loaded(bob.id, session, 9).await.unwrap().is_none());
    assert!(store.weight(bob.id, session, 9).await.unwrap().is_none());
    assert!(store.mark_read(bob.id, session, Seq(4)).await.unwrap().is_none());
    talk(&mut db, ada, session, 4).await;
    db.join(ada, bob, session).await;
    assert_eq!(view(&db, bob).await, View::new(Seq(9), vec![(Seq(2), Seq(5))]));
    talk(&mut db, ada, session, 1).await;
    let places = |messages: &[Message]| messages.iter().map(|m| m.seq.0).collect::<Vec<_>>();
    let changes = db.store.changes(bob.id, session, Rev(0), 9, usize::MAX).await.unwrap().unwrap();
    assert_eq!((changes.rev, places(&changes.messages)), (Rev(10), vec![3, 4, 5, 10]));
    let (_, newest) = db.store.loaded(bob.id, session, 2).await.unwrap().unwrap();
    assert_eq!(places(&newest), [5, 10], "what is newest of what he may see");
    let weight = db.store.weight(bob.id, session, 2).await.unwrap().unwrap();
    assert!(weight >= newest.iter().map(|m| m.data.len() as i64 * 2 + 280).sum());
    let (row, ..) = db.store.sessions_with_users(bob.id).await.unwrap().remove(0);
    assert_eq!(row.read_seq, Seq(9), "what was said while he was out is not unread");
}

#[tokio::test]
async fn stays_between_which_nothing_was_said_are_one_and_one_in_which_nothing_was_said_is_none() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.group(ada, &[bob]).await;
    for _ in 0..2 {
        leave(&mut db, bob, session).await;
        db.join(ada, bob, session).await;
        assert_eq!(view(&db, bob).await.spans(), []);
    }
    talk(&mut db, ada, session, 2).await;
    leave(&mut db, bob, session).await;
    db.join(ada, bob, session).await;
    assert_eq!(view(&db, bob).await.spans(), []);
    leave(&mut db, bob, session).await;
    talk(&mut db, ada, session, 1).await;
    db.join(ada, bob, session).await;
    let spans =
        [(0, Some(2)), (3, None)].map(|(after, up_to)| Span { after: Seq(after), up_to: up_to.map(Seq) });
    assert_eq!(view(&db, bob).await.spans(), spans);
}

#[tokio::test]
async fn whatever_changed_while_somebody_came_and_went_they_read_what_they_may_and_in_parts_that_join() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.group(ada, &[]).await;
    // In every tenth step Bob comes or goes.
    let (mut ids, mut now, mut is_in) = (Vec::new(), BTreeMap::new(), false);
    for step in 0..71_usize {
        if step % 10 == 5 {
            match is_in {
                true => leave(&mut db, bob, session).await,
                false => db.join(ada, bob, session).await,
            }
            is_in = !is_in;
        }
        let Some(message) = walk_on(&mut db, ada, session, (step, &mut ids)).await else { continue };
        now.insert(message.seq, message);
    }
    assert!(is_in);
    let view = view(&db, bob).await;
    assert_eq!(view.parts().len(), 4, "{view:?}");
    let seen: Vec<Message> = now.into_values().filter(|message| view.sees(message.seq)).collect();
    let mut by_rev = seen.clone();
    by_rev.sort_by_key(|message| message.rev);
    for after in 0..=70 {
        for limit in [1, 4, 100] {
            let found =
                db.store.changes(bob.id, session, Rev(after), limit, usize::MAX).await.unwrap().unwrap();
            let expected: Vec<_> = by_rev.iter().filter(|m| m.rev.0 > after).cloned().collect();
            let most = usize::try_from(limit + 1).unwrap().min(expected.len());
            assert_eq!(found.messages, expected[..most], "{after} {limit}");
        }
    }
    for (limit, bytes) in [(1, usize::MAX), (3, usize::MAX), (100, usize::MAX), (100, 900), (100, 1)] {
        let (mut parts, mut before) = (Vec::new(), Seq(i64::MAX));
        loop {
            let part = db.store.history(bob.id, session, Some(before), limit, bytes).await.unwrap().unwrap();
            let covers = part.covers.unwrap();
            assert!(before == Seq(i64::MAX) || covers.up_to == Some(Seq(before.0 - 1)), "{covers:?}");
            before = Seq(covers.after.0 + 1);
            assert!(part.messages.iter().all(|m| m.seq > covers.after));
            parts.push(part.messages);
            if !part.more {
                break;
            }
        }
        assert_eq!(parts.into_iter().rev().flatten().collect::<Vec<_>>(), seen, "{limit} {bytes}");
    }
}

#[tokio::test]
async fn what_was_stored_before_somebody_left_is_acknowledged_when_it_is_sent_again() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.group(ada, &[bob]).await;
    let id = MessageId::new();
    db.say(bob, session, id, "hello").await;
    leave(&mut db, bob, session).await;
    assert!(matches!(db.say(bob, session, id, "hello").await, Event::Repeated { seq: Seq(1), .. }));
    let refused = |event| matches!(event, Event::NotStored { why: NotStored::NotInSession, .. });
    assert!(refused(db.say(bob, session, MessageId::new(), "more").await));
    let eve = db.person("Eve").await;
    assert!(refused(db.say(eve, session, id, "hello").await), "of somebody else it says nothing");
}
