//! Who is online, who is typing.

use std::time::{Duration, Instant};

use headless::Client;
use protocol::{Outcome, Presence, ServerFrame, SessionId, UserId};

use crate::support::{PASSWORD, TestServer, befriend, fence, outcome, status_of};

/// Waits until a client sees a user of a session with this presence.
async fn sees(client: &mut Client, session: SessionId, user: UserId, wanted: Presence) {
    let seen = |sync: &protocol::Sync| sync.sessions()[&session].users[&user].status == wanted;
    client.wait_for(&format!("{wanted:?}"), seen).await.unwrap();
}

#[tokio::test]
async fn both_are_seen_online_as_soon_as_the_session_begins() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let (a, b) = (ada.id(), bob.id());
    for client in [&mut ada, &mut bob] {
        sees(client, session, a, Presence::Online).await;
        sees(client, session, b, Presence::Online).await;
    }
}

#[tokio::test]
async fn a_user_is_offline_within_10_s_of_the_last_connections_end_and_online_on_connecting() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let mut phone = server.other_device(&bob).await;
    let bob_id = bob.id();
    sees(&mut ada, session, bob_id, Presence::Online).await;

    bob.kill();
    fence(&mut phone).await;
    ada.take_frames();
    let ended = Instant::now();
    phone.kill();
    ada.expect("Offline", status_of(bob_id, Presence::Offline)).await.unwrap();
    let took = ended.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(took > Duration::from_secs(3), "a short loss is no going away: {took:?}");
    ada.search("Bob").await.unwrap();
    ada.expect("an answer", outcome).await.unwrap();

    ada.take_frames(); // one of them says that he was online before
    bob.reconnect().await.unwrap();
    ada.expect("Online", status_of(bob_id, Presence::Online)).await.unwrap();
    sees(&mut ada, session, bob_id, Presence::Online).await;
}

#[tokio::test]
async fn signing_in_turns_a_user_online_before_the_socket() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let bob_id = bob.id();
    bob.kill();
    ada.expect("Offline", status_of(bob_id, Presence::Offline)).await.unwrap();
    ada.take_frames();
    bob.login("Bob", PASSWORD).await.unwrap();
    ada.expect("Online", status_of(bob_id, Presence::Online)).await.unwrap();
    sees(&mut ada, session, bob_id, Presence::Online).await;

    server.user("Eve").await;
    ada.search("Eve").await.unwrap();
    assert_eq!(ada.expect("an answer", outcome).await.unwrap().status, Outcome::Pending);
}

#[tokio::test]
async fn presence_is_told_only_to_people_who_share_a_session() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, _) = server.pair().await;
    let mut eve = server.online("Eve").await;
    let bob_id = bob.id();
    bob.kill();
    ada.expect("Offline", status_of(bob_id, Presence::Offline)).await.unwrap();
    ada.take_frames();
    bob.reconnect().await.unwrap();
    ada.expect("Online", status_of(bob_id, Presence::Online)).await.unwrap();
    fence(&mut eve).await;
    let told = eve.take_frames();
    assert!(!told.iter().any(|frame| frame.encode().contains(&bob_id.to_string())), "{told:?}");
}

#[tokio::test]
async fn typing_is_told_to_the_others_in_the_session_and_to_nobody_else() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let mut eve = server.online("Eve").await;
    let with_eve = befriend(&mut ada, &mut eve).await;
    let mut phone = server.other_device(&ada).await;
    ada.typing(session).await.unwrap();
    let typing = |frame: &ServerFrame| match frame {
        ServerFrame::Typing { session_id, user_id } => Some((*session_id, *user_id)),
        _ => None,
    };
    assert_eq!(bob.expect("typing", typing).await.unwrap(), (session, ada.id()));
    ada.typing(with_eve).await.unwrap();
    assert_eq!(
        eve.expect("typing", typing).await.unwrap(),
        (with_eve, ada.id()),
        "the first was none of hers"
    );
    for client in [&mut ada, &mut phone, &mut bob] {
        fence(client).await;
        assert_eq!(client.take_frames().iter().filter_map(typing).count(), 0);
    }
}
