//! Tests that an index serves every query whose cost would otherwise grow with the server's age.

use protocol::{MessageId, SessionId};
use rusqlite::{StatementStatus, ToSql};

use super::invites::{FORGET_LOOKS, LATELY, LOOKED, OPEN_OF, WAITING_FOR};
use super::logins::LOGIN_USER;
use super::members::VIEW;
use super::messages::{CHANGES, CHANGES_OF_PART, HISTORY, TAIL};
use super::posting::STATEMENTS;
use super::reading::MARK;
use super::sessions::{CHOSEN_NEWEST, CHOSEN_WITH_USERS, SESSIONS_OF, SESSIONS_WITH_USERS, USERS_IN, WEIGHT};
use super::users::FORGET_NETWORKS;
use crate::testing::Database;

/// Returns SQLite's query plan, one line per step.
async fn plan(db: &Database, sql: &str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("explain query plan {sql}"));
    let steps: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(explain).fetch_all(&db.store.read).await.unwrap();
    steps.into_iter().map(|(_, _, _, step)| step).collect()
}

#[tokio::test]
async fn no_query_reads_a_whole_table() {
    let db = Database::new().await;
    let queries = [
        LOGIN_USER,
        MARK,
        CHANGES,
        CHANGES_OF_PART,
        TAIL,
        HISTORY,
        VIEW,
        CHOSEN_NEWEST,
        CHOSEN_WITH_USERS,
        SESSIONS_OF,
        SESSIONS_WITH_USERS,
        USERS_IN,
        WEIGHT,
        OPEN_OF,
        LATELY,
        WAITING_FOR,
        FORGET_LOOKS,
        LOOKED,
        FORGET_NETWORKS,
    ];
    for sql in queries.into_iter().chain(STATEMENTS) {
        for step in plan(&db, sql).await {
            // A query's own intermediate results are no tables.
            let found =
                ["here", "(subquery", "search", "fresh", "altered", "fits", "chosen", "c", "r", "CONSTANT"];
            let own = step.strip_prefix("SCAN ").is_some_and(|what| {
                let what = what.split(['-', ' ']).next().unwrap_or_default();
                found.contains(&what)
            });
            assert!(!step.starts_with("SCAN") || own, "{step}: {sql}");
        }
    }
}

#[tokio::test]
async fn the_past_is_read_in_its_order_and_not_sorted() {
    let db = Database::new().await;
    let plan = plan(&db, HISTORY).await;
    // A sort would come last.
    assert!(plan.last().is_some_and(|last| last.contains("messages_by_seq")), "{plan:?}");
    let sorts = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
    assert!(sorts <= 1, "the places that are weighed at most: {plan:#?}");
}

#[tokio::test]
async fn what_somebody_asked_lately_is_found_by_its_time() {
    let db = Database::new().await;
    let plan = plan(&db, LATELY).await;
    assert!(
        plan.iter().any(|step| step.contains("invites_lately (from_user=? AND created_at>?")),
        "{plan:?}"
    );
}

#[tokio::test]
async fn what_changed_is_sorted_only_when_it_is_no_more_than_a_page() {
    let db = Database::new().await;
    for sql in [CHANGES, CHANGES_OF_PART, TAIL] {
        let plan = plan(&db, sql).await;
        for index in ["messages_by_seq (session_id=? AND seq>?)", "messages_altered (session_id=? AND rev>?)"]
        {
            assert!(plan.iter().any(|step| step.contains(index)), "{index}: {plan:#?}");
        }
        let sorts = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
        assert!(sorts <= 3, "what is found, and the places that are weighed on both sides: {plan:#?}");
    }
}

/// Writes this many messages into a session, bypassing the writer.
fn talk(db: &rusqlite::Connection, session: SessionId, from: i64, to: i64) {
    let said = "insert into messages (session_id, seq, message_id, sender_id, data, time_stamp, rev)
                select ?1, ?2, ?3, user_id, 'x', ?2, ?2 from users where username = 'Ada'";
    let mut say = db.prepare(said).unwrap();
    for seq in from..=to {
        say.execute((session.0, seq, MessageId::new().0)).unwrap();
    }
    let stands = "update sessions set last_seq = ?2, rev = ?2 where session_id = ?1";
    db.execute(stands, (session.0, to)).unwrap();
}

/// Counts the virtual-machine steps SQLite needs to run a statement to its end.
fn steps(db: &rusqlite::Connection, sql: &str, values: &[&dyn ToSql]) -> i32 {
    let mut statement = db.prepare(sql).unwrap();
    for (value, n) in values.iter().zip(1..) {
        let named = |sign| statement.parameter_index(&format!("{sign}{n}")).unwrap();
        let at = named('$').or_else(|| named('?')).unwrap_or_else(|| panic!("{n} is not in {sql}"));
        statement.raw_bind_parameter(at, value).unwrap();
    }
    let mut rows = statement.raw_query();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    statement.get_status(StatementStatus::VmStep)
}

#[tokio::test]
async fn nothing_costs_more_because_a_session_is_long_and_much_in_it_unread() {
    let mut database = Database::new().await;
    let (ada, bob) = (database.person("Ada").await, database.person("Bob").await);
    let session = database.pair(ada, bob).await;
    database.store.close().await;
    let mut db = rusqlite::Connection::open(database.folder.path().join("natter.sqlite")).unwrap();
    let (here, writer, reader) = (session.0, ada.id.0, bob.id.0);
    let mut cost = |from, to: i64| {
        let all = db.transaction().unwrap();
        talk(&all, session, from, to);
        all.commit().unwrap();
        let near = to - 50;
        [
            steps(&db, MARK, &[&here, &reader, &0]),
            steps(&db, MARK, &[&here, &writer, &0]),
            steps(&db, SESSIONS_OF, &[&reader]),
            steps(&db, SESSIONS_WITH_USERS, &[&writer, &9]),
            steps(&db, SESSIONS_WITH_USERS, &[&reader, &9]),
            steps(&db, CHOSEN_WITH_USERS, &[&reader, &9, &here, &9]),
            steps(&db, CHOSEN_NEWEST, &[&reader, &9, &60_000]),
            steps(&db, WEIGHT, &[&here, &reader, &30, &9]),
            steps(&db, VIEW, &[&here, &reader]),
            steps(&db, CHANGES, &[&here, &reader, &near, &257, &60_000]),
            steps(&db, CHANGES_OF_PART, &[&here, &10, &near, &257, &60_000, &i64::MAX]),
            steps(&db, TAIL, &[&here, &near, &512, &60_000]),
            steps(&db, HISTORY, &[&here, &near, &0, &51, &60_000]),
        ]
    };
    let (short, long) = (cost(1, 2_000), cost(2_001, 20_000));
    for (n, (short, long)) in short.into_iter().zip(long).enumerate() {
        assert!(long < short + short / 20 + 20, "{n}: {long} steps, {short} in a tenth of it");
    }
}
