//! Deliberate bugs. `make faults` builds the server with the feature `planted`, selects one with the variable
//! `NATTER_PLANTED`, and requires its checker to catch it: a checker that never caught a bug proves nothing.
//!
//! Each hook is one line where the bug would live, and does not exist without the feature. The sixth bug, skipping on a
//! gap, is in the client: see `protocol::timeline`.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use protocol::{LiveMessage, Message};
use sqlx::SqliteConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use tokio::sync::mpsc;

use crate::store::Event;

/// How long bugs that act before a commit delay it: as long as a slow disk would take.
const LATER: Duration = Duration::from_millis(5);

/// One bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// An ack goes out before the commit.
    AckBeforeCommit,
    /// A resent message is stored again.
    NoUniqueKey,
    /// Others receive a message before the commit.
    FanOutBeforeCommit,
    /// Changing a login brings a revoked one back.
    SaveInserts,
    /// A commit does not wait for the disk.
    SynchronousNormal,
}

static CHOSEN: LazyLock<Option<Bug>> = LazyLock::new(|| match std::env::var("NATTER_PLANTED").as_deref() {
    Ok("ack-before-commit") => Some(Bug::AckBeforeCommit),
    Ok("no-unique-key") => Some(Bug::NoUniqueKey),
    Ok("fan-out-before-commit") => Some(Bug::FanOutBeforeCommit),
    Ok("save-inserts") => Some(Bug::SaveInserts),
    Ok("synchronous-normal") => Some(Bug::SynchronousNormal),
    _ => None,
});

/// The channel for events that do not wait for their commit.
static EARLY: OnceLock<mpsc::Sender<Vec<Event>>> = OnceLock::new();

/// Whether this bug is selected.
pub(crate) fn is(bug: Bug) -> bool {
    *CHOSEN == Some(bug)
}

/// Remembers the channel for events.
pub(crate) fn goes_out_through(events: &mpsc::Sender<Vec<Event>>) {
    let _ = EARLY.set(events.clone());
}

/// Sends before the commit what should wait for it.
pub(crate) async fn before_commit(events: &mut [Event]) {
    if !is(Bug::AckBeforeCommit) && !is(Bug::FanOutBeforeCommit) {
        return;
    }
    let early = events.iter_mut().filter_map(split).collect();
    if let Some(out) = EARLY.get() {
        let _ = out.send(early).await;
        tokio::time::sleep(LATER).await;
    }
}

/// Splits off the part of an event that goes out too early, and leaves the rest.
fn split(event: &mut Event) -> Option<Event> {
    let Event::Changed { live, origin, .. } = event else { return None };
    let Message { message_id, seq, rev, time_stamp, .. } = live.message;
    let ack = Event::Repeated { origin: (*origin)?, message_id, seq, rev, time_stamp };
    if is(Bug::AckBeforeCommit) {
        *origin = None; // its ack went out
        return Some(ack);
    }
    let LiveMessage { session_id, message } = live.clone();
    *event = ack;
    Some(Event::Changed { live: LiveMessage { session_id, message }, origin: None, handed_in: None })
}

/// Returns the options for opening the database.
pub(crate) fn options(options: SqliteConnectOptions) -> SqliteConnectOptions {
    if is(Bug::SynchronousNormal) { options.synchronous(SqliteSynchronous::Normal) } else { options }
}

/// Drops the unique key of the messages.
pub(crate) async fn drop_unique_key(db: &mut SqliteConnection) -> sqlx::Result<()> {
    if is(Bug::NoUniqueKey) {
        sqlx::raw_sql(
            // All or nothing: the process may be killed here too.
            "begin immediate; create table unkeyed as select * from messages; drop table messages;
             alter table unkeyed rename to messages;
             create index messages_by_name on messages (message_id, session_id);
             create index messages_altered on messages (session_id, rev) where altered = 1;
             create index messages_by_seq on messages (session_id, seq); commit;",
        )
        .execute(db)
        .await?;
    }
    Ok(())
}

/// Returns the statement that changes a login.
pub(crate) fn save(update: &'static str) -> &'static str {
    if !is(Bug::SaveInserts) {
        return update;
    }
    "insert into logins (token_hash, user_id, user_agent, ip, created_at, last_used_at, expires_at, data)
     values ($1, unhex(replace($2 ->> 'UserID', '-', '')), '', '', $4, $4, $3, $2)
     on conflict (token_hash) do update set data = $2, expires_at = $3, last_used_at = $4"
}
