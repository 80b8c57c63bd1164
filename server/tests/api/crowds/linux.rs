//! Tests that need Linux: a second loopback address without any setup, `ulimit`, or `/proc`.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{HERE, dial, ended, limits, status};
use crate::support::{Natter, TestServer, befriend, within};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test]
async fn an_address_has_so_many_connections_and_another_one_has_its_own() {
    let server = TestServer::with(limits(|limits| limits.connections_per_address = 3)).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(dial(&server.base, ELSEWHERE).await);
    }
    assert_eq!(status(taken.last_mut().unwrap()).await, 200);

    let mut over = dial(&server.base, ELSEWHERE).await;
    over.write_all(b"POST /api/login HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (told, _) = ended(&mut over).await;
    assert!(told.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{told}");
    assert!(told.contains("\r\nRetry-After: 5\r\n") && told.contains("\"Error\":\"TooMany\""), "{told}");
    assert!(told.contains("close some and try again."), "{told}");

    assert_eq!(status(&mut dial(&server.base, HERE).await).await, 200);
    taken.clear();
    within("a place", async { while status(&mut dial(&server.base, ELSEWHERE).await).await != 200 {} }).await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_loses_the_connection() {
    const SLOW: u32 = 8;
    let server = TestServer::with(|config| {
        config.answer_patience = Duration::from_secs(1);
        limits(|limits| limits.connections_per_address = SLOW)(config);
    })
    .await;
    let (mut ada, _bob, session) = server.pair().await;
    for _ in 0..30 {
        ada.say_and_wait(session, "x".repeat(16_000)).await.unwrap();
    }
    let request = format!(
        "GET /api/load HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {}\r\n\r\n",
        ada.http.cookie().unwrap()
    );
    let mut readers = Vec::new();
    for _ in 0..SLOW {
        let mut stream = dial(&server.base, ELSEWHERE).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        readers.push(stream);
    }
    let told = ended(&mut dial(&server.base, ELSEWHERE).await).await.0;
    assert!(told.contains(" 429 "), "all places are taken: {told}");
    within("every place to be free again", async {
        let mut free = Vec::new();
        while free.len() < 8 {
            let mut one = dial(&server.base, ELSEWHERE).await;
            if status(&mut one).await == 200 {
                free.push(one);
            }
        }
    })
    .await;
    // A client that reads may take as long as it needs.
    let mut quick = dial(&server.base, HERE).await;
    quick.write_all(request.as_bytes()).await.unwrap();
    let (all, _) = ended(&mut quick).await;
    assert!(all.len() > 30 * 16_000, "{}", all.len());
    drop(readers);
}

/// Returns the total number of context switches of the threads of this name, and the `nice` value of each.
fn threads(pid: u32, name: &str) -> (u64, Vec<i32>) {
    let (mut turns, mut ranks) = (0, Vec::new());
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let read =
            |file| std::fs::read_to_string(thread.as_ref().unwrap().path().join(file)).unwrap_or_default();
        if read("comm").trim() != name {
            continue;
        }
        let status = read("status");
        let counts = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        turns += counts.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum::<u64>();
        ranks.extend(
            read("stat")
                .rsplit(')')
                .next()
                .unwrap()
                .split_whitespace()
                .nth(16)
                .map(|rank| rank.parse::<i32>().unwrap()),
        );
    }
    (turns, ranks)
}

/// A flood of requests must not slow down those who chat: it gets other threads, at a lower priority.
#[tokio::test]
async fn messages_and_http_have_threads_of_their_own() {
    const MANY: u64 = 300;
    let data = tempfile::tempdir().unwrap();
    let natter = Natter::start(data.path()).await;
    let (mut ada, mut bob) = (natter.online("Ada").await, natter.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    let turns = || threads(natter.pid(), "http").0;

    let before = turns();
    for n in 0..MANY {
        ada.say_and_wait(session, n.to_string()).await.unwrap();
    }
    let talking = turns() - before;
    for _ in 0..MANY {
        ada.load().await.unwrap();
    }
    let loading = turns() - before - talking;
    assert!(
        talking < MANY / 2 && loading >= MANY,
        "{talking} while messages went, {loading} while pages did"
    );

    let first = threads(natter.pid(), "natter-writer").1[0];
    for (name, behind) in [("http", 5), ("passwords", 10), ("sqlx-sqlite-wor", 0), ("tokio-rt-worker", 0)] {
        let ranks = threads(natter.pid(), name).1;
        let expected = (first + behind).min(19);
        assert!(!ranks.is_empty() && ranks.iter().all(|rank| *rank == expected), "{name}: {ranks:?}");
    }
}

fn open_files(pid: u32) -> (usize, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
    (std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), line)
}

#[tokio::test]
async fn the_server_takes_as_many_open_files_as_it_may_and_keeps_some_for_itself() {
    let data = tempfile::tempdir().unwrap();
    let natter = Natter::under("ulimit -Sn 50 && ulimit -Hn 300", data.path(), &["--limits", "off"]).await;
    let (_, line) = open_files(natter.pid());
    let numbers: Vec<_> = line.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).collect();
    assert_eq!(numbers, ["300", "300"], "{line}");
    // The table has room for them from the start: growing it would block everybody.
    let own = std::fs::read_to_string(format!("/proc/{}/status", natter.pid())).unwrap();
    let room = own.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse::<u32>().ok());
    assert!(room >= Some(300), "{room:?}");

    let mut taken = Vec::new();
    for _ in 0..300 - 128 {
        taken.push(dial(&natter.base, HERE).await);
    }
    let (told, _) = ended(&mut dial(&natter.base, HERE).await).await;
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    assert_eq!(status(taken.last_mut().unwrap()).await, 200);
    drop(taken);
    within("room", async { while status(&mut dial(&natter.base, HERE).await).await != 200 {} }).await;
    natter.online("Ada").await;
}

#[tokio::test]
async fn a_machine_without_descriptors_makes_the_server_wait_and_not_fail() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--limits", "off", "--connections", "1000"];
    let mut natter = Natter::under("ulimit -n 60", data.path(), &args).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(dial(&natter.base, HERE).await); // the kernel queues those that the server cannot accept
    }
    within("the last descriptor", async {
        while open_files(natter.pid()).0 < 60 {
            tokio::task::yield_now().await
        }
    })
    .await;
    drop(open);
    natter.online("Ada").await;
    assert!(natter.terminate().await.success());
}
