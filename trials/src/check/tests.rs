//! A good history passes; every rule has a history that breaks it, and only it where that is possible.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::{MessageId, Rev, Seq, SessionId};

use super::{Actor, Bounds, Entry, History, Rule, Stored, Table, What, check, digest};

/// Two devices, one session, three messages: written by the first, acknowledged, applied by both, stored.
struct Run {
    session: SessionId,
    messages: Vec<MessageId>,
    entries: Vec<Entry>,
    table: Table,
    /// When the reader was in the session.
    stays: Option<Vec<(Seq, Seq)>>,
}

const WRITER: Actor = Actor(0);
const READER: Actor = Actor(1);

impl Run {
    fn good() -> Self {
        let session = SessionId::new();
        let messages: Vec<_> = (0..3).map(|_| MessageId::new()).collect();
        let mut run = Self {
            session,
            messages: messages.clone(),
            entries: vec![],
            table: BTreeMap::new(),
            stays: None,
        };
        run.note(0, WRITER, What::InStep);
        run.note(0, READER, What::InStep);
        for (&message, n) in messages.iter().zip(1..) {
            let (seq, digest) = (Seq(n), digest(&n.to_string()));
            run.note(n * 10, WRITER, What::Sent { session, message, digest });
            run.note(n * 10 + 1, WRITER, What::Acked { session, message, seq });
            run.applied(n * 10 + 2, WRITER, n);
            run.applied(n * 10 + 3, READER, n);
            run.table.entry(session).or_default().push(Stored { seq, rev: Rev(n), message, digest });
        }
        run
    }

    fn note(&mut self, ms: i64, actor: Actor, what: What) {
        let at = Duration::from_millis(ms.unsigned_abs());
        self.entries.push(Entry { at, actor, what });
    }

    fn applied(&mut self, ms: i64, actor: Actor, n: i64) {
        let (session, message) = (self.session, self.messages[usize::try_from(n - 1).unwrap()]);
        let digest = digest(&n.to_string());
        self.note(ms, actor, What::Applied { session, message, seq: Seq(n), rev: Rev(n), digest });
    }

    fn rows(&mut self) -> &mut Vec<Stored> {
        self.table.get_mut(&self.session).unwrap()
    }

    fn without(&mut self, unwanted: impl Fn(&Entry) -> bool) {
        self.entries.retain(|entry| !unwanted(entry));
    }

    /// The broken rules, each once.
    fn broken(self) -> Vec<Rule> {
        let mut history = History::new();
        history.entries = self.entries;
        if let Some(stays) = self.stays {
            history.stayed(READER, self.session, stays);
        }
        let bounds = Bounds { delivery: Duration::from_secs(1), revoked: Duration::from_secs(1) };
        let mut rules: Vec<_> = check(&history, &self.table, &bounds).into_iter().map(|v| v.rule).collect();
        rules.dedup();
        rules
    }
}

#[test]
fn a_good_history_passes() {
    let mut run = Run::good();
    let session = run.session;
    run.note(5000, READER, What::Settled { session });
    assert_eq!(run.broken(), []);
}

#[test]
fn a_message_written_and_never_answered_may_be_stored_or_not() {
    let mut run = Run::good();
    let session = run.session;
    let message = MessageId::new();
    run.note(100, WRITER, What::Sent { session, message, digest: 4 });
    assert_eq!(run.broken(), []);

    let mut run = Run::good();
    let session = run.session;
    run.note(100, WRITER, What::Sent { session, message, digest: 4 });
    run.rows().push(Stored { seq: Seq(4), rev: Rev(4), message, digest: 4 });
    assert_eq!(run.broken(), []);
}

#[test]
fn c1_an_acknowledged_message_is_gone() {
    let mut run = Run::good();
    run.rows().pop();
    run.without(|entry| matches!(entry.what, What::Applied { seq: Seq(3), .. }));
    assert_eq!(run.broken(), [Rule::AckedIsStored]);
}

#[test]
fn c2_a_message_is_stored_twice() {
    let mut run = Run::good();
    let again = run.rows()[0];
    run.rows().push(Stored { seq: Seq(4), rev: Rev(4), ..again });
    assert!(run.broken().contains(&Rule::StoredOnce));
}

#[test]
fn c3_a_place_is_left_out() {
    let mut run = Run::good();
    run.without(|entry| matches!(entry.what, What::Applied { .. } | What::Acked { .. }));
    run.rows()[2].seq = Seq(4);
    assert_eq!(run.broken(), [Rule::NoHoles]);
}

#[test]
fn c4_a_reader_leaves_a_change_out_or_takes_one_twice_or_misses_the_end() {
    let mut run = Run::good();
    run.without(|entry| entry.actor == READER && matches!(entry.what, What::Applied { seq: Seq(2), .. }));
    assert_eq!(run.broken(), [Rule::OneAfterTheOther]);

    let mut run = Run::good();
    run.applied(50, READER, 3);
    assert_eq!(run.broken(), [Rule::OneAfterTheOther]);

    let mut run = Run::good();
    run.without(|entry| entry.actor == READER && matches!(entry.what, What::Applied { seq: Seq(3), .. }));
    let session = run.session;
    run.note(60, READER, What::Settled { session });
    assert_eq!(run.broken(), [Rule::OneAfterTheOther]);
}

