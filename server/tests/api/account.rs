//! Registering, signing in and out, the first load and the history.

use futures::future::join_all;
use headless::{Client, Error, Response};
use protocol::{Code, Outcome, Seq, UserId, close};
use serde_json::{Value, json};
use server::Limits;

use crate::support::{self, PASSWORD, TestServer, befriend, outcome, patiently, set_password};

fn credentials(username: &str, password: &str) -> Value {
    json!({ "Username": username, "Password": password })
}

async fn register(client: &mut Client, username: &str, password: &str) -> Response {
    post(client, "/api/register", &credentials(username, password)).await
}

async fn login(client: &mut Client, username: &str, password: &str) -> Response {
    post(client, "/api/login", &credentials(username, password)).await
}

async fn post(client: &mut Client, path: &str, body: &Value) -> Response {
    patiently(async || client.http.post(path, body).await.unwrap(), |answer| answer.status == 503).await
}

/// Checks that an answer is a refusal: this status, exactly the fields of a fault, and a sentence as its reason.
#[track_caller]
pub fn is_refusal(answer: &Response, status: u16, code: Code) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()));
    let reason = body["Reason"].as_str().unwrap_or_default().to_owned();
    assert_eq!(body, json!({ "Error": code.name(), "Reason": reason }));
    assert!(reason.contains(' '), "in words: {reason}");
    reason
}

#[tokio::test]
async fn registering_answers_200_with_the_user_id_and_the_user_is_offline_at_first() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    let mut bob = server.client();
    let answer = register(&mut bob, "Bob", PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(body["UserID"].as_str().unwrap().parse::<UserId>().is_ok());
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    assert_eq!(answer.set_cookies().count(), 0, "registering is not signing in");

    ada.search("Bob").await.unwrap();
    assert_eq!(ada.expect("an answer", outcome).await.unwrap().status, Outcome::Offline);
}

#[tokio::test]
async fn registering_a_taken_name_answers_409_in_whatever_spelling() {
    let server = TestServer::start().await;
    let mut client = server.client();
    assert_eq!(register(&mut client, "Zoë.Straße", PASSWORD).await.status, 200);
    for taken in
        ["Zoë.Straße", "zoë.straße", "ZOË.STRASSE", "Zoe\u{308}.Straße", "Ｚoë.Straße", " Zoë.Straße "]
    {
        is_refusal(&register(&mut client, taken, "another horse").await, 409, Code::NameTaken);
    }
}

#[tokio::test]
async fn of_two_who_register_a_name_at_once_one_gets_it() {
    let server = TestServer::start().await;
    let attempts = (0..4).map(|n| {
        let mut client = server.client();
        let name = if n % 2 == 0 { "Ada" } else { "ADA" };
        async move { register(&mut client, name, &format!("{PASSWORD} {n}")).await.status }
    });
    let mut statuses = join_all(attempts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
}

#[tokio::test]
async fn registering_an_unusable_name_answers_422_with_the_reason() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let long = "x".repeat(33);
    for (name, hint) in [
        ("", "2 to 32"),
        ("a", "2 to 32"),
        (&long, "32"),
        ("two words", "letters"),
        ("a@b.c", "@"),
        ("a/b/c", "/"),
        ("ad\u{0}a", ""),
        ("ad\u{200d}a", ""),
        ("ada\u{202e}", ""),
        ("<b>ada</b>", "<"),
        ("p\u{430}ypal", "script"),
        ("адaм", "script"),
        ("🦀🦀🦀", "🦀"),
        ("\u{3164}\u{3164}\u{3164}", "U+3164"),
        ("김철수\u{3164}", "U+3164"),
        ("Ada\u{2800}", "U+2800"),
        ("ad\u{363}\u{363}\u{363}\u{363}", "marks"),
        ("admin", "kept for the server"),
        ("adrnin", "kept for the server"),
    ] {
        let reason = is_refusal(&register(&mut client, name, PASSWORD).await, 422, Code::UnusableName);
        assert!(reason.contains(hint), "{name:?}: {reason}");
    }
    for name in [
        "bob",
        "Ольга",
        "田中さん",
        "محمد",
        "a.b_c-1",
        "李",
        "น้ำฝน",
        "प्रिया",
        "ကျော်",
        "Ṣọlá",
        &"y".repeat(32),
    ] {
        let answer = register(&mut client, name, PASSWORD).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let answer = login(&mut client, name, PASSWORD).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(answer.text().contains(name), "shown as it was written: {}", answer.text());
    }
}

