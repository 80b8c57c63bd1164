//! Who is here: telling it to those who share a session with them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use protocol::{Presence, ServerFrame, SessionId, UserId};
use tokio::sync::mpsc;

use super::{Live, Shared, encode};
use crate::presence::Leases;

/// Most presence changes recorded together.
const EDGES: usize = 64;

impl Shared {
    /// Sends everybody in a session the presence of the new members, and the new members who else is online: a user who
    /// is not named is offline. Naming everybody to everybody would fill the queues of a large session with every new
    /// member.
    pub(super) fn introduce(&self, session_id: SessionId, joined: &[UserId], others: &[UserId]) {
        let status = |user_id: &UserId| (*user_id, self.leases().of(*user_id));
        let frame = |(user_id, status)| encode(&ServerFrame::Status { user_id, status });
        for new in joined {
            self.hub.publish(session_id, &frame(status(new)));
        }
        for other in others.iter().map(status).filter(|(_, status)| *status == Presence::Online) {
            let frame = frame(other);
            joined.iter().for_each(|new| self.hub.send_to_user(*new, &frame, None));
        }
    }

    /// Sends every presence change to those who share a session with the user, each user's in order, and records it;
    /// in batches when everybody comes back together. If a user came and went within a batch, only the last is sent.
    pub(super) async fn tell_edges(self: Arc<Self>, mut edges: mpsc::UnboundedReceiver<(UserId, Presence)>) {
        let mut queued = Vec::new();
        while edges.recv_many(&mut queued, EDGES).await > 0 {
            let last: HashMap<UserId, Presence> = queued.drain(..).collect();
            let users: Vec<(UserId, Presence)> = last.iter().map(|(user, status)| (*user, *status)).collect();
            match self.store.acquaintances(&last.keys().copied().collect::<Vec<_>>()).await {
                Ok(pairs) => {
                    let frame =
                        |(user_id, status)| (user_id, encode(&ServerFrame::Status { user_id, status }));
                    let frames: HashMap<UserId, Bytes> = last.into_iter().map(frame).collect();
                    for (user, other) in pairs {
                        self.hub.send_to_user(other, &frames[&user], None);
                    }
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "presence was not told");
                }
            }
            // Last: a failing disk is no reason to notify nobody.
            if let Err(error) = self.store.set_status(&users).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "presence was not recorded");
            }
        }
    }

    pub(super) async fn end_leases(self: Arc<Self>) {
        loop {
            let next = self.leases().next_expiry();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.leases_changed.notified() => continue,
            }
            for user in self.leases().expire(Instant::now()) {
                let _ = self.edges.send((user, Presence::Offline));
            }
        }
    }

    pub(super) fn came_or_stayed(&self, user: UserId, came: bool) {
        if came {
            let _ = self.edges.send((user, Presence::Online));
        }
        self.leases_changed.notify_one();
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().expect("nothing panics under the leases' lock")
    }
}

/// Returns the presence of several users, for a snapshot.
pub(crate) fn presence_of<'a>(
    live: &Live,
    users: impl Iterator<Item = &'a UserId>,
) -> BTreeMap<UserId, Presence> {
    let leases = live.shared.leases();
    users.map(|user| (*user, leases.of(*user))).collect()
}
