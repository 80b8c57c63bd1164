//! Guessing passwords and names: what a stranger gets, and that owners are never locked out of their accounts.
//! `chat/src/guesses.rs` simulates days of it; here is what a client sees.

use headless::{Http, Response};
use http::Method;
use protocol::Code;
use server::{Config, Limits};

use crate::account::is_refusal;
use crate::support::{PASSWORD, TestServer, patiently};

/// Limits guesses but not the rate of attempts: a test has only one address.
fn guarded(config: &mut Config) {
    const MANY: u32 = 100_000;
    let limits = Limits { logins_per_minute: MANY, registrations_per_minute: MANY, ..Limits::default() };
    config.limits = Some(limits);
}

/// The same, behind a trusted proxy.
fn proxied(config: &mut Config) {
    guarded(config);
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
}

async fn post(http: &mut Http, path: &str, from: &str, name: &str, password: &str) -> Response {
    let body = serde_json::json!({ "Username": name, "Password": password }).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", from)];
    let mut ask = async || http.request(Method::POST, path, &headers, body.clone().into()).await.unwrap();
    patiently(&mut ask, |answer| answer.status == 503).await // which does not count as a guess
}

async fn sign_in(http: &mut Http, from: &str, name: &str, password: &str) -> Response {
    post(http, "/api/login", from, name, password).await
}

/// Returns the device's cookie, as a browser sends it back, and the whole header.
fn device(answer: &Response) -> (String, String) {
    let whole = answer.set_cookies().find(|cookie| cookie.contains("known_device=")).unwrap();
    (whole.split(';').next().unwrap().to_owned(), whole.to_owned())
}

#[tokio::test]
async fn a_stranger_has_five_guesses_and_the_owner_is_not_locked_out_of_a_known_device() {
    let server = TestServer::with(proxied).await;
    let mut owner = server.client().http;
    post(&mut owner, "/api/register", "203.0.113.1", "Ada", PASSWORD).await;
    let (known, whole) = device(&sign_in(&mut owner, "203.0.113.1", "Ada", PASSWORD).await);
    for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=31536000"] {
        assert!(whole.contains(flag), "{whole}");
    }
    owner.post("/api/logout", &serde_json::json!({})).await.unwrap();

    let mut stranger = server.client().http;
    for n in 0..5 {
        let answer = sign_in(&mut stranger, &format!("198.51.100.{n}"), "ada", "wrong horse").await;
        is_refusal(&answer, 401, Code::WrongPassword);
    }
    // The right password gets the same answer, or the answer would reveal it.
    for (n, password) in [(6, "wrong horse"), (7, PASSWORD)] {
        let answer = sign_in(&mut stranger, &format!("198.51.100.{n}"), "Ada", password).await;
        let reason = is_refusal(&answer, 429, Code::TooMany);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=300).contains(&wait) && reason.contains("5 minutes"), "{wait}: {reason}");
    }
    let headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("X-Forwarded-For", "198.51.100.8")];
    let form = "Username=Ada&Password=wrong+horse".into();
    let back = stranger.request(Method::POST, "/login", &headers, form).await.unwrap();
    assert!(back.header("location").unwrap().contains("Error=TooMany"), "the form is the same door");
    assert!(back.header("retry-after").is_some());

    // The device cookie outlived the logout; there the owner may even mistype.
    owner.set_cookie(Some(known.clone()));
    is_refusal(&sign_in(&mut owner, "203.0.113.1", "Ada", "corect horse").await, 401, Code::WrongPassword);
    assert_eq!(sign_in(&mut owner, "203.0.113.1", "Ada", PASSWORD).await.status, 200);

    // Nor is the owner locked out on a new device at another address than the guesser's.
    let mut phone = server.client().http;
    assert_eq!(sign_in(&mut phone, "192.0.2.7", "Ada", PASSWORD).await.status, 200);

    // A forged cookie, or another account's, is no known device.
    let mut changed = known.clone().into_bytes();
    let last = changed.last_mut().unwrap();
    *last = if *last == b'0' { b'1' } else { b'0' };
    let mut bob = server.client().http;
    post(&mut bob, "/api/register", "203.0.113.2", "Bob", PASSWORD).await;
    let (of_bob, _) = device(&sign_in(&mut bob, "203.0.113.2", "Bob", PASSWORD).await);
    for cookie in [String::from_utf8(changed).unwrap(), of_bob] {
        stranger.set_cookie(Some(cookie));
        is_refusal(&sign_in(&mut stranger, "198.51.100.9", "Ada", PASSWORD).await, 429, Code::TooMany);
    }
}

