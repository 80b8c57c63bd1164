//! Which host names the server answers: those that nobody else can hand out, and those in its settings.

use headless::{Error, Http, Response, Socket};
use http::Method;
use protocol::Code;
use server::Config;

use crate::account::is_refusal;
use crate::headers::raw;
use crate::support::{Natter, PASSWORD, TestServer};

/// Returns a client that reaches the server by this name.
fn by(base: &str, host: &str) -> Http {
    Http::new(base).with_header("Host", host)
}

async fn register(http: &mut Http, name: &str) -> Response {
    let credentials = serde_json::json!({ "Username": name, "Password": PASSWORD });
    http.post("/api/register", &credentials).await.unwrap()
}

async fn status_of(base: &str, host: &str, path: &str) -> u16 {
    by(base, host).get(path).await.unwrap().status
}

fn named(also: &[&str]) -> impl FnOnce(&mut Config) {
    |config| config.also_hosts = also.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test]
async fn names_that_nobody_else_can_hand_out_are_answered_and_others_get_421() {
    let server = TestServer::with(named(&["nas.lan"])).await;
    let ours =
        ["127.0.0.1", "192.168.1.5:3000", "[::1]", "localhost:3000", "nas", "nas.local", "x.localhost"];
    for host in ours.into_iter().chain(["a.internal", "nas.home.arpa", "NAS.lan:3000"]) {
        assert_eq!(status_of(&server.base, host, "/login").await, 200, "{host}");
        let posted = by(&server.base, host).post("/api/logout", &serde_json::json!({})).await.unwrap();
        assert_eq!(posted.status, 200, "{host}");
    }
    for host in
        ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "127.0.0.1.", "nas.lan.evil.example"]
    {
        let mut http = by(&server.base, host);
        is_refusal(&register(&mut http, "Eve").await, 421, Code::UnknownHost);
        is_refusal(&http.get("/api/load").await.unwrap(), 421, Code::UnknownHost);
        for path in ["/", "/login", "/favicon.svg", "/nonsense"] {
            let page = http.get(path).await.unwrap();
            assert_eq!(
                (page.status, page.header("content-type")),
                (421, Some("text/html; charset=utf-8")),
                "{host} {path}"
            );
            let html = page.text();
            assert!(html.contains("--also-host") && html.contains("NATTER_ALSO_HOST"), "{html}");
            assert!(!html.contains("evil") && !html.contains("<script"), "{html}");
        }
    }
}

#[tokio::test]
async fn a_socket_by_a_strange_name_is_refused() {
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    let cookie = ada.http.cookie().map(str::to_owned);
    ada.http = by(&server.base, "evil.example");
    ada.http.set_cookie(cookie.clone());
    assert!(matches!(Socket::open(&ada.handshake()).await, Err(Error::Upgrade(421))));
    ada.http = by(&server.base, "nas.local");
    ada.http.set_cookie(cookie);
    Socket::open(&ada.handshake()).await.unwrap();
}

