//! The headers of every response, and the page's files.

use std::collections::BTreeSet;

use headless::{Http, Response};
use http::Method;
use tempfile::TempDir;

use crate::support::TestServer;

const PATHS: [&str; 8] =
    ["/", "/login", "/register", "/nonsense", "/api/load", "/api/nonsense", "/ws", "/chat/nonsense"];

fn policy(answer: &Response) -> String {
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
        for loose in ["unsafe-inline", "'unsafe-eval'", " *", "http:", "https:", "strict-dynamic"] {
            assert!(!policy.contains(loose), "{path}: {policy}");
        }
        let scripts = policy.split("; ").find(|part| part.starts_with("script-src")).unwrap();
        assert!(!scripts.contains("'self'"), "{path}: by the nonce alone: {scripts}");
    }
}

#[tokio::test]
async fn every_answer_has_another_nonce_and_the_page_uses_its_own() {
    let server = TestServer::start().await;
    let mut http = Http::new(&server.base);
    let mut seen = BTreeSet::new();
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
            let preload = html.split("<link").find(|link| link.contains("modulepreload")).unwrap();
            assert!(preload.split('>').next().unwrap().contains("nonce="), "{path}: and what they import");
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
    let server = TestServer::behind_https(|_| {}).await;
    let answer = server.outside().http.get("/login").await.unwrap();
    let hsts = answer.header("strict-transport-security").unwrap();
    let seconds: u64 = hsts.split("max-age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    assert!(seconds >= 365 * 24 * 60 * 60);
    assert!(!hsts.contains("includeSubDomains"), "{hsts}: that is the operator's to say");
    let policy = policy(&answer);
    assert!(policy.contains(" wss://chat.example.org;") && !policy.contains(" ws://"), "{policy}");
    let answer = Http::new(&server.base).get("/login").await.unwrap();
    assert!(answer.header("strict-transport-security").is_some(), "and whoever asks under another name");

    let server = TestServer::behind_https(|config| config.hsts_subdomains = true).await;
    let answer = server.outside().http.get("/login").await.unwrap();
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000; includeSubDomains"));

    let plain = TestServer::start().await;
    let answer = Http::new(&plain.base).get("/login").await.unwrap();
    assert_eq!(answer.header("strict-transport-security"), None);
}

#[tokio::test]
async fn no_path_leads_out_of_the_pages_files() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    std::fs::create_dir_all(site.join("pkg")).unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), "[workspace]").unwrap();
    // From where the build put them, and from a separate folder.
    let servers = [TestServer::start().await, TestServer::with(|config| config.site = Some(site)).await];
    for server in &servers {
        leads_nowhere(server).await;
    }
}

