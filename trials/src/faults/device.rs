//! One device: a client, and a log of everything it does and sees.

use std::collections::HashMap;
use std::time::Duration;

use protocol::{Epoch, Message, MessageId, Rev, ServerFrame, SessionId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Failure, Result};
use crate::check::{Log, Rule, Stored, Table, Violation, What, digest};
use crate::process::PATIENCE;
use headless::{Backoff, Client, Error};

/// Messages that a device keeps in flight: as many as the server takes before it stops reading.
const UNDER_WAY: usize = protocol::MAX_UNACKED;

/// A client with its log.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) client: Client,
    log: Log,
    written: HashMap<MessageId, SessionId>,
    /// Its position in each session, and in which history: to tell what a frame brought.
    held: HashMap<SessionId, (Rev, Option<Epoch>)>,
    /// How long it waits for an answer before it considers the connection dead.
    patience: Duration,
    /// The bytes of padding in its texts.
    filling: usize,
    /// How long it stays on one connection, when it is restless.
    restless: Option<Duration>,
    /// It comes and goes, and may not see everything.
    comes_and_goes: bool,
    connected_at: Instant,
    /// How long to wait before reconnecting, when the server asked for that.
    called_back: Option<Duration>,
    /// When it lost its connection, and how long each absence lasted until it was in step again.
    away_since: Option<Instant>,
    absences: Vec<Duration>,
}

impl Device {
    /// Creates a device from a client that is connected and in step, or not connected at all.
    pub(super) fn new(client: Client, log: Log) -> Self {
        let mut device = Self {
            client,
            log,
            written: HashMap::new(),
            held: HashMap::new(),
            patience: Duration::from_secs(10),
            filling: 0,
            restless: None,
            comes_and_goes: false,
            connected_at: Instant::now(),
            called_back: None,
            away_since: None,
            absences: Vec::new(),
        };
        if device.client.is_connected() && device.client.sync().is_ready() {
            device.log.note(What::InStep);
        }
        device
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Makes its texts longer.
    pub(super) fn set_filling(&mut self, bytes: usize) {
        self.filling = bytes;
    }

    /// Makes it drop each connection after a while.
    pub(super) fn set_restless(&mut self, after: Duration) {
        self.restless = Some(after);
    }

    /// Notes that it comes and goes, and may not see everything.
    pub(super) fn set_coming_and_going(&mut self) {
        self.comes_and_goes = true;
    }

    pub(super) fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Returns its client, its log, and how long each absence lasted.
    pub(super) fn into_parts(self) -> (Client, Log, Vec<Duration>) {
        (self.client, self.log, self.absences)
    }

    /// Returns the last change that it applied in a session.
    pub(super) fn rev(&self, session: SessionId) -> Rev {
        self.client.sync().sessions().get(&session).map_or(Rev(0), |held| held.timeline.rev())
    }

    /// Writes a message; it goes out now or after reconnecting.
    pub(super) async fn say(&mut self, session: SessionId, text: String) -> Result<MessageId> {
        let digest = digest(&text);
        let message = self.client.say(session, text).await?;
        self.written.insert(message, session);
        self.log.note(What::Sent { session, message, digest });
        Ok(message)
    }

    /// Receives the next frame. Cancel safe. Finds changes out of order immediately.
    pub(super) async fn next(&mut self) -> Result<ServerFrame> {
        match self.client.next().await {
            Ok(frame) => {
                self.note(&frame)?;
                Ok(frame)
            }
            Err(error) => {
                self.lost();
                Err(error.into())
            }
        }
    }

    /// Records that nobody takes its frames until [`Device::catch_up`]: long tables are read first.
    pub(super) fn listens_no_more(&mut self) {
        self.log.note(What::Away);
    }

    /// Pulls its own plug.
    pub(super) fn unplug(&mut self) {
        self.client.kill();
        self.lost();
    }

    fn lost(&mut self) {
        if self.away_since.is_none() {
            self.log.note(What::Away);
            self.away_since = Some(Instant::now());
        }
    }

    fn note(&mut self, frame: &ServerFrame) -> Result<()> {
        match frame {
            ServerFrame::Welcome { .. } => {
                self.log.note(What::InStep);
                self.absences.extend(self.away_since.take().map(|since| since.elapsed()));
            }
            ServerFrame::Lagged => self.log.note(What::Away),
            ServerFrame::Drain { after_ms } => self.called_back = Some(Duration::from_millis(*after_ms)),
            ServerFrame::Ack { message_id, seq, .. } => {
                if let Some(&session) = self.written.get(message_id) {
                    self.log.note(What::Acked { session, message: *message_id, seq: *seq });
                    let held = self.client.sync().sessions().get(&session);
                    // From the newest end, where it is.
                    let own = held.and_then(|held| {
                        let mut newest = held.timeline.messages().rev().take_while(|held| held.seq >= *seq);
                        newest.find(|held| held.seq == *seq).cloned()
                    });
                    self.brought(session, own.as_slice())?;
                }
            }
            ServerFrame::Refused(refused) => {
                // What is refused only for now will be resent.
                if let Some(message) = refused.message_id.filter(|_| refused.after_ms.is_none()) {
                    self.log.note(What::Refused { message });
                }
            }
            ServerFrame::Message(live) => {
                self.brought(live.session_id, std::slice::from_ref(&live.message))?;
            }
            ServerFrame::Page { session_id, messages, .. } => self.brought(*session_id, messages)?,
            ServerFrame::Reset { session_id, epoch, .. } => {
                let had = self.held.remove(session_id).and_then(|(_, epoch)| epoch);
                self.log.note(What::Reset { session: *session_id, same_history: had == Some(*epoch) });
            }
            _ => {}
        }
        if matches!(frame, ServerFrame::Welcome { .. } | ServerFrame::Left { .. } | ServerFrame::Session(_)) {
            self.note_left();
        }
        Ok(())
    }

    /// Records the sessions whose copy the client has discarded, because its user left them.
    fn note_left(&mut self) {
        let sessions = self.client.sync().sessions();
        let is_discarded = |id: &SessionId, rev: Rev, epoch: Option<Epoch>| match sessions.get(id) {
            None => true,
            Some(now) => now.timeline.epoch() == epoch && now.timeline.rev() < rev,
        };
        let held = self.held.iter().filter(|(id, (rev, epoch))| is_discarded(id, *rev, *epoch));
        for session in held.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.held.remove(&session);
            self.log.note(What::Left { session });
        }
    }

