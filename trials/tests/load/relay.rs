//! The load program's measurement: it finds a working relay faultless, and finds every fault of a broken one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use trials::load::{PingPong, Plan, ProgressBar, Rate, Relay, Report, Run, Service};

/// Runs two pairs for half a second, at a rate that every machine can handle.
async fn run(base: &str) -> Report {
    let plan = Plan::new(4, 2);
    let run = Run {
        plan,
        warm_up: Duration::ZERO,
        length: Duration::from_millis(500),
        message_bytes: 140,
        server: None,
    };
    let mut relay = Relay::new(base).unwrap();
    relay.prepare(plan, &ProgressBar::hidden()).await.unwrap();
    run.measure(&relay, &mut Rate::new(plan, 400.0, 1), &ProgressBar::hidden()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bare_relay_stores_everything_before_it_delivers_and_is_found_faultless() {
    let data = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let folder = data.path().to_owned();
    tokio::spawn(async move { trials::relay::serve(listener, &folder).await });
    let report = run(&base).await;
    assert!(report.is_faultless() && report.sent > 50, "{report}");
    assert_eq!((report.acked, report.delivered), (report.sent, report.sent));
    let (ack, delivery) = (report.ack.unwrap(), report.delivery.unwrap());
    assert_eq!((ack.count, delivery.count), (report.sent, report.sent));
    assert!(ack.p50_ms > 0.0 && ack.p50_ms <= ack.p99_ms && ack.p99_ms <= ack.max_ms);
    let database = rusqlite::Connection::open(data.path().join("relay.sqlite")).unwrap();
    let stored: i64 = database.query_row("select count(*) from messages", (), |row| row.get(0)).unwrap();
    assert_eq!(u64::try_from(stored).unwrap(), report.sent);

    // A closed loop too: one message in flight in each pair.
    let plan = Plan::new(4, 2);
    let run = Run {
        plan,
        warm_up: Duration::ZERO,
        length: Duration::from_secs(1),
        message_bytes: 140,
        server: None,
    };
    let mut relay = Relay::new(&base).unwrap();
    relay.prepare(plan, &ProgressBar::hidden()).await.unwrap();
    let report = run.measure(&relay, &mut PingPong::new(plan), &ProgressBar::hidden()).await.unwrap();
    assert!(report.is_faultless() && report.sent > 2, "{report}");
}

/// What a broken relay does with a message.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Lost,
    Doubled,
    AfterTheNext,
    NotAcknowledged,
    Delivered,
}

/// A relay that inflicts this fate on every tenth message of each person.
struct Broken {
    fate: Fate,
    sockets: Mutex<HashMap<usize, mpsc::UnboundedSender<String>>>,
    /// How often it did.
    faults: Mutex<u64>,
}

impl Broken {
    async fn start(fate: Fate) -> (String, Arc<Self>) {
        let broken = Arc::new(Self { fate, sockets: Mutex::default(), faults: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let upgrade = |State(broken): State<Arc<Self>>,
                       Path((_, person)): Path<(usize, usize)>,
                       upgrade: WebSocketUpgrade| async move {
            let (frames, queue) = mpsc::unbounded_channel();
            broken.sockets.lock().unwrap().insert(person, frames);
            upgrade.on_upgrade(move |socket| broken.talk(socket, person, queue))
        };
        let router = Router::new().route("/ws/{group}/{person}", get(upgrade)).with_state(broken.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (base, broken)
    }

    async fn talk(
        self: Arc<Self>,
        mut socket: WebSocket,
        person: usize,
        mut queue: mpsc::UnboundedReceiver<String>,
    ) {
        let (mut count, mut held) = (0, None);
        loop {
            tokio::select! {
                frame = queue.recv() => socket.send(Message::Text(frame.unwrap().into())).await.unwrap(),
                message = socket.recv() => {
                    let Some(Ok(Message::Text(text))) = message else { return };
                    count += 1;
                    self.take(person, if count % 10 == 5 { self.fate } else { Fate::Delivered }, &text, &mut held);
                }
            }
        }
    }

    fn take(&self, person: usize, fate: Fate, text: &str, held: &mut Option<String>) {
        let say: Value = serde_json::from_str(text).unwrap();
        let sockets = self.sockets.lock().unwrap();
        let (own, other) = (&sockets[&person], &sockets[&(person ^ 1)]);
        if fate != Fate::Delivered {
            *self.faults.lock().unwrap() += 1;
        }
        if fate != Fate::NotAcknowledged {
            own.send(json!({ "Ack": say["id"] }).to_string()).unwrap();
        }
        let said = json!({ "Said": say }).to_string();
        match fate {
            Fate::Lost => {}
            Fate::AfterTheNext => *held = Some(said),
            Fate::Doubled => (0..2).for_each(|_| other.send(said.clone()).unwrap()),
            Fate::NotAcknowledged | Fate::Delivered => other.send(said).unwrap(),
        }
        if fate == Fate::Delivered
            && let Some(late) = held.take()
        {
            other.send(late).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_fault_is_reported_as_what_it_is_and_as_often_as_it_happened() {
    for (fate, found) in [
        (Fate::Lost, (|report| report.lost) as fn(&Report) -> u64),
        (Fate::Doubled, |report| report.doubled),
        (Fate::AfterTheNext, |report| report.reordered),
        (Fate::NotAcknowledged, |report| report.unacked),
    ] {
        let (base, broken) = Broken::start(fate).await;
        let report = run(&base).await;
        let planted = *broken.faults.lock().unwrap();
        // The last message held back may never have been delivered.
        let found = found(&report) + if fate == Fate::AfterTheNext { report.lost } else { 0 };
        assert!(planted > 3 && !report.is_faultless());
        assert_eq!(found, planted, "{report}");
        let others = [report.lost, report.doubled, report.reordered, report.unacked];
        assert_eq!(others.iter().sum::<u64>(), planted, "nothing else was wrong: {report}");
    }
}
