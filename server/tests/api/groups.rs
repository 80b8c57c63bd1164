//! Groups: how they begin, and that a pair stays one.

use headless::Client;
use protocol::{Asked, ClientFrame, Code, Kind, Refused, ServerFrame, SessionId};

use crate::support::{TestServer, fence, gather, invited, knows, refused};

/// Begins a group and returns the refusal.
async fn begin_in_vain(client: &mut Client, session_id: SessionId, title: &str) -> Refused {
    client.send(&ClientFrame::Begin { session_id, title: title.into() }).await.unwrap();
    client.expect("a refusal", refused).await.unwrap()
}

#[tokio::test]
async fn a_group_begins_with_one_person_and_is_told_to_all_their_devices() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    let mut phone = server.other_device(&ada).await;
    let session = ada.begin(" Sunday walks ").await.unwrap();
    knows(&mut phone, session).await;
    for client in [&ada, &phone] {
        let group = &client.sync().sessions()[&session];
        assert_eq!((group.kind, group.title.as_deref()), (Kind::Group, Some("Sunday walks")));
        assert_eq!((group.owner, group.users.len()), (Some(ada.id()), 1));
        assert!(group.began_at.0 > 0);
    }
    ada.say_and_wait(session, "a note").await.unwrap();
    let before = ada.sync().sessions()[&session].clone();
    ada.kill();
    ada.reconnect().await.unwrap();
    assert_eq!(ada.sync().sessions()[&session], before, "the Welcome says the same");
    assert_eq!(ada.load().await.unwrap()[&session].user_ids.len(), 1);
}

#[tokio::test]
async fn beginning_a_group_again_changes_nothing_and_is_no_way_into_somebody_elses() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let mut phone = server.other_device(&ada).await;
    let session = gather(&mut ada, &mut [&mut bob]).await;
    knows(&mut phone, session).await;
    fence(&mut phone).await;
    drop((ada.take_frames(), phone.take_frames()));
    let again = ClientFrame::Begin { session_id: session, title: "Another name".into() };
    ada.send(&again).await.unwrap();
    let told = |frame: &ServerFrame| match frame {
        ServerFrame::Session(told) => Some(told.clone()),
        _ => None,
    };
    let there = ada.expect("the group as it is", told).await.unwrap();
    assert_eq!((there.title.as_deref(), there.users.len()), (Some("A group"), 2));
    fence(&mut phone).await;
    assert_eq!(phone.take_frames().iter().filter_map(told).count(), 0, "only whoever asks is told");
    let mut eve = server.online("Eve").await;
    for client in [&mut bob, &mut eve] {
        let refusal = begin_in_vain(client, session, "Mine").await;
        assert_eq!((refusal.code, refusal.session_id), (Code::Conflict, Some(session)));
    }
    assert!(!eve.sync().sessions().contains_key(&session));
}

#[tokio::test]
async fn a_groups_name_is_one_line_that_shows_something() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    for title in ["", "  ", "\u{200b}", "two\nlines", &"x".repeat(61)] {
        let refusal = begin_in_vain(&mut ada, SessionId::new(), title).await;
        assert_eq!(refusal.code, Code::UnusableTitle, "{title:?}");
    }
    assert!(ada.sync().sessions().is_empty());
}

#[tokio::test]
async fn a_pair_stays_a_pair() {
    let server = TestServer::start().await;
    let (mut ada, bob, session) = server.pair().await;
    let mut eve = server.online("Eve").await;
    assert_eq!(ada.sync().sessions()[&session].kind, Kind::Pair);
    for name in ["Eve", "Nobody", "Bob"] {
        ada.ask(Asked { username: name.into(), session_id: Some(session), leave: true }).await.unwrap();
        let refusal = ada.expect("a refusal", refused).await.unwrap();
        assert_eq!((refusal.code, refusal.session_id), (Code::PairStays, Some(session)), "{name}");
        assert_eq!(refusal.username.as_deref(), Some(name), "it says which search it answers");
    }
    fence(&mut eve).await;
    assert_eq!(eve.take_frames().iter().filter_map(invited).count(), 0);
    drop(bob);
}

#[tokio::test]
async fn a_group_of_two_is_no_pair() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let group = gather(&mut ada, &mut [&mut bob]).await;
    ada.search("Bob").await.unwrap();
    let (invite, _) = bob.expect("an invitation of their own", invited).await.unwrap();
    bob.answer(invite, protocol::Answer::Accepted).await.unwrap();
    ada.wait_for("both", |sync| sync.sessions().len() == 2).await.unwrap();
    let pair = |sync: &protocol::Sync| sync.sessions().values().filter(|s| s.kind == Kind::Pair).count();
    assert_eq!(pair(ada.sync()), 1);
    assert_eq!(ada.sync().sessions()[&group].kind, Kind::Group);
}
