//! Only our own pages may make a browser send us something.

use headless::{Client, Error, Http};
use http::Method;
use protocol::Code;

use crate::account::is_refusal;
use crate::support::{PASSWORD, PUBLIC, TestServer};

const SIGN_IN: &str = r#"{"Username":"Ada","Password":"correct horse"}"#;
const POSTS: [(&str, &str, &str); 6] = [
    ("/api/login", "application/json", SIGN_IN),
    ("/api/register", "application/json", r#"{"Username":"Eve","Password":"correct horse"}"#),
    ("/api/logout", "application/json", "{}"),
    ("/login", "application/x-www-form-urlencoded", "Username=Ada&Password=correct+horse"),
    ("/register", "application/x-www-form-urlencoded", "Username=Eve&Password=correct+horse"),
    ("/logout", "application/x-www-form-urlencoded", ""),
];

/// Lists origins that must not be taken for `http://127.0.0.1:PORT`.
fn foreign_origins(base: &str) -> Vec<String> {
    let port = base.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let mut origins: Vec<String> =
        ["null", "", "http://evil.example", "https://evil.example", "file://", "nonsense", "*"]
            .map(String::from)
            .to_vec();
    origins.extend([
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{}", port ^ 1),
        "http://127.0.0.1".into(),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1:{port}@evil.example"),
        format!("http://user@127.0.0.1:{port}"),
        format!("http://127.0.0.1.:{port}"),
        format!("http://127.0.0.1:{port}/path"),
        format!("http://127.0.0.1:{port} http://evil.example"),
        format!("http://[::1]:{port}"),
        format!("ftp://127.0.0.1:{port}"),
        format!("127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}#"),
        format!("http://127.0.0.1:{port}#x"),
        format!("http://127.0.0.1:{port}/"),
    ]);
    origins
}

#[tokio::test]
async fn a_post_from_a_foreign_origin_is_refused_with_403_and_changes_nothing() {
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    for origin in foreign_origins(&server.base) {
        for (path, kind, body) in POSTS {
            let headers = [("Content-Type", kind), ("Origin", &origin)];
            let answer = ada.http.request(Method::POST, path, &headers, body.into()).await.unwrap();
            is_refusal(&answer, 403, Code::ForeignOrigin);
            assert_eq!(answer.set_cookies().count(), 0, "{path} {origin}");
        }
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let headers = [("Origin", "http://evil.example")];
        let answer = ada.http.request(method, "/api/login", &headers, Vec::new()).await.unwrap();
        is_refusal(&answer, 403, Code::ForeignOrigin);
    }
    ada.load().await.unwrap(); // still signed in
    assert!(matches!(server.client().login("Eve", PASSWORD).await, Err(Error::Refused { status: 400, .. })));
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    for path in [
        "/logout",
        "/api/logout",
        "/api/register?Username=Eve&Password=correct+horse",
        "/register?Username=Eve&Password=correct+horse",
        "/api/login?Username=Ada&Password=correct+horse",
    ] {
        let answer = ada.http.get(path).await.unwrap();
        assert_ne!(answer.status, 200, "{path}");
        assert_eq!(answer.set_cookies().count(), 0, "{path}");
    }
    ada.load().await.unwrap();
    assert!(matches!(server.client().login("Eve", PASSWORD).await, Err(Error::Refused { status: 400, .. })));
}

#[tokio::test]
async fn what_the_browser_says_of_the_site_counts_where_there_is_no_origin() {
    let server = TestServer::start().await;
    server.user("Ada").await;
    for (site, status) in
        [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403), ("x", 403)]
    {
        let mut http = Http::new(&server.base);
        let headers = [("Content-Type", "application/json"), ("Sec-Fetch-Site", site)];
        let answer = http.request(Method::POST, "/api/login", &headers, SIGN_IN.into()).await.unwrap();
        assert_eq!(answer.status, status, "{site}");
    }
}

#[tokio::test]
async fn ones_own_origin_and_no_browser_at_all_pass() {
    let server = TestServer::start().await;
    server.user("Ada").await;
    let own = [server.base.clone(), server.base.to_uppercase().replace("HTTP", "http")];
    for origin in own {
        let mut client = Client::with_http(Http::new(&server.base).with_header("Origin", &origin));
        client.login("Ada", PASSWORD).await.unwrap();
        client.online().await.unwrap();
    }
    let mut program = server.client();
    program.login("Ada", PASSWORD).await.unwrap();
    program.online().await.unwrap();
}

#[tokio::test]
async fn two_origins_are_none() {
    let server = TestServer::start().await;
    server.user("Ada").await;
    let http = Http::new(&server.base)
        .with_header("Origin", &server.base)
        .with_header("Origin", "http://evil.example");
    let error = Client::with_http(http).login("Ada", PASSWORD).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 403, .. }), "{error}");
}

#[tokio::test]
async fn the_socket_is_refused_with_403_from_a_foreign_origin_and_with_401_without_a_login() {
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    for origin in foreign_origins(&server.base) {
        let mut http = Http::new(&server.base).with_header("Origin", &origin);
        http.set_cookie(ada.http.cookie().map(str::to_owned));
        let refused = Client::with_http(http).connect().await;
        assert!(matches!(refused, Err(Error::Upgrade(403))), "{origin}: {refused:?}");
    }
    let mut http = Http::new(&server.base).with_header("Sec-Fetch-Site", "cross-site");
    http.set_cookie(ada.http.cookie().map(str::to_owned));
    assert!(matches!(Client::with_http(http).connect().await, Err(Error::Upgrade(403))));

    ada.online().await.unwrap();
    ada.http.set_cookie(None);
    assert!(matches!(ada.connect().await, Err(Error::Upgrade(401))));
}

#[tokio::test]
async fn a_public_origin_is_the_only_one() {
    let server = TestServer::behind_https(|_| {}).await;
    let outside = || server.outside().http;
    let mut ada = Client::with_http(outside().with_header("Origin", PUBLIC));
    ada.register("Ada", PASSWORD).await.unwrap();
    ada.login("Ada", PASSWORD).await.unwrap();
    ada.online().await.unwrap();
    for foreign in [
        server.base.as_str(),
        "http://chat.example.org",
        "https://chat.example.org:8443",
        "https://sub.chat.example.org",
        "https://chat.example.org.evil.example",
        "https://chat.example.org@evil.example",
        "https://chat.example.org#",
        "https://chat.example.org#x",
        "https://chat.example.org/",
    ] {
        let mut http = outside().with_header("Origin", foreign);
        http.set_cookie(ada.http.cookie().map(str::to_owned));
        let mut client = Client::with_http(http);
        let error = client.login("Ada", PASSWORD).await.unwrap_err();
        assert!(matches!(error, Error::Refused { status: 403, .. }), "{foreign}: {error}");
        assert!(matches!(client.connect().await, Err(Error::Upgrade(403))), "{foreign}");
    }
}
