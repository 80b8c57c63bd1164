//! One seed: some people's devices, the server, and everything that may come between them.

mod truths;

use std::collections::{BTreeMap, HashSet};

use protocol::api::History;
use protocol::{
    Change, ClientFrame, Earlier, Kind, LiveMessage, MessageId, Pending, PendingState, Rev, ServerFrame,
    SessionId, Step, Sync, TimeStamp,
};

use super::dice::Dice;
use super::server::{Link, Server};
use super::truth::Log;
use super::{Plant, Verdict};
use crate::Actor;
use crate::sessions::members::Change as GroupChange;

/// Turns of one seed before nothing interferes any more.
const TURNS: usize = 70;

/// How many changes an impatient device catches up on.
const PATIENCE: i64 = 3;

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Write,
    TakeBack,
    Alter,
    See,
    Full,
    TimerFires,
    Handle,
    Commit,
    Carry,
    WriteOut,
    Receive,
    Cut,
    Connect,
    Zombie,
    Flood,
    Heads,
    Crash,
    FailCommit,
    Backup,
    Restore,
    Join,
    Leave,
    AskHistory,
    HistoryArrives,
    Reload,
}

const TURNS_BY_WEIGHT: &[(usize, Turn)] = &[
    (16, Turn::Write),
    (1, Turn::TakeBack),
    (4, Turn::Alter),
    (2, Turn::See),
    (2, Turn::Full),
    (2, Turn::TimerFires),
    (18, Turn::Handle),
    (10, Turn::Commit),
    (10, Turn::Carry),
    (12, Turn::WriteOut),
    (14, Turn::Receive),
    (3, Turn::Cut),
    (6, Turn::Connect),
    (4, Turn::Zombie),
    (3, Turn::Flood),
    (1, Turn::Heads),
    (4, Turn::Crash),
    (1, Turn::FailCommit),
    (1, Turn::Backup),
    (1, Turn::Restore),
    (1, Turn::Join),
    (1, Turn::Leave),
    (2, Turn::AskHistory),
    (2, Turn::HistoryArrives),
    (1, Turn::Reload),
];

/// A browser or a program, with the state machine that both use.
struct Device {
    actor: Actor,
    sync: Sync,
    link: Option<Link>,
    /// A history answer in flight.
    history: Option<(SessionId, Earlier, History)>,
    /// Messages announced to its person.
    arrived: HashSet<MessageId>,
    /// Sessions with a temporary refusal.
    timers: Vec<SessionId>,
}

impl Device {
    /// Returns the last change applied in each session.
    fn stands(&self) -> BTreeMap<SessionId, Rev> {
        self.sync.sessions().iter().map(|(id, session)| (*id, session.timeline.rev())).collect()
    }
}

pub(super) struct World<'s> {
    dice: Dice,
    server: &'s mut Server,
    people: Vec<Actor>,
    devices: Vec<Device>,
    /// Connections that their devices have given up but the server has not.
    zombies: Vec<Link>,
    backup: Option<BTreeMap<SessionId, Log>>,
    refused: HashSet<MessageId>,
    /// Messages that were being sent when their writer left the group.
    may_be_stored: HashSet<MessageId>,
    /// Messages that were taken back and are no longer on any connection.
    taken_back: HashSet<MessageId>,
    texts: usize,
    told: bool,
}

impl<'s> World<'s> {
    /// Makes three people, one of them with two devices, and their first session or two.
    pub(super) async fn new(server: &'s mut Server, seed: u64, told: bool) -> Result<Self, String> {
        server.crash().await;
        server.truth = super::truth::Truth::default();
        let mut people = Vec::new();
        for name in ["Ada", "Bob", "Cy"] {
            people.push(server.person(name).await);
        }
        let mut dice = Dice::new(seed);
        for guest in if dice.percent(50) { 1..=2 } else { 1..=1 } {
            let group = match dice.percent(50) {
                true => Some(server.begin(&people[0]).await?),
                false => None,
            };
            server.join(&people[0], &people[guest], group).await?;
        }
        let mut devices = Vec::new();
        for owner in [0, 0, 1, 2] {
            let actor = people[owner].clone();
            // Some are impatient, as a page is, and discard what they hold rather than catch up.
            let sync = if dice.percent(30) { Sync::new().letting_go_beyond(PATIENCE) } else { Sync::new() };
            let (arrived, timers) = (HashSet::new(), Vec::new());
            devices.push(Device { actor, sync, link: None, history: None, arrived, timers });
        }
        Ok(Self {
            dice,
            server,
            people,
            devices,
            zombies: Vec::new(),
            backup: None,
            refused: HashSet::new(),
            may_be_stored: HashSet::new(),
            taken_back: HashSet::new(),
            texts: 0,
            told,
        })
    }

