//! Forms sent twice, by a double click or because the answer was lost: registration is idempotent. Invitations that are
//! answered twice are in `invitations`.

use headless::{Http, Response};
use http::Method;
use protocol::Code;
use server::{Config, Limits};

use crate::account::is_refusal;
use crate::support::{PASSWORD, TestServer, patiently};

const HERE: &str = "203.0.113.7";

/// Behind a trusted proxy, with limits that no test of this file hits by accident.
fn proxied(config: &mut Config) {
    const MANY: u32 = 100_000;
    let limits = Limits { logins_per_minute: MANY, registrations_per_minute: MANY, ..Limits::default() };
    config.limits = Some(limits);
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
}

async fn post(http: &mut Http, path: &str, from: &str, name: &str, password: &str) -> Response {
    let body = serde_json::json!({ "Username": name, "Password": password }).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", from)];
    let mut ask = async || http.request(Method::POST, path, &headers, body.clone().into()).await.unwrap();
    patiently(&mut ask, |answer| answer.status == 503).await
}

async fn register(http: &mut Http, from: &str, name: &str, password: &str) -> Response {
    post(http, "/api/register", from, name, password).await
}

#[tokio::test]
async fn the_same_registration_again_is_the_same_account_until_the_first_login() {
    let server = TestServer::with(proxied).await;
    let mut http = server.client().http;
    let first = register(&mut http, HERE, "Ada", PASSWORD).await;
    assert_eq!(first.status, 200);
    for from in [HERE, "203.0.113.200"] {
        let again = register(&mut http, from, "Ada", PASSWORD).await;
        assert_eq!((again.status, again.text()), (200, first.text()), "{from}");
    }
    is_refusal(&register(&mut http, HERE, "Ada", "another horse").await, 409, Code::NameTaken);
    is_refusal(&register(&mut http, HERE, "ada", PASSWORD).await, 409, Code::NameTaken);
    is_refusal(&register(&mut http, "198.51.100.7", "Ada", PASSWORD).await, 409, Code::NameTaken);

    // Byte for byte: the same name written differently is somebody else, even with the same password.
    let decomposed = register(&mut http, HERE, "Zoe\u{308}", PASSWORD).await;
    assert_eq!(decomposed.status, 200);
    let again = register(&mut http, HERE, "Zoe\u{308}", PASSWORD).await;
    assert_eq!((again.status, again.text()), (200, decomposed.text()));
    is_refusal(&register(&mut http, HERE, "Zoë", PASSWORD).await, 409, Code::NameTaken);

    // The answer may have been lost because the server stopped.
    let server = server.restart_with(proxied).await;
    let again = register(&mut http, HERE, "Ada", PASSWORD).await;
    assert_eq!((again.status, again.text()), (200, first.text()), "after a restart");
    assert_eq!(post(&mut http, "/api/login", HERE, "Ada", PASSWORD).await.status, 200);
    is_refusal(&register(&mut http, HERE, "Ada", PASSWORD).await, 409, Code::NameTaken);
    drop(server);
}

#[tokio::test]
async fn a_double_click_makes_one_account_and_both_answers_say_so() {
    let server = TestServer::start().await;
    for n in 0..5 {
        let (mut one, mut other) = (server.client().http, server.client().http);
        let name = format!("Ada{n}");
        let (one, other) =
            tokio::join!(register(&mut one, "", &name, PASSWORD), register(&mut other, "", &name, PASSWORD));
        assert_eq!((one.status, other.status), (200, 200));
        assert_eq!(one.text(), other.text());
    }
    // The same with the form.
    let mut http = server.client().http;
    for _ in 0..2 {
        let fields = [("Username", "Bob"), ("Password", PASSWORD)];
        let mut ask = async || http.post_form("/register", &fields).await.unwrap();
        let is_busy =
            |answer: &Response| answer.header("location").is_some_and(|to| to.contains("Unavailable"));
        let answer = patiently(&mut ask, is_busy).await;
        assert_eq!(answer.header("location"), Some("/login?Registered=1&Username=Bob"));
    }
    // Signing in or out twice is no error either.
    for _ in 0..2 {
        assert_eq!(post(&mut http, "/api/login", "", "Bob", PASSWORD).await.status, 200);
    }
    for _ in 0..2 {
        assert_eq!(http.post("/api/logout", &serde_json::json!({})).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_registration_again_counts_as_a_guess() {
    let server = TestServer::with(proxied).await;
    let mut http = server.client().http;
    assert_eq!(register(&mut http, HERE, "Ada", PASSWORD).await.status, 200);
    for n in 0..5 {
        let answer = register(&mut http, HERE, "Ada", &format!("wrong horse {n}")).await;
        is_refusal(&answer, 409, Code::NameTaken);
    }
    is_refusal(&register(&mut http, HERE, "Ada", PASSWORD).await, 409, Code::NameTaken);
    is_refusal(&post(&mut http, "/api/login", HERE, "Ada", PASSWORD).await, 429, Code::TooMany);
    assert_eq!(post(&mut http, "/api/login", "198.51.100.7", "Ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_network_makes_so_many_accounts_a_day_whatever_the_names() {
    let server = TestServer::with(|config| {
        proxied(config);
        config.limits.as_mut().unwrap().registrations_per_day = 3;
    })
    .await;
    assert_eq!(Limits::default().registrations_per_day, 50);
    let mut http = server.client().http;
    let first = register(&mut http, HERE, "Ada", PASSWORD).await;
    is_refusal(&register(&mut http, "203.0.113.9", "ada", PASSWORD).await, 409, Code::NameTaken);
    for name in ["Bob", "Cleo"] {
        assert_eq!(register(&mut http, "203.0.113.8", name, PASSWORD).await.status, 200, "{name}");
    }
    let (free, taken) =
        (register(&mut http, HERE, "Dan", PASSWORD).await, register(&mut http, HERE, "bob", PASSWORD).await);
    let reason = is_refusal(&free, 429, Code::TooMany);
    let wait: u64 = free.header("retry-after").unwrap().parse().unwrap();
    assert!(wait > 23 * 3_600 && reason.contains("24 hours"), "{wait}: {reason}");
    assert_eq!((taken.status, taken.text()), (free.status, free.text()), "taken or not");
    let again = register(&mut http, HERE, "Ada", PASSWORD).await;
    assert_eq!((again.status, again.text()), (200, first.text()), "the same registration is none more");
    assert_eq!(register(&mut http, "198.51.100.7", "Dan", PASSWORD).await.status, 200);
    assert_eq!(register(&mut http, "2001:db8:1::1", "Eve", PASSWORD).await.status, 200);
}
