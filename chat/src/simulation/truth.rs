//! What really happened: every committed change, as the writer announced it, and what devices were promised. The
//! simulation's checks compare everybody's view with it, and it with the tables at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use protocol::{
    Epoch, Head, Kind, LiveMessage, Message, MessageId, Rev, Seq, ServerFrame, SessionId, UserId,
};

use super::Verdict;
use crate::store::{Event, NotStored};

/// One session.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) kind: Kind,
    pub(super) epoch: Epoch,
    /// Every message in its current state.
    pub(super) rows: BTreeMap<Seq, Message>,
    /// Every state that ever existed, by the number of its change.
    pub(super) states: BTreeMap<Rev, Message>,
    pub(super) owner: Option<UserId>,
    /// Everybody who is or was in it.
    pub(super) members: BTreeMap<UserId, Stays>,
}

/// When somebody was in a session.
#[derive(Clone, Default)]
pub(super) struct Stays {
    /// After which message they came; `None` if they are out.
    pub(super) joined: Option<Seq>,
    /// After which messages they came and left before.
    pub(super) earlier: Vec<(Seq, Seq)>,
}

impl Stays {
    fn sees(&self, seq: Seq) -> bool {
        self.joined.is_some_and(|joined| joined < seq)
            || self.earlier.iter().any(|(after, up_to)| *after < seq && seq <= *up_to)
    }
}

impl Log {
    pub(super) fn rev(&self) -> Rev {
        self.states.keys().next_back().copied().unwrap_or_default()
    }

    pub(super) fn last_seq(&self) -> Seq {
        self.rows.keys().next_back().copied().unwrap_or_default()
    }

    /// Whether somebody is in it.
    pub(super) fn has(&self, user: UserId) -> bool {
        self.members.get(&user).is_some_and(|stays| stays.joined.is_some())
    }

    /// Returns what somebody may see.
    pub(super) fn seen_by(&self, user: UserId) -> impl Iterator<Item = &Message> {
        let stays = self.members.get(&user);
        self.rows.values().filter(move |row| stays.is_some_and(|stays| stays.sees(row.seq)))
    }
}

/// A message as its writer knows it.
struct Written {
    session: SessionId,
    message_id: MessageId,
    text: String,
}

/// The whole truth.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) logs: BTreeMap<SessionId, Log>,
    /// What each device wrote, in order, except what it knew to be refused.
    written: BTreeMap<usize, Vec<Written>>,
    /// The acknowledged place of each message.
    acked: HashMap<MessageId, Seq>,
    /// What a restore removed: nobody promised to keep that.
    lost: HashSet<MessageId>,
    /// What was refused because its writer was out of the group just then. When they are back it may be sent again,
    /// behind what was written later and arrived sooner.
    refused_outside: HashSet<MessageId>,
}

impl Truth {
    /// Notes that a device wrote something that may be stored.
    pub(super) fn wrote(&mut self, device: usize, session: SessionId, message_id: MessageId, text: &str) {
        let written = Written { session, message_id, text: text.to_owned() };
        self.written.entry(device).or_default().push(written);
    }

