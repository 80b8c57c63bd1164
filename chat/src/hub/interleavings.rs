//! The real hub and its queues under many thread interleavings, chosen by `shuttle`, which also reports a lost wake-up,
//! as a deadlock. The feature gives the whole crate shuttle's locks, so nothing else runs with it:
//!
//! ```sh
//! cargo test -p chat --features shuttle --lib hub::interleavings
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use protocol::{Epoch, Head, Rev, Seq, SessionId, UserId, close};
use shuttle::future::block_on;
use shuttle::thread;

use super::{Hub, Outgoing, Socket};
use crate::LoginId;
use crate::sessions::View;

/// Interleavings of each test.
const TIMES: usize = 1_000;

/// More than a socket's queue holds: a reader that has not taken what was published before lags.
const FLOOD: usize = 64 * 1024 + 1;

/// Runs a test under many interleavings. The stacks of its threads are large enough to create a hub on.
fn interleave(test: impl Fn() + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(TIMES), config).run(test);
}

fn connect(hub: &Hub) -> Arc<Socket> {
    hub.connect(UserId::new(), LoginId::of_token(b"login"))
}

fn numbered(n: i64) -> Bytes {
    n.to_string().into()
}

fn number(frame: &Bytes) -> i64 {
    std::str::from_utf8(frame).unwrap().parse().unwrap()
}

/// Takes frames until the socket ends, and returns them in order.
fn take_all(socket: &Socket) -> Vec<i64> {
    let mut taken = Vec::new();
    loop {
        match block_on(socket.outgoing()) {
            Outgoing::Frames(frames) => taken.extend(frames.iter().map(number)),
            Outgoing::Lagged => panic!("nothing here is too much"),
            Outgoing::Close(..) => return taken,
        }
    }
}

#[test]
fn no_wake_up_is_lost_and_everybody_keeps_their_order() {
    interleave(|| {
        let hub = Hub::default();
        let socket = connect(&hub);
        let (user, id) = (socket.user, socket.id());
        let publish = |numbers: [i64; 2]| {
            let hub = hub.clone();
            thread::spawn(move || numbers.map(|n| hub.send_to_user(user, &numbered(n), None)))
        };
        let publishers = [publish([1, 2]), publish([11, 12])];
        let writer = thread::spawn(move || take_all(&socket));
        for publisher in publishers {
            publisher.join().unwrap();
        }
        hub.close(id, close::RESTART, "bye");
        let taken = writer.join().unwrap();
        assert_eq!(taken.len(), 4, "{taken:?}");
        let of = |one: bool| taken.iter().copied().filter(move |n| (*n < 10) == one);
        assert!(of(true).is_sorted() && of(false).is_sorted(), "{taken:?}");
    });
}

#[test]
fn nothing_comes_after_the_close() {
    interleave(|| {
        let hub = Hub::default();
        let socket = connect(&hub);
        let (user, id) = (socket.user, socket.id());
        let publishing = hub.clone();
        let publisher = thread::spawn(move || {
            (1..=3).for_each(|n| publishing.send_to_user(user, &numbered(n), None));
        });
        let closing = hub.clone();
        let closer = thread::spawn(move || closing.close(id, close::RESTART, "bye"));
        let taken = take_all(&socket);
        assert!(taken.iter().copied().eq(1..=taken.len() as i64), "a beginning of it: {taken:?}");
        publisher.join().unwrap();
        closer.join().unwrap();
        assert!(matches!(block_on(socket.outgoing()), Outgoing::Close(..)), "it stays closed");
    });
}

#[test]
fn what_is_committed_after_the_welcome_was_read_is_in_the_queue() {
    interleave(|| {
        let hub = Hub::default();
        let (session, epoch) = (SessionId::new(), Epoch::new());
        let committed = Arc::new(AtomicI64::new(0));
        let other = connect(&hub); // so that the session exists, or is just ending
        hub.follow(&other, session, Head { epoch, rev: Rev(0) }, View::since(Seq(0)));
        let (publishing, log) = (hub.clone(), committed.clone());
        let publisher = thread::spawn(move || {
            for n in 1..=3 {
                log.store(n, Ordering::SeqCst);
                thread::yield_now();
                publishing.publish_change(session, (Seq(n), Rev(n)), || numbered(n), None);
            }
        });
        let leaving = hub.clone();
        let leaver = thread::spawn(move || leaving.disconnect(&other));

        let socket = connect(&hub);
        let rev = Rev(committed.load(Ordering::SeqCst));
        hub.follow(&socket, session, Head { epoch, rev }, View::since(Seq(0)));
        thread::yield_now();
        let welcomed = committed.load(Ordering::SeqCst);
        publisher.join().unwrap();
        leaver.join().unwrap();
        let queued: Vec<i64> = socket.take_rest().iter().map(number).collect();
        assert!((welcomed + 1..=3).all(|n| queued.contains(&n)), "after {welcomed}: {queued:?}");
        assert!(queued.is_sorted());
    });
}

