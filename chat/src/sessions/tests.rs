//! What may be begun, and what comes of beginning it twice.

use protocol::{Code, Kind, SessionId};

use crate::store::Event;
use crate::testing::{Database, HERE, code, invite, opened};

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
