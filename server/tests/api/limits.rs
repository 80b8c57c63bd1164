//! Floods, and to whom they are counted.

use std::time::{Duration, Instant};

use headless::{Http, Response};
use http::Method;
use protocol::{Answer, Code, Outcome, Rev, ServerFrame};
use server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::account::is_refusal;
use crate::support::{PASSWORD, TestServer, befriend, invited, outcome_is, refused, texts, within};

/// Small numbers, so that no test needs many requests.
fn few() -> Option<Limits> {
    Some(Limits { logins_per_minute: 4, registrations_per_minute: 3, ..Limits::default() })
}

/// Tries to sign in as a nonexistent user, as if from this address.
async fn knock(http: &mut Http, path: &str, forwarded: &[&str]) -> Response {
    let headers = forwarded.iter().map(|value| ("X-Forwarded-For", *value));
    let headers: Vec<_> = headers.chain([("Content-Type", "application/json")]).collect();
    let body = r#"{"Username":"x","Password":"x"}"#;
    http.request(Method::POST, path, &headers, body.into()).await.unwrap()
}

/// Returns how many of ten attempts are let through.
async fn let_through(http: &mut Http, path: &str, forwarded: impl Fn(usize) -> Vec<String>) -> usize {
    let mut through = 0;
    for n in 0..10 {
        let forwarded = forwarded(n);
        let forwarded: Vec<_> = forwarded.iter().map(String::as_str).collect();
        through += usize::from(knock(http, path, &forwarded).await.status != 429);
    }
    through
}

#[tokio::test]
async fn too_many_logins_or_registrations_from_an_address_answer_429_with_retry_after() {
    let server = TestServer::with(|config| config.limits = few()).await;
    let mut http = Http::new(&server.base);
    for (path, most) in [("/api/login", 4), ("/api/register", 3)] {
        for _ in 0..most {
            assert_ne!(knock(&mut http, path, &[]).await.status, 429, "{path}");
        }
        let answer = knock(&mut http, path, &[]).await;
        let reason = is_refusal(&answer, 429, Code::TooMany);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait) && reason.contains(&wait.to_string()), "{wait}: {reason}");
    }
    let fields = [("Username", "Ada"), ("Password", "x")];
    let answer = http.post_form("/login", &fields).await.unwrap();
    let back = answer.header("location").unwrap();
    assert!(back.contains("Error=TooMany"), "the form is the same door");
    assert!(back.contains("Username=Ada"), "and it keeps the name");
    assert_eq!(http.get("/login").await.unwrap().status, 200, "looking is free");
}

#[tokio::test]
async fn the_limits_are_60_logins_and_20_registrations_a_minute_unless_set() {
    let limits = Limits::default();
    assert_eq!((limits.logins_per_minute, limits.registrations_per_minute), (60, 20));
    assert_eq!((limits.messages_per_second, limits.message_burst), (30, 300));
    assert_eq!((limits.text_per_second, limits.text_burst), (64, 2048));
    assert_eq!((limits.text_per_day, limits.disk_floor), (256, 512));
    let server = TestServer::with(|config| config.limits = Some(limits)).await;
    let mut http = Http::new(&server.base);
    let mut through = 0;
    while knock(&mut http, "/api/register", &[]).await.status != 429 {
        through += 1;
    }
    assert!((20..=22).contains(&through), "{through}");
}

