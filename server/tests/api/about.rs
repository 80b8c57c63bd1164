//! `/about`: a page without scripts, the same for everybody.

use headless::Http;
use http::Method;

use crate::support::{PUBLIC, TestServer};

async fn about(server: &TestServer) -> String {
    let answer = Http::new(&server.base).get("/about").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    String::from_utf8(answer.body).unwrap()
}

#[tokio::test]
async fn it_says_what_this_server_is_and_has_no_script() {
    let server = TestServer::start().await;
    let page = about(&server).await;
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    assert!(!page.contains("<script") && !page.contains("modulepreload"), "{page}");
    assert!(page.contains("<title>About this server – Natter</title>"), "{page}");
    assert!(page.contains(env!("CARGO_PKG_VERSION")), "{page}");
    assert!(page.contains("Anyone can create one") && page.contains("href=\"/register\""), "{page}");
    assert!(page.contains("not end-to-end encrypted"), "{page}");
    assert!(page.contains("stay away for 90 days"), "{page}");
    let head = Http::new(&server.base).request(Method::HEAD, "/about", &[], vec![]).await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    let answer = Http::new(&server.base).get("/about").await.unwrap();
    assert_eq!(answer.header("set-cookie"), None, "nobody is known by having looked");
    assert_eq!(Http::new(&server.base).post("/about", &()).await.unwrap().status, 405);
}

#[tokio::test]
async fn it_says_what_its_operator_has_set() {
    let server = TestServer::with(|config| {
        config.public_origin = Some(PUBLIC.parse().unwrap());
        config.open_registration = false;
        config.source_url = Some("https://example.org/natter?a=1&b=\"2\"".into());
    })
    .await;
    let page = about(&server).await;
    assert!(page.contains("<dd>chat.example.org</dd>"), "{page}");
    assert!(page.contains("Closed.") && !page.contains("href=\"/register\""), "{page}");
    assert!(page.contains("href=\"https://example.org/natter?a=1&amp;b=&quot;2&quot;\""), "{page}");
}
