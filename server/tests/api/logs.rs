//! What is logged, and what never is.

use std::path::Path;

use protocol::close;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Natter, PASSWORD, befriend, natter, set_password, within};

/// Starts a server that logs everything it can to a file.
async fn talkative(folder: &Path, args: &[&str]) -> Natter {
    let shell = format!("export RUST_LOG=trace && exec 2>'{}'", folder.join("log").display());
    let args = [&["--log-format", "json"], args].concat();
    Natter::under(&shell, &folder.join("data"), &args).await
}

/// Stops the server and returns everything it logged.
async fn logged(mut natter: Natter, folder: &Path) -> String {
    natter.terminate().await;
    std::fs::read_to_string(folder.join("log")).unwrap()
}

/// Returns the audit events in the log: event, user and network.
fn events(log: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let told = lines.map(|mut line| line["fields"].take()).filter(|fields| fields["event"].is_string());
    told.map(|fields| (text(&fields["event"]).unwrap(), text(&fields["user_id"]), text(&fields["network"])))
        .collect()
}

#[tokio::test]
async fn at_trace_too_the_log_holds_no_text_no_name_no_password_and_no_token() {
    const SECRETS: [&str; 5] = ["Zebedee", "Florence", "magic roundabout", "wrong roundabout", PASSWORD];
    let folder = tempfile::tempdir().unwrap();
    let server = talkative(folder.path(), &["--limits", "off"]).await;
    let (mut one, mut other) = (server.online("Zebedee").await, server.online("Florence").await);
    let session = befriend(&mut one, &mut other).await;
    one.say_and_wait(session, "magic roundabout").await.unwrap();
    one.socket().unwrap().send_text("{\"type\":\"Nonsense\",\"Data\":\"magic roundabout\"}").await.unwrap();
    other.wait_for("the text", |sync| sync.rows(session).len() == 1).await.unwrap();
    other.load().await.unwrap();
    server.client().login("Zebedee", "wrong roundabout").await.unwrap_err();
    let fields = [("Username", "Zebedee"), ("Password", "wrong roundabout")];
    let mut form = server.client();
    let answer = form.http.post_form("/login", &fields).await.unwrap();
    let back = answer.header("location").unwrap().to_owned();
    form.http.get(&back).await.unwrap();
    let token = one.http.cookie().unwrap().split_once('=').unwrap().1.to_owned();
    one.logout().await.unwrap();
    let log = logged(server, folder.path()).await;
    assert!(log.contains("listening"), "{log}");
    for secret in SECRETS.into_iter().chain([token.as_str()]) {
        let at = log.lines().find(|line| line.contains(secret));
        assert_eq!(at, None, "{secret}");
    }
}

#[tokio::test]
async fn what_happens_to_accounts_is_one_line_each_with_the_user_and_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let server = talkative(folder.path(), &["--sockets-per-user", "1"]).await;
    let mut ada = server.online("Ada").await;
    let id = ada.id().to_string();
    server.client().login("Ada", "wrong horse").await.unwrap_err();
    server.client().login("Nobody", PASSWORD).await.unwrap_err();
    let mut second = headless::Socket::open(&ada.handshake()).await.unwrap();
    assert_eq!(within("the end", second.next()).await, headless::Event::Closed(Some(close::TOO_MANY)));
    ada.logout().await.unwrap();
    let log = logged(server, folder.path()).await;
    let here = || Some("127.0.0.0/24".to_owned());
    let wanted = [
        ("registered", Some(id.clone()), here()),
        ("signed_in", Some(id.clone()), here()),
        ("sign_in_refused", Some(id.clone()), here()),
        ("sign_in_refused", None, here()),
        ("held_back", Some(id.clone()), None),
        ("signed_out", Some(id.clone()), here()),
    ];
    let told = events(&log);
    let mut rest = told.iter();
    for (event, user, network) in wanted {
        let event = (event.to_owned(), user, network);
        assert!(rest.any(|told| *told == event), "{event:?} is not in its place: {told:?}");
    }
}

#[tokio::test]
async fn a_new_password_is_a_line_of_the_command_that_sets_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = talkative(folder.path(), &["--limits", "off"]).await;
    let id = server.user("Ada").await.id().to_string();
    let (code, _, err) = set_password(&folder.path().join("data"), "Ada", "another horse\n").await;
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("password_set") && err.contains(&id) && !err.contains("Ada"), "{err}");
    drop(server);
}

#[tokio::test]
async fn plain_http_beyond_this_machine_and_a_filter_that_cannot_be_read_are_warnings() {
    for (address, warns) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let data = tempfile::tempdir().unwrap();
        let mut server = natter(data.path());
        server.args(["--listen", address]).env("RUST_LOG", "=,=").stderr(std::process::Stdio::piped());
        let mut server = server.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(server.stdout.take().unwrap()).lines();
        within("the server to listen", out.next_line()).await.unwrap().unwrap();
        server.start_kill().unwrap();
        let output = within("the end", server.wait_with_output()).await.unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains("RUST_LOG cannot be read"), "{log}");
        assert_eq!(log.contains("plain http beyond this machine"), warns, "{address}: {log}");
    }
}
