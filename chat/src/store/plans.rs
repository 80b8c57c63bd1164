//! That an index serves every query whose cost would otherwise grow with the server's age.

use super::contract::Database;
use super::logins::LOGIN_USER;
use super::messages::{CHANGES, HISTORY, TAIL};
use super::posting::statements;
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
    let (look_up, write) = statements();
    let (_begin, look_up) = look_up.split_once(';').unwrap();
    let writes = write.split(';').filter(|statement| statement.trim() != "commit");
    let reads = [LOGIN_USER, CHANGES, TAIL, HISTORY, NEWEST, SESSIONS_OF, USERS_AROUND, look_up];
    for sql in reads.into_iter().chain(writes) {
        for step in plan(&db, sql).await {
            // The rows that the statement brings with it are no table.
            let own = ["post", "CONSTANT", "VALUES"].iter().any(|word| step.contains(word));
            assert!(!step.starts_with("SCAN") || own, "{step}: {sql}");
        }
    }
}

#[tokio::test]
async fn a_page_is_read_in_its_order_and_not_sorted() {
    let db = Database::new().await;
    let by_rev = "messages_by_rev";
    for (sql, index) in [(CHANGES, by_rev), (TAIL, by_rev), (HISTORY, "sqlite_autoindex_messages_1")] {
        let plan = plan(&db, sql).await;
        assert!(plan.last().is_some_and(|last| last.contains(index)), "{plan:?}"); // sorting would come last
    }
}
