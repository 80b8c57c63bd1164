//! The program: its settings, its data, its one line on standard output.

use std::path::Path;

use crate::support::{Natter, PASSWORD, natter, open, run, set_password};

pub fn one_sentence(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.lines().count() == 1 && text.ends_with('.')
}

#[tokio::test]
async fn help_names_every_setting_and_its_variable() {
    let data = tempfile::tempdir().unwrap();
    let (code, out, _) = run(natter(data.path()).arg("--help"), "").await;
    assert_eq!(code, Some(0));
    for setting in [
        "listen",
        "private-listen",
        "data",
        "public-origin",
        "also-host",
        "hsts-subdomains",
        "trusted-proxy",
        "registration",
        "limits",
        "connections",
        "connections-per-address",
        "sockets-per-user",
        "logins-per-user",
        "log-format",
    ] {
        let variable = format!("NATTER_{}", setting.to_uppercase().replace('-', "_"));
        assert!(out.contains(&format!("--{setting}")) && out.contains(&variable), "{setting}: {out}");
    }
    assert!(out.contains("password"), "{out}");
}

#[tokio::test]
async fn a_wrong_setting_is_one_clear_message_and_exit_code_2() {
    let data = tempfile::tempdir().unwrap();
    for (flag, wrong) in [
        ("--listen", "nonsense"),
        ("--listen", "127.0.0.1:99999"),
        ("--public-origin", "chat.example.org"),
        ("--public-origin", "https://chat.example.org/path"),
        ("--public-origin", "https://chat.example.org#fragment"),
        ("--public-origin", "https://chat.example.org//"),
        ("--also-host", "https://nas.lan"),
        ("--also-host", "nas.lan:3000"),
        ("--also-host", "*.example.org"),
        ("--trusted-proxy", "everybody"),
        ("--registration", "maybe"),
        ("--limits", "few"),
        ("--logins-per-minute", "0"),
        ("--log-format", "xml"),
        ("--nonsense", "1"),
    ] {
        let (code, out, err) = run(natter(data.path()).args([flag, wrong]), "").await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{flag} {wrong}: {err}");
        assert!(err.contains(wrong) || err.contains(flag), "{flag} {wrong}: {err}");
        assert!(one_sentence(&err), "{err}");
    }
    let (code, _, err) = run(natter(data.path()).env("NATTER_LISTEN", "nonsense"), "").await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("nonsense"), "{err}");
}

#[tokio::test]
async fn settings_come_from_the_environment_too() {
    let data = tempfile::tempdir().unwrap();
    let elsewhere = data.path().join("elsewhere/deep");
    let mut natter = tokio::process::Command::new(env!("CARGO_BIN_EXE_natter"));
    natter.env("NATTER_DATA", &elsewhere).args(["password", "Ada"]);
    let (code, _, err) = run(&mut natter, "battery staple\n").await;
    assert_eq!(code, Some(1));
    assert!(err.contains("elsewhere"), "{err}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_one_sentence() {
    let data = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, out, err) = run(natter(data.path()).args(["--listen", &address]), "").await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(last_line(&err).contains(&address) && one_sentence(last_line(&err)), "{err}");
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_with_a_sentence() {
    let data = tempfile::tempdir().unwrap();
    let first = Natter::start(data.path()).await;
    let (code, out, err) = run(natter(data.path()).args(["--listen", "127.0.0.1:0"]), "").await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(one_sentence(last_line(&err)), "{err}");
    first.client().register("Ada", PASSWORD).await.unwrap(); // the first keeps working
}

#[tokio::test]
async fn a_corrupt_database_is_a_sentence_and_is_left_alone() {
    for (name, bytes) in [
        ("not a database", vec![b'x'; 9000]),
        ("cut short", cut_database().await),
        ("a page overwritten", spoilt_database().await),
    ] {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("natter.sqlite");
        std::fs::write(&file, &bytes).unwrap();
        let (code, out, err) = run(natter(data.path()).args(["--listen", "127.0.0.1:0"]), "").await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{name}: {err}");
        assert!(one_sentence(last_line(&err)), "{name}: {err}");
        assert!(last_line(&err).contains("natter.sqlite"), "{name}: {err}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{name}");
    }
}

#[tokio::test]
async fn a_database_that_another_program_holds_locked_is_a_sentence() {
    let data = tempfile::tempdir().unwrap();
    let mut other = open(&data.path().join("natter.sqlite")).await;
    sqlx::query("create table t (x)").execute(&mut other).await.unwrap();
    sqlx::query("begin exclusive").execute(&mut other).await.unwrap();
    let (code, out, err) = run(natter(data.path()).args(["--listen", "127.0.0.1:0"]), "").await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(one_sentence(last_line(&err)) && last_line(&err).contains("natter.sqlite"), "{err}");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let (code, out, err) = run(natter(&file).args(["--listen", "127.0.0.1:0"]), "").await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(one_sentence(last_line(&err)) && err.contains("file"), "{err}");
}

#[tokio::test]
async fn a_new_password_for_nobody_or_one_that_is_too_short_is_refused_with_a_sentence() {
    let data = tempfile::tempdir().unwrap();
    let natter_process = Natter::start(data.path()).await;
    natter_process.client().register("Ada", PASSWORD).await.unwrap();
    for (name, password) in [
        ("Bob", "battery staple\n"),
        ("Ada", "short\n"),
        ("Ada", "password1\n"),
        ("Ada", "Adaadaada\n"),
        ("Ada", "\n"),
        ("Ada", ""),
    ] {
        let (code, _, err) = set_password(data.path(), name, password).await;
        assert_eq!(code, Some(1), "{name} {password:?}");
        assert!(one_sentence(last_line(&err)), "{err}");
    }
    natter_process.client().login("Ada", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_new_password_may_be_set_while_no_server_runs() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Natter::start(data.path()).await;
    let mut ada = first.client();
    ada.register("Ada", PASSWORD).await.unwrap();
    ada.login("Ada", PASSWORD).await.unwrap();
    assert!(first.terminate().await.success());
    let (code, out, err) = set_password(data.path(), "Ada", "battery staple\r\nand more\n").await;
    assert_eq!(code, Some(0), "{out}{err}");

    let second = Natter::start(data.path()).await;
    ada.http.move_to(&second.base);
    assert!(ada.load().await.is_err(), "signed out");
    assert!(ada.login("Ada", PASSWORD).await.is_err());
    ada.login("Ada", "battery staple").await.unwrap();
}

pub fn last_line(text: &str) -> &str {
    text.trim().lines().last().unwrap_or_default()
}

/// Returns the database file of a server with an account, after it stopped.
async fn database() -> Vec<u8> {
    let data = tempfile::tempdir().unwrap();
    let mut natter = Natter::start(data.path()).await;
    natter.client().register("Ada", PASSWORD).await.unwrap();
    assert!(natter.terminate().await.success());
    read(data.path())
}

fn read(data: &Path) -> Vec<u8> {
    std::fs::read(data.join("natter.sqlite")).unwrap()
}

async fn cut_database() -> Vec<u8> {
    let mut bytes = database().await;
    bytes.truncate(bytes.len() / 2);
    bytes
}

async fn spoilt_database() -> Vec<u8> {
    let mut bytes = database().await;
    bytes[4096..3 * 4096].fill(0xa5);
    bytes
}