#[tokio::test]
async fn with_a_public_origin_addresses_serve_pages_and_files_to_nobody_in_particular() {
    let server = TestServer::behind_https(named(&["also.example.org"])).await;
    let mut ada = server.outside();
    ada.register("Ada", PASSWORD).await.unwrap();
    ada.login("Ada", PASSWORD).await.unwrap();
    let cookie = ada.http.cookie().map(str::to_owned);
    for host in ["127.0.0.1", "[::1]:3000", "localhost", "nas", "nas.local"] {
        let mut http = by(&server.base, host);
        http.set_cookie(cookie.clone());
        let page = http.get("/").await.unwrap();
        assert_eq!(page.status, 200, "{host}");
        assert!(page.text().contains("href=\"/register\""), "{host}: the welcome, whoever asks");
        assert_eq!(http.request(Method::HEAD, "/login", &[], vec![]).await.unwrap().status, 200, "{host}");
        let told = is_refusal(&register(&mut http, "Eve").await, 421, Code::UnknownHost);
        assert!(told.contains("https://chat.example.org"), "{told}");
        is_refusal(&http.get("/api/load").await.unwrap(), 421, Code::UnknownHost);
        let form = http.post_form("/login", &[("Username", "Ada"), ("Password", PASSWORD)]).await.unwrap();
        assert_eq!((form.status, form.set_cookies().count()), (421, 0), "{host}");
        let mut device = server.client();
        device.http = http;
        assert!(matches!(device.connect().await, Err(Error::Upgrade(421))), "{host}");
    }
    assert_eq!(status_of(&server.base, "evil.example", "/login").await, 421);
    // A name in the settings is as good as the public origin.
    for (host, origin) in
        [("also.example.org", "https://also.example.org"), ("chat.example.org:443", crate::support::PUBLIC)]
    {
        let mut people = server.client();
        people.http = by(&server.base, host).with_header("Origin", origin);
        people.login("Ada", PASSWORD).await.unwrap();
        assert!(people.load().await.unwrap().is_empty(), "{host}");
        Socket::open(&people.handshake()).await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_is_missing_doubled_or_unreadable_is_400() {
    let server = TestServer::start().await;
    for head in [
        "GET /login HTTP/1.1\r\n",
        "GET /login HTTP/1.1\r\nHost:\r\n",
        "GET /login HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        "GET http://localhost/login HTTP/1.1\r\nHost: nas\r\n",
        "GET /login HTTP/1.1\r\nHost: a;sandbox\r\n",
        "GET /login HTTP/1.1\r\nHost: a,b\r\n",
        "GET /login HTTP/1.1\r\nHost: *\r\n",
        "GET /login HTTP/1.1\r\nHost: a@b\r\n",
        "GET /login HTTP/1.1\r\nHost: localhost:port\r\n",
    ] {
        let answer = raw(&server.base, &format!("{head}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head}: {answer:.80}");
        let policy = answer.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
        assert!(policy.contains("connect-src 'self'; "), "{head}: nothing of it in the policy: {policy}");
    }
    for head in ["GET /login HTTP/1.0\r\n", "GET http://localhost/login HTTP/1.1\r\nHost: localhost\r\n"] {
        let answer = raw(&server.base, &format!("{head}Connection: close\r\n\r\n")).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 "),
            "{head}: {answer:.80}"
        );
    }
    let post = "POST /api/logout HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    assert!(raw(&server.base, post).await.contains(" 421 "), "who names no host may only look");
}

#[tokio::test]
async fn the_policy_names_the_host_in_a_browsers_words_or_not_at_all() {
    let server = TestServer::start().await;
    for (host, named) in [
        ("localhost:3000", " ws://localhost:3000 wss://localhost:3000"),
        ("127.0.0.1", " ws://127.0.0.1 wss://127.0.0.1"),
        ("[::1]:3000", ""),
        ("my_nas", ""),
    ] {
        let answer = by(&server.base, host).get("/login").await.unwrap();
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains(&format!("connect-src 'self'{named}; ")), "{host}: {policy}");
    }
}

#[tokio::test]
async fn the_private_listener_takes_the_same_names() {
    let data = tempfile::tempdir().unwrap();
    let natter =
        Natter::with(data.path(), &["--private-listen", "127.0.0.1:0", "--also-host", "nas.lan,x.lan"]).await;
    let private = natter.private.as_ref().unwrap();
    for (host, status) in [("localhost", 200), ("natter:3001", 200), ("nas.lan", 200), ("evil.example", 421)]
    {
        for path in ["/metrics", "/healthz", "/readyz"] {
            assert_eq!(status_of(private, host, path).await, status, "{host}{path}");
        }
    }
    let answer = raw(private, "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:.80}");
    assert_eq!(status_of(&natter.base, "x.lan", "/login").await, 200);
}
