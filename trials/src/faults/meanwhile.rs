//! Measurements while something happens to a server: how long people who talk wait, and how much memory it takes.

use std::collections::HashMap;
use std::time::Duration;

use protocol::{MessageId, ServerFrame, SessionId};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Result;
use crate::process::Process;
use headless::Client;

/// How often the memory is sampled.
const LOOK: Duration = Duration::from_millis(20);

/// Sends at each tick until it is over, without waiting for answers: a stall is charged to every message that had to
/// wait in it. Returns how long each acknowledgement took from when its message was due.
pub(super) async fn talk(
    client: &mut Client,
    session: SessionId,
    pace: Duration,
    is_over: impl Fn() -> bool,
) -> Result<Vec<Duration>> {
    let (mut acks, mut waiting) = (Vec::new(), HashMap::<MessageId, Instant>::new());
    let mut due = interval(pace);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let over = is_over();
        if over && waiting.is_empty() {
            return Ok(acks);
        }
        tokio::select! {
            at = due.tick(), if !over => {
                waiting.insert(client.say(session, "meanwhile").await?, at);
            }
            frame = client.next() => {
                if let ServerFrame::Ack { message_id, .. } = frame? {
                    acks.extend(waiting.remove(&message_id).map(|at| at.elapsed()));
                }
            }
        }
    }
}

/// Returns the most memory that the server takes until it is over, in bytes.
pub(super) async fn most_memory(server: &Process, is_over: impl Fn() -> bool) -> Result<u64> {
    let mut most = 0;
    while !is_over() {
        sleep(LOOK).await;
        most = most.max(server.memory()?);
    }
    Ok(most)
}
