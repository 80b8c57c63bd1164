//! Clients with too much open or too slow, and that nobody else suffers from them.

#[cfg(target_os = "linux")]
mod linux;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use headless::{Event, Http, Socket};
use protocol::{Code, close};
use server::{Config, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{TestServer, within};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Opens a bare connection from one of this machine's own addresses.
async fn dial(base: &str, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = base.strip_prefix("http://").unwrap().parse().unwrap();
    within("a connection", socket.connect(address)).await.unwrap()
}

/// Reads the head of the next response, without sending a request: for unsolicited ones.
async fn answered(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    within("an answer", async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
    })
    .await;
    String::from_utf8(head).unwrap()
}

/// Requests a page to see whether this connection has a place; returns the status.
async fn status(stream: &mut TcpStream) -> u16 {
    let _ = stream.write_all(b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n").await; // or it is refused immediately
    answered(stream).await.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Reads until the connection is closed; returns everything, and how long that took.
async fn ended(stream: &mut TcpStream) -> (String, Duration) {
    let (began, mut all) = (Instant::now(), Vec::new());
    let _ = within("the end", stream.read_to_end(&mut all)).await; // a reset counts as the end too
    (String::from_utf8_lossy(&all).into_owned(), began.elapsed())
}

fn limits(change: impl FnOnce(&mut Limits)) -> impl FnOnce(&mut Config) {
    |config| change(config.limits.insert(Limits::default()))
}

#[tokio::test]
async fn a_full_server_says_so_and_lets_in_again_who_comes_later() {
    let server = TestServer::with(|config| config.connections = Some(4)).await;
    let mut taken = Vec::new();
    within("the server to be full", async {
        loop {
            let mut one = dial(&server.base, HERE).await;
            if status(&mut one).await == 503 {
                break;
            }
            taken.push(one);
        }
    })
    .await;
    let (told, _) = ended(&mut dial(&server.base, HERE).await).await;
    assert!(told.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{told}");
    assert!(told.contains("\r\nRetry-After: 30\r\n") && told.contains("\"Error\":\"Unavailable\""), "{told}");
    taken.clear();
    within("a place", async { while status(&mut dial(&server.base, HERE).await).await != 200 {} }).await;
}

#[tokio::test]
async fn a_user_has_so_many_sockets() {
    let server = TestServer::with(limits(|limits| limits.sockets_per_user = 2)).await;
    let ada = server.online("Ada").await;
    let second = Socket::open(&ada.handshake()).await.unwrap();
    // A browser tells a page nothing about a refused upgrade, but it does pass on a close code.
    for hello in [None, Some("{\"type\":\"Hello\"}")] {
        let mut over = Socket::open(&ada.handshake()).await.unwrap();
        if let Some(hello) = hello {
            over.send_text(hello).await.unwrap();
        }
        assert_eq!(within("the close", over.next()).await, Event::Closed(Some(close::TOO_MANY)));
    }
    server.online("Bob").await;
    drop(second);
    let greeted = async || {
        let mut again = Socket::open(&ada.handshake()).await.unwrap();
        again.send_text("{\"type\":\"Hello\"}").await.is_ok() && matches!(again.next().await, Event::Text(_))
    };
    within("the place", async { while !greeted().await {} }).await;
}

#[tokio::test]
async fn a_socket_too_many_takes_none_of_the_users_places_but_one_of_its_address() {
    let server = TestServer::with(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        limits(|limits| (limits.sockets_per_user, limits.connections_per_address) = (1, 4))(config);
    })
    .await;
    let ada = server.online("Ada").await;
    let mut over = Vec::new();
    let refused = within("a refusal", async {
        loop {
            match Socket::open(&ada.handshake()).await {
                Ok(socket) => over.push(socket), // which does not answer the close
                Err(refused) => break refused,
            }
        }
    })
    .await;
    assert!(matches!(refused, headless::Error::Upgrade(429)), "{refused}");
    drop(over);
    let mut knock = ada.http.clone();
    within("their places", async { while knock.get("/api/load").await.unwrap().status != 200 {} }).await;
}

#[tokio::test]
async fn a_trusted_proxy_may_have_any_number_and_each_address_behind_it_its_own() {
    let server = TestServer::with(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        limits(|limits| limits.connections_per_address = 3)(config);
    })
    .await;
    let mut proxied = Vec::new();
    for _ in 0..10 {
        proxied.push(dial(&server.base, HERE).await);
    }
    for one in &mut proxied {
        assert_eq!(status(one).await, 200);
    }
    // Three sockets use up the quota of one address; another address has its own.
    let ada = server.user("Ada").await;
    let from = |address: &str| {
        let mut client = server.client();
        client.http = Http::new(&server.base).with_header("X-Forwarded-For", address);
        client.http.set_cookie(ada.http.cookie().map(str::to_owned));
        client
    };
    let (one, other) = (from("203.0.113.1"), from("203.0.113.2"));
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(Socket::open(&one.handshake()).await.unwrap());
    }
    let mut refused = one.http.clone();
    let answer = refused.get("/login").await.unwrap();
    crate::account::is_refusal(&answer, 429, Code::TooMany);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(other.http.clone().get("/api/load").await.unwrap().status, 200);
    sockets.clear();
    within("the share", async { while refused.get("/api/load").await.unwrap().status != 200 {} }).await;
}