    /// Records which of a frame's messages the client added to what it shows.
    fn brought(&mut self, session: SessionId, messages: &[Message]) -> Result<()> {
        let Some(now) = self.client.sync().sessions().get(&session) else { return Ok(()) };
        let now = (now.timeline.rev(), now.timeline.epoch());
        let (before, _) = self.held.insert(session, now).unwrap_or_default();
        let mut last = before;
        for message in messages.iter().filter(|message| message.rev > before && message.rev <= now.0) {
            let Message { message_id, seq, rev, .. } = *message;
            let digest = digest(&message.data);
            self.log.note(What::Applied { session, message: message_id, seq, rev, digest });
            if rev != last.next() && !self.comes_and_goes {
                let how = format!("a device applied change {rev} after {last}");
                let broken = vec![Violation { rule: Rule::OneAfterTheOther, how }];
                return Err(Failure::Broken { broken, figures: "seen at once".into() });
            }
            last = rev;
        }
        Ok(())
    }

    /// Reconnects: retries until it is in step.
    pub(super) async fn back(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
        if let Some(after) = self.called_back.take() {
            sleep(after).await;
        }
        let patience = self.patience;
        loop {
            self.lost();
            let attempt = async {
                self.client.connect().await?;
                while !self.client.sync().is_ready() {
                    self.next().await?;
                }
                Ok::<_, Failure>(())
            };
            match timeout(patience, attempt).await {
                Ok(Ok(())) => {
                    self.connected_at = Instant::now();
                    return Ok(());
                }
                Ok(Err(failure)) if !is_passing(&failure) => return Err(failure),
                Ok(Err(failure)) if Instant::now() > deadline => {
                    let reason = format!("a device could not come back within {PATIENCE:?}: {failure}");
                    return Err(Failure::Missed(reason));
                }
                Err(_) if Instant::now() > deadline => {
                    return Err(Failure::Missed(format!("a device got no answer for {PATIENCE:?}")));
                }
                Ok(Err(_)) => sleep(backoff.next_wait()).await,
                Err(_) => self.unplug(),
            }
        }
    }

