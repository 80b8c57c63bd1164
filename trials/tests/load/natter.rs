//! The load program against a real server: every mode, both checks, and reuse of accounts from earlier runs.

use std::path::Path;
use std::time::Duration;

use headless::LIMIT;
use server::Config;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use trials::load::{
    Check, FanOut, Habits, Idle, Mode, Natter, PingPong, Plan, ProcessId, ProgressBar, Rate, Report, Run,
    Service,
};

/// Runs for a second, enough for any machine to commit and deliver a few messages.
async fn drive(base: &str, folder: &Path, habits: Habits, plan: Plan, mode: &mut impl Mode) -> Report {
    let hidden = ProgressBar::hidden();
    let mut natter = Natter::new(base, habits, Some(folder.join("accounts.json"))).await.unwrap();
    natter.prepare(plan, &hidden).await.unwrap();
    let run = Run {
        plan,
        warm_up: Duration::ZERO,
        length: Duration::from_secs(1),
        message_bytes: 140,
        server: Some(ProcessId::own()),
    };
    run.measure(&natter, mode, &hidden).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_of_the_load_program_finds_the_server_faultless() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let config = Config { limits: None, ..Config::new(folder) };
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server::serve(config, listener, async move { drop(stopped.await) }));

    let (pairs, five) = (Plan::new(4, 2), Plan::new(5, 5));
    for (check, reads) in
        [(Check::Sync, false), (Check::Numbers, false), (Check::Sync, true), (Check::Numbers, true)]
    {
        let habits = Habits { check, reads, mixed: false };
        let idle = drive(&base, folder, habits, pairs, &mut Idle).await;
        assert!(idle.is_faultless() && idle.people == 4 && idle.sent == 0, "{idle}");
        let ping_pong = drive(&base, folder, habits, pairs, &mut PingPong::new(pairs)).await;
        assert!(ping_pong.is_faultless() && ping_pong.delivered > 2, "{ping_pong}");
        let rate = drive(&base, folder, habits, pairs, &mut Rate::new(pairs, 200.0, 3)).await;
        assert!(rate.is_faultless() && rate.sent > 20 && rate.delivered == rate.sent, "{rate}");
        let fan_out = drive(&base, folder, habits, five, &mut FanOut::new(five, 2)).await;
        assert!(fan_out.is_faultless() && fan_out.delivered == 4 * fan_out.sent, "{fan_out}");
        assert_eq!([&ping_pong, &rate, &fan_out].map(|report| report.repaired), [0; 3], "nothing was missed");
        assert!(fan_out.server.unwrap().cpu_seconds_per_1000.unwrap() > 0.0);
        // Somebody else's message that lies behind a read marker.
        let mut database = open(folder).await;
        let read = sqlx::query_scalar(
            "select exists (select 1 from session_users own join messages m on m.session_id = own.session_id
                 where m.seq <= own.read_seq and m.sender_id <> own.user_id)",
        );
        assert_eq!(read.fetch_one(&mut database).await.map(|read: bool| read).unwrap(), reads);
    }
    let habits = Habits { check: Check::Numbers, reads: true, mixed: true };
    let mixed = drive(&base, folder, habits, pairs, &mut Rate::new(pairs, 300.0, 3)).await;
    assert!(mixed.is_faultless() && mixed.delivered == mixed.sent && mixed.repaired == 0, "{mixed}");
    let mut database = open(folder).await;
    let edited = sqlx::query_scalar("select count(*) from messages where edited_at is not null");
    assert!(edited.fetch_one(&mut database).await.map(|edited: i64| edited).unwrap() >= 4);
    // Everybody was registered only once: every later run reused the accounts.
    let mut database = open(folder).await;
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut database).await.unwrap();
    let logins: i64 =
        sqlx::query_scalar("select count(*) from logins").fetch_one(&mut database).await.unwrap();
    assert_eq!((users, logins), (9, 9));
    drop(database);
    stop.send(()).unwrap();
    timeout(LIMIT, served).await.expect("the server to stop").unwrap().unwrap();
}

/// Opens the database while its server has it open.
async fn open(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(folder.join("natter.sqlite")).connect().await.unwrap()
}