#[tokio::test]
async fn without_limits_neither_addresses_nor_users_are_counted() {
    let server = TestServer::start().await;
    let ada = server.user("Ada").await;
    let (few, mut open) = (Limits::default(), Vec::new());
    for _ in 0..few.connections_per_address.max(few.sockets_per_user) + 10 {
        open.push(Socket::open(&ada.handshake()).await.unwrap());
    }
    assert_eq!(status(&mut dial(&server.base, HERE).await).await, 200);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_an_answer_and_the_end() {
    let server = TestServer::with(|config| config.body_patience = Duration::from_secs(1)).await;
    let stream = dial(&server.base, HERE).await;
    let (mut reading, mut writing) = stream.into_split();
    let head = "POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n";
    let drip = tokio::spawn(async move {
        let mut sent = writing.write_all(head.as_bytes()).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while sent.is_ok() {
            ticks.tick().await;
            sent = writing.write_all(b" ").await;
        }
    });
    let (began, mut all) = (Instant::now(), Vec::new());
    let _ = within("the end", reading.read_to_end(&mut all)).await;
    let all = String::from_utf8_lossy(&all);
    assert!(all.starts_with("HTTP/1.1 408 "), "{all}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    within("the drip to end", drip).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let server = TestServer::with(|config| config.patience = Duration::from_secs(1)).await;
    for second in ["", "G", "GET /login HTTP/1.1\r\nHost"] {
        let mut stream = dial(&server.base, HERE).await;
        assert_eq!(status(&mut stream).await, 200);
        stream.write_all(second.as_bytes()).await.unwrap();
        let (_, took) = ended(&mut stream).await;
        assert!(took < Duration::from_secs(10), "{took:?} after {second:?}");
    }
}

#[tokio::test]
async fn a_head_that_goes_on_and_on_is_refused() {
    let server = TestServer::start().await;
    let mut stream = dial(&server.base, HERE).await;
    let head = format!("GET /login HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let (all, _) = ended(&mut stream).await;
    assert!(all.starts_with("HTTP/1.1 431 "), "{all}");
}

#[tokio::test]
async fn a_socket_in_good_use_is_not_bound_by_the_time_of_an_answer() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let server = TestServer::with(|config| config.answer_patience = PATIENCE).await;
    let (mut ada, mut bob, session) = server.pair().await;
    bob.set_receive_buffer(4 * 1024);
    bob.online().await.unwrap();
    // More than the buffers on the way to Bob can hold, who reads none of it for a long time.
    let (began, mut said) = (Instant::now(), 0);
    while said < 20 || began.elapsed() < 4 * PATIENCE {
        ada.say_and_wait(session, format!("{said} {}", "x".repeat(16_000))).await.unwrap();
        said += 1;
    }
    bob.wait_for("everything", |sync| sync.rows(session).len() == said).await.unwrap();
    // And a silent one ends by the socket's own rule: for lack of a Hello.
    let mut silent = Socket::open(&bob.handshake()).await.unwrap();
    match within("the end", silent.next()).await {
        Event::Closed(code) => assert_eq!(code, Some(close::POLICY)),
        other => panic!("{other:?}"),
    }
}