    /// Takes one frame; reconnects when the connection is gone, or when an answer takes too long.
    pub(super) async fn live(&mut self) -> Result<()> {
        if self.restless.is_some_and(|after| self.connected_at.elapsed() > after) {
            self.unplug();
            return self.back().await;
        }
        match timeout(self.patience, self.next()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(failure)) if is_passing(&failure) => self.back().await,
            Ok(Err(failure)) => Err(failure),
            Err(_) if self.client.sync().outbox().is_empty() => Ok(()),
            Err(_) => {
                self.unplug();
                self.back().await
            }
        }
    }

    /// Talks without pause, with as much in flight as allowed, across every loss. Asked to stop, it returns once
    /// everything is answered.
    pub(super) async fn talk(
        mut self,
        sessions: Vec<SessionId>,
        mut random: fastrand::Rng,
        stop: watch::Receiver<bool>,
        acked: Counter,
    ) -> Result<Self> {
        let mut number = 0_u64;
        loop {
            let stopping = *stop.borrow();
            let waiting = self.client.sync().outbox().len();
            if stopping && waiting == 0 && self.client.sync().is_ready() {
                self.listens_no_more();
                return Ok(self);
            }
            for _ in waiting..if stopping { 0 } else { UNDER_WAY } {
                let session = sessions[random.usize(..sessions.len())];
                number += 1;
                self.say(session, format!("{number}{}", ".".repeat(self.filling))).await?;
            }
            let before = self.client.sync().outbox().len();
            self.live().await?;
            acked.add(before.saturating_sub(self.client.sync().outbox().len()));
        }
    }

    /// Writes this many messages, as fast as they are acknowledged.
    pub(super) async fn write(&mut self, session: SessionId, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 || !self.client.sync().outbox().is_empty() {
            for _ in
                self.client.sync().outbox().len()..UNDER_WAY.min(self.client.sync().outbox().len() + left)
            {
                self.say(session, format!("message {left}")).await?;
                left -= 1;
            }
            self.live().await?;
        }
        Ok(())
    }

    /// Takes frames until it reaches these heads, and records that. It may take any time as long as it makes progress.
    pub(super) async fn catch_up(&mut self, heads: &[(SessionId, Rev)]) -> Result<()> {
        let (mut stood, mut since) = (Vec::new(), Instant::now());
        while heads.iter().any(|(session, head)| self.rev(*session) < *head) {
            let stands: Vec<_> = heads.iter().map(|(session, _)| self.rev(*session)).collect();
            if stands != stood {
                (stood, since) = (stands, Instant::now());
            } else if since.elapsed() > PATIENCE {
                let place = |(session, head): &(SessionId, Rev)| format!("{} of {head}", self.rev(*session));
                let places: Vec<_> = heads.iter().map(place).collect();
                return Err(Failure::Missed(format!("a device stood still at change {}", places.join(", "))));
            }
            self.live().await?;
        }
        heads.iter().for_each(|(session, _)| self.log.note(What::Settled { session: *session }));
        Ok(())
    }

    /// Compares what it shows with what is stored. Its log has the changes one by one; this checks their result.
    /// Returns what differs.
    pub(super) fn differs(&self, table: &Table) -> Vec<Violation> {
        let mut broken = Vec::new();
        for (session, held) in self.client.sync().sessions() {
            let Some(rows) = table.get(session) else { continue };
            let shown: Vec<Stored> = held.timeline.messages().map(Stored::from).collect();
            // A window whose old messages were evicted starts later, and is complete from there on.
            let stored = rows.get(rows.len().saturating_sub(shown.len())..).unwrap_or_default();
            let differs = shown.iter().zip(stored).position(|(shown, stored)| shown != stored);
            if shown.len() > rows.len() || differs.is_some() {
                let first = differs.unwrap_or(rows.len()) + 1;
                let how = format!(
                    "a device shows {} messages of {} that are stored, and others from the {first}th on",
                    shown.len(),
                    rows.len()
                );
                broken.push(Violation { rule: Rule::OneAfterTheOther, how });
            }
        }
        broken
    }
}

/// Returns whether reconnecting may help.
pub(super) fn is_passing(failure: &Failure) -> bool {
    match failure {
        // 503: the server is up and cannot serve it just now.
        Failure::Client(Error::Upgrade(status)) => *status == 503,
        Failure::Client(error) => error.is_disconnect(),
        _ => false,
    }
}

/// A running count of the acknowledged messages of all devices.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Counter {
    fn add(&self, more: usize) {
        self.0.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}