async fn leads_nowhere(server: &TestServer) {
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

/// Sends a request line exactly as written, which no client library would.
async fn raw_get(base: &str, path: &str) -> String {
    let host = base.strip_prefix("http://").unwrap();
    raw(base, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

/// Sends a request exactly as written and returns everything that comes back.
pub async fn raw(base: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    crate::support::within("the answer", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Creates a page's files as the build does: the style sheet also in two compressed versions.
fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    std::fs::create_dir(site.path().join("pkg")).unwrap();
    for (file, content) in [
        ("natter.js", "export default 1;"),
        ("natter.wasm", "\0asm"),
        ("natter.css", "body { margin: 0 }"),
        ("natter.css.br", "brotli"),
        ("natter.css.gz", "gzip"),
    ] {
        std::fs::write(site.path().join("pkg").join(file), content).unwrap();
    }
    std::fs::write(site.path().join("favicon.svg"), "<svg/>").unwrap();
    site
}

async fn with_site(site: &TempDir) -> TestServer {
    TestServer::with(|config| config.site = Some(site.path().to_owned())).await
}

#[tokio::test]
async fn files_have_a_tag_a_type_and_an_encoding_and_are_not_sent_twice() {
    let site = site();
    let server = with_site(&site).await;
    let mut http = Http::new(&server.base);
    let mut tags = BTreeSet::new();
    for (path, kind, takes, encoding) in [
        ("/favicon.svg", "image/svg+xml", "br, gzip", None),
        ("/pkg/natter.js", "javascript", "br, gzip", None),
        ("/pkg/natter.wasm", "application/wasm", "br, gzip", None),
        ("/pkg/natter.css", "text/css", "identity", None),
        ("/pkg/natter.css", "text/css", "gzip, deflate, br", Some("br")),
        ("/pkg/natter.css", "text/css", "gzip, br;q=0", Some("gzip")),
    ] {
        let mut get = async |more: &[(&str, &str)]| {
            let headers = [&[("Accept-Encoding", takes)], more].concat();
            http.request(Method::GET, path, &headers, vec![]).await.unwrap()
        };
        let answer = get(&[]).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding), "{path}");
        let file = match encoding {
            Some("br") => format!("{path}.br"),
            Some(_) => format!("{path}.gz"),
            None => path.to_owned(),
        };
        assert_eq!(answer.body, std::fs::read(site.path().join(&file[1..])).unwrap(), "{path}");
        let given = answer.header("content-type").unwrap();
        assert!(given.contains(kind), "{path}: {given}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("vary").map(str::to_ascii_lowercase).as_deref(), Some("accept-encoding"));
        assert_ne!(answer.header("cache-control"), Some("no-store"), "{path}");
        let tag = answer.header("etag").unwrap().to_owned();
        let again = get(&[("If-None-Match", &tag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other = get(&[("If-None-Match", "\"other\"")]).await;
        assert_eq!((other.status, other.body), (200, answer.body), "{path}");
        assert!(tags.insert(tag), "{path}: another body, another tag");
    }
}

/// Returns the folder of the page's files in the page's URLs, and the page itself.
async fn folder_of(server: &TestServer) -> (String, String) {
    let page = Http::new(&server.base).get("/").await.unwrap();
    let html = String::from_utf8(page.body).unwrap();
    let (before, _) = html.split_once("/natter.css").expect("a stylesheet");
    let (_, folder) = before.rsplit_once('"').unwrap();
    (folder.to_owned(), html)
}

#[tokio::test]
async fn the_page_names_its_build_and_of_another_build_there_is_nothing() {
    let site = site();
    let write =
        |file: &str, content: &str| std::fs::write(site.path().join("pkg").join(file), content).unwrap();
    write("split_doors.wasm", "doors");
    write("__wasm_split.______________________.js", "export default 1;");
    let server = with_site(&site).await;
    let (folder, html) = folder_of(&server).await;
    assert_eq!(folder.len(), "/pkg/0123456789abcdef".len(), "{folder}");
    assert!(html.contains("page.hydrate_doors"), "a stranger is at a door: {html}");
    let mut http = Http::new(&server.base);
    for file in ["natter.css", "natter.js", "natter.wasm", "__wasm_split.______________________.js"] {
        assert!(html.contains(&format!("\"{folder}/{file}\"")), "{file}: {html}");
    }
    for file in ["natter.js", "natter.wasm", "split_doors.wasm", "__wasm_split.______________________.js"] {
        let answer = http.get(&format!("{folder}/{file}")).await.unwrap();
        assert_eq!(answer.status, 200, "{file}");
        assert_eq!(answer.body, std::fs::read(site.path().join("pkg").join(file)).unwrap(), "{file}");
        for other in ["/pkg/0123456789abcdef", "/pkg/x", &format!("{folder}{folder}")] {
            assert_eq!(http.get(&format!("{other}/{file}")).await.unwrap().status, 404, "{other}/{file}");
        }
    }
    // The order of names in the script that loads the parts differs between builds that are the same.
    write("__wasm_split.______________________.js", "export default 2;");
    assert_eq!(folder_of(&with_site(&site).await).await.0, folder);
    write("split_doors.wasm", "other doors");
    let other = with_site(&site).await;
    assert_ne!(folder_of(&other).await.0, folder, "a part changed");
    let old = Http::new(&other.base).get(&format!("{folder}/split_doors.wasm")).await.unwrap();
    assert_eq!(old.status, 404, "an open page of the old build never gets a part of the new one");
}