    /// Records a commit.
    pub(super) fn committed(&mut self, events: &[Event]) -> Verdict {
        for event in events {
            match event {
                Event::Opened { session, joined, .. } => {
                    let fresh = || Log {
                        kind: session.kind,
                        epoch: session.head.epoch,
                        rows: BTreeMap::new(),
                        states: BTreeMap::new(),
                        owner: session.owner,
                        members: BTreeMap::new(),
                    };
                    let log = self.logs.entry(session.session_id).or_insert_with(fresh);
                    log.owner = session.owner;
                    for (user, _) in joined {
                        log.members.entry(*user).or_default().joined = Some(session.last_seq);
                    }
                }
                Event::Altered { session, .. } => {
                    let log = self.logs.get_mut(&session.session_id).expect("announced when it began");
                    log.owner = session.owner;
                }
                Event::Left { session_id, user } => {
                    let log = self.logs.get_mut(session_id).expect("announced when it began");
                    let last = log.last_seq();
                    let stays = log.members.get_mut(user).expect("announced when they came");
                    let joined = stays.joined.take();
                    stays.earlier.extend(joined.map(|joined| (joined, last)));
                }
                Event::Changed { live: LiveMessage { session_id, message }, .. } => {
                    let log = self.logs.get_mut(session_id).expect("announced when it began");
                    let (seq, rev) = (message.seq, message.rev);
                    let is_next = log.rows.contains_key(&seq) || seq.0 == log.last_seq().0 + 1;
                    ensure!(rev == log.rev().next() && is_next, "C3: {message:?} follows {:?}", log.rev());
                    log.rows.insert(seq, message.clone());
                    log.states.insert(rev, message.clone());
                }
                Event::NotStored { message_id, why: NotStored::NotInSession, .. } => {
                    self.refused_outside.insert(*message_id);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes back the last change of a session, whose commit did not happen after all.
    pub(super) fn undo(&mut self, session: SessionId) -> Option<(Message, Option<Message>)> {
        let log = self.logs.get_mut(&session)?;
        let (_, undone) = log.states.pop_last()?;
        let before = log.states.values().rev().find(|state| state.seq == undone.seq).cloned();
        match &before {
            Some(before) => log.rows.insert(undone.seq, before.clone()),
            None => log.rows.remove(&undone.seq),
        };
        Some((undone, before))
    }

    /// Resets the sessions to a backup, each in a new history.
    pub(super) fn restored(&mut self, backup: BTreeMap<SessionId, Log>) {
        let ids = |logs: &BTreeMap<SessionId, Log>| -> HashSet<MessageId> {
            logs.values().flat_map(|log| log.rows.values().map(|row| row.message_id)).collect()
        };
        self.lost.extend(ids(&self.logs).difference(&ids(&backup)));
        for id in &self.lost {
            self.acked.remove(id);
        }
        self.logs = backup;
        for log in self.logs.values_mut() {
            log.epoch = Epoch::new();
        }
    }

    /// Notes that a device received a frame. C10: all acknowledgements of one message name the same, true place.
    pub(super) fn heard(&mut self, frame: &ServerFrame) -> Verdict {
        let ServerFrame::Ack { message_id, seq, .. } = frame else { return Ok(()) };
        let earlier = *self.acked.entry(*message_id).or_insert(*seq);
        ensure!(earlier == *seq, "C10: {message_id:?} was acknowledged at {earlier:?} and at {seq:?}");
        Ok(())
    }

    /// C7, C4 and C5 for one device and one session, at any moment: the device holds exactly the states that the
    /// history has up to the device's change. All devices are compared with the history, so they agree.
    pub(super) fn explains(&self, user: UserId, session: SessionId, held: &protocol::Timeline) -> Verdict {
        let Some(log) = self.logs.get(&session) else { return Ok(()) }; // a restore removed it
        if held.epoch() != Some(log.epoch) {
            return Ok(()); // an old history, to be reset
        }
        let rev = held.rev();
        ensure!(rev <= log.rev(), "C7: at {rev:?}, ahead of the server's {:?}", log.rev());
        let rows: BTreeMap<Seq, &Message> = held.messages().map(|row| (row.seq, row)).collect();
        let oldest = rows.keys().next().copied().unwrap_or(Seq(i64::MAX));
        let floor = if held.has_older() { oldest } else { Seq(0) };
        let stays = log.members.get(&user).cloned().unwrap_or_default();
        let ghost = rows.keys().find(|seq| !stays.sees(**seq));
        ensure!(ghost.is_none(), "C11: {ghost:?} was said while {user:?} was out");
        for stored in log.seen_by(user).filter(|row| row.seq >= floor && row.rev <= rev) {
            let own = rows.get(&stored.seq).copied();
            ensure!(own == Some(stored), "C4: at {rev:?} {stored:?} is held as {own:?}");
        }
        for row in rows.values() {
            // The device's own message, acknowledged and held out of turn as written, while a later state is on its
            // way.
            let is_early = log.rows.get(&row.seq).is_some_and(|now| now.rev > rev)
                && self.acked.get(&row.message_id) == Some(&row.seq);
            let was = log.states.get(&row.rev) == Some(*row);
            ensure!(was || is_early, "C7: a state that never was: {row:?}");
        }
        Ok(())
    }

    /// Checks at the end what was written and promised.
    pub(super) fn check_promises(
        &self,
        refused: &HashSet<MessageId>,
        taken_back: &HashSet<MessageId>,
    ) -> Verdict {
        let mut places: HashMap<MessageId, Vec<Seq>> = HashMap::new();
        let mut texts: HashMap<&str, usize> = HashMap::new();
        for (seq, row) in self.logs.values().flat_map(|log| &log.rows) {
            places.entry(row.message_id).or_default().push(*seq);
        }
        for log in self.logs.values() {
            let firsts: BTreeMap<Seq, &Message> = log.states.values().rev().map(|s| (s.seq, s)).collect();
            for first in firsts.values() {
                *texts.entry(&first.data).or_default() += 1;
            }
            ensure!(
                log.rows.keys().map(|seq| seq.0).eq(1..=log.last_seq().0),
                "C3: a hole in {:?}",
                log.rows
            );
        }
        for (id, seq) in &self.acked {
            let kept = places.get(id).is_some_and(|at| at.contains(seq));
            ensure!(kept || self.lost.contains(id), "C1: {id:?} was acknowledged at {seq:?} and is lost");
        }
        let known: HashSet<MessageId> = self.written.values().flatten().map(|w| w.message_id).collect();
        for id in places.keys() {
            ensure!(known.contains(id), "C7: {id:?} was never sent");
            ensure!(!taken_back.contains(id), "C7: {id:?} was taken back and is stored");
        }
        for (device, written) in &self.written {
            let mut last: BTreeMap<SessionId, Seq> = BTreeMap::new();
            for Written { session, message_id, text } in written {
                let twice = texts.get(text.as_str()).copied().unwrap_or_default() > 1;
                let at = places.get(message_id).map(Vec::as_slice).unwrap_or_default();
                ensure!(at.len() <= 1 && !twice, "C2: {text:?} is stored twice");
                match at.first() {
                    // Returned to its writer, and it had arrived after all.
                    Some(_) if refused.contains(message_id) || self.refused_outside.contains(message_id) => {}
                    Some(seq) => {
                        let before = last.insert(*session, *seq);
                        let in_order = before.is_none_or(|before| before < *seq);
                        ensure!(in_order, "C6: device {device} wrote {text:?} after what stands behind it");
                    }
                    None => {
                        let excused = self.lost.contains(message_id) || refused.contains(message_id);
                        ensure!(excused, "C1: {text:?} was written and is not stored");
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns where a session stands.
    pub(super) fn head(&self, session: SessionId) -> Option<Head> {
        self.logs.get(&session).map(|log| Head { epoch: log.epoch, rev: log.rev() })
    }
}