#[tokio::test]
async fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let server = TestServer::with(|config| config.limits = few()).await;
    let mut http = Http::new(&server.base);
    let other_each_time = |n: usize| vec![format!("203.0.113.{n}")];
    assert!(
        let_through(&mut http, "/api/login", other_each_time).await < 6,
        "a header of one's own does not help"
    );
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_right_most_hop_that_is_not_trusted_counts() {
    let server = TestServer::with(|config| {
        config.limits = few();
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut http = Http::new(&server.base);
    let through = let_through(&mut http, "/api/login", |n| vec![format!("203.0.113.{n}")]).await;
    assert_eq!(through, 10, "each address has its own share");
    let through =
        let_through(&mut http, "/api/login", |n| vec![format!("1.1.1.{n}, 198.51.100.1, 10.0.0.{n}")]).await;
    assert!(through < 6, "what the client wrote itself, further left, changes nothing: {through}");
    let two_headers = |n: usize| vec![format!("1.1.1.{n}"), "198.51.100.2".into()];
    let through = let_through(&mut http, "/api/login", two_headers).await;
    assert!(through < 6, "nor does a header before the proxy's: {through}");
}

#[tokio::test]
async fn a_flood_of_messages_is_slowed_down_and_loses_nothing() {
    let limits = Limits { messages_per_second: 100, message_burst: 10, ..Limits::default() };
    let server = TestServer::with(|config| config.limits = Some(limits)).await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    let began = Instant::now();
    for n in 0..110 {
        ada.say(session, n.to_string()).await.unwrap();
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_millis(800), "100 beyond the burst, 100 a second: {took:?}");
    let wanted: Vec<String> = (0..110).map(|n| n.to_string()).collect();
    assert_eq!(texts(&ada, session), wanted);
    bob.wait_for("every message", |sync| sync.rows(session).len() == 110).await.unwrap();
    assert_eq!(texts(&bob, session), wanted);
}

#[tokio::test]
async fn a_flood_of_text_is_slowed_down_and_loses_nothing() {
    let limits = Limits { text_per_second: 64, text_burst: 16, ..Limits::default() };
    let server = TestServer::with(|config| config.limits = Some(limits)).await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    let began = Instant::now();
    let wanted: Vec<String> = (0..6).map(|n: u8| char::from(b'a' + n).to_string().repeat(16_384)).collect();
    for text in &wanted {
        ada.say(session, text.clone()).await.unwrap();
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_200), "80 KiB beyond the burst, 64 a second: {took:?}");
    bob.wait_for("every message", |sync| sync.rows(session).len() == 6).await.unwrap();
    assert_eq!(texts(&bob, session), wanted);
}

#[tokio::test]
async fn a_days_text_is_the_most_and_the_rest_is_refused_for_now() {
    let limits = Limits { text_per_day: 1, ..Limits::default() };
    let server = TestServer::with(|config| config.limits = Some(limits)).await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    let long = "x".repeat(16_384);
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(ada.say(session, long.clone()).await.unwrap());
    }
    ada.wait_for("a day's text", |sync| sync.outbox().is_empty()).await.unwrap();
    let more = ada.say(session, "one more").await.unwrap();
    let told = ada.expect("a refusal", refused).await.unwrap();
    assert_eq!((told.code, told.message_id, told.session_id), (Code::TooMany, Some(more), Some(session)));
    let after = Duration::from_millis(told.after_ms.unwrap());
    assert!((23..26).contains(&(after.as_secs() / 3600)), "{after:?}");
    assert!(told.reason.contains("25 hours"), "{}", told.reason);

    let frame = |frame: &protocol::ClientFrame| frame.encode();
    let edit = protocol::ClientFrame::Edit { session_id: session, message_id: ids[0], data: "y".into() };
    ada.socket().unwrap().send_text(&frame(&edit)).await.unwrap();
    let told = ada.expect("a refusal", refused).await.unwrap();
    assert_eq!((told.code, told.message_id, told.after_ms.is_some()), (Code::TooMany, Some(ids[0]), true));
    let delete = protocol::ClientFrame::Delete { session_id: session, message_id: ids[0] };
    ada.socket().unwrap().send_text(&frame(&delete)).await.unwrap();
    ada.wait_for("the deletion", |sync| sync.rows(session).iter().any(|row| row.deleted)).await.unwrap();
    bob.say_and_wait(session, "I have written nothing yet").await.unwrap();
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_closed_in_about_5_s() {
    let server = TestServer::start().await;
    let host = server.base.strip_prefix("http://").unwrap();
    let attempts = ["", "G", "GET /login HTTP/1.1\r\nHost: x\r\n"].map(|sent| async move {
        let began = Instant::now();
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset counts as the end too.
        let _ = within("the end", stream.read_to_end(&mut answer)).await;
        (sent, began.elapsed().as_secs_f32())
    });
    for (sent, took) in futures::future::join_all(attempts).await {
        assert!(took > 4.0, "{took} s after {sent:?}");
    }
}

#[tokio::test]
async fn a_socket_that_answers_no_heartbeat_is_closed() {
    let server = TestServer::with(|config| config.heartbeat = Duration::from_millis(200)).await;
    let ada = server.user("Ada").await;
    let mut socket = headless::Socket::open(&ada.handshake()).await.unwrap();
    socket.send_text("{\"type\":\"Hello\"}").await.unwrap();
    let mut heads = 0;
    let code = loop {
        match within("the end", socket.next()).await {
            headless::Event::Text(text) => heads += usize::from(text.contains("\"Heads\"")),
            headless::Event::Closed(code) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((heads, code), (2, Some(protocol::close::SLOW)), "two may go unanswered");
}

#[tokio::test]
async fn a_socket_that_answers_its_heartbeats_stays_and_is_told_where_its_sessions_stand() {
    let server = TestServer::with(|config| config.heartbeat = Duration::from_millis(1_500)).await;
    let (mut ada, _bob, session) = server.pair().await;
    ada.say_and_wait(session, "hello").await.unwrap();
    let head = |frame: &ServerFrame| match frame {
        ServerFrame::Heads { sessions } => sessions.get(&session).map(|head| head.rev),
        _ => None,
    };
    ada.take_frames();
    for _ in 0..4 {
        assert_eq!(ada.expect("Heads", head).await.unwrap(), Rev(1));
    }
}

/// Sends a login without reading the answer.
async fn asking(base: &str, credentials: &str) -> TcpStream {
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST /api/login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        credentials.len()
    );
    stream.write_all((head + credentials).as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_flood_of_logins_is_told_when_to_come_back_and_messages_go_on() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let credentials = serde_json::json!({ "Username": "Ada", "Password": PASSWORD });
    // More than can wait in the queue and be hashed meanwhile.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut staying, mut leaving) = (Vec::new(), Vec::new());
    for nth in 0..300 + 30 * cores {
        let (base, credentials) = (server.base.clone(), credentials.clone());
        if nth % 3 == 0 {
            leaving.push(tokio::spawn(async move { asking(&base, &credentials.to_string()).await }));
        } else {
            let answered = async move { Http::new(base).post("/api/login", &credentials).await.unwrap() };
            staying.push(tokio::spawn(answered));
        }
    }
    ada.say_and_wait(session, "in the middle of it").await.unwrap();
    crate::support::holds(&mut bob, session, &["in the middle of it"]).await;
    for one in leaving {
        drop(within("its request", one).await.unwrap()); // disconnects before the answer, as floods do
    }
    let mut told = 0;
    for login in staying {
        let answer = within("an answer", login).await.unwrap();
        if answer.status == 200 {
            continue;
        }
        is_refusal(&answer, 503, Code::Unavailable);
        assert_eq!(answer.header("retry-after"), Some("2"), "the one place that says so");
        told += 1;
    }
    let many = cores > 16; // these hash faster than this test sends logins
    assert!(told >= 1 || many, "nobody was told to come back");
    server.other_device(&ada).await; // a retry is signed in
}

#[tokio::test]
async fn who_does_not_take_no_for_an_answer_is_told_to_wait() {
    let server = TestServer::with(|config| config.limits = Some(Limits::default())).await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    for _ in 0..5 {
        ada.search("Bob").await.unwrap();
        let (invite, _) = bob.expect("an invitation", invited).await.unwrap();
        bob.answer(invite, Answer::Rejected).await.unwrap();
        ada.expect("Rejected", outcome_is(Outcome::Rejected)).await.unwrap();
    }
    ada.search("bob").await.unwrap();
    let told = ada.expect("a refusal", refused).await.unwrap();
    assert_eq!((told.code, told.username.as_deref()), (Code::TooMany, Some("bob")));
    assert!(told.reason.contains("Bob") && told.reason.contains("wait a day"), "{}", told.reason);
    bob.search("Ada").await.unwrap();
    bob.expect("Pending", outcome_is(Outcome::Pending)).await.unwrap();
    ada.expect("an invitation", invited).await.unwrap();
}

/// Security findings 5 and 6: anybody could probe which names exist and are online, at 30 a second.
#[tokio::test]
async fn past_twenty_names_that_nobody_has_a_search_tells_of_all_strangers_alike() {
    let server = TestServer::with(|config| config.limits = Some(Limits::default())).await;
    server.client().register("Dan", PASSWORD).await.unwrap();
    let _here = server.online("Cleo").await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    for n in 0..20 {
        for _ in 0..2 {
            ada.search(&format!("nobody{n}")).await.unwrap();
            ada.expect("NoUser", outcome_is(Outcome::NoUser)).await.unwrap(); // repeating it reveals nothing new
        }
    }
    let mut told = Vec::new();
    for name in ["nobody", "Cleo", "Dan"] {
        ada.search(name).await.unwrap();
        let refused = ada.expect("a refusal", refused).await.unwrap();
        assert_eq!((refused.code, refused.username.as_deref()), (Code::TooMany, Some(name)));
        told.push(refused.reason);
    }
    assert!(told[0].contains("60 minutes") && told.iter().all(|reason| *reason == told[0]), "{told:?}");
    ada.search("Bob").await.unwrap();
    let known = ada.expect("AlreadyConnected", outcome_is(Outcome::AlreadyConnected)).await.unwrap();
    assert_eq!(known.session_id, Some(session), "whom one knows is no stranger");
    bob.search("nobody").await.unwrap();
    bob.expect("NoUser", outcome_is(Outcome::NoUser)).await.unwrap();
}