#[tokio::test]
async fn registering_a_name_that_looks_like_one_that_is_there_answers_409() {
    let server = TestServer::start().await;
    let mut client = server.client();
    for (first, second) in
        [("paypal", "paypaI"), ("modern", "rnodern"), ("coco", "сосо"), ("vvolf", "wolf"), ("0l1I", "OlII")]
    {
        assert_eq!(register(&mut client, first, PASSWORD).await.status, 200, "{first}");
        let reason = is_refusal(&register(&mut client, second, PASSWORD).await, 409, Code::NameTaken);
        assert_eq!(reason, "This name looks too much like one that is taken.");
        is_refusal(&login(&mut client, second, PASSWORD).await, 400, Code::InvalidUser);
    }
}

#[tokio::test]
async fn whatever_is_typed_at_the_door_is_compared_and_never_judged() {
    let server = TestServer::start().await;
    let mut client = server.client();
    client.register("Ada", PASSWORD).await.unwrap();
    for typed in ["Ad\u{200b}a", "\u{feff}Ada", "ADA\u{ad}", " ａｄａ "] {
        assert_eq!(login(&mut client, typed, PASSWORD).await.status, 200, "{typed:?}");
    }
    for typed in ["", "a", "two words", "\u{3164}", "🦀", &"x".repeat(512), &"x".repeat(513)] {
        is_refusal(&login(&mut client, typed, PASSWORD).await, 400, Code::InvalidUser);
    }
}

#[tokio::test]
async fn passwords_have_8_characters_to_512_bytes_and_are_taken_byte_for_byte() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let (long, wide) = ("x".repeat(513), "ä".repeat(257));
    let guessed = ["password", "Password1", "12345678", "qwertyuiop", "adaadaada", "natter12"];
    for unusable in ["", "1234567", "äöü", "🦀🦀🦀", "äöüäöüä", &long, &wide].into_iter().chain(guessed)
    {
        is_refusal(&register(&mut client, "Ada", unusable).await, 422, Code::UnusablePassword);
    }
    for (name, password, others) in [
        ("Ada", "  spaces  ".to_owned(), vec!["spaces", "  spaces ", " spaces  "]),
        ("Bob", "x".repeat(512), vec!["x"]),
        ("Eve", "ﬁeldset Ⅷ".to_owned(), vec!["fieldset VIII", "ﬁELDSET Ⅷ"]),
        ("Zoe", "nul\0inside".to_owned(), vec!["nul", "nul\0Inside"]),
        ("Max", "82345671".to_owned(), vec!["823456712", "8234567"]),
        ("Kim", "🦀".repeat(8), vec!["🦀🦀🦀🦀🦀🦀🦀", "🦀🦀"]),
    ] {
        assert_eq!(register(&mut client, name, &password).await.status, 200, "{name}");
        assert_eq!(login(&mut client, name, &password).await.status, 200, "{name}");
        for other in others {
            is_refusal(&login(&mut client, name, other).await, 401, Code::WrongPassword);
        }
    }
}

#[tokio::test]
async fn logging_in_answers_200_with_the_user_as_the_owner_wrote_the_name() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let id = client.register("Ada", PASSWORD).await.unwrap();
    for spelling in ["Ada", "aDA", " Ａda "] {
        let answer = login(&mut client, spelling, PASSWORD).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, body), (200, json!({ "UserID": id, "Username": "Ada" })));
    }
}

#[tokio::test]
async fn logging_in_as_nobody_answers_400_and_with_a_wrong_password_401() {
    let server = TestServer::start().await;
    let mut client = server.client();
    client.register("Ada", PASSWORD).await.unwrap();
    for nobody in ["Bob", "", "x", "no such@name", &"x".repeat(10_000), "A\u{0}da"] {
        is_refusal(&login(&mut client, nobody, PASSWORD).await, 400, Code::InvalidUser);
    }
    for wrong in ["", "wrong", "Correct horse", &"x".repeat(5_000), "correct horse "] {
        is_refusal(&login(&mut client, "Ada", wrong).await, 401, Code::WrongPassword);
    }
    assert_eq!(client.http.cookie(), None);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_answers_422_and_one_over_16_kib_413() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let json = [("Content-Type", "application/json")];
    for path in ["/api/register", "/api/login"] {
        for body in [
            "",
            "{",
            "null",
            "[]",
            "\"Ada\"",
            r#"{"Username":"Ada"}"#,
            r#"{"Username":"Ada","Password":5}"#,
            r#"{"Username":"Ada","Password":"correct horse","Admin":true}"#,
            r#"{"username":"Ada","password":"correct horse"}"#,
            &"[".repeat(10_000),
        ] {
            let answer = client.http.request(http::Method::POST, path, &json, body.into()).await.unwrap();
            is_refusal(&answer, 422, Code::Malformed);
        }
        let broken = b"{\"Username\":\"\xff\xfe\",\"Password\":\"correct horse\"}".to_vec();
        let answer = client.http.request(http::Method::POST, path, &json, broken).await.unwrap();
        is_refusal(&answer, 422, Code::Malformed);

        let answer = register_bytes(&mut client, path, 16 * 1024 + 1).await;
        is_refusal(&answer, 413, Code::TooLarge);
        let answer = register_bytes(&mut client, path, 16 * 1024).await;
        assert!([400, 422].contains(&answer.status), "just small enough to be read: {}", answer.status);
    }
}

