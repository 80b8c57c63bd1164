//! Input that no well-behaved client would send.

use headless::{Client, Event, Http, Response, Socket};
use http::Method;
use protocol::{Code, MAX_FRAME_BYTES, MessageId, ServerFrame, close};
use serde_json::json;

use crate::account::is_refusal;
use crate::support::{TestServer, fence, holds, refused, within};

/// Receives the next frame on a bare socket.
async fn frame(socket: &mut Socket) -> ServerFrame {
    match within("a frame", socket.next()).await {
        Event::Text(text) => ServerFrame::decode(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Waits for the close of a socket and returns its code, ignoring what comes before.
async fn closed(socket: &mut Socket) -> Option<u16> {
    loop {
        if let Event::Closed(code) = within("the end", socket.next()).await {
            return code;
        }
    }
}

async fn bare(client: &Client) -> Socket {
    Socket::open(&client.handshake()).await.unwrap()
}

#[tokio::test]
async fn a_socket_that_does_not_say_hello_in_5_s_is_closed_with_1008() {
    let server = TestServer::start().await;
    let ada = server.user("Ada").await;
    let began = std::time::Instant::now();
    let mut socket = bare(&ada).await;
    assert_eq!(closed(&mut socket).await, Some(close::POLICY));
    let took = began.elapsed().as_secs_f32();
    assert!(took > 4.0, "{took} s");
}

#[tokio::test]
async fn a_socket_that_begins_with_anything_but_hello_is_closed_with_1008() {
    let server = TestServer::start().await;
    let ada = server.user("Ada").await;
    for first in ["{\"type\":\"Pong\"}", "nonsense", "{\"type\":\"Hello\",\"Surprise\":1}"] {
        let mut socket = bare(&ada).await;
        socket.send_text(first).await.unwrap();
        assert_eq!(closed(&mut socket).await, Some(close::POLICY), "{first}");
    }
    let mut socket = bare(&ada).await;
    socket.send_binary(b"{\"type\":\"Hello\"}".to_vec()).await.unwrap();
    assert_eq!(closed(&mut socket).await, Some(close::POLICY));
}

#[tokio::test]
async fn four_malformed_frames_are_refused_with_the_reason_and_the_fifth_closes_with_1008() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    let message = json!({ "type": "Message", "SessionID": session, "MessageID": MessageId::new(), "Data": "x", "Seq": 1 });
    for (text, hint) in [
        ("{\"type\":\"Nonsense\"}", "Nonsense"),
        (&message.to_string(), "Seq"),
        ("{\"type\":", ""),
        ("{\"type\":\"Search\",\"Username\":\"Bob\",\"Status\":\"Accepted\"}", "Search"),
    ] {
        ada.socket().unwrap().send_text(text).await.unwrap();
        let told = ada.expect("a refusal", refused).await.unwrap();
        assert_eq!(told.code, Code::Malformed);
        assert!(told.reason.contains(hint), "{}", told.reason);
    }
    ada.say_and_wait(session, "good frames between count for nothing").await.unwrap();
    ada.socket().unwrap().send_text("[]").await.unwrap();
    assert_eq!(ada.closed().await.unwrap(), Some(close::POLICY));
    ada.reconnect().await.unwrap();
    holds(&mut ada, session, &["good frames between count for nothing"]).await;
}

#[tokio::test]
async fn binary_frames_and_a_second_hello_are_malformed() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    ada.socket().unwrap().send_binary(b"{\"type\":\"Pong\"}".to_vec()).await.unwrap();
    assert_eq!(ada.expect("a refusal", refused).await.unwrap().code, Code::Malformed);
    ada.socket().unwrap().send_text("{\"type\":\"Hello\",\"Sessions\":{}}").await.unwrap();
    assert_eq!(ada.expect("a refusal", refused).await.unwrap().code, Code::Malformed);
    fence(&mut ada).await;
}

#[tokio::test]
async fn a_frame_of_65_kb_closes_with_1009_and_one_just_within_does_not() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    let padded = |bytes: usize| " ".repeat(bytes - 15) + "{\"type\":\"Pong\"}";
    ada.socket().unwrap().send_text(padded(MAX_FRAME_BYTES)).await.unwrap();
    fence(&mut ada).await;
    for bytes in [MAX_FRAME_BYTES + 1, 65_000 + 1_000, 1_000_000] {
        // The server may close before all of it is sent.
        let _ = ada.socket().unwrap().send_text(padded(bytes)).await;
        assert_eq!(ada.closed().await.unwrap(), Some(close::TOO_BIG), "{bytes}");
        ada.reconnect().await.unwrap();
    }
    let mut socket = bare(&ada).await;
    let _ = socket.send_text(padded(MAX_FRAME_BYTES + 1)).await;
    assert_eq!(closed(&mut socket).await, Some(close::TOO_BIG), "before Hello too");
}

