//! The plain forms, as a browser without JavaScript posts them.

use headless::{Client, Response};

use crate::support::{PASSWORD, TestServer, patiently};

async fn post(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Response {
    let is_busy =
        |answer: &Response| answer.header("location").is_some_and(|to| to.contains("Error=Unavailable"));
    patiently(async || client.http.post_form(path, fields).await.unwrap(), is_busy).await
}

#[tokio::test]
async fn the_register_form_leads_to_the_login_page_with_the_name_filled_in() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let fields = [("Username", "Zoë & Co"), ("Password", PASSWORD)];
    let answer = post(&mut client, "/register", &fields).await;
    assert_eq!(answer.status, 303);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("/register?"), "{location}");
    assert!(location.contains("Error=UnusableName"), "{location}");
    assert!(
        location.contains("Username=Zo%C3%AB") && location.contains("%26"),
        "what was typed is kept: {location}"
    );
    assert!(!location.contains("horse"), "but never the password: {location}");

    let answer = post(&mut client, "/register", &[("Username", "Zoë"), ("Password", PASSWORD)]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/login?Registered=1&Username=Zo%C3%AB"))
    );
    assert_eq!(answer.set_cookies().count(), 0);
    let answer = post(&mut client, "/register", &[("Username", "zoë"), ("Password", PASSWORD)]).await;
    assert!(answer.header("location").unwrap().contains("Error=NameTaken"));
}

#[tokio::test]
async fn a_form_that_comes_back_says_exactly_why_and_a_link_cannot_make_it_say_anything_else() {
    let server = TestServer::start().await;
    let mut client = server.client();
    client.register("modern", PASSWORD).await.unwrap();
    for (name, password, said) in [
        ("rnodern", PASSWORD, "This name looks too much like one that is taken."),
        ("MODERN", PASSWORD, "The name “MODERN” is taken."),
        ("two words", PASSWORD, "a blank cannot be used"),
        ("admin", PASSWORD, "kept for the server"),
        ("Zoë", "sunshine", "Many people have this password"),
        ("Zoë", "🦀🦀🦀", "this one has 3"),
    ] {
        let answer = post(&mut client, "/register", &[("Username", name), ("Password", password)]).await;
        let location = answer.header("location").unwrap().to_owned();
        let page = client.http.get(&location).await.unwrap().text();
        assert!(page.contains("role=\"alert\"") && page.contains(said), "{location} {page}");
        for forged in
            [location.replace("Reason=", "Reason=Call+us:+"), location.replace("Error=", "Error=Gone&Was=")]
        {
            let page = client.http.get(&forged).await.unwrap().text();
            assert!(!page.contains("Call us") && !page.contains(said), "{forged} {page}");
        }
    }
    let page = client.http.get("/register").await.unwrap().text();
    assert!(page.contains("maxlength=\"512\""), "a name of 32 characters may be 128 code points: {page}");
    let page = client.http.get("/login?Error=WrongPassword&Reason=Call+us&Seal=").await.unwrap().text();
    assert!(page.contains("password does not match") && !page.contains("Call us"), "{page}");
}