    /// Runs the seed to its end.
    pub(super) async fn run(&mut self) -> Verdict {
        for device in 0..self.devices.len() {
            self.connect(device);
        }
        if self.dice.percent(70) {
            self.pump().await?; // most begin in step
        }
        for _ in 0..TURNS {
            self.turn().await?;
        }
        self.settle().await?;
        self.fetch_history().await?;
        self.check_settled().await
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{}", what());
        }
    }

    async fn turn(&mut self) -> Verdict {
        let turn = self.dice.weighted(TURNS_BY_WEIGHT);
        let (device, times) = (self.dice.below(self.devices.len()), 1 + self.dice.below(5));
        self.tell(|| format!("{turn:?} {device} {times}"));
        match turn {
            Turn::Write => self.write(device),
            Turn::TakeBack => self.take_back(device),
            Turn::Full => {
                let is_full = self.dice.percent(50);
                self.server.set_full(is_full);
            }
            Turn::TimerFires => _ = self.fire(device),
            Turn::Alter => self.alter(device),
            Turn::See => self.see(device),
            Turn::Handle => self.handle(device, times).await?,
            Turn::Commit => self.server.commit().await?,
            Turn::Carry => (0..times).for_each(|_| self.server.carry()),
            Turn::WriteOut => self.with_link(device, Link::write),
            Turn::Receive => {
                for _ in 0..times {
                    self.receive(device)?;
                }
            }
            Turn::Cut => self.cut(device),
            Turn::Connect => self.connect(device),
            Turn::Zombie => self.zombie(times).await?,
            Turn::Flood => self.server.flood(&self.devices[device].actor),
            Turn::Heads => self.with_link(device, Link::heads),
            Turn::Crash => self.crash().await?,
            Turn::FailCommit => self.server.fail_commit().await?,
            Turn::Backup => self.backup = Some(self.server.backup()),
            Turn::Restore => {
                if let Some(backup) = self.backup.clone() {
                    self.server.restore(backup).await;
                    self.lose_links();
                }
            }
            Turn::Join => self.join().await?,
            Turn::Leave => self.leave().await?,
            Turn::AskHistory => self.ask_history(device).await,
            Turn::HistoryArrives => self.history_arrives(device)?,
            Turn::Reload => self.reload(device).await?,
        }
        Ok(())
    }

    // ---- what people do ----

    fn some_session(&mut self, device: usize) -> Option<SessionId> {
        let known = self.devices[device].sync.sessions();
        let nth = self.dice.below(known.len());
        known.keys().nth(nth).copied()
    }

    fn write(&mut self, device: usize) {
        let Some(session) = self.some_session(device) else { return };
        self.texts += 1;
        // Now and then something that is refused permanently.
        let text = if self.dice.percent(4) { "\0".to_owned() } else { format!("text {}", self.texts) };
        let (id, step) = self.devices[device].sync.send(session, text.clone(), TimeStamp(0));
        if text != "\0" {
            self.server.truth.wrote(device, session, id, &text);
        }
        self.send(device, step);
    }

    /// Takes back something that waits or was refused, temporarily or permanently.
    fn take_back(&mut self, device: usize) {
        let sync = &mut self.devices[device].sync;
        let nth = self.dice.below(sync.outbox().len());
        let Some(id) = sync.outbox().get(nth).map(|pending| pending.message_id) else { return };
        let (taken, step) = sync.take_back(id);
        if taken.is_some() {
            self.refused.insert(id); // nobody waits for it
            // A connection that was given up earlier may still deliver what a later one refused; and what was being
            // sent when a group was left may have arrived, as its writer is told.
            let name = id.to_string();
            if !self.may_be_stored.contains(&id)
                && !self.zombies.iter().any(|link| link.up.iter().any(|frame| frame.contains(&name)))
            {
                self.taken_back.insert(id);
            }
        }
        self.send(device, step);
    }

    /// Fires a timer: something is due for its retry.
    fn fire(&mut self, device: usize) -> bool {
        let Device { timers, sync, .. } = &mut self.devices[device];
        let Some(session) = timers.pop() else { return false };
        let step = sync.resume(session);
        self.send(device, step);
        true
    }

    fn alter(&mut self, device: usize) {
        let Some(session_id) = self.some_session(device) else { return };
        let (sync, me) = (&self.devices[device].sync, self.devices[device].actor.user_id());
        let own = sync.sessions()[&session_id].timeline.messages().filter(|m| m.sender == me);
        let own: Vec<MessageId> = own.map(|m| m.message_id).collect();
        let Some(message_id) = own.get(self.dice.below(own.len())).copied() else { return };
        self.texts += 1;
        let frame = match self.dice.percent(30) {
            true => ClientFrame::Delete { session_id, message_id },
            false => ClientFrame::Edit { session_id, message_id, data: format!("edit {}", self.texts) },
        };
        if self.devices[device].sync.is_ready() {
            self.send(device, Step { send: vec![frame], changes: vec![] });
        }
    }

    fn see(&mut self, device: usize) {
        let Some(session) = self.some_session(device) else { return };
        let sync = &mut self.devices[device].sync;
        let seen = sync.sessions()[&session].last_seq();
        let step = sync.read(session, seen);
        self.send(device, step);
    }

    /// Chooses a group.
    fn some_group(&mut self) -> Option<(SessionId, Log)> {
        let groups = || self.server.truth.logs.iter().filter(|(_, log)| log.kind == Kind::Group);
        let nth = self.dice.below(groups().count());
        groups().nth(nth).map(|(session, log)| (*session, log.clone()))
    }

    /// Adds somebody to a group, for the first time or again.
    async fn join(&mut self) -> Verdict {
        let Some((session, log)) = self.some_group() else { return Ok(()) };
        let from = self.people.iter().find(|person| log.owner == Some(person.user_id())).cloned();
        let to = self.people.iter().find(|person| !log.has(person.user_id())).cloned();
        match (from, to) {
            (Some(from), Some(to)) => self.server.join(&from, &to, Some(session)).await,
            _ => Ok(()),
        }
    }

    /// Somebody leaves a group, or is removed by its owner.
    async fn leave(&mut self) -> Verdict {
        let Some((session, log)) = self.some_group() else { return Ok(()) };
        let nth = self.dice.below(self.people.len());
        let (who, is_removed) = (self.people[nth].user_id(), self.dice.percent(50));
        match log.owner.filter(|owner| is_removed && *owner != who) {
            _ if !log.has(who) => Ok(()),
            Some(owner) => self.server.change_group(owner, session, GroupChange::Remove(who)).await,
            None => self.server.change_group(who, session, GroupChange::Leave).await,
        }
    }

    // ---- connections ----

    fn connect(&mut self, device: usize) {
        if self.devices[device].link.is_none() {
            let mut link = self.server.connect(&self.devices[device].actor);
            link.up.push_back(self.devices[device].sync.connected().encode());
            self.devices[device].link = Some(link);
        }
    }

    /// Gives up the device's connection. The server may go on with what was sent, as far as it got.
    fn cut(&mut self, device: usize) {
        let Some(mut link) = self.devices[device].link.take() else { return };
        self.devices[device].sync.disconnected();
        link.up.truncate(self.dice.below(link.up.len() + 1));
        if link.is_open() && self.dice.percent(70) {
            self.zombies.push(link);
        }
    }

    fn lose_links(&mut self) {
        self.zombies.clear();
        for link in self.devices.iter_mut().filter_map(|device| device.link.as_mut()) {
            link.end();
        }
    }

    /// Does what the state machine asks: sends, if connected, and waits or reconnects.
    fn send(&mut self, device: usize, step: Step) {
        for change in &step.changes {
            match change {
                Change::PutOff(session, _) => self.devices[device].timers.push(*session),
                Change::Renew if self.devices[device].link.is_some() => {
                    self.cut(device);
                    self.connect(device);
                    return;
                }
                _ => {}
            }
        }
        if let Some(link) = self.devices[device].link.as_mut().filter(|link| link.is_open()) {
            link.up.extend(step.send.iter().map(ClientFrame::encode));
        }
    }

    fn with_link(&mut self, device: usize, act: impl FnOnce(&mut Link)) {
        self.devices[device].link.as_mut().map(act);
    }

    async fn handle(&mut self, device: usize, frames: usize) -> Verdict {
        for _ in 0..frames {
            let Some(link) = self.devices[device].link.as_mut() else { return Ok(()) };
            self.server.handle(link).await?;
        }
        Ok(())
    }

    /// Handles frames of a connection that was given up long ago; at some point the server gives it up too.
    async fn zombie(&mut self, frames: usize) -> Verdict {
        let nth = self.dice.below(self.zombies.len());
        let Some(link) = self.zombies.get_mut(nth) else { return Ok(()) };
        for _ in 0..frames {
            self.server.handle(link).await?;
        }
        if link.up.is_empty() {
            self.zombies.remove(nth);
        }
        Ok(())
    }

    /// Ends the server's process: before a commit, between it and an acknowledgement, or after some acknowledgements
    /// and before the rest has been sent.
    async fn crash(&mut self) -> Verdict {
        let moment = self.dice.below(3);
        for device in 0..self.devices.len() {
            if self.dice.percent(50) {
                self.handle(device, 4).await?; // so that something is in flight
            }
        }
        if moment > 0 {
            self.server.commit().await?;
        }
        if moment > 1 {
            for _ in 0..self.dice.below(4) {
                self.server.carry();
            }
            for device in 0..self.devices.len() {
                if self.dice.percent(50) {
                    self.with_link(device, Link::write); // it may read that after the crash
                }
            }
        }
        self.server.crash().await;
        self.lose_links();
        Ok(())
    }

    // ---- what devices receive ----

    fn receive(&mut self, device: usize) -> Verdict {
        let Some(link) = self.devices[device].link.as_mut() else { return Ok(()) };
        let Some(bytes) = link.down.pop_front() else {
            if !link.is_open() {
                self.cut(device);
            }
            return Ok(());
        };
        let text = std::str::from_utf8(&bytes).expect("frames are JSON");
        self.tell(|| format!("  {device} <- {text}"));
        let frame = ServerFrame::decode(text).expect("the server's own words");
        self.server.truth.heard(&frame)?;
        if let ServerFrame::Refused(refused) = &frame
            && refused.after_ms.is_none()
        {
            self.refused.extend(refused.message_id);
        }
        let stood = self.devices[device].stands();
        let is_reset = matches!(frame, ServerFrame::Reset { .. });
        if self.server.plant == Some(Plant::SkipOnGap) {
            self.skip_gap(device, &frame);
        }
        let step = self.devices[device].sync.receive(frame);
        for frame in &step.send {
            self.tell(|| format!("  {device} -> {}", frame.encode()));
        }
        let stands = self.devices[device].stands();
        if is_reset || stood.iter().any(|(session, rev)| stands.get(session).is_none_or(|now| now < rev)) {
            self.devices[device].arrived.clear(); // in another history, or another stay, it may arrive again
        }
        for change in &step.changes {
            match change {
                Change::Arrived(_, id) => {
                    ensure!(self.devices[device].arrived.insert(*id), "C2: {id:?} arrived twice at {device}");
                }
                // Its writer has it, and it need not be stored.
                Change::Returned => {
                    for Pending { message_id, unanswered, .. } in self.devices[device].sync.returned() {
                        self.refused.insert(*message_id);
                        self.may_be_stored.extend(unanswered.then_some(*message_id));
                    }
                }
                _ => {}
            }
        }
        self.send(device, step);
        self.check(device)
    }

    /// The planted bug: ignores what is missing before a live message.
    fn skip_gap(&mut self, device: usize, frame: &ServerFrame) {
        let ServerFrame::Message(LiveMessage { session_id, message }) = frame else { return };
        let sync = &mut self.devices[device].sync;
        let Some(timeline) = sync.sessions().get(session_id).map(|s| &s.timeline) else { return };
        let (Some(epoch), from, to) = (timeline.epoch(), timeline.rev(), Rev(message.rev.0 - 1)) else {
            return;
        };
        let nothing =
            ServerFrame::Page { session_id: *session_id, epoch, from, to, more: false, messages: vec![] };
        let _ = sync.receive(nothing);
    }

    async fn ask_history(&mut self, device: usize) {
        let Some(session) = self.some_session(device) else { return };
        let Device { actor, sync, .. } = &self.devices[device];
        let asked = sync.sessions()[&session].earlier();
        if let Ok(history) = self.server.chat.history(actor, session, Some(asked.before)).await {
            self.devices[device].history = Some((session, asked, history));
        }
    }

    fn history_arrives(&mut self, device: usize) -> Verdict {
        let Some((session, asked, found)) = self.devices[device].history.take() else { return Ok(()) };
        let step = self.devices[device].sync.prepend(session, asked, found);
        self.send(device, step);
        self.check(device)
    }

    /// Reloads the page: it knows the server's first snapshot, and its own messages that it kept.
    async fn reload(&mut self, device: usize) -> Verdict {
        self.cut(device);
        let open = self.some_session(device);
        let Device { actor, sync, history, .. } = &mut self.devices[device];
        let mut unsent = sync.outbox().to_vec();
        unsent.iter_mut().for_each(|pending| pending.state = PendingState::Waiting); // refusals are forgotten
        let snapshot = self.server.chat.snapshot(actor, open).await.expect("the database is whole");
        (*sync, *history) = (Sync::from_snapshot(&snapshot).letting_go_beyond(PATIENCE), None);
        // A message whose session a restore removed is dropped with it.
        let dropped = unsent.iter().filter(|p| !sync.sessions().contains_key(&p.session_id));
        self.refused.extend(dropped.map(|p| p.message_id));
        let _ = sync.restore(unsent);
        self.check(device)
    }
}
