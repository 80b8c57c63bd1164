//! That an index serves every query whose cost would otherwise grow with the server's age.

use super::contract::Database;
use super::logins::LOGIN_USER;
use super::messages::{CHANGES, HISTORY, TAIL};
use super::posting::STATEMENTS;
use super::reading::MARK;
use super::sessions::{NEWEST, SESSIONS_OF, USERS_AROUND};

/// What SQLite means to do, a line a step.
async fn plan(db: &Database, sql: &str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("explain query plan {sql}"));
    let steps: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(explain).fetch_all(&db.store.read).await.unwrap();
    steps.into_iter().map(|(_, _, _, step)| step).collect()
}

#[tokio::test]
async fn no_query_reads_a_whole_table() {
    let db = Database::new().await;
    let queries = [LOGIN_USER, MARK, CHANGES, TAIL, HISTORY, NEWEST, SESSIONS_OF, USERS_AROUND];
    for sql in queries.into_iter().chain(STATEMENTS) {
        for step in plan(&db, sql).await {
            // What a query has found itself is no table.
            let own =
                ["SCAN here", "SCAN (subquery", "SCAN m LEFT-JOIN"].iter().any(|own| step.starts_with(own));
            assert!(!step.starts_with("SCAN") || own, "{step}: {sql}");
        }
    }
}

#[tokio::test]
async fn the_past_is_read_in_its_order_and_not_sorted() {
    let db = Database::new().await;
    let plan = plan(&db, HISTORY).await;
    assert!(plan.last().is_some_and(|last| last.contains("sqlite_autoindex_messages_1")), "{plan:?}"); // sorting would come last
}

#[tokio::test]
async fn what_changed_is_sorted_only_when_it_is_no_more_than_a_page() {
    let db = Database::new().await;
    for sql in [CHANGES, TAIL] {
        let plan = plan(&db, sql).await;
        for index in [
            "sqlite_autoindex_messages_1 (session_id=? AND seq>?)",
            "messages_changed (session_id=? AND rev>?)",
        ] {
            assert!(plan.iter().any(|step| step.contains(index)), "{index}: {plan:#?}");
        }
        let sorts = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
        assert_eq!(sorts, 1, "{plan:#?}");
    }
}