#[tokio::test]
async fn the_login_form_leads_to_the_chat_and_the_logout_form_away_from_it() {
    let server = TestServer::start().await;
    let mut client = server.client();
    client.register("Ada", PASSWORD).await.unwrap();
    for (fields, code) in [
        ([("Username", "Ada"), ("Password", "wrong password")], "WrongPassword"),
        ([("Username", "Eve"), ("Password", PASSWORD)], "InvalidUser"),
    ] {
        let answer = post(&mut client, "/login", &fields).await;
        let wanted = format!("/login?Error={code}&Username={}", fields[0].1);
        assert_eq!((answer.status, answer.header("location")), (303, Some(wanted.as_str())));
        assert_eq!(client.http.cookie(), None);
    }
    let answer = post(&mut client, "/login", &[("Username", "Ada"), ("Password", PASSWORD)]).await;
    let onward = "/login?SignedIn=1&Username=Ada";
    assert_eq!((answer.status, answer.header("location")), (303, Some(onward)));
    client.load().await.unwrap();
    let answer = client.http.get(onward).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    // A browser that did not keep the cookie stays there, and the page says so.
    let page = server.client().http.get(onward).await.unwrap();
    assert_eq!(page.status, 200);
    assert!(page.text().contains("did not keep the login"), "{}", page.text());

    let cookie = client.http.cookie().map(str::to_owned);
    let answer = post(&mut client, "/logout", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    assert_eq!(client.http.cookie(), None);
    client.http.set_cookie(cookie);
    assert!(client.load().await.is_err());
}

#[tokio::test]
async fn a_form_that_cannot_be_read_leads_back_with_a_reason() {
    let server = TestServer::start().await;
    let mut client = server.client();
    for path in ["/register", "/login"] {
        let answer = post(&mut client, path, &[("Username", "Ada")]).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(
            answer.header("location").unwrap().contains("Error=Malformed"),
            "{:?}",
            answer.header("location")
        );
        let long = "x".repeat(20_000);
        let answer = post(&mut client, path, &[("Username", &long), ("Password", PASSWORD)]).await;
        assert!([303, 413].contains(&answer.status), "{path}: {}", answer.status);
    }
}

#[tokio::test]
async fn pages_show_a_refusal_and_the_name_as_text_only() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let page = client
        .http
        .get("/login?Error=WrongPassword&Username=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        .await
        .unwrap();
    assert_eq!(page.status, 200);
    let html = page.text();
    assert!(html.contains("role=\"alert\"") && html.contains("password does not match"), "{html}");
    assert!(!html.contains("<script>alert(1)"), "{html}");
    let page = client.http.get("/login?Error=%3Cscript%3Ealert(2)%3C/script%3E").await.unwrap();
    assert!(!page.text().contains("<script>alert(2)"));
}

#[tokio::test]
async fn the_exact_reason_comes_back_to_who_was_told_it_and_to_nobody_by_a_link() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let answer = post(&mut client, "/register", &[("Username", "a b"), ("Password", PASSWORD)]).await;
    let back = answer.header("location").unwrap().to_owned();
    let shown = client.http.get(&back).await.unwrap().text();
    let fields = serde_json::json!({ "Username": "a b", "Password": PASSWORD });
    let told = client.http.post("/api/register", &fields).await.unwrap();
    let fault: protocol::Fault = serde_json::from_slice(&told.body).unwrap();
    let standard = protocol::Code::UnusableName.reason();
    assert_ne!(fault.reason, standard, "the test wants a sentence of its own");
    let alert = |html: &str| {
        let alert = html.split("role=\"alert\"").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1));
        alert.unwrap_or_default().to_owned()
    };
    assert_eq!(alert(&shown), fault.reason);

    let reason = back.split("Reason=").nth(1).unwrap().split('&').next().unwrap();
    for changed in [
        back.replace(reason, "Send+your+password+to+Mallory"),
        back.replace("Username=a", "Username=b"),
        back.replace("/register?", "/login?"),
        "/register?Error=UnusableName&Reason=Send+your+password+to+Mallory".into(),
    ] {
        let page = client.http.get(&changed).await.unwrap().text();
        assert_eq!(alert(&page), standard, "{changed}");
        assert!(!page.contains("Mallory"), "{page}");
    }
    let page = client.http.get("/login?Reason=Send+your+password+to+Mallory").await.unwrap().text();
    assert!(!page.contains("Mallory") && alert(&page).is_empty(), "{page}");
}

#[tokio::test]
async fn who_is_signed_in_sees_the_chat_and_who_is_not_the_welcome() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    ada.say_and_wait(session, "rendered & on the server").await.unwrap();
    let page = ada.http.get(&format!("/chat/{session}")).await.unwrap();
    assert_eq!(page.status, 200);
    assert!(page.text().contains("rendered &amp; on the server"), "{}", page.text());
    for path in ["/login", "/register"] {
        let answer = ada.http.get(path).await.unwrap();
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{path}");
    }

    let mut nobody = server.client();
    assert!(nobody.http.get("/").await.unwrap().text().contains("href=\"/register\""));
    let answer = nobody.http.get(&format!("/chat/{session}")).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
    let mut eve = server.user("Eve").await;
    let foreign = eve.http.get(&format!("/chat/{session}")).await.unwrap();
    let missing = eve.http.get(&format!("/chat/{}", eve.id())).await.unwrap();
    assert_eq!((foreign.status, missing.status), (404, 404));
    assert!(!foreign.text().contains("rendered"));
    assert_eq!(eve.http.get("/nonsense").await.unwrap().status, 404);
}
