//! Measures what a commit costs, in batches of several sizes. It tests nothing:
//! `cargo test --release -p chat --lib store::speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use protocol::{MessageId, SessionId};
use tempfile::TempDir;

use super::{Event, Store};
use crate::testing::{Database, Person, post};

/// Pairs of people, each with a session.
const PAIRS: usize = 50;

/// Returns the CPU time this process has used so far.
fn used() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10) // proc(5): 100 a second on Linux
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn what_a_commit_costs() {
    let folder = TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap(); // a disk: the temporary folder may be in memory
    let (store, events) = Store::open(folder.path()).await.unwrap();
    let mut db = Database { store, events, folder };
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let names: [&'static str; 2] = [(); 2].map(|()| {
            let random = MessageId::new().0.simple().to_string();
            &*Box::leak(random[20..].to_owned().into_boxed_str())
        });
        let (a, b) = (db.person(names[0]).await, db.person(names[1]).await);
        pairs.push((a, db.pair(a, b).await));
    }
    for (size, times) in [(1, 1000), (8, 400), (64, 100), (256, 40)] {
        let (began, before) = (Instant::now(), used());
        for round in 0..times {
            batch(&mut db, &pairs, size, round).await;
        }
        let messages = f64::from(u32::try_from(size * times).unwrap());
        let (took, used) = (began.elapsed().as_secs_f64(), (used() - before).as_secs_f64());
        println!(
            "{size:4} under way: {:7.0} messages/s, {:5.1} µs of CPU a message",
            messages / took,
            1e6 * used / messages
        );
    }
}

/// Hands in this many concurrently and waits until all are stored.
async fn batch(db: &mut Database, pairs: &[(Person, SessionId)], size: usize, round: usize) {
    for nth in 0..size {
        let (who, session) = pairs[(round * size + nth) % pairs.len()];
        db.store.post(post(who, session, MessageId::new(), &"x".repeat(140))).await.unwrap();
    }
    let mut stored = 0;
    while stored < size {
        let events = db.announced().await;
        stored += events.iter().filter(|event| matches!(event, Event::Changed { .. })).count();
    }
}
