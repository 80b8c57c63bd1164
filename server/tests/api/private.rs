//! The private listener: health and metrics.

use std::path::Path;

use headless::Http;
use protocol::{Answer, Asked};

use crate::support::{
    Natter, PASSWORD, accepted_session, befriend, gather, invited, knows, natter, run, within,
};

const PRIVATE: &[&str] = &["--limits", "off", "--private-listen", "127.0.0.1:0"];

async fn get(natter: &Natter, path: &str) -> (u16, String) {
    let answer = Http::new(natter.private.as_ref().unwrap()).get(path).await.unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// Returns the value of a metric; its name includes the labels.
async fn metric(natter: &Natter, name: &str) -> Option<f64> {
    let (status, text) = get(natter, "/metrics").await;
    assert_eq!(status, 200);
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

async fn comes_to(natter: &Natter, name: &str, wanted: f64) {
    within(&format!("{name} to be {wanted}"), async {
        while metric(natter, name).await != Some(wanted) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_private_listener_says_how_the_server_is_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let natter = Natter::with(data.path(), PRIVATE).await;
    assert_eq!(get(&natter, "/healthz").await, (200, "ok\n".into()));
    assert_eq!(get(&natter, "/readyz").await, (200, "ok\n".into()));
    for path in ["/", "/login", "/api/load", "/ws"] {
        assert_eq!(get(&natter, path).await.0, 404, "{path}");
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(
            Http::new(&natter.base).get(path).await.unwrap().status,
            404,
            "{path} is not for the public"
        );
    }
}

#[tokio::test]
async fn metrics_count_sockets_and_connections_while_they_are_open_and_logins_by_outcome() {
    let data = tempfile::tempdir().unwrap();
    let natter = Natter::with(data.path(), PRIVATE).await;
    let (mut ada, mut bob) = (natter.online("Ada").await, natter.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    ada.say_and_wait(session, "hello").await.unwrap();
    comes_to(&natter, "natter_sockets", 2.0).await;
    assert!(metric(&natter, "natter_connections").await.unwrap() >= 2.0);

    let mut eve = natter.client();
    eve.login("Eve", PASSWORD).await.unwrap_err();
    eve.login("Ada", "correct donkey").await.unwrap_err();
    for (outcome, times) in [("in", 2.0), ("InvalidUser", 1.0), ("WrongPassword", 1.0)] {
        comes_to(&natter, &format!("natter_logins_total{{outcome=\"{outcome}\"}}"), times).await;
    }
    drop((ada, bob, eve));
    comes_to(&natter, "natter_sockets", 0.0).await;
    comes_to(&natter, "natter_connections", 0.0).await;
}

#[tokio::test]
async fn a_private_address_that_is_taken_is_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let (code, err) = refused(data.path(), &address).await;
    assert_eq!(code, Some(1));
    assert!(err.contains(&address) && err.contains("--private-listen"), "{err}");
}

async fn refused(data: &Path, private: &str) -> (Option<i32>, String) {
    let args = ["--listen", "127.0.0.1:0", "--private-listen", private];
    let (code, out, err) = run(natter(data).args(args), "").await;
    assert_eq!(out, "");
    (code, err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_back_after_a_kill_reads_each_session_at_most_three_times() {
    let data = tempfile::tempdir().unwrap();
    let mut natter = Natter::with(data.path(), PRIVATE).await;
    let mut owner = natter.online("Owner").await;
    let (mut sessions, mut crowd) = (Vec::new(), Vec::new());
    for s in 0..2 {
        let mut first = natter.online(&format!("First{s}")).await;
        let session = gather(&mut owner, &mut [&mut first]).await;
        sessions.push(session);
        crowd.push(first);
        for n in 0..9 {
            let mut other = natter.online(&format!("Other{s}{n}")).await;
            let username = other.me().username.clone();
            owner.ask(Asked { username, session_id: Some(session), leave: false }).await.unwrap();
            let (invite, _) = other.expect("an invitation", invited).await.unwrap();
            other.answer(invite, Answer::Accepted).await.unwrap();
            accepted_session(&mut owner).await;
            knows(&mut other, session).await;
            crowd.push(other);
        }
    }
    for (n, client) in crowd.iter_mut().enumerate() {
        if n % 3 == 0 {
            client.kill(); // these come back further behind
        } else {
            client.online().await.unwrap(); // reconnects: it has answered nothing while all the others registered
        }
    }
    for n in 0..40 {
        for session in &sessions {
            owner.say_and_wait(*session, n.to_string()).await.unwrap();
        }
    }
    for (n, client) in crowd.iter_mut().enumerate().filter(|(n, _)| n % 3 != 0) {
        client.wait_for("a half", |sync| sync.rows(sessions[n / 10]).len() == 20).await.unwrap();
    }
    natter.kill_and_restart().await;
    let back = crowd.into_iter().enumerate().map(|(n, mut client)| {
        let session = sessions[n / 10];
        tokio::spawn(async move {
            client.reconnect().await.unwrap();
            client.wait_for("everything", |sync| sync.rows(session).len() == 40).await.unwrap();
            client // kept: if the session's last subscriber goes, its pages are read again for the next one
        })
    });
    let back: Vec<_> = futures::future::join_all(back).await.into_iter().map(Result::unwrap).collect();
    let reads = metric(&natter, "natter_page_reads_total").await.unwrap();
    drop(back);
    assert!((1.0..=6.0).contains(&reads), "{reads} reads for two sessions");
}
