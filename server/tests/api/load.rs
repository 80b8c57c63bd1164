//! The load program against a real server: every mode, both checks, and reuse of accounts from earlier runs.

use std::time::Duration;

use headless::load::{
    Check, FanOut, Habits, Idle, Mode, Natter, PingPong, Plan, ProgressBar, Rate, Report, Run, Service,
};

use crate::support::TestServer;

/// Runs for a second, enough for any machine to commit and deliver a few messages.
async fn drive(server: &TestServer, habits: Habits, plan: Plan, mode: &mut impl Mode) -> Report {
    let hidden = ProgressBar::hidden();
    let mut natter =
        Natter::new(&server.base, habits, Some(server.folder().join("accounts.json"))).await.unwrap();
    natter.prepare(plan, &hidden).await.unwrap();
    let run = Run {
        plan,
        warm_up: Duration::ZERO,
        length: Duration::from_secs(1),
        message_bytes: 140,
        server: Some(headless::load::ProcessId::own()),
    };
    run.measure(&natter, mode, &hidden).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_of_the_load_program_finds_the_server_faultless() {
    let server = TestServer::start().await;
    let (pairs, five) = (Plan::new(4, 2), Plan::new(5, 5));
    let mut database = crate::support::open(&server.database()).await;
    for (check, reads) in
        [(Check::Sync, false), (Check::Numbers, false), (Check::Sync, true), (Check::Numbers, true)]
    {
        let habits = Habits { check, reads };
        let idle = drive(&server, habits, pairs, &mut Idle).await;
        assert!(idle.is_faultless() && idle.people == 4 && idle.sent == 0, "{idle}");
        let ping_pong = drive(&server, habits, pairs, &mut PingPong::new(pairs)).await;
        assert!(ping_pong.is_faultless() && ping_pong.delivered > 2, "{ping_pong}");
        let rate = drive(&server, habits, pairs, &mut Rate::new(pairs, 200.0, 3)).await;
        assert!(rate.is_faultless() && rate.sent > 20 && rate.delivered == rate.sent, "{rate}");
        let fan_out = drive(&server, habits, five, &mut FanOut::new(five, 2)).await;
        assert!(fan_out.is_faultless() && fan_out.delivered == 4 * fan_out.sent, "{fan_out}");
        assert_eq!([&ping_pong, &rate, &fan_out].map(|report| report.repaired), [0; 3], "nothing was missed");
        assert!(fan_out.server.unwrap().cpu_seconds_per_1000.unwrap() > 0.0);
        // Somebody else's message that lies behind a read marker.
        let read = sqlx::query_scalar(
            "select exists (select 1 from session_users own join messages m on m.session_id = own.session_id
                 where m.seq <= own.read_seq and m.sender_id <> own.user_id)",
        );
        assert_eq!(read.fetch_one(&mut database).await.map(|read: bool| read).unwrap(), reads);
    }
    // Everybody was registered only once: every later run reused the accounts.
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut database).await.unwrap();
    let logins: i64 =
        sqlx::query_scalar("select count(*) from logins").fetch_one(&mut database).await.unwrap();
    assert_eq!((users, logins), (9, 9));
}