#[test]
fn whoever_is_gone_is_held_nowhere() {
    interleave(|| {
        let hub = Hub::default();
        let (session, head) = (SessionId::new(), Head { epoch: Epoch::new(), rev: Rev(0) });
        let socket = connect(&hub);
        let user = socket.user;
        let (following, all, publishing) = (hub.clone(), hub.clone(), hub.clone());
        let (early, gone) = (socket.clone(), socket.clone());
        let threads = [
            thread::spawn(move || _ = following.follow(&early, session, head, View::since(Seq(0)))),
            thread::spawn(move || all.follow_all(user, session, head, &View::since(Seq(0)))),
            thread::spawn(move || publishing.publish(session, &numbered(1))),
        ];
        hub.disconnect(&gone);
        for thread in threads {
            thread.join().unwrap();
        }
        drop(gone);
        assert_eq!(Arc::strong_count(&socket), 1, "the hub lets go of it");
        assert!(hub.heads(&socket, None, 9).is_empty());
    });
}

#[test]
fn whoever_lags_is_told_each_time_and_nothing_slips_in_before_their_hello() {
    interleave(|| {
        let hub = Hub::default();
        let socket = connect(&hub);
        let (user, id) = (socket.user, socket.id());
        let publisher = thread::spawn(move || {
            for n in [1, 2, 3, 4, 5] {
                let flood = n == 2 || n == 4;
                let frame = "0".repeat(if flood { FLOOD } else { 0 }) + &n.to_string();
                hub.send_to_user(user, &frame.into(), None);
            }
            hub.close(id, close::RESTART, "bye");
        });
        let (mut taken, mut lags) = (Vec::new(), 0);
        loop {
            match block_on(socket.outgoing()) {
                Outgoing::Frames(frames) => taken.extend(frames.iter().map(number)),
                Outgoing::Lagged => {
                    lags += 1;
                    thread::yield_now();
                    assert!(socket.take_rest().is_empty(), "nothing before the Hello");
                    assert!(socket.reopen() && !socket.reopen(), "one Hello for each Lagged");
                }
                Outgoing::Close(..) => break,
            }
        }
        publisher.join().unwrap();
        assert!(lags <= 2, "told once for each time");
        assert!(taken.is_sorted() && !taken.contains(&2) && !taken.contains(&4), "{taken:?}");
    });
}

#[test]
fn a_reader_who_waits_for_room_is_woken() {
    interleave(|| {
        let hub = Hub::default();
        let socket = connect(&hub);
        let answers = Bytes::from(vec![b'0'; FLOOD]);
        let (reading, id) = (socket.clone(), socket.id());
        let reader = thread::spawn(move || {
            for _ in 0..2 {
                reading.answer(answers.clone());
                block_on(reading.room());
            }
            hub.close(id, close::RESTART, "bye");
        });
        assert_eq!(take_all(&socket), [0, 0]);
        reader.join().unwrap();
    });
}

#[test]
fn a_drain_finds_everybody_who_comes_while_it_runs() {
    interleave(|| {
        let hub = Hub::default();
        let draining = hub.clone();
        let drain = thread::spawn(move || draining.drain(std::time::Duration::ZERO));
        let socket = connect(&hub);
        drain.join().unwrap();
        assert!(socket.closed().is_some());
    });
}

#[test]
fn heads_never_count_a_change_whose_answer_is_not_queued_before_them() {
    interleave(|| {
        let hub = Hub::default();
        let (session, epoch) = (SessionId::new(), Epoch::new());
        let socket = connect(&hub);
        hub.follow(&socket, session, Head { epoch, rev: Rev(0) }, View::since(Seq(0)));
        let (publishing, id) = (hub.clone(), socket.id());
        let publisher = thread::spawn(move || {
            for n in 1..=2 {
                let answer = Some((id, numbered(n)));
                publishing.publish_change(session, (Seq(n), Rev(n)), || unreachable!("nobody else"), answer);
            }
        });
        let mut answered = 0;
        for _ in 0..3 {
            let told = hub.heads(&socket, None, 9)[&session].rev;
            answered = socket.take_rest().iter().map(number).fold(answered, i64::max);
            assert!(told <= Rev(answered), "{told:?} after {answered}");
        }
        publisher.join().unwrap();
    });
}
