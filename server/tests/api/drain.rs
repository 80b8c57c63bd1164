//! Graceful shutdown: readiness fails first, then every client is asked to reconnect, each at a different time, and the
//! process ends in time even if a client does not read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headless::{Client, Event, Http, Socket};
use protocol::{ServerFrame, close};

use crate::support::{Natter, TestServer, befriend, holds, set_password, within};

async fn socket(client: &Client) -> Socket {
    let mut socket = Socket::open(&client.handshake()).await.unwrap();
    socket.send_text("{\"type\":\"Hello\"}").await.unwrap();
    match within("Welcome", socket.next()).await {
        Event::Text(text) if text.contains("\"Welcome\"") => socket,
        other => panic!("{other:?}"),
    }
}

/// Returns what a socket receives at its end: when to reconnect, and the close code.
async fn told(mut socket: Socket) -> (Option<u64>, Option<u16>) {
    let mut after = None;
    loop {
        match within("the end", socket.next()).await {
            Event::Text(text) => {
                if let Ok(ServerFrame::Drain { after_ms }) = ServerFrame::decode(&text) {
                    after = Some(after_ms);
                }
            }
            Event::Closed(code) => return (after, code),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn sockets_are_asked_back_evenly_over_some_seconds() {
    const SOCKETS: usize = 300;
    let server = TestServer::start().await;
    let ada = server.user("Ada").await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(tokio::spawn(told(socket(&ada).await)));
    }
    let server = within("the restart", server.restart()).await;
    let mut buckets: BTreeMap<u64, usize> = BTreeMap::new();
    for one in sockets {
        let (after, code) = one.await.unwrap();
        assert_eq!(code, Some(close::RESTART));
        *buckets.entry(after.expect("every socket is told") / 1_000).or_default() += 1;
    }
    let (seconds, busiest) = (buckets.len(), *buckets.values().max().unwrap());
    assert!(seconds >= 4, "{buckets:?}");
    assert!(busiest * seconds <= 3 * SOCKETS, "{buckets:?}");
    drop(server);
}

#[tokio::test]
async fn nothing_is_lost_by_a_restart_under_way() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let mut said = Vec::new();
    for round in 0..3 {
        for n in 0..50 {
            said.push(format!("{round} {n}"));
            let _ = ada.say(session, said.last().unwrap().clone()).await; // the connection may be down already
        }
        server = within("the restart", server.restart()).await;
        for client in [&mut ada, &mut bob] {
            client.reconnect().await.unwrap();
        }
    }
    let wanted: Vec<&str> = said.iter().map(String::as_str).collect();
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    for client in [&mut ada, &mut bob] {
        holds(client, session, &wanted).await;
    }
    drop(server);
}

async fn status(base: &str, path: &str) -> u16 {
    Http::new(base).get(path).await.unwrap().status
}

/// Returns sockets that request pages and read none of them, so writes to them get stuck.
async fn deaf(natter: &Natter) -> Vec<Socket> {
    let (mut ada, mut bob) = (natter.online("Ada").await, natter.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    for _ in 0..50 {
        ada.say_and_wait(session, "x".repeat(16_000)).await.unwrap();
    }
    let mut deaf = Vec::new();
    for _ in 0..5 {
        let mut handshake = bob.handshake();
        handshake.receive_buffer = Some(4096);
        let mut socket = Socket::open(&handshake).await.unwrap();
        socket.send_text("{\"type\":\"Hello\"}").await.unwrap();
        for _ in 0..40 {
            let fetch = format!("{{\"type\":\"Fetch\",\"SessionID\":\"{session}\",\"Rev\":0}}");
            socket.send_text(&fetch).await.unwrap();
        }
        deaf.push(socket);
    }
    deaf
}

#[tokio::test]
async fn a_stop_turns_readiness_off_takes_no_more_connections_and_waits_for_nobody_for_long() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--limits", "off", "--private-listen", "127.0.0.1:0"];
    let mut natter = Natter::with(data.path(), &args).await;
    let deaf = deaf(&natter).await;
    let private = natter.private.clone().unwrap();
    assert_eq!(status(&private, "/readyz").await, 200);

    let began = Instant::now();
    natter.signal("TERM").await;
    within("readiness to be off", async { while status(&private, "/readyz").await != 503 {} }).await;
    assert_eq!(status(&private, "/healthz").await, 200, "it lives and commits what it has");
    assert!(Http::new(&natter.base).get("/login").await.is_err(), "another server may have the address");
    assert!(natter.ended().await.success());
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
    drop(deaf);
}

#[tokio::test]
async fn a_revoked_login_loses_its_sockets_even_those_that_read_nothing() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--limits", "off", "--private-listen", "127.0.0.1:0"];
    let natter = Natter::with(data.path(), &args).await;
    let deaf = deaf(&natter).await;
    let private = natter.private.clone().unwrap();
    let sockets = async || {
        let text = Http::new(&private).get("/metrics").await.unwrap().text();
        text.lines().find_map(|line| line.strip_prefix("natter_sockets ")?.parse::<f64>().ok()).unwrap()
    };
    assert!(sockets().await >= 5.0);
    let (code, _, err) = set_password(data.path(), "Bob", "battery staple\n").await;
    assert_eq!(code, Some(0), "{err}");
    // We promise one second. A socket that reads nothing would otherwise be closed only after 15.
    let gone = async { while sockets().await > 0.0 {} };
    tokio::time::timeout(Duration::from_secs(6), gone).await.expect("the sockets end");
    drop(deaf);
}
