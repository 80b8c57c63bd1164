//! What may be begun, and what comes of beginning it twice.

use protocol::{Code, Kind, SessionId};

use crate::sessions::members::Change;
use crate::sessions::session::StoredSession;
use crate::sessions::{Title, View};
use crate::store::Event;
use crate::testing::{Database, HERE, Person, code, invite, invited, opened};

#[tokio::test]
async fn a_group_begins_with_its_owner_alone_and_once() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = SessionId::new();
    db.begin(ada, session, " Walks ", None).await.unwrap();
    let events = db.announced().await;
    assert_eq!(opened(&events), (session, vec![ada.id]));
    let Event::Opened { session: begun, users, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((begun.kind, begun.title.as_deref(), begun.owner), (Kind::Group, Some("Walks"), Some(ada.id)));
    assert_eq!(users.keys().collect::<Vec<_>>(), [&ada.id]);

    db.begin(ada, session, "Another name", Some(1)).await.unwrap();
    let events = db.announced().await;
    let [Event::OpenedAgain { origin: HERE, session: there, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(there, begun, "nothing changed, not even at the limit");
    assert_eq!(code(db.begin(bob, session, "Mine", None).await), Code::Conflict);
    let pair = db.pair(ada, bob).await;
    assert_eq!(code(db.begin(ada, pair, "Ours", None).await), Code::Conflict, "a pair's is taken too");
    assert_eq!(db.store.sessions_of(ada.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_is_invited_into_a_pair() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let session = db.pair(ada, bob).await;
    for to in [cleo, bob] {
        assert_eq!(code(db.ask_new(invite(ada, to, Some(session), true)).await), Code::PairStays);
    }
    assert_eq!(code(db.ask_new(invite(cleo, ada, Some(session), true)).await), Code::NotFound, "not hers");
    let with_users = db.store.sessions_with_users(ada.id).await.unwrap();
    assert_eq!(with_users[0].0.kind(), Kind::Pair);
}

/// Returns the group as it was announced to those who are in it.
fn altered(events: &[Event]) -> (StoredSession, Vec<String>) {
    let found = events.iter().find_map(|event| match event {
        Event::Altered { session, users } => Some((session.clone(), users.values().cloned().collect())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing changed in {events:?}"))
}

fn has_left(events: &[Event], who: Person) -> bool {
    events.iter().any(|event| matches!(event, Event::Left { user, .. } if *user == who.id))
}

#[tokio::test]
async fn an_owner_who_leaves_gives_the_group_to_whoever_was_there_longest() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let session = db.group(ada, &[bob]).await;
    db.say(ada, session, protocol::MessageId::new(), "hello").await;
    db.join(bob, cleo, session).await;
    db.change_group(ada, session, Change::Leave).await.unwrap();
    let events = db.announced().await;
    let (group, users) = altered(&events);
    assert!(has_left(&events, ada));
    assert_eq!((group.owner, users), (Some(bob.id), vec!["Bob".into(), "Cleo".into()]));
    assert_eq!(code(db.change_group(ada, session, Change::Leave).await), Code::NotFound);
    for who in [cleo, bob] {
        db.change_group(who, session, Change::Leave).await.unwrap();
    }
    let (group, users) = altered(&db.announced().await);
    assert_eq!((group.owner, users.len()), (Some(bob.id), 1), "Cleo's leaving changes no owner");
    assert_eq!(altered(&db.announced().await).0.owner, None, "an empty group is nobody's");
}

#[tokio::test]
async fn whoever_was_removed_comes_back_only_by_the_owners_invitation() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let session = db.group(ada, &[bob, cleo]).await;
    assert_eq!(code(db.change_group(cleo, session, Change::Remove(bob.id)).await), Code::NotOwner);
    assert_eq!(code(db.change_group(ada, session, Change::Remove(ada.id)).await), Code::Yourself);
    let stranger = db.person("Eve").await;
    assert_eq!(code(db.change_group(ada, session, Change::Remove(stranger.id)).await), Code::NotFound);
    db.change_group(ada, session, Change::Remove(bob.id)).await.unwrap();
    assert!(has_left(&db.announced().await, bob));
    db.change_group(ada, session, Change::Remove(bob.id)).await.unwrap();
    let events = db.announced().await;
    assert!(matches!(events[..], [Event::OpenedAgain { origin: HERE, .. }]), "{events:?}");
    assert_eq!(code(db.ask_new(invite(cleo, bob, Some(session), true)).await), Code::NotOwner);
    db.join(ada, bob, session).await;

    // Somebody who left can be kept out too, whoever has asked them meanwhile.
    db.change_group(bob, session, Change::Leave).await.unwrap();
    db.announced().await;
    db.ask_new(invite(cleo, bob, Some(session), true)).await.unwrap();
    let waiting = invited(&db.announced().await);
    db.change_group(ada, session, Change::Remove(bob.id)).await.unwrap();
    assert_eq!(code(db.answer(bob, waiting, protocol::Answer::Accepted).await), Code::Gone);
    assert_eq!(code(db.ask_new(invite(cleo, bob, Some(session), true)).await), Code::NotOwner);
}

#[tokio::test]
async fn nobody_comes_into_a_group_by_the_invitation_of_somebody_who_has_left_it() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let session = db.group(ada, &[bob]).await;
    db.ask_new(invite(bob, cleo, Some(session), true)).await.unwrap();
    let waiting = invited(&db.announced().await);
    db.change_group(bob, session, Change::Leave).await.unwrap();
    let events = db.announced().await;
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Ended { invite, .. } if invite.invite_id == waiting))
    );
    assert_eq!(code(db.answer(cleo, waiting, protocol::Answer::Accepted).await), Code::Gone);
    assert_eq!(db.store.invitations(cleo.id).await.unwrap(), (vec![], vec![]));
}

#[tokio::test]
async fn a_group_is_renamed_and_given_away_by_its_owner_alone() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    let session = db.group(ada, &[bob]).await;
    let name = || Change::Rename(Title::parse("Sunday walks").unwrap());
    assert_eq!(code(db.change_group(bob, session, name()).await), Code::NotOwner);
    assert_eq!(code(db.change_group(bob, session, Change::Give(bob.id)).await), Code::NotOwner);
    assert_eq!(code(db.change_group(ada, session, Change::Give(cleo.id)).await), Code::NotFound);
    db.change_group(ada, session, name()).await.unwrap();
    assert_eq!(altered(&db.announced().await).0.title.as_deref(), Some("Sunday walks"));
    db.change_group(ada, session, name()).await.unwrap();
    let events = db.announced().await;
    let [Event::OpenedAgain { origin: HERE, view, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*view, View::since(protocol::Seq(0)));
    db.change_group(ada, session, Change::Give(bob.id)).await.unwrap();
    assert_eq!(altered(&db.announced().await).0.owner, Some(bob.id));
    assert_eq!(code(db.change_group(ada, session, name()).await), Code::NotOwner);
}

#[tokio::test]
async fn nobody_leaves_a_pair() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    let session = db.pair(ada, bob).await;
    let name = Change::Rename(Title::parse("Us").unwrap());
    for change in [Change::Leave, Change::Remove(bob.id), Change::Give(bob.id), name] {
        assert_eq!(code(db.change_group(ada, session, change).await), Code::PairStays);
    }
}
