//! The eleven rules, one function each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use protocol::{MessageId, Rev, Seq, SessionId};

use super::{Actor, Bounds, Entry, History, Rule, Stored, Table, Violation, What};

/// A message's full name.
type Name = (SessionId, MessageId);

/// What an applied message looked like to a reader.
#[derive(Clone, Copy)]
struct Seen {
    at: Duration,
    message: MessageId,
    seq: Seq,
    rev: Rev,
    digest: u64,
}

/// A history and a table, indexed for the rules.
pub(super) struct Rules<'a> {
    history: &'a History,
    table: &'a Table,
    bounds: &'a Bounds,
    stored: HashMap<Name, Stored>,
    sent: HashMap<Name, u64>,
    broken: Vec<Violation>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(history: &'a History, table: &'a Table, bounds: &'a Bounds) -> Self {
        let rows =
            table.iter().flat_map(|(session, rows)| rows.iter().map(|row| ((*session, row.message), *row)));
        let sent = history.entries().iter().filter_map(|entry| match entry.what {
            What::Sent { session, message, digest } => Some(((session, message), digest)),
            _ => None,
        });
        Self { history, table, bounds, stored: rows.collect(), sent: sent.collect(), broken: Vec::new() }
    }

    pub(super) fn broken(mut self) -> Vec<Violation> {
        self.acked_is_stored_with_one_answer();
        self.rows();
        self.readers();
        self.first_in_first_out();
        self.nothing_refused_is_stored();
        self.in_time();
        self.ended_is_ended();
        self.broken.sort_by_key(|violation| violation.rule);
        self.broken
    }

    fn entries(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.history.entries().iter()
    }

    fn breaks(&mut self, rule: Rule, how: String) {
        self.broken.push(Violation { rule, how });
    }

    /// C1, C10.
    fn acked_is_stored_with_one_answer(&mut self) {
        let mut answers: HashMap<Name, Seq> = HashMap::new();
        for entry in self.entries() {
            let What::Acked { session, message, seq } = entry.what else { continue };
            let first = *answers.entry((session, message)).or_insert(seq);
            if first != seq {
                self.breaks(Rule::SameAnswer, format!("{message} was acknowledged at {first} and at {seq}"));
            }
        }
        for ((session, message), seq) in answers {
            match self.stored.get(&(session, message)) {
                None => {
                    self.breaks(
                        Rule::AckedIsStored,
                        format!("{message} was acknowledged at {seq} and is not stored"),
                    );
                }
                Some(row) if row.seq != seq => {
                    let at = row.seq;
                    self.breaks(
                        Rule::AckedIsStored,
                        format!("{message} was acknowledged at {seq} and is at {at}"),
                    );
                }
                Some(_) => {}
            }
        }
    }

    /// C2, C3, and C7 for what is stored.
    fn rows(&mut self) {
        for (session, rows) in self.table {
            let mut names = HashSet::new();
            for (row, place) in rows.iter().zip(1..) {
                let Stored { seq, message, digest, .. } = *row;
                if !names.insert(message) {
                    self.breaks(Rule::StoredOnce, format!("{message} is stored twice, again at {seq}"));
                }
                if seq.0 != place {
                    self.breaks(Rule::NoHoles, format!("in {session} place {place} is followed by {seq}"));
                }
                match self.sent.get(&(*session, message)) {
                    None => {
                        self.breaks(Rule::NothingInvented, format!("{message} is stored and nobody wrote it"))
                    }
                    Some(written) if *written != digest => {
                        self.breaks(Rule::NothingInvented, format!("{message} is stored with another text"));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// C4, C5, C11, and C7 for what is seen.
    fn readers(&mut self) {
        let mut lists: BTreeMap<(Actor, SessionId), Vec<Seen>> = BTreeMap::new();
        let mut places: HashMap<(SessionId, Seq), MessageId> = HashMap::new();
        for Entry { at, actor, what } in self.entries().copied() {
            match what {
                What::Applied { session, message, seq, rev, digest } => {
                    let list = lists.entry((actor, session)).or_default();
                    let last = list.last().map_or(Rev(0), |seen| seen.rev);
                    if !self.history.sees(actor, session, seq) {
                        let how = format!("device {} saw place {seq}, and was not there", actor.0);
                        self.broken.push(Violation { rule: Rule::OnlyWhileThere, how });
                    } else if rev.0 != self.history.next_seen(actor, session, Seq(last.0)).0 {
                        let how = format!("device {} applied change {rev} after {last}", actor.0);
                        self.broken.push(Violation { rule: Rule::OneAfterTheOther, how });
                    }
                    list.push(Seen { at, message, seq, rev, digest });
                    self.agrees(actor, session, list[list.len() - 1], &mut places);
                }
                What::Left { session } => _ = lists.remove(&(actor, session)),
                What::Reset { session, same_history } => {
                    lists.remove(&(actor, session));
                    if same_history {
                        let how = format!("the server went back in {session}, behind device {}", actor.0);
                        self.breaks(Rule::OneAfterTheOther, how);
                    }
                }
                What::Settled { session } => {
                    let last =
                        lists.get(&(actor, session)).and_then(|list| list.last()).map_or(Rev(0), |s| s.rev);
                    let rows = self.table.get(&session).map_or(&[][..], Vec::as_slice);
                    let newest = rows.iter().rev().find(|row| self.history.sees(actor, session, row.seq));
                    let head = newest.map_or(Rev(0), |row| row.rev);
                    if last != head {
                        let how = format!("device {} ended at change {last} of {head}", actor.0);
                        self.breaks(Rule::OneAfterTheOther, how);
                    }
                }
                _ => {}
            }
        }
    }

    fn agrees(
        &mut self,
        actor: Actor,
        session: SessionId,
        seen: Seen,
        places: &mut HashMap<(SessionId, Seq), MessageId>,
    ) {
        let Seen { at, message, seq, digest, .. } = seen;
        let (who, at) = (actor.0, at.as_secs_f64());
        let first = *places.entry((session, seq)).or_insert(message);
        if first != message {
            self.breaks(
                Rule::SameForAll,
                format!("place {seq} is {first} to some and {message} to device {who}"),
            );
        }
        match self.stored.get(&(session, message)) {
            None => {
                let how = format!("device {who} saw {message} at {at:.3} s and it is not stored");
                self.breaks(Rule::NothingInvented, how);
            }
            Some(row) if row.digest != digest => {
                self.breaks(Rule::NothingInvented, format!("device {who} saw another text in {message}"));
            }
            Some(row) if row.seq != seq => {
                let stored = row.seq;
                self.breaks(
                    Rule::SameForAll,
                    format!("device {who} saw {message} at {seq}, it is at {stored}"),
                );
            }
            Some(_) => {}
        }
    }

    /// C6.
    fn first_in_first_out(&mut self) {
        let mut last: HashMap<(Actor, SessionId), Seq> = HashMap::new();
        for entry in self.entries() {
            let What::Sent { session, message, .. } = entry.what else { continue };
            let Some(row) = self.stored.get(&(session, message)).copied() else { continue };
            let before = last.insert((entry.actor, session), row.seq).unwrap_or_default();
            if row.seq < before {
                let (who, seq) = (entry.actor.0, row.seq);
                let how = format!("device {who} wrote {message} after what is at {before}, it is at {seq}");
                self.breaks(Rule::FirstInFirstOut, how);
            }
        }
    }

    /// C7 for what was refused.
    fn nothing_refused_is_stored(&mut self) {
        let stored: HashSet<MessageId> = self.stored.keys().map(|(_, message)| *message).collect();
        for entry in self.entries() {
            if let What::Refused { message } = entry.what
                && stored.contains(&message)
            {
                self.breaks(Rule::NothingInvented, format!("{message} was refused and is stored"));
            }
        }
    }

    /// C8. Counts only readers who were in step from the acknowledgement until the bound.
    fn in_time(&mut self) {
        let end = self.entries().map(|entry| entry.at).max().unwrap_or_default();
        let mut acked: BTreeMap<SessionId, Vec<(Duration, Seq)>> = BTreeMap::new();
        for entry in self.entries() {
            if let What::Acked { session, seq, .. } = entry.what {
                acked.entry(session).or_default().push((entry.at, seq));
            }
        }
        let mut arrived: HashMap<(Actor, SessionId), HashMap<Seq, Duration>> = HashMap::new();
        let mut steps: HashMap<Actor, Vec<(Duration, Duration)>> = HashMap::new();
        for Entry { at, actor, what } in self.entries().copied() {
            match what {
                What::Applied { session, seq, .. } => {
                    arrived.entry((actor, session)).or_default().entry(seq).or_insert(at);
                }
                What::InStep => steps.entry(actor).or_default().push((at, end)),
                What::Away | What::Revoked => {
                    if let Some(open) = steps.get_mut(&actor).and_then(|steps| steps.last_mut()) {
                        open.1 = open.1.min(at);
                    }
                }
                // Nobody listens any more. A reader who settles took part throughout, even if nothing arrived.
                What::Settled { session } => {
                    arrived.entry((actor, session)).or_default();
                    if let Some(open) = steps.get_mut(&actor).and_then(|steps| steps.last_mut()) {
                        open.1 = open.1.min(at);
                    }
                }
                _ => {}
            }
        }
        let bound = self.bounds.delivery;
        for ((actor, session), seen) in &arrived {
            let in_step = steps.get(actor).map_or(&[][..], Vec::as_slice);
            for (at, seq) in acked.get(session).into_iter().flatten() {
                let due = *at + bound;
                let listened = in_step.iter().any(|(from, to)| from <= at && due <= *to)
                    && self.history.sees(*actor, *session, *seq);
                if listened && seen.get(seq).is_none_or(|at| *at > due) {
                    let how = format!("place {seq} did not reach device {} within {bound:?}", actor.0);
                    self.breaks(Rule::InTime, how);
                }
            }
        }
    }

    /// C9.
    fn ended_is_ended(&mut self) {
        let mut ended: HashMap<Actor, Duration> = HashMap::new();
        for Entry { at, actor, what } in self.entries().copied() {
            match what {
                What::Revoked => {
                    ended.entry(actor).or_insert(at);
                }
                What::Applied { message, .. } => {
                    let late = ended.get(&actor).map(|end| at.saturating_sub(*end));
                    if let Some(late) = late.filter(|late| *late > self.bounds.revoked) {
                        let how = format!("device {} saw {message} {late:?} after its login's end", actor.0);
                        self.breaks(Rule::EndedIsEnded, how);
                    }
                }
                _ => {}
            }
        }
    }
}
