//! Leaving a session and coming back, as the state machine sees it, case by case. `sync.rs` shows that any mixture of
//! them with everything else ends well.

use protocol::api::History;
use protocol::{
    Change, ClientFrame, Epoch, Head, Kind, LiveMessage, Me, Message, MessageId, Pending, PendingState,
    Presence, Rev, Seq, ServerFrame, SessionHead, SessionId, SessionNotice, Snapshot, Span, Step, Sync,
    TimeStamp, User, UserId,
};

const NOW: TimeStamp = TimeStamp(0);

/// Ada, who is in a group in which two messages were said.
struct Group {
    sync: Sync,
    ada: UserId,
    bob: UserId,
    session: SessionId,
    epoch: Epoch,
}

fn span(after: i64, up_to: Option<i64>) -> Span {
    Span { after: Seq(after), up_to: up_to.map(Seq) }
}

impl Group {
    fn new(sync: Sync) -> Self {
        let (ada, bob) = (UserId::new(), UserId::new());
        let mut group = Self { sync, ada, bob, session: SessionId::new(), epoch: Epoch::new() };
        let _ = group.welcome(Some((2, vec![])));
        let _ = group.page(0, 2, vec![group.message(1, 1), group.message(2, 2)]);
        group
    }

    /// Reconnects, to a server where the group stands here and shows this of it; `None` if Ada is not in it.
    fn welcome(&mut self, stands: Option<(i64, Vec<Span>)>) -> Step {
        self.sync.disconnected();
        let _hello = self.sync.connected();
        let user = |name: &str| User { username: name.into(), status: Presence::Online };
        let users = [(self.ada, user("Ada")), (self.bob, user("Bob"))];
        let epoch = self.epoch;
        let head = |(stands, spans)| SessionHead {
            epoch,
            rev: Rev(stands),
            last_seq: Seq(stands),
            read_seq: Seq(stands),
            users: users.into(),
            kind: Kind::Group,
            title: None,
            owner: None,
            began_at: NOW,
            spans,
        };
        let sessions = stands.map(head).map(|head| (self.session, head)).into_iter().collect();
        self.sync.receive(ServerFrame::Welcome { user_id: self.ada, sessions })
    }

    /// Ada joins, where the group stands here and shows this of it.
    fn joins(&mut self, stands: i64, spans: Vec<Span>) -> Step {
        self.sync.receive(ServerFrame::Session(SessionNotice {
            session_id: self.session,
            epoch: self.epoch,
            rev: Rev(stands),
            last_seq: Seq(stands),
            users: [(self.ada, "Ada".into()), (self.bob, "Bob".into())].into(),
            kind: Kind::Group,
            title: None,
            owner: None,
            began_at: NOW,
            spans,
        }))
    }

    fn leaves(&mut self) -> Step {
        self.sync.receive(ServerFrame::Left { session_id: self.session })
    }

    fn page(&mut self, from: i64, to: i64, messages: Vec<Message>) -> Step {
        let (session_id, epoch, from, to) = (self.session, self.epoch, Rev(from), Rev(to));
        self.sync.receive(ServerFrame::Page { session_id, epoch, from, to, more: false, messages })
    }

    fn live(&mut self, message: Message) -> Step {
        self.sync.receive(ServerFrame::Message(LiveMessage { session_id: self.session, message }))
    }

    fn message(&self, seq: i64, rev: i64) -> Message {
        Message {
            message_id: MessageId::new(),
            data: format!("message {seq}"),
            time_stamp: NOW,
            sender: self.bob,
            seq: Seq(seq),
            rev: Rev(rev),
            edited_at: None,
            deleted_at: None,
        }
    }

    fn places(&self) -> Vec<i64> {
        self.sync.rows(self.session).iter().filter_map(|row| row.seq).map(|seq| seq.0).collect()
    }
}

fn fetched(step: &Step) -> Vec<i64> {
    let rev = |frame: &ClientFrame| match frame {
        ClientFrame::Fetch { rev, .. } => Some(rev.0),
        _ => None,
    };
    step.send.iter().filter_map(rev).collect()
}