#[test]
fn c4_the_server_goes_back() {
    for (same_history, broken) in [(true, &[Rule::OneAfterTheOther][..]), (false, &[])] {
        let mut run = Run::good();
        let session = run.session;
        run.note(90, READER, What::Reset { session, same_history });
        (1..=3).for_each(|n| run.applied(100 + n, READER, n));
        assert_eq!(run.broken(), broken, "a restored history is read anew");
    }
}

#[test]
fn c5_two_readers_see_different_messages_in_one_place() {
    let mut run = Run::good();
    let other = run.messages[1];
    for entry in &mut run.entries {
        if let (READER, What::Applied { seq: Seq(3), message, digest: text, .. }) =
            (entry.actor, &mut entry.what)
        {
            (*message, *text) = (other, digest("2"));
        }
    }
    assert_eq!(run.broken(), [Rule::SameForAll]);
}

#[test]
fn c6_a_devices_second_message_is_stored_before_its_first() {
    let mut run = Run::good();
    run.without(|entry| matches!(entry.what, What::Applied { .. } | What::Acked { .. }));
    let rows = run.rows();
    (rows[0].message, rows[0].digest, rows[1].message, rows[1].digest) =
        (rows[1].message, rows[1].digest, rows[0].message, rows[0].digest);
    assert_eq!(run.broken(), [Rule::FirstInFirstOut]);
}

#[test]
fn c7_something_is_seen_that_is_not_stored_or_stored_that_nobody_wrote_or_was_refused() {
    let mut run = Run::good();
    run.rows().pop();
    run.without(|entry| matches!(entry.what, What::Acked { seq: Seq(3), .. }));
    assert_eq!(run.broken(), [Rule::NothingInvented]);

    let mut run = Run::good();
    run.rows().push(Stored { seq: Seq(4), rev: Rev(4), message: MessageId::new(), digest: 0 });
    assert_eq!(run.broken(), [Rule::NothingInvented]);

    let mut run = Run::good();
    run.rows()[1].digest = digest("something else");
    assert_eq!(run.broken(), [Rule::NothingInvented]);

    let mut run = Run::good();
    let message = run.messages[0];
    run.note(70, WRITER, What::Refused { message });
    assert_eq!(run.broken(), [Rule::NothingInvented]);
}

#[test]
fn c8_a_message_comes_late_to_a_reader_who_is_in_step() {
    let late = |run: &mut Run| {
        run.without(|entry| entry.actor == READER && matches!(entry.what, What::Applied { seq: Seq(3), .. }));
    };
    let mut run = Run::good();
    late(&mut run);
    run.applied(1500, READER, 3);
    assert_eq!(run.broken(), [Rule::InTime]);

    let mut run = Run::good();
    late(&mut run);
    run.note(200, READER, What::Away);
    run.note(1400, READER, What::InStep);
    run.applied(1500, READER, 3);
    assert_eq!(run.broken(), [], "who was away is not in step");
}

#[test]
fn c9_an_ended_login_goes_on_seeing() {
    let mut run = Run::good();
    run.without(|entry| entry.actor == READER && matches!(entry.what, What::Applied { seq: Seq(3), .. }));
    run.note(30, READER, What::Revoked);
    run.applied(1500, READER, 3);
    assert_eq!(run.broken(), [Rule::EndedIsEnded]);
}

#[test]
fn c10_two_acknowledgements_of_one_message_differ() {
    let mut run = Run::good();
    let (session, message) = (run.session, run.messages[0]);
    run.note(80, WRITER, What::Acked { session, message, seq: Seq(2) });
    assert_eq!(run.broken(), [Rule::SameAnswer]);
}

#[test]
fn c11_a_reader_sees_what_was_said_while_they_were_out() {
    let there = |stays: &[(i64, i64)]| {
        let stays = stays.iter().map(|(after, up_to)| (Seq(*after), Seq(*up_to)));
        Run { stays: Some(stays.collect()), ..Run::good() }
    };
    assert_eq!(there(&[(0, 1), (1, i64::MAX)]).broken(), []);
    assert_eq!(there(&[(0, 1), (2, i64::MAX)]).broken(), [Rule::OnlyWhileThere]);
    assert_eq!(there(&[(0, 2)]).broken(), [Rule::OnlyWhileThere]);

    let mut run = there(&[(0, 1), (2, i64::MAX)]);
    let session = run.session;
    run.without(|entry| entry.actor == READER && matches!(entry.what, What::Applied { seq: Seq(2), .. }));
    run.note(5000, READER, What::Settled { session });
    assert_eq!(run.broken(), [], "what is between the stays is not missing");

    // Back again, and everything that may be seen is read anew.
    let mut run = there(&[(0, 1), (2, i64::MAX)]);
    run.without(|entry| entry.actor == READER && matches!(entry.what, What::Applied { seq: Seq(2 | 3), .. }));
    run.note(40, READER, What::Left { session: run.session });
    run.applied(50, READER, 1);
    run.applied(51, READER, 3);
    assert_eq!(run.broken(), []);

    let mut run = there(&[(0, 1), (2, i64::MAX)]);
    run.without(|entry| entry.actor == READER && matches!(entry.what, What::Applied { seq: Seq(1 | 2), .. }));
    assert!(run.broken().contains(&Rule::OneAfterTheOther), "a part of an earlier stay is missing");
}
