//! Changing the tables behind the server's back, and inspecting them.

use std::collections::BTreeMap;

use protocol::{LiveMessage, Message, MessageId, SessionId, UserId};

use super::{Event, Log, Server, Verdict};
use crate::simulation::truth::Stays;

impl Server {
    /// Undoes a message that a planted bug reported as stored.
    pub(super) async fn undo(&mut self, event: &Event) {
        let Event::Changed { live: LiveMessage { session_id, message }, .. } = event else { return };
        let undone = self.truth.undo(*session_id);
        assert_eq!(undone.map(|(undone, _)| undone.rev), Some(message.rev), "undone from the end");
        sqlx::query(
            "delete from messages where session_id = $1 and seq = $2;
             update sessions set last_seq = last_seq - 1, rev = rev - 1 where session_id = $1",
        )
        .bind(*session_id)
        .bind(message.seq)
        .execute(self.db())
        .await
        .expect("good SQL");
    }

    /// Copies the current sessions, for [`Server::restore`].
    pub(in crate::simulation) fn backup(&self) -> BTreeMap<SessionId, Log> {
        self.truth.logs.clone()
    }

    /// Restarts the process on an older state of the sessions, each in a new history.
    pub(in crate::simulation) async fn restore(&mut self, backup: BTreeMap<SessionId, Log>) {
        self.crash().await;
        let gone: Vec<SessionId> = self.truth.logs.keys().copied().collect();
        self.truth.restored(backup);
        for session in gone {
            sqlx::query("delete from messages where session_id = $1")
                .bind(session)
                .execute(self.db())
                .await
                .expect("good SQL");
            let Some(log) = self.truth.logs.get(&session).cloned() else {
                sqlx::query(
                    "delete from invites where session_id = $1; delete from session_users where session_id = $1;
                     delete from spans where session_id = $1; delete from sessions where session_id = $1",
                )
                .bind(session)
                .execute(self.db())
                .await
                .expect("good SQL");
                continue;
            };
            self.put_back(session, &log).await;
        }
    }

    async fn put_back(&mut self, session: SessionId, log: &Log) {
        sqlx::query(
            "update sessions set epoch = $2, last_seq = $3, rev = $4, owner = $5 where session_id = $1",
        )
        .bind(session)
        .bind(log.epoch)
        .bind(log.last_seq())
        .bind(log.rev())
        .bind(log.owner)
        .execute(self.db())
        .await
        .expect("good SQL");
        let members: Vec<String> = log.members.keys().map(|id| id.0.simple().to_string()).collect();
        sqlx::query(
            "delete from session_users
             where session_id = $1 and user_id not in (select unhex(value) from json_each($3));
             update session_users set read_seq = min(read_seq, $2) where session_id = $1",
        )
        .bind(session)
        .bind(log.last_seq())
        .bind(serde_json::to_string(&members).expect("a list of texts"))
        .execute(self.db())
        .await
        .expect("good SQL");
        for (user, stays) in &log.members {
            self.put_back_stays(session, *user, stays).await;
        }
        for row in log.rows.values() {
            let Message { message_id, data, time_stamp, sender, seq, rev, edited_at, deleted_at } = row;
            let insert = "insert into messages
                (session_id, seq, message_id, sender_id, data, time_stamp, rev, edited_at, deleted_at, altered)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
            sqlx::query(insert)
                .bind(session)
                .bind(seq)
                .bind(message_id)
                .bind(sender)
                .bind(data)
                .bind(time_stamp)
                .bind(rev)
                .bind(edited_at)
                .bind(deleted_at)
                .bind(edited_at.is_some() || deleted_at.is_some())
                .execute(self.db())
                .await
                .expect("good SQL");
        }
    }

    async fn put_back_stays(&mut self, session: SessionId, user: UserId, stays: &Stays) {
        sqlx::query(
            "update session_users set joined_seq = coalesce($3, joined_seq), removed_at = null,
                 left_at = case when $3 is null then 1 end where session_id = $1 and user_id = $2;
             delete from spans where session_id = $1 and user_id = $2",
        )
        .bind(session)
        .bind(user)
        .bind(stays.joined)
        .execute(self.db())
        .await
        .expect("good SQL");
        for (after, up_to) in stays.earlier.iter().filter(|(after, up_to)| after < up_to) {
            sqlx::query(
                "insert into spans (session_id, user_id, after_seq, until_seq) values ($1, $2, $3, $4)",
            )
            .bind(session)
            .bind(user)
            .bind(after)
            .bind(up_to)
            .execute(self.db())
            .await
            .expect("good SQL");
        }
    }

    /// C3 and C7: the tables hold exactly what was announced.
    pub(in crate::simulation) async fn check_tables(&mut self) -> Verdict {
        for session in self.truth.logs.keys().copied().collect::<Vec<_>>() {
            let stored: Vec<(i64, i64, MessageId, String)> = sqlx::query_as(
                "select seq, rev, message_id, data from messages where session_id = $1 order by seq",
            )
            .bind(session)
            .fetch_all(self.db())
            .await
            .expect("good SQL");
            let (last_seq, rev): (i64, i64) =
                sqlx::query_as("select last_seq, rev from sessions where session_id = $1")
                    .bind(session)
                    .fetch_one(self.db())
                    .await
                    .expect("good SQL");
            let log = &self.truth.logs[&session];
            let announced = log.rows.values().map(|m| (m.seq.0, m.rev.0, m.message_id, m.data.clone()));
            let announced: Vec<_> = announced.collect();
            ensure!(stored == announced, "C7: stored {stored:?}, announced {announced:?}");
            ensure!((last_seq, rev) == (log.last_seq().0, log.rev().0), "C3: it stands at {last_seq}, {rev}");
        }
        Ok(())
    }
}