#[tokio::test]
async fn behind_https_the_device_is_bound_to_the_host() {
    let server = TestServer::behind_https(guarded).await;
    let mut http = server.outside().http;
    post(&mut http, "/api/register", "", "Ada", PASSWORD).await;
    let (known, whole) = device(&sign_in(&mut http, "", "Ada", PASSWORD).await);
    assert!(whole.starts_with("__Host-known_device=") && whole.contains("; Secure"), "{whole}");
    http.set_cookie(Some(known));
    for _ in 0..6 {
        is_refusal(&sign_in(&mut http, "", "Ada", "wrong horse").await, 401, Code::WrongPassword);
    }
}

#[tokio::test]
async fn past_twenty_names_an_address_is_told_nothing_more_about_any() {
    let server = TestServer::with(proxied).await;
    let (mut http, here, there) = (server.client().http, "198.51.100.1", "198.51.100.2");
    let mut owner = server.client().http;
    for name in ["Ada", "Bob"] {
        post(&mut owner, "/api/register", "203.0.113.1", name, PASSWORD).await;
    }
    let (known, _) = device(&sign_in(&mut owner, here, "Ada", PASSWORD).await);
    // Unknown names at sign-in and taken ones at registration count together; a repeated one reveals nothing new.
    is_refusal(&post(&mut http, "/api/register", here, "Bob", PASSWORD).await, 409, Code::NameTaken);
    for n in 0..19 {
        for _ in 0..2 {
            let answer = sign_in(&mut http, here, &format!("nobody{n}"), PASSWORD).await;
            is_refusal(&answer, 400, Code::InvalidUser);
        }
    }
    for path in ["/api/login", "/api/register"] {
        let (of_ada, of_nobody) = (
            post(&mut http, path, here, "Ada", PASSWORD).await,
            post(&mut http, path, here, "Eve", PASSWORD).await,
        );
        is_refusal(&of_ada, 429, Code::TooMany);
        let wait: u64 = of_ada.header("retry-after").unwrap().parse().unwrap();
        assert!((3_000..=3_600).contains(&wait), "{wait}");
        assert_eq!((of_ada.status, of_ada.text()), (of_nobody.status, of_nobody.text()), "{path}");
        let names = |answer: &Response| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&of_ada), names(&of_nobody), "{path}");
    }
    is_refusal(&sign_in(&mut http, there, "Eve", PASSWORD).await, 400, Code::InvalidUser);
    owner.set_cookie(Some(known.clone()));
    assert_eq!(sign_in(&mut owner, here, "Ada", PASSWORD).await.status, 200, "known there");
    http.set_cookie(Some(known));
    is_refusal(&sign_in(&mut http, here, "Eve", PASSWORD).await, 429, Code::TooMany);
}

#[tokio::test]
async fn an_address_may_try_five_accounts_in_vain_and_any_number_with_the_right_password() {
    let server = TestServer::with(proxied).await;
    let (mut http, here) = (server.client().http, "198.51.100.1");
    let names: Vec<String> = (0..8).map(|n| format!("user{n}")).collect();
    for name in &names {
        post(&mut http, "/api/register", "203.0.113.1", name, PASSWORD).await;
    }
    for name in &names {
        is_refusal(&sign_in(&mut http, here, name, "wrong horse").await, 401, Code::WrongPassword);
        http.set_cookie(None);
        assert_eq!(sign_in(&mut http, here, name, PASSWORD).await.status, 200, "a slip is forgotten");
        http.set_cookie(None);
    }
    for (n, name) in names.iter().enumerate() {
        let status = sign_in(&mut http, here, name, "wrong horse").await.status;
        assert_eq!(status, if n < 5 { 401 } else { 429 }, "{name}");
    }
    assert_eq!(sign_in(&mut http, "198.51.100.2", &names[7], PASSWORD).await.status, 200);
}