#[tokio::test]
async fn bad_utf_8_closes_with_1007() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    for bytes in [&b"\xff\xfe"[..], b"{\"type\":\"Pong\"\xc3}", b"\xed\xa0\x80"] {
        ada.socket().unwrap().send_broken_text(bytes.to_vec()).await.unwrap();
        assert_eq!(ada.closed().await.unwrap(), Some(1007));
        ada.reconnect().await.unwrap();
    }
}

#[tokio::test]
async fn odd_numbers_and_identifiers_do_no_harm() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    ada.say_and_wait(session, "hello").await.unwrap();
    for rev in [i64::MIN, -1, 2, i64::MAX] {
        let fetch = json!({ "type": "Fetch", "SessionID": session, "Rev": rev });
        ada.socket().unwrap().send_text(fetch.to_string()).await.unwrap();
        let reset = |frame: &ServerFrame| matches!(frame, ServerFrame::Reset { .. }).then_some(());
        ada.expect("a reset", reset).await.unwrap();
        holds(&mut ada, session, &["hello"]).await;
    }
    let hello = json!({ "type": "Hello", "Sessions": { session.to_string(): { "Rev": -7 } } });
    let mut socket = bare(&ada).await;
    socket.send_text(hello.to_string()).await.unwrap();
    assert!(matches!(frame(&mut socket).await, ServerFrame::Welcome { .. }));
    assert!(matches!(frame(&mut socket).await, ServerFrame::Reset { .. } | ServerFrame::Page { .. }));

    // An ID in upper case is the same ID.
    let loud = session.to_string().to_uppercase();
    let message =
        json!({ "type": "Message", "SessionID": loud, "MessageID": MessageId::new(), "Data": "LOUD" });
    ada.socket().unwrap().send_text(message.to_string()).await.unwrap();
    ada.expect("an ack", |frame| matches!(frame, ServerFrame::Ack { .. }).then_some(())).await.unwrap();
}

/// Posts a body exactly as written.
async fn posted(http: &mut Http, path: &str, kind: &str, body: &str) -> Response {
    http.request(Method::POST, path, &[("Content-Type", kind)], body.into()).await.unwrap()
}

#[tokio::test]
async fn a_body_or_query_is_one_object_with_every_field_once() {
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    let json = "application/json";
    for path in ["/api/login", "/api/register"] {
        for body in [
            r#"{"Username":"Ada","Password":"correct horse","Password":"correct horse"}"#,
            r#"{"Username":"Eve","Username":"Ada","Password":"correct horse"}"#,
            r#"{"Username":"Ada","\u0055sername":"Ada","Password":"correct horse"}"#,
            r#"{"Username":"Ada","Password":"correct horse","Surprise":"1"}"#,
            r#"{"Username":"Ada","Password":"correct horse"} {}"#,
            r#"{"Username":"Ada","Password":["correct horse"]}"#,
            r#"[{"Username":"Ada","Password":"correct horse"}]"#,
            r#"["Ada","correct horse"]"#,
        ] {
            is_refusal(&posted(&mut ada.http, path, json, body).await, 422, Code::Malformed);
        }
    }
    for body in ["[]", "null", "\"\"", r#"{"Surprise":"1"}"#, "{} {}", ""] {
        is_refusal(&posted(&mut ada.http, "/api/logout", json, body).await, 422, Code::Malformed);
    }
    ada.load().await.unwrap(); // still signed in
    let id = MessageId::new();
    for query in [
        format!("SessionID={id}&SessionID={id}"),
        format!("SessionID={id}&Before=1&Before=2"),
        format!("SessionID={id}&Surprise=1"),
        format!("SessionID[]={id}"),
        format!("SessionID[0]={id}&SessionID[1]={id}"),
    ] {
        let answer = ada.http.get(&format!("/api/history?{query}")).await.unwrap();
        is_refusal(&answer, 422, Code::Malformed);
    }
    let form = "application/x-www-form-urlencoded";
    for path in ["/login", "/register"] {
        for body in [
            "Username=Ada&Password=correct+horse&Password=correct+horse",
            "Username=Eve&Username=Ada&Password=x",
        ] {
            let answer = posted(&mut server.client().http, path, form, body).await;
            assert_eq!(answer.header("location"), Some(format!("{path}?Error=Malformed&Username=").as_str()));
        }
    }
}

#[tokio::test]
async fn a_cookie_that_comes_twice_does_not_count() {
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    let cookie = ada.http.cookie().unwrap().to_owned();
    for twice in [
        format!("{cookie}; {cookie}"),
        format!("authentication_token=planted; {cookie}"),
        format!("{cookie}; authentication_token="),
    ] {
        ada.http.set_cookie(Some(twice));
        is_refusal(&ada.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
    }
    for beside in ["other=1; {}; other=2", "{}; authentication%5Ftoken=planted"] {
        ada.http.set_cookie(Some(beside.replace("{}", &cookie)));
        assert_eq!(ada.http.get("/api/load").await.unwrap().status, 200);
    }
    // To a browser such a name would not begin with `__Host-`, so a sibling subdomain could set it.
    ada.http.set_cookie(Some(cookie.replace("authentication_token", "authentication%5Ftoken")));
    is_refusal(&ada.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
}