/// Posts a well-formed body of exactly this many bytes.
async fn register_bytes(client: &mut Client, path: &str, bytes: usize) -> Response {
    let empty = credentials("", "").to_string().len();
    let body = credentials("Ada", &"x".repeat(bytes - empty - 3)).to_string();
    assert_eq!(body.len(), bytes);
    client
        .http
        .request(http::Method::POST, path, &[("Content-Type", "application/json")], body.into())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_closed_server_takes_no_new_users() {
    let server = TestServer::with(|config| config.open_registration = false).await;
    is_refusal(&register(&mut server.client(), "Ada", PASSWORD).await, 403, Code::RegistrationClosed);
}

#[tokio::test]
async fn the_cookie_is_for_http_only_and_same_site() {
    let server = TestServer::start().await;
    let mut client = server.client();
    client.register("Ada", PASSWORD).await.unwrap();
    let answer = login(&mut client, "Ada", PASSWORD).await;
    let is_login = |cookie: &&str| !cookie.starts_with("known_device="); // see `guesses`
    let cookies: Vec<_> = answer.set_cookies().filter(is_login).collect();
    let [cookie] = cookies[..] else { panic!("{cookies:?}") };
    assert!(cookie.starts_with("authentication_token="), "{cookie}");
    let flags: Vec<_> = cookie.split("; ").skip(1).collect();
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(flags.contains(&flag), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("Domain"), "{cookie}");
    assert_eq!(max_age(cookie), 90 * 24 * 60 * 60);
}

#[tokio::test]
async fn behind_https_the_cookie_is_secure_and_bound_to_the_host() {
    let server = TestServer::behind_https(|_| {}).await;
    let mut ada = server.outside();
    ada.register("Ada", PASSWORD).await.unwrap();
    let answer = login(&mut ada, "Ada", PASSWORD).await;
    let cookie = answer.set_cookies().next().unwrap();
    assert!(cookie.starts_with("__Host-authentication_token="), "{cookie}");
    for flag in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Secure"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert!(ada.load().await.unwrap().is_empty(), "and it works");

    let answer = ada.http.post("/api/logout", &json!({})).await.unwrap();
    let removal = answer.set_cookies().next().unwrap();
    assert!(removal.starts_with("__Host-authentication_token=;"), "{removal}");
    assert!(
        removal.contains("Max-Age=0") && removal.contains("; Secure") && removal.contains("; Path=/"),
        "{removal}"
    );
}

fn max_age(cookie: &str) -> i64 {
    cookie.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()).unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_login_gets_another_token_and_a_made_up_one_is_never_adopted() {
    let server = TestServer::start().await;
    let mut client = server.client();
    client.register("Ada", PASSWORD).await.unwrap();
    client.login("Ada", PASSWORD).await.unwrap();
    let first = client.http.cookie().unwrap().to_owned();
    client.login("Ada", PASSWORD).await.unwrap();
    assert_ne!(client.http.cookie().unwrap(), first);

    let made_up = "authentication_token=AAAAAAAAAAAAAAAAAAAAAA";
    for cookie in [
        made_up,
        "authentication_token=",
        "authentication_token=%00",
        "authentication_token=x; authentication_token=y",
    ] {
        client.http.set_cookie(Some(cookie.into()));
        is_refusal(&client.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
    }
    client.http.set_cookie(Some(made_up.into()));
    client.login("Ada", PASSWORD).await.unwrap();
    assert_ne!(client.http.cookie(), Some(made_up));
}

#[tokio::test]
async fn load_is_the_seeds_shape_every_session_with_its_users_and_messages() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let said = ada.say_and_wait(session, "hello\nBob").await.unwrap();
    let answered = bob.say_and_wait(session, "hello \"Ada\"").await.unwrap();

    let answer = ada.http.get("/api/load").await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
    for id in [said, answered] {
        let time = body[session.to_string()]["Messages"][id.to_string()]["TimeStamp"].take();
        assert!(time.as_i64().unwrap() > 1_700_000_000_000, "milliseconds: {time}");
    }
    let (a, b) = (ada.id(), bob.id());
    let wanted = json!({
        session.to_string(): {
            "UserIds": { a.to_string(): "Ada", b.to_string(): "Bob" },
            "Messages": {
                said.to_string(): { "Data": "hello\nBob", "TimeStamp": null, "Sender": a, "Seq": 1, "Rev": 1 },
                answered.to_string(): { "Data": "hello \"Ada\"", "TimeStamp": null, "Sender": b, "Seq": 2, "Rev": 2 },
            },
        },
    });
    assert_eq!(body, wanted);
    assert_eq!(bob.load().await.unwrap(), ada.load().await.unwrap(), "both see the same");
}

#[tokio::test]
async fn load_brings_the_newest_messages_of_every_session() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let mut eve = server.online("Eve").await;
    let quiet = befriend(&mut eve, &mut ada).await;
    for n in 0..60 {
        ada.say(session, format!("line {n}")).await.unwrap();
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let loaded = bob.load().await.unwrap();
    assert_eq!(loaded.keys().collect::<Vec<_>>(), [&session], "Bob is in one session");
    let mut seqs: Vec<_> = loaded[&session].messages.values().map(|m| m.seq.0).collect();
    seqs.sort_unstable();
    assert_eq!(seqs.last(), Some(&60));
    assert!(
        seqs.len() >= 20 && seqs.windows(2).all(|w| w[1] == w[0] + 1),
        "the newest, without holes: {seqs:?}"
    );
    let loaded = ada.load().await.unwrap();
    assert_eq!(loaded.len(), 2);
    assert!(loaded[&quiet].messages.is_empty());
}

#[tokio::test]
async fn the_history_leads_back_to_the_first_message_without_holes() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    for n in 1..=130 {
        ada.say(session, n.to_string()).await.unwrap();
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let all = bob.whole_history(session).await.unwrap();
    assert!(all.iter().map(|m| m.seq.0).eq(1..=130));
    assert!(all.iter().all(|m| m.data == m.seq.to_string()));

    let page = bob.history(session, Seq(3)).await.unwrap();
    assert!(page.messages.iter().map(|m| m.seq.0).eq(1..=2));
    assert!(!page.more);
    for before in [Seq(1), Seq(0), Seq(-5), Seq(i64::MIN)] {
        let page = bob.history(session, before).await.unwrap();
        assert!(page.messages.is_empty() && !page.more, "before {before}");
    }
}

#[tokio::test]
async fn the_history_of_a_session_one_is_not_in_is_that_of_one_that_does_not_exist() {
    let server = TestServer::start().await;
    let (_ada, _bob, session) = server.pair().await;
    let mut eve = server.user("Eve").await;
    for wrong in
        [format!("SessionID={session}&Befor=9"), format!("SessionID={session}&Before=x"), "Before=1".into()]
    {
        let answer = eve.http.get(&format!("/api/history?{wrong}")).await.unwrap();
        is_refusal(&answer, 422, Code::Malformed);
    }
    let foreign = eve.http.get(&format!("/api/history?SessionID={session}&Before=9")).await.unwrap();
    let missing = eve.http.get(&format!("/api/history?SessionID={}&Before=9", eve.id())).await.unwrap();
    is_refusal(&foreign, 404, Code::NotFound);
    assert_eq!((foreign.status, foreign.body), (missing.status, missing.body));
    for query in ["", "?SessionID=nonsense&Before=1", "?Before=1", &format!("?SessionID={session}&Before=x")]
    {
        is_refusal(&eve.http.get(&format!("/api/history{query}")).await.unwrap(), 422, Code::Malformed);
    }
}

#[tokio::test]
async fn without_a_login_nothing_is_shown() {
    let server = TestServer::start().await;
    let mut nobody = server.client();
    let some_id = UserId::new();
    for path in ["/api/load", &format!("/api/history?SessionID={some_id}&Before=1")] {
        is_refusal(&nobody.http.get(path).await.unwrap(), 401, Code::Unauthenticated);
    }
    assert!(matches!(nobody.connect().await, Err(Error::Upgrade(401))));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_a_404_in_json() {
    let server = TestServer::start().await;
    let mut client = server.client();
    is_refusal(&client.http.get("/api/nonsense").await.unwrap(), 404, Code::NotFound);
    is_refusal(&client.http.post("/api/nonsense", &json!({})).await.unwrap(), 404, Code::NotFound);
}

#[tokio::test]
async fn signing_out_ends_this_login_and_closes_its_sockets_with_4001() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    let mut phone = server.other_device(&ada).await;
    let cookie = ada.http.cookie().map(str::to_owned);

    ada.logout().await.unwrap();
    assert_eq!(ada.closed().await.unwrap(), Some(protocol::close::LOGIN_REVOKED));
    assert_eq!(ada.http.cookie(), None, "the browser is told to forget it");
    ada.http.set_cookie(cookie);
    is_refusal(&ada.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
    assert!(matches!(ada.connect().await, Err(Error::Upgrade(401))));

    support::fence(&mut phone).await; // the other login stays valid
    phone.load().await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_under_way_does_not_undo_a_sign_out() {
    let server = TestServer::start().await;
    let mut ada = server.user("Ada").await;
    for _ in 0..100 {
        ada.login("Ada", PASSWORD).await.unwrap();
        let cookie = ada.http.cookie().map(str::to_owned);
        let late = (0..10).map(|_| {
            let mut http = ada.http.clone();
            async move { drop(http.get("/api/load").await.unwrap()) }
        });
        let late: Vec<_> = late.map(tokio::spawn).collect();
        ada.logout().await.unwrap();
        for request in late {
            request.await.unwrap();
        }
        ada.http.set_cookie(cookie);
        is_refusal(&ada.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
        ada.http.set_cookie(None);
    }
}

#[tokio::test]
async fn signing_out_without_a_login_does_no_harm() {
    let server = TestServer::start().await;
    let status = server.client().http.post("/api/logout", &json!({})).await.unwrap().status;
    assert!([200, 401].contains(&status), "{status}");
}

#[tokio::test]
async fn a_new_password_ends_every_login_of_its_owner_and_of_nobody_else() {
    let data = tempfile::tempdir().unwrap();
    let server = support::Natter::start(data.path()).await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let (code, out, err) = set_password(data.path(), "ada", "battery staple\n").await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.to_lowercase().contains("ada has a new password"), "{out}");

    // Another process revoked it. We promise one second; the sweep that catches everything else runs every 10.
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), ada.closed()).await;
    assert_eq!(closed.unwrap().unwrap(), Some(protocol::close::LOGIN_REVOKED));
    is_refusal(&ada.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
    is_refusal(&login(&mut ada, "Ada", PASSWORD).await, 401, Code::WrongPassword);
    assert_eq!(login(&mut ada, "Ada", "battery staple").await.status, 200);
    bob.load().await.unwrap();
    support::fence(&mut bob).await;
}

#[tokio::test]
async fn a_user_has_so_many_logins_and_the_oldest_goes_with_its_sockets() {
    let server = TestServer::with(|config| {
        (config.limits, config.logins_per_user) = (Some(Limits::default()), 3);
    })
    .await;
    let mut bob = server.online("Bob").await;
    let mut first = server.online("Ada").await;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(server.other_device(&first).await);
    }
    assert_eq!(first.http.get("/api/load").await.unwrap().status, 200, "three may be");
    let fourth = server.other_device(&first).await;
    assert_eq!(first.closed().await.unwrap(), Some(close::LOGIN_REVOKED));
    is_refusal(&first.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
    for other in others.iter_mut().chain([&mut bob]) {
        assert_eq!(other.http.get("/api/load").await.unwrap().status, 200);
        crate::support::fence(other).await;
    }
    drop(fourth);
}

#[tokio::test]
async fn without_limits_too_a_user_has_fifty_logins() {
    let server = TestServer::start().await;
    let mut first = server.user("Ada").await;
    for _ in 0..49 {
        server.client().login("Ada", PASSWORD).await.unwrap();
    }
    assert_eq!(first.http.get("/api/load").await.unwrap().status, 200);
    server.client().login("Ada", PASSWORD).await.unwrap();
    is_refusal(&first.http.get("/api/load").await.unwrap(), 401, Code::Unauthenticated);
}

#[tokio::test]
async fn signing_out_has_the_browser_forget_pages_and_leaves_it_drafts_and_the_device() {
    let server = TestServer::start().await;
    for path in ["/api/logout", "/logout"] {
        let mut ada = match path {
            "/logout" => server.user("Ada").await,
            _ => server.user("Bob").await,
        };
        let answer = match path {
            "/logout" => ada.http.post_form(path, &[]).await.unwrap(),
            _ => ada.http.post(path, &json!({})).await.unwrap(),
        };
        assert_eq!(answer.header("clear-site-data"), Some("\"cache\""), "{path}");
        assert!(!answer.set_cookies().any(|cookie| cookie.contains("known_device")), "{path}");
        assert_eq!(ada.http.get("/").await.unwrap().header("clear-site-data"), None);
    }
}
