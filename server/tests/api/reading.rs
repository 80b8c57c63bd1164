//! How much one user or address can make the server hold and read, and how long it waits for slow readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headless::Client;
use protocol::SessionId;
use server::{Config, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{TestServer, within};

/// Longer than a busy machine keeps a client from reading, shorter than these tests take.
const PATIENCE: Duration = Duration::from_secs(3);

fn limits(change: impl FnOnce(&mut Limits)) -> impl FnOnce(&mut Config) {
    |config| change(config.limits.insert(Limits::default()))
}

/// Creates a session with 30 messages of 16 KB.
async fn much_to_read(server: &TestServer) -> (Client, Client, SessionId) {
    let (mut ada, bob, session) = server.pair().await;
    for _ in 0..30 {
        ada.say_and_wait(session, "x".repeat(16_000)).await.unwrap();
    }
    (ada, bob, session)
}

/// Opens a bare connection with a small receive buffer.
async fn dial(base: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = base.strip_prefix("http://").unwrap().parse().unwrap();
    within("a connection", socket.connect(address)).await.unwrap()
}

/// Sends a GET with somebody's login.
async fn ask(server: &TestServer, who: &Client, path: &str) -> TcpStream {
    let mut stream = dial(&server.base).await;
    let host = server.base.strip_prefix("http://").unwrap();
    let cookie = who.http.cookie().unwrap();
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Reads 1 KiB ten times a second, for more than twice the patience, and returns it all.
async fn sip(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(100)));
    while began.elapsed() < 2 * PATIENCE + PATIENCE / 2 {
        ticks.tick().await;
        let mut some = [0; 1024];
        let taken = within("some more", stream.read(&mut some)).await.unwrap();
        assert!(taken > 0, "it ended after {} bytes and {:?}", all.len(), began.elapsed());
        all.extend_from_slice(&some[..taken]);
    }
    all
}

#[tokio::test]
async fn who_takes_an_answer_slowly_gets_all_of_it() {
    let server = TestServer::with(|config| config.answer_patience = PATIENCE).await;
    let (ada, _bob, _) = much_to_read(&server).await;
    let mut stream = ask(&server, &ada, "/api/load").await;
    let mut all = sip(&mut stream).await;
    within("the rest", stream.read_to_end(&mut all)).await.unwrap();
    assert!(all.len() > 30 * 16_000 && all.ends_with(b"0\r\n\r\n"), "{}", all.len());
}

#[tokio::test]
async fn a_socket_that_takes_its_pages_slowly_gets_all_of_them() {
    let server = TestServer::with(|config| config.stall = PATIENCE).await;
    let (_ada, bob, session) = much_to_read(&server).await;
    let mut stream = dial(&server.base).await;
    let host = server.base.strip_prefix("http://").unwrap();
    let mut head = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in &bob.handshake().headers {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
    let hello = format!("{{\"type\":\"Hello\",\"Sessions\":{{\"{session}\":{{\"Rev\":0}}}}}}");
    let length = u8::try_from(hello.len()).unwrap();
    assert!(length < 126, "the shortest form of a frame");
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0]; // an all-zero mask
    frame.extend_from_slice(hello.as_bytes());
    stream.write_all(&frame).await.unwrap();
    let all = sip(&mut stream).await;
    // The page is longer than that, and continues.
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains("\"type\":\"Welcome\"") && text.contains("\"type\":\"Page\""), "{}", all.len());
    let mut rest = vec![0; 48_000_usize.saturating_sub(all.len())];
    within("the rest of the page", stream.read_exact(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn what_is_on_its_way_to_a_user_is_bounded_and_the_next_waits_for_it() {
    let server = TestServer::with(limits(|limits| limits.answers_kib_per_user = 700)).await;
    let (ada, bob, session) = much_to_read(&server).await;
    let mut first = ask(&server, &ada, "/api/load").await;
    within("its beginning", first.read_exact(&mut [0; 2_000])).await.unwrap(); // and reads no more of it
    let mut second = ask(&server, &ada, "/api/load").await;
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let taking = tokio::spawn(async move {
        let mut all = Vec::new();
        second.read_to_end(&mut all).await.unwrap();
        ended.store(true, Ordering::SeqCst);
        all
    });
    // Others get theirs, and the same user still gets small answers.
    for _ in 0..10 {
        let mut all = Vec::new();
        within("Bob's", ask(&server, &bob, "/api/load").await.read_to_end(&mut all)).await.unwrap();
        assert!(all.len() > 30 * 16_000);
        let mut small = Vec::new();
        let path = format!("/api/history?SessionID={session}");
        within("a part", ask(&server, &ada, &path).await.read_to_end(&mut small)).await.unwrap();
        assert!(small.starts_with(b"HTTP/1.1 200 ") && small.len() < 64 * 1024, "{}", small.len());
    }
    assert!(!done.load(Ordering::SeqCst), "there was no room for it");
    drop(first);
    let all = within("its turn", taking).await.unwrap();
    assert!(all.len() > 30 * 16_000 && all.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn who_reads_much_waits_for_as_long_as_it_cost() {
    let server = TestServer::with(limits(|limits| {
        (limits.read_kib_per_second, limits.read_burst_kib) = (256, 1024);
    }))
    .await;
    let (mut ada, mut bob, session) = much_to_read(&server).await;
    let began = Instant::now();
    for _ in 0..30 {
        let part = ada.history(session, protocol::Seq(i64::MAX)).await.unwrap();
        let bytes: usize = part.messages.iter().map(|message| message.data.len()).sum();
        assert!((32_000..60 * 1024).contains(&bytes) && part.more, "as many as fit: {bytes}");
    }
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
    within("Bob's", bob.history(session, protocol::Seq(i64::MAX))).await.unwrap();
}

#[tokio::test]
async fn a_first_picture_and_a_load_are_whole_with_more_in_them_than_is_drawn() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    let mut sessions = Vec::new();
    for n in 0..6 {
        let mut other = server.online(&format!("person{n}")).await;
        let session = crate::support::befriend(&mut ada, &mut other).await;
        // Some long, some short, one empty.
        for _ in 0..(n % 3) * 3 {
            ada.say_and_wait(session, "\"\\<x>".repeat(n * 500)).await.unwrap();
        }
        sessions.push((session, (n % 3) * 3));
    }
    let loaded = ada.load().await.unwrap();
    let found: Vec<_> = sessions.iter().map(|(id, _)| (*id, loaded[id].messages.len())).collect();
    assert_eq!((found, loaded.len()), (sessions.clone(), 6));
    assert!(loaded.values().all(|session| session.user_ids.len() == 2));
    let page = ada.http.get("/").await.unwrap();
    assert_eq!(page.status, 200);
    for (session, _) in &sessions {
        assert!(page.text().contains(&format!("/chat/{session}")));
    }
    let nobody = server.user("Nobody").await.load().await.unwrap();
    assert!(nobody.is_empty());
}