fn reason(pending: &Pending) -> &str {
    match &pending.state {
        PendingState::Failed(fault) => &fault.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_in_a_group_that_is_left_is_returned_to_its_writer() {
    let mut group = Group::new(Sync::new());
    let (sent, _) = group.sync.send(group.session, "sent".into(), NOW);
    group.sync.disconnected();
    let (waiting, _) = group.sync.send(group.session, "waiting".into(), NOW);
    let step = group.welcome(None);
    assert!(step.changes.contains(&Change::Returned) && step.changes.contains(&Change::Sessions));
    assert_eq!(step.send, [], "nothing goes out");
    let returned: Vec<&Pending> = group.sync.returned().collect();
    let ids: Vec<MessageId> = returned.iter().map(|pending| pending.message_id).collect();
    assert_eq!(ids, [sent, waiting]);
    assert!(reason(returned[0]).contains("may have arrived"), "{returned:?}");
    assert!(reason(returned[1]).contains("was not sent"), "{returned:?}");
    let mut next = Sync::from_snapshot(&Snapshot {
        me: Me { user_id: group.ada, username: "Ada".into() },
        sessions: [].into(),
        invited: vec![],
        asked: vec![],
    });
    let _ = next.receive(ServerFrame::Welcome { user_id: group.ada, sessions: [].into() });
    let kept = |pending: &&Pending| Pending { state: PendingState::Waiting, ..(*pending).clone() };
    let _ = next.restore(returned.iter().map(kept));
    assert!(next.returned().eq(returned), "a later run says the same");

    let (taken, step) = group.sync.take_back(sent);
    assert_eq!(taken.unwrap().data, "sent");
    assert!(step.changes.contains(&Change::Returned));
    let step = group.joins(2, vec![span(2, None)]);
    assert_eq!(step.send, [], "it does not go out by itself when she is back");
    assert_eq!(group.sync.rows(group.session).len(), 1, "but it is there, to be sent again");
    assert_eq!(group.sync.retry(waiting).send.len(), 1);
}

#[test]
fn a_live_end_is_the_same_and_nothing_that_comes_later_is_taken() {
    let mut group = Group::new(Sync::new());
    let (id, _) = group.sync.send(group.session, "on its way".into(), NOW);
    let step = group.leaves();
    assert!(step.changes.contains(&Change::Sessions) && step.changes.contains(&Change::Returned));
    let _ = group.live(group.message(3, 3));
    let _ = group.page(0, 3, vec![group.message(3, 3)]);
    let head = Head { epoch: group.epoch, rev: Rev(4) };
    let reset = ServerFrame::Reset { session_id: group.session, epoch: head.epoch, rev: head.rev };
    assert_eq!(group.sync.receive(reset).send, []);
    assert!(group.sync.sessions().is_empty());
    let ack = ServerFrame::Ack { message_id: id, seq: Seq(3), rev: Rev(3), time_stamp: NOW };
    let _ = group.sync.receive(ack);
    assert_eq!(group.sync.returned().count(), 0, "it had arrived after all");
    assert!(group.sync.sessions().is_empty());
}

#[test]
fn whoever_comes_back_begins_anew_and_sees_both_stays() {
    let mut group = Group::new(Sync::new());
    let _ = group.leaves();
    let step = group.joins(5, vec![span(0, Some(2)), span(5, None)]);
    assert_eq!(fetched(&step), [0]);
    let _ = group.page(0, 5, vec![group.message(1, 1), group.message(2, 4)]);
    let _ = group.live(group.message(6, 6));
    assert_eq!(group.places(), [1, 2, 6]);
    assert_eq!(
        group.sync.sessions()[&group.session].unread(Some(group.ada)),
        1,
        "what was missed is not unread"
    );
}

#[test]
fn whoever_left_and_came_back_without_a_connection_discards_what_they_hold() {
    let mut group = Group::new(Sync::new());
    let step = group.welcome(Some((5, vec![span(0, Some(1)), span(5, None)])));
    assert_eq!(fetched(&step), [0], "the page that comes by itself does not join on");
    let _ = group.page(2, 5, vec![]);
    assert_eq!(group.places(), [0; 0]);
    let _ = group.page(0, 5, vec![group.message(1, 1)]);
    assert_eq!(group.places(), [1]);
    assert_eq!(
        fetched(&group.welcome(Some((5, vec![span(0, Some(1)), span(5, None)])))),
        [0; 0],
        "the same again"
    );
    assert_eq!(group.places(), [1]);
}

#[test]
fn a_page_asks_the_history_instead_and_its_parts_join_on_across_the_gap() {
    let mut group = Group::new(Sync::new().letting_go_beyond(400));
    let stale = group.sync.sessions()[&group.session].earlier();
    let _ = group.leaves();
    let step = group.joins(5, vec![span(0, Some(2)), span(5, None)]);
    assert_eq!(step.send, []);
    assert!(step.changes.contains(&Change::LetGo(group.session)));
    let _ = group.live(group.message(6, 6));
    let old = History { messages: vec![group.message(4, 4)], more: false, covers: None };
    let _ = group.sync.prepend(group.session, stale, old);
    assert_eq!(group.places(), [6], "an answer to a question from before she left");
    let asked = group.sync.sessions()[&group.session].earlier();
    assert_eq!(asked.before, Seq(6));
    let covers = Some(span(0, Some(5)));
    let found = History { messages: vec![group.message(1, 1), group.message(2, 2)], more: false, covers };
    let _ = group.sync.prepend(group.session, asked, found);
    assert_eq!(group.places(), [1, 2, 6]);
    assert!(!group.sync.sessions()[&group.session].timeline.has_older());
}

#[test]
fn whoever_joins_for_the_first_time_has_nothing_to_fetch_and_is_told_the_first_message() {
    let mut group = Group::new(Sync::new());
    let _ = group.leaves();
    group.session = SessionId::new();
    let step = group.joins(7, vec![span(7, None)]);
    assert_eq!(step.send, []);
    let message = group.message(8, 8);
    let arrived = Change::Arrived(group.session, message.message_id);
    let step = group.live(message);
    assert!(step.changes.contains(&arrived) && step.send.is_empty(), "{step:?}");
}

#[test]
fn a_change_of_the_group_that_names_no_part_leaves_what_is_held() {
    let mut group = Group::new(Sync::new());
    let _ = group.leaves();
    let _ = group.joins(2, vec![span(2, None)]);
    let _ = group.live(group.message(3, 3));
    let step = group.joins(3, vec![]);
    assert_eq!((step.send, group.places()), (vec![], vec![3]));
}

#[test]
fn what_an_earlier_run_left_unsent_waits_for_the_welcome_to_be_returned() {
    let mut group = Group::new(Sync::new());
    let _ = group.sync.send(group.session, "kept".into(), NOW);
    let kept = group.sync.outbox().to_vec();
    let mut next = Group { sync: Sync::new(), ..group };
    let step = next.sync.restore(kept.clone());
    assert_eq!(
        (step.changes, next.sync.outbox().len()),
        (vec![], 0),
        "nobody knows yet which sessions there are"
    );
    let _ = next.welcome(None);
    let step = next.sync.restore(kept);
    assert!(step.changes.contains(&Change::Returned));
    assert_eq!(next.sync.returned().count(), 1);
}
