//! What every answer carries, and the files of the page.

use std::path::Path;

use headless::{Answer, Http};
use http::Method;

use crate::support::TestServer;

const PATHS: [&str; 8] =
    ["/", "/login", "/register", "/nonsense", "/api/load", "/api/nonsense", "/ws", "/chat/nonsense"];

fn policy(answer: &Answer) -> String {
    answer.header("content-security-policy").unwrap_or_default().to_owned()
}

fn nonce(policy: &str) -> Option<&str> {
    policy.split("'nonce-").nth(1)?.split('\'').next()
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_browsers_safe() {
    let server = TestServer::start().await;
    let mut http = Http::new(&server.base);
    for path in PATHS {
        let answer = http.get(path).await.unwrap();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
        assert!(answer.header("permissions-policy").is_some(), "{path}");
        let policy = policy(&answer);
        for part in [
            "default-src 'none'",
            "base-uri 'none'",
            "object-src 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        for loose in ["unsafe-inline", "'unsafe-eval'", " *", "http:", "https:"] {
            assert!(!policy.contains(loose), "{path}: {policy}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_another_nonce_and_the_page_uses_its_own() {
    let server = TestServer::start().await;
    let mut http = Http::new(&server.base);
    let mut seen = std::collections::BTreeSet::new();
    for path in PATHS.iter().cycle().take(24) {
        let answer = http.get(path).await.unwrap();
        let policy = policy(&answer);
        let own = nonce(&policy).unwrap().to_owned();
        assert!(own.len() >= 22, "128 bits: {own}");
        let html = answer.text();
        for used in html.split("nonce=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert_eq!(used, own, "{path}");
        }
        if answer.status == 200 {
            assert!(html.contains("nonce=\""), "{path}");
            let scripts = html.matches("<script").count();
            let with_nonce = html
                .split("<script")
                .skip(1)
                .filter(|s| s.split('>').next().unwrap().contains("nonce="))
                .count();
            assert_eq!(scripts, with_nonce, "{path}: every script carries it");
            assert!(!html.contains(" style=\"") && !html.contains(" onclick="), "{path}: nothing inline");
        }
        assert!(seen.insert(own), "{path}: a nonce is used once");
    }
}

#[tokio::test]
async fn a_head_request_answers_as_get_without_the_body() {
    let server = TestServer::start().await;
    let mut http = Http::new(&server.base);
    for path in ["/", "/login", "/nonsense"] {
        let (get, head) =
            (http.get(path).await.unwrap(), http.request(Method::HEAD, path, &[], vec![]).await.unwrap());
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn behind_https_browsers_are_told_to_stay_there() {
    let server =
        TestServer::with(|c| c.public_origin = Some("https://chat.example.org".parse().unwrap())).await;
    let answer = Http::new(&server.base).get("/login").await.unwrap();
    let hsts = answer.header("strict-transport-security").unwrap();
    let seconds: u64 = hsts.split("max-age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    assert!(seconds >= 365 * 24 * 60 * 60);
    assert!(policy(&answer).contains("wss://chat.example.org"), "{}", policy(&answer));

    let plain = TestServer::start().await;
    let answer = Http::new(&plain.base).get("/login").await.unwrap();
    assert_eq!(answer.header("strict-transport-security"), None);
}

#[tokio::test]
async fn no_path_leads_out_of_the_pages_files() {
    let server = TestServer::start().await;
    for path in [
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/%2e%2e/Cargo.toml",
        "/pkg/../../../Cargo.toml",
        "/pkg/..%5c..%5cCargo.toml",
        "/....//Cargo.toml",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/pkg/%00",
        "/natter.sqlite",
        "/data/natter.sqlite",
    ] {
        let answer = raw_get(&server.base, path).await;
        assert!(
            !answer.contains("[workspace]") && !answer.contains("root:") && !answer.contains("SQLite format"),
            "{path}"
        );
        assert!(
            !answer.starts_with("HTTP/1.1 200") && !answer.starts_with("HTTP/1.1 5"),
            "{path}: {answer:.60}"
        );
    }
}

/// A request line exactly as written, which no client library would send.
async fn raw_get(base: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    crate::support::within("the answer", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The page's own files are there once the page was built; the tests of the whole page need them, this one not.
fn built() -> bool {
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/site/pkg");
    let built = ["natter.js", "natter.wasm", "natter.css"].iter().all(|file| site.join(file).exists());
    if !built {
        eprintln!("the page is not built: nothing to see here");
    }
    built
}

#[tokio::test]
async fn files_have_a_tag_a_type_and_an_encoding_and_are_not_sent_twice() {
    if !built() {
        return;
    }
    let server = TestServer::start().await;
    let mut http = Http::new(&server.base);
    for (path, kind) in [
        ("/pkg/natter.js", "javascript"),
        ("/pkg/natter.wasm", "application/wasm"),
        ("/pkg/natter.css", "text/css"),
    ] {
        let answer = http.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.header("content-type").unwrap().contains(kind),
            "{path}: {:?}",
            answer.header("content-type")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("vary").map(str::to_ascii_lowercase).as_deref(), Some("accept-encoding"));
        assert_ne!(answer.header("cache-control"), Some("no-store"), "{path}");
        let tag = answer.header("etag").unwrap().to_owned();
        let again = http.request(Method::GET, path, &[("If-None-Match", &tag)], vec![]).await.unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other = http.request(Method::GET, path, &[("If-None-Match", "\"other\"")], vec![]).await.unwrap();
        assert_eq!((other.status, other.body.len()), (200, answer.body.len()), "{path}");
    }
}
