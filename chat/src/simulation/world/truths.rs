//! The invariants: at any moment, and when nothing interferes any more.

use std::collections::{BTreeMap, HashSet};

use protocol::{MessageId, PendingState, SessionId};

use super::{Device, Link, Log, Verdict, World};

impl World<'_> {
    /// Checks the invariants of any moment.
    pub(super) fn check(&self, device: usize) -> Verdict {
        let Device { actor, sync, .. } = &self.devices[device];
        for (session, held) in sync.sessions() {
            let explained = self.server.truth.explains(actor.user_id(), *session, &held.timeline);
            explained.map_err(|why| format!("device {device}: {why}"))?;
            let rows = sync.rows(*session);
            let ids: HashSet<MessageId> = rows.iter().map(|row| row.message_id).collect();
            ensure!(ids.len() == rows.len(), "C2: device {device} shows a message twice: {rows:?}");
        }
        Ok(())
    }

    /// Lets everything come to rest: everybody connected, everything handled, sent and received.
    pub(super) async fn settle(&mut self) -> Verdict {
        self.server.set_full(false);
        for mut link in std::mem::take(&mut self.zombies) {
            while !link.up.is_empty() {
                self.server.handle(&mut link).await?;
            }
        }
        for round in 0.. {
            ensure!(round < 20, "the devices do not come to rest");
            for device in 0..self.devices.len() {
                if self.devices[device].link.as_ref().is_none_or(|link| !link.is_open()) {
                    self.cut(device);
                    self.connect(device);
                }
            }
            self.pump().await?;
            for device in 0..self.devices.len() {
                self.with_link(device, Link::heads);
            }
            self.pump().await?;
            let is_open = |device: &Device| device.link.as_ref().is_some_and(Link::is_open);
            if self.devices.iter().all(is_open) {
                break;
            }
        }
        Ok(())
    }

    /// Moves everything forward until nothing moves.
    pub(super) async fn pump(&mut self) -> Verdict {
        for round in 0.. {
            ensure!(round < 500, "the two sides talk for ever");
            let mut moved = self.server.handed_in > 0 || self.server.has_news();
            self.server.commit().await?;
            while self.server.has_news() {
                self.server.carry();
            }
            for device in 0..self.devices.len() {
                while self.fire(device) {
                    moved = true;
                }
                while self.devices[device].link.as_ref().is_some_and(|link| !link.up.is_empty()) {
                    moved = true;
                    self.handle(device, 1).await?;
                }
                self.with_link(device, Link::write);
                while self.devices[device].link.as_ref().is_some_and(|link| !link.down.is_empty()) {
                    moved = true;
                    self.receive(device)?;
                }
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn fetch_history(&mut self) -> Verdict {
        for device in 0..self.devices.len() {
            let Device { actor, sync, .. } = &mut self.devices[device];
            for session in sync.sessions().keys().copied().collect::<Vec<_>>() {
                while sync.sessions()[&session].timeline.has_older() {
                    let asked = sync.sessions()[&session].earlier();
                    let history = self.server.chat.history(actor, session, Some(asked.before)).await;
                    let history = history.map_err(|error| format!("no history: {error}"))?;
                    let more = history.more;
                    let _ = sync.prepend(session, asked.clone(), history);
                    let now = sync.sessions()[&session].earlier();
                    ensure!(now != asked || !more, "C4: the history stands still at {asked:?}");
                }
            }
        }
        Ok(())
    }

    /// Checks at the end that every device holds what the server holds, and the server what it promised.
    pub(super) async fn check_settled(&mut self) -> Verdict {
        for (number, Device { actor, sync, .. }) in self.devices.iter().enumerate() {
            let me = actor.user_id();
            let logs = self.server.truth.logs.iter().filter(|(_, log)| log.has(me));
            let logs: BTreeMap<SessionId, &Log> = logs.map(|(id, log)| (*id, log)).collect();
            ensure!(sync.sessions().keys().eq(logs.keys()), "device {number} does not know every session");
            for (session, log) in logs {
                let held = &sync.sessions()[&session];
                let same = held.timeline.messages().eq(log.seen_by(me));
                ensure!(same, "device {number} holds {:?}, the server {:?}", held.timeline, log.rows);
                let seen = held.read_seq();
                ensure!(
                    seen <= log.last_seq(),
                    "device {number} has read up to {seen:?}, which is not there"
                );
                let head = self.server.truth.head(session).map(|head| head.rev);
                ensure!(Some(held.timeline.rev()) == head, "device {number} is behind at {head:?}");
                ensure!(held.last_seq() == log.last_seq(), "device {number} counts to {:?}", held.last_seq());
            }
            let waits = sync.outbox().iter().find(|p| !matches!(p.state, PendingState::Failed(_)));
            ensure!(waits.is_none(), "device {number} still waits for {waits:?}");
        }
        self.server.truth.check_promises(&self.refused, &self.taken_back)?;
        self.server.check_tables().await
    }
}
