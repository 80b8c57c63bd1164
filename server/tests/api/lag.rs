//! Reading more slowly than others write: what is discarded, and how the client recovers.

use std::time::{Duration, Instant};

use headless::{Client, Error, Event, LIMIT, Socket};
use protocol::{Answer, Presence, Seq, ServerFrame, SessionId, UserId, close};
use tokio::time::timeout;

use crate::support::{TestServer, accepted_session, befriend, fence};

/// More than the buffers of both kernels hold, at 16 KB a message.
const SAID: usize = 300;

/// Far more than enough where the kernel buffers little for one connection, as we set on Linux.
const SAID_AT_LEAST: usize = if cfg!(target_os = "linux") { 60 } else { SAID };

/// Sends so much that a client that does not read lags, and waits until all of it is stored.
async fn say_much(client: &mut Client, session: SessionId, messages: usize) {
    for n in 0..messages {
        client.say(session, format!("{n} {}", "x".repeat(16_000))).await.unwrap();
        while client.sync().outbox().len() > 30 {
            client.next().await.unwrap();
        }
    }
    client.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
}

/// Waits until everything that [`say_much`] sent is here, in order.
async fn has_much(client: &mut Client, session: SessionId) {
    comes_to_much(client, session).await.unwrap();
    let rows = client.sync().rows(session);
    let much = rows.iter().filter(|row| row.data.len() > 16_000);
    assert!(much.enumerate().all(|(n, row)| row.data.starts_with(&format!("{n} "))));
}

async fn comes_to_much(client: &mut Client, session: SessionId) -> Result<(), Error> {
    let all = |sync: &protocol::Sync| sync.rows(session).iter().filter(|row| row.data.len() > 16_000).count();
    client.wait_for("everything", |sync| all(sync) == SAID).await
}

/// Connects with a small receive buffer, and therefore with longer timeouts.
async fn read_slowly(client: &mut Client) {
    client.set_receive_buffer(4 * 1024);
    client.set_limit(4 * LIMIT);
    client.online().await.unwrap();
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_and_catches_up_on_the_same_socket_while_nobody_else_waits() {
    let server = TestServer::with(|config| config.stall = Duration::from_secs(60)).await;
    let (mut ada, mut bob, session) = server.pair().await;
    let (mut eve, mut cleo) = (server.online("Eve").await, server.online("Cleo").await);
    let with_eve = befriend(&mut ada, &mut eve).await;
    let with_cleo = befriend(&mut cleo, &mut bob).await;
    read_slowly(&mut bob).await; // and not read until further down

    say_much(&mut ada, session, SAID).await;
    let began = Instant::now();
    ada.say_and_wait(with_eve, "are you there?").await.unwrap();
    eve.wait_for("the message", |sync| !sync.rows(with_eve).is_empty()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // Things happen to Bob, and he acts himself, while nothing can be sent to him.
    eve.search("Bob").await.unwrap();
    fence(&mut eve).await;
    let own = bob.say(with_cleo, "from a slow line").await.unwrap();
    cleo.wait_for("Bob's message", |sync| !sync.rows(with_cleo).is_empty()).await.unwrap();
    let seen = cleo.sync().sessions()[&with_cleo].last_seq();
    server.other_device(&bob).await.read(session, Seq(7)).await.unwrap();
    cleo.disconnect().await.unwrap();
    let cleo_id = cleo.id();
    let mut device = server.other_device(&bob).await;
    device.wait_for("Cleo to go", |sync| offline(sync, with_cleo, cleo_id)).await.unwrap();

    let lagged = |frame: &ServerFrame| matches!(frame, ServerFrame::Lagged).then_some(());
    bob.expect("Lagged", lagged).await.unwrap();
    has_much(&mut bob, session).await;
    bob.wait_for("the acknowledgement", |sync| sync.outbox().is_empty()).await.unwrap();
    let row = bob.sync().last_row(with_cleo).unwrap();
    assert_eq!((row.message_id, bob.sync().rows(with_cleo).len(), seen.0), (own, 1, 1), "it is stored once");
    assert!(offline(bob.sync(), with_cleo, cleo_id), "presence is as it is");
    assert!(bob.sync().sessions()[&session].read_seq().0 >= 7, "so is what other devices have read");
    bob.wait_for("the invitation", |sync| !sync.invited().is_empty()).await.unwrap();
    let invited = &bob.sync().invited()[0];
    assert_eq!(invited.username, "Eve");
    bob.answer(invited.invite_id, Answer::Accepted).await.unwrap();
    accepted_session(&mut eve).await;
}

fn offline(sync: &protocol::Sync, session: SessionId, user: UserId) -> bool {
    sync.sessions()[&session].users[&user].status == Presence::Offline
}

#[tokio::test]
async fn who_takes_nothing_is_given_up_and_catches_up_after_coming_back() {
    let server = TestServer::with(|config| config.stall = Duration::from_millis(500)).await;
    let (mut ada, mut bob, session) = server.pair().await;
    read_slowly(&mut bob).await;
    let bob_id = bob.id();
    say_much(&mut ada, session, SAID).await;
    ada.wait_for("Bob to be given up", |sync| offline(sync, session, bob_id)).await.unwrap();
    let code = bob.closed().await.unwrap();
    assert!(matches!(code, None | Some(close::SLOW)), "{code:?}: there may be no room for the reason");
    bob.reconnect().await.unwrap();
    while let Err(error) = comes_to_much(&mut bob, session).await {
        assert!(error.is_disconnect(), "{error}");
        bob.reconnect().await.unwrap(); // a busy machine may have kept him from reading for half a second
    }
    has_much(&mut bob, session).await;
}

#[tokio::test]
async fn who_gives_no_hello_after_lagged_is_closed_with_4008() {
    const STALL: Duration = Duration::from_secs(12);
    let server = TestServer::with(|config| config.stall = STALL).await;
    let (mut ada, mut bob, session) = server.pair().await;
    bob.disconnect().await.unwrap();
    bob.set_receive_buffer(4 * 1024);
    let mut socket = Socket::open(&bob.handshake()).await.unwrap();
    socket.send_text("{\"type\":\"Hello\"}").await.unwrap();
    let mut lagged = false;
    say_much(&mut ada, session, SAID_AT_LEAST).await; // all within the 12 s in which nothing is read here
    let code = loop {
        match timeout(STALL + LIMIT, socket.next()).await.expect("the end") {
            Event::Text(text) if text == "{\"type\":\"Lagged\"}" => lagged = true,
            Event::Text(_) => assert!(!lagged, "nothing follows until Hello"),
            Event::Closed(code) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((lagged, code), (true, Some(close::SLOW)));
}
