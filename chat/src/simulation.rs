//! Ten thousand lives of a small chat, each from a seed: the invariants hold in all of them.
//!
//! **Real** here: the client's state machine (`protocol::Sync` with its outbox and timelines), every frame's JSON, the
//! chat's methods for `Hello`, messages, edits, pages, history and snapshots, the writer's batches and the SQL on a
//! real SQLite, the hub with its queues, and the path of a committed change to the sockets. **Modelled**: time (none
//! passes, and timers fire at any moment), a full disk, the network (queues of frames that may be cut anywhere), the
//! loop of a socket (`server.rs`), a crash (memory and queues are lost, the database keeps what was committed: `make
//! faults` shows that a commit survives a power failure), a restore (SQL puts rows and numbers back).
//!
//! The invariants, with their numbers in docs/RELIABILITY.md:
//!
//! * C1 what was acknowledged is stored, unless a restore removed it; what was written and not refused is stored
//! * C2 one row per message identifier, on the server and on every screen
//! * C3 places and changes are numbered 1, 2, 3… without gaps
//! * C4 a device applies every change in order and skips none
//! * C5 all devices hold the same at the same change, because each holds what the history had then
//! * C6 the messages of a device appear in the order in which they were written
//! * C7 nothing is shown that is not stored, nothing stored that was not sent, or was taken back
//! * C10 all acknowledgements of one message name the same place
//! * C11 nothing said while somebody is out of a group reaches them, and nothing they may see is missing
//! * at the end, when nothing interferes any more, every device holds what the server holds
//!
//! A failing seed is printed. To replay it, step by step:
//!
//! ```sh
//! NATTER_SEED=123 cargo test -p chat --lib simulation::seeds -- --nocapture
//! ```
//!
//! `NATTER_SEEDS=100000` runs more of them. Bugs planted here (and not in the server) show that the checks catch them.

/// Fails a check with a sentence if a condition does not hold.
macro_rules! ensure {
    ($true:expr, $($why:tt)*) => {
        if !$true {
            return Err(format!($($why)*));
        }
    };
}

mod dice;
mod server;
mod truth;
mod world;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use server::Server;
use world::World;

/// Err: the invariant that is broken.
type Verdict = Result<(), String>;

/// A bug of the kind that the rules exist to prevent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    AckBeforeCommit,
    FanOutBeforeCommit,
    SkipOnGap,
    NoUniqueKey,
}

/// How many seeds `make test` runs.
const SEEDS: u64 = 10_000;

/// A planted bug must be found within this many seeds.
const SEEDS_FOR_A_BUG: u64 = 600;

#[test]
fn seeds() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("NATTER_SEED") {
        let verdict = on_a_runtime(async |server| live(server, seed, true).await);
        return verdict.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let (next, end) = (AtomicU64::new(0), number("NATTER_SEEDS").unwrap_or(SEEDS));
    let work = || {
        on_a_runtime(async |server| {
            while let seed = next.fetch_add(1, Ordering::Relaxed)
                && seed < end
            {
                let life = AssertUnwindSafe(live(server, seed, false)).catch_unwind().await;
                life.unwrap_or_else(|_| Err("it panicked, as said above".into())).map_err(|why| {
                    next.store(end, Ordering::Relaxed);
                    format!(
                        "seed {seed}: {why}\n\nTo see it happen: \
                         NATTER_SEED={seed} cargo test -p chat --lib simulation::seeds -- --nocapture"
                    )
                })?;
            }
            Ok(())
        })
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            if let Err(why) = worker.join().expect("a worker does not panic") {
                panic!("{why}");
            }
        }
    });
}

#[test]
fn planted_bugs_are_found() {
    for plant in [Plant::AckBeforeCommit, Plant::FanOutBeforeCommit, Plant::SkipOnGap, Plant::NoUniqueKey] {
        let found = on_a_runtime(async |server| {
            server.plant = Some(plant);
            for seed in 0..SEEDS_FOR_A_BUG {
                live(server, seed, false).await.map_err(|why| format!("by seed {seed}: {why}"))?;
            }
            Ok(())
        });
        let why = found.expect_err(&format!("{plant:?} was not found in {SEEDS_FOR_A_BUG} seeds"));
        println!("{plant:?} was found {why}");
    }
}

async fn live(server: &mut Server, seed: u64, told: bool) -> Verdict {
    World::new(server, seed, told).await?.run().await
}

/// Runs everything on one thread with one database, sequentially.
fn on_a_runtime(work: impl AsyncFnOnce(&mut Server) -> Verdict) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { work(&mut Server::new().await).await })
}
