//! Groups: how they begin, how people leave them and come back, and that a pair stays one.

use headless::Client;
use protocol::{Asked, ClientFrame, Code, Kind, Refused, ServerFrame, SessionId};

use crate::support::{TestServer, fence, gather, holds, invited, knows, refused, texts};

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

/// Leaves, or removes somebody, and waits until everybody concerned knows.
async fn goes(by: &mut Client, frame: ClientFrame, who: &mut Client, session: SessionId) {
    by.send(&frame).await.unwrap();
    who.wait_for("the end", |sync| !sync.sessions().contains_key(&session)).await.unwrap();
}

async fn comes(host: &mut Client, guest: &mut Client, session: SessionId) {
    let asked = Asked { username: guest.me().username.clone(), session_id: Some(session), leave: false };
    host.ask(asked).await.unwrap();
    let (invite, _) = guest.expect("an invitation", invited).await.unwrap();
    guest.answer(invite, protocol::Answer::Accepted).await.unwrap();
    knows(guest, session).await;
}

#[tokio::test]
async fn whoever_leaves_is_told_on_all_devices_and_hears_nothing_of_what_comes_later() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = gather(&mut ada, &mut [&mut bob]).await;
    let mut phone = server.other_device(&bob).await;
    ada.say_and_wait(session, "before").await.unwrap();
    holds(&mut phone, session, &["before"]).await;
    bob.send(&ClientFrame::Leave { session_id: session }).await.unwrap();
    for client in [&mut bob, &mut phone] {
        client.wait_for("the end", |sync| sync.sessions().is_empty()).await.unwrap();
        drop(client.take_frames());
    }
    ada.wait_for("one less", |sync| sync.sessions()[&session].users.len() == 1).await.unwrap();
    let id = ada.say_and_wait(session, "afterwards").await.unwrap();
    ada.send(&ClientFrame::Edit { session_id: session, message_id: id, data: "edited".into() })
        .await
        .unwrap();
    ada.send(&ClientFrame::Typing { session_id: session }).await.unwrap();
    fence(&mut ada).await;
    for client in [&mut bob, &mut phone] {
        fence(client).await;
        let heard = client.take_frames();
        let about = heard.iter().find(|frame| frame.encode().contains(&session.to_string()));
        assert_eq!(about, None);
    }
    assert!(bob.load().await.unwrap().is_empty());
    assert!(bob.history(session, protocol::Seq(9)).await.is_err());
    phone.kill();
    phone.reconnect().await.unwrap();
    assert!(phone.sync().sessions().is_empty());
}

#[tokio::test]
async fn whoever_comes_back_sees_what_was_said_while_they_were_there_and_its_changes_and_nothing_else() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = gather(&mut ada, &mut [&mut bob]).await;
    let mut phone = server.other_device(&bob).await;
    let first = ada.say_and_wait(session, "first").await.unwrap();
    let second = ada.say_and_wait(session, "second").await.unwrap();
    holds(&mut bob, session, &["first", "second"]).await;
    phone.kill(); // and learns of it all at once
    let remove = ClientFrame::Remove { session_id: session, user_id: bob.id() };
    goes(&mut ada, remove, &mut bob, session).await;
    let missed = ada.say_and_wait(session, "missed").await.unwrap();
    let delete = ClientFrame::Delete { session_id: session, message_id: second };
    ada.send(&delete).await.unwrap();
    comes(&mut ada, &mut bob, session).await;
    holds(&mut bob, session, &["first", ""]).await;
    ada.say_and_wait(session, "third").await.unwrap();
    holds(&mut bob, session, &["first", "", "third"]).await;
    for (message_id, data) in [(missed, "not for Bob"), (first, "edited")] {
        ada.send(&ClientFrame::Edit { session_id: session, message_id, data: data.into() }).await.unwrap();
    }
    fence(&mut ada).await;
    phone.reconnect().await.unwrap();
    for client in [&mut bob, &mut phone] {
        holds(client, session, &["edited", "", "third"]).await;
        fence(client).await;
        assert!(client.take_frames().iter().all(|frame| !frame.encode().contains("not for Bob")));
        let head = ada.sync().sessions()[&session].timeline.rev();
        client
            .wait_for("every change", |sync| sync.sessions()[&session].timeline.rev() == head)
            .await
            .unwrap();
    }
    let seen = bob.whole_history(session).await.unwrap().into_iter().map(|message| message.data);
    assert_eq!(seen.collect::<Vec<_>>(), ["edited", "", "third"]);
    assert_eq!(bob.load().await.unwrap()[&session].messages.len(), 3);
}

#[tokio::test]
async fn everybody_is_told_of_a_new_name_and_a_new_owner() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = gather(&mut ada, &mut [&mut bob]).await;
    ada.say_and_wait(session, "hello").await.unwrap();
    holds(&mut bob, session, &["hello"]).await;
    ada.send(&ClientFrame::Rename { session_id: session, title: "Sunday walks".into() }).await.unwrap();
    ada.send(&ClientFrame::Owner { session_id: session, user_id: bob.id() }).await.unwrap();
    let owner = Some(bob.id());
    for client in [&mut ada, &mut bob] {
        let is_told = |sync: &protocol::Sync| {
            let group = &sync.sessions()[&session];
            (group.title.as_deref(), group.owner) == (Some("Sunday walks"), owner)
        };
        client.wait_for("the news", is_told).await.unwrap();
        assert_eq!(texts(client, session), ["hello"], "and what is held stays");
    }
}

#[tokio::test]
async fn what_was_being_sent_when_its_writer_was_removed_is_returned_to_them() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = gather(&mut ada, &mut [&mut bob]).await;
    bob.kill();
    let id = bob.say(session, "did not go out").await.unwrap();
    ada.send(&ClientFrame::Remove { session_id: session, user_id: bob.id() }).await.unwrap();
    ada.wait_for("one less", |sync| sync.sessions()[&session].users.len() == 1).await.unwrap();
    bob.reconnect().await.unwrap();
    let returned: Vec<_> = bob.sync().returned().map(|pending| pending.message_id).collect();
    assert_eq!(returned, [id]);
    fence(&mut bob).await;
    assert_eq!(texts(&ada, session), [""; 0]);
}
