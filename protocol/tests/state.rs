//! What the state machine sends and fetches, case by case. `sync.rs` shows that any mixture of them ends well.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;

use protocol::api::History;
use protocol::{
    Change, ClientFrame, Code, Epoch, Head, InviteId, Kind, LiveMessage, Message, MessageId, Outcome,
    Pending, PendingState, Position, Presence, Refused, Rev, RowState, SearchNotice, Seq, ServerFrame,
    SessionHead, SessionId, SessionNotice, Sync, TimeStamp, User, UserId,
};

/// A session of two people that this client hears of.
fn begun(session_id: SessionId, epoch: Epoch, last_seq: i64, users: BTreeMap<UserId, String>) -> ServerFrame {
    let (kind, began_at) = (Kind::Pair, TimeStamp(0));
    let last_seq = Seq(last_seq);
    ServerFrame::Session(SessionNotice {
        session_id,
        epoch,
        rev: Rev(0),
        last_seq,
        users,
        kind,
        title: None,
        owner: None,
        began_at,
        spans: vec![],
    })
}

/// Ada, connected, in one session with Bob that is still empty.
struct Desk {
    sync: Sync,
    ada: UserId,
    bob: UserId,
    session: SessionId,
    epoch: Epoch,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self {
            sync: Sync::new(),
            ada: UserId::new(),
            bob: UserId::new(),
            session: SessionId::new(),
            epoch: Epoch::new(),
        };
        desk.reconnect(0, 0, 0);
        desk
    }

    /// Opens a new socket and welcomes it. Returns what the client sends on it.
    fn reconnect(&mut self, rev: i64, last_seq: i64, read_seq: i64) -> Vec<ClientFrame> {
        self.sync.disconnected();
        let _hello = self.sync.connected();
        self.welcome(rev, last_seq, read_seq).send
    }

    fn welcome(&mut self, rev: i64, last_seq: i64, read_seq: i64) -> protocol::Step {
        let user = |name: &str| User { username: name.into(), status: Presence::Online };
        let users = [(self.ada, user("Ada")), (self.bob, user("Bob"))].into();
        let (epoch, rev) = (self.epoch, Rev(rev));
        let head = SessionHead {
            epoch,
            rev,
            last_seq: Seq(last_seq),
            read_seq: Seq(read_seq),
            users,
            kind: Kind::Pair,
            title: None,
            owner: None,
            began_at: TimeStamp(0),
            spans: vec![],
        };
        let sessions = [(self.session, head)].into();
        self.sync.receive(ServerFrame::Welcome { user_id: self.ada, sessions })
    }

    fn message(&self, seq: i64, sender: UserId) -> Message {
        Message {
            message_id: MessageId::new(),
            data: format!("message {seq}"),
            time_stamp: TimeStamp(1),
            sender,
            seq: Seq(seq),
            rev: Rev(seq),
            edited_at: None,
            deleted_at: None,
        }
    }

    fn live(&mut self, message: Message) -> protocol::Step {
        self.sync.receive(ServerFrame::Message(LiveMessage { session_id: self.session, message }))
    }

    fn page(&mut self, from: i64, messages: Vec<Message>) -> protocol::Step {
        let to = messages.last().unwrap().rev;
        let (session_id, epoch) = (self.session, self.epoch);
        self.sync.receive(ServerFrame::Page { session_id, epoch, from: Rev(from), to, more: false, messages })
    }

    /// The message that this client sent is stored: every change in this session is one.
    fn ack(&mut self, message_id: MessageId, seq: i64) -> protocol::Step {
        let (seq, rev, time_stamp) = (Seq(seq), Rev(seq), TimeStamp(5));
        self.sync.receive(ServerFrame::Ack { message_id, seq, rev, time_stamp })
    }

    fn unread(&self) -> i64 {
        self.sync.sessions()[&self.session].unread(self.sync.me())
    }

    fn write(&mut self, text: &str) -> (MessageId, protocol::Step) {
        self.sync.send(self.session, text.into(), TimeStamp(0))
    }

    fn fetch(&self, rev: i64) -> ClientFrame {
        ClientFrame::Fetch { session_id: self.session, rev: Rev(rev) }
    }
}

/// The messages among these frames.
fn messages(frames: &[ClientFrame]) -> Vec<MessageId> {
    let id = |frame: &ClientFrame| match frame {
        ClientFrame::Message(sent) => Some(sent.message_id),
        _ => None,
    };
    frames.iter().filter_map(id).collect()
}

fn arrived(changes: &[Change]) -> usize {
    changes.iter().filter(|change| matches!(change, Change::Arrived(..))).count()
}

#[test]
fn a_row_keeps_its_name_from_pending_to_sent() {
    let mut desk = Desk::new();
    let (id, step) = desk.write("hello");
    assert!(matches!(&step.send[..], [ClientFrame::Message(sent)] if sent.message_id == id));
    assert_eq!(desk.sync.rows(desk.session)[0].state, RowState::Pending);
    let ack = ServerFrame::Ack { message_id: id, seq: Seq(1), rev: Rev(1), time_stamp: TimeStamp(5) };
    let _ = desk.sync.receive(ack.clone());
    let rows = desk.sync.rows(desk.session);
    assert_eq!((rows.len(), rows[0].message_id, &rows[0].state), (1, id, &RowState::Sent));
    assert_eq!(rows[0].time_stamp, TimeStamp(5), "the server's clock counts");
    assert_eq!(desk.unread(), 0);
    let _ = desk.sync.receive(ack);
    assert_eq!(desk.sync.rows(desk.session), rows, "a second ack changes nothing");
}

#[test]
fn what_is_written_before_the_first_welcome_waits_and_is_shown_after_it() {
    let mut sync = Sync::new();
    let session = SessionId::new();
    let (_, step) = sync.send(session, "early".into(), TimeStamp(0));
    assert_eq!((step.send, sync.rows(session)), (vec![], vec![]), "nobody knows yet who writes");
    let head = SessionHead {
        epoch: Epoch::new(),
        rev: Rev(0),
        last_seq: Seq(0),
        read_seq: Seq(0),
        users: BTreeMap::new(),
        kind: Kind::Pair,
        title: None,
        owner: None,
        began_at: TimeStamp(0),
        spans: vec![],
    };
    let sessions = [(session, head)].into();
    let step = sync.receive(ServerFrame::Welcome { user_id: UserId::new(), sessions });
    assert_eq!((step.send.len(), sync.rows(session).len()), (1, 1));
}

#[test]
fn a_refused_message_stays_with_its_reason_until_its_writer_decides() {
    let mut desk = Desk::new();
    let (id, _) = desk.write("no");
    let refused = Refused {
        message_id: Some(id),
        session_id: Some(desk.session),
        invite_id: None,
        username: None,
        code: Code::Invalid,
        reason: "No.".into(),
        after_ms: None,
    };
    let _ = desk.sync.receive(ServerFrame::Refused(refused.clone()));
    assert!(
        matches!(&desk.sync.rows(desk.session)[0].state, RowState::Failed(fault) if fault.reason == "No.")
    );
    assert_eq!(desk.sync.retry(id).send.len(), 1);
    assert_eq!(desk.sync.take_back(id).0, None, "it is under way again");
    let _ = desk.sync.receive(ServerFrame::Refused(refused));
    assert_eq!(desk.sync.take_back(id).0.unwrap().data, "no", "its text is given back");
    assert!(desk.sync.rows(desk.session).is_empty());
}

#[test]
fn a_message_refused_for_now_waits_with_those_behind_it_and_goes_out_alone() {
    let mut desk = Desk::new();
    let (first, _) = desk.write("one");
    let put_off = |id: MessageId| {
        let said = format!(
            r#"{{"type":"Refused","MessageID":"{id}","Code":"TooMany","Reason":"Full.","AfterMs":9}}"#
        );
        ServerFrame::decode(&said).unwrap()
    };
    let is_put_off =
        |row: &protocol::Row| matches!(&row.state, RowState::PutOff(fault) if fault.reason == "Full.");
    let step = desk.sync.receive(put_off(first));
    assert!(step.changes.contains(&Change::PutOff(desk.session, 9)));
    let (second, sent) = desk.write("two");
    assert_eq!(sent.send, [], "nothing overtakes");
    assert!(desk.sync.rows(desk.session).iter().all(is_put_off));

    assert_eq!(desk.sync.resume(desk.session).send.len(), 1);
    assert!(
        desk.sync.rows(desk.session).iter().all(is_put_off),
        "nothing blinks while it is asked for again"
    );
    assert_eq!(desk.sync.take_back(first).0, None, "it is on its way");
    let _ = desk.sync.receive(put_off(first));
    assert_eq!(desk.reconnect(0, 0, 0).len(), 1, "a new socket is asked as carefully");
    let _ = desk.sync.receive(put_off(first));
    assert_eq!(desk.sync.retry(second).send.len(), 1, "which asks for the first");
    let said = ServerFrame::Ack { message_id: first, seq: Seq(1), rev: Rev(1), time_stamp: TimeStamp(1) };
    assert_eq!(desk.sync.receive(said).send.len(), 1, "the rest");
}

#[test]
fn a_refusal_for_now_whose_predecessor_was_let_go_when_the_client_lagged_waits_behind_that_one() {
    let mut desk = Desk::new();
    let (first, _) = desk.write("one");
    let (second, _) = desk.write("two");
    let _ = desk.sync.receive(ServerFrame::Lagged); // which loses the first one's refusal
    let said = format!(
        r#"{{"type":"Refused","MessageID":"{second}","Code":"TooMany","Reason":"Full.","AfterMs":9}}"#
    );
    let step = desk.sync.receive(ServerFrame::decode(&said).unwrap());
    assert!(!step.changes.contains(&Change::PutOff(desk.session, 9)));
    let sent = desk.welcome(0, 0, 0).send;
    assert!(matches!(&sent[..], [ClientFrame::Message(message)] if message.message_id == first));
}

#[test]
fn whoever_takes_back_the_first_message_refused_for_now_gets_a_socket_that_knows_nothing_of_it() {
    let mut desk = Desk::new();
    let (first, _) = desk.write("one");
    let (second, _) = desk.write("two");
    for id in [first, second] {
        let said = format!(
            r#"{{"type":"Refused","MessageID":"{id}","Code":"TooMany","Reason":"Full.","AfterMs":9}}"#
        );
        let _ = desk.sync.receive(ServerFrame::decode(&said).unwrap());
    }
    let (third, _) = desk.write("three");
    let (taken, step) = desk.sync.take_back(third);
    assert_eq!(taken.unwrap().data, "three");
    assert!(!step.changes.contains(&Change::Renew), "the server knows nothing of it");
    let (taken, step) = desk.sync.take_back(first);
    assert_eq!((taken.unwrap().data.as_str(), step.send.len()), ("one", 0));
    assert!(step.changes.contains(&Change::Renew));
    let sent = desk.reconnect(0, 0, 0);
    assert!(matches!(&sent[..], [ClientFrame::Message(message)] if message.message_id == second));
}

#[test]
fn a_refused_message_stands_for_its_session_whatever_is_written_after_it() {
    let mut desk = Desk::new();
    let newest = |desk: &Desk| desk.sync.last_row(desk.session).unwrap().data;
    let (refused, _) = desk.write("refused");
    let _ = desk.write("waits");
    assert_eq!(newest(&desk), "waits");
    let said = format!(r#"{{"type":"Refused","MessageID":"{refused}","Code":"Unavailable","Reason":"No."}}"#);
    let _ = desk.sync.receive(ServerFrame::decode(&said).unwrap());
    let _ = desk.write("waits too");
    assert_eq!(newest(&desk), "refused");
    let _ = desk.sync.take_back(refused);
    assert_eq!(newest(&desk), "waits too");
}

#[test]
fn a_refusal_in_words_of_a_later_server_is_a_refusal_with_its_reason() {
    let mut desk = Desk::new();
    let written: Vec<_> = (0..33).map(|n| desk.write(&format!("{n}")).0).collect();
    for id in &written[..32] {
        let said = format!(
            r#"{{"type":"Refused","MessageID":"{id}","SessionID":"{}","Code":"Surprise","Reason":"Tomorrow.","More":[1]}}"#,
            desk.session
        );
        let _ = desk.sync.receive(ServerFrame::decode(&said).unwrap());
    }
    let failed = |row: &protocol::Row| matches!(&row.state, RowState::Failed(f) if f.reason == "Tomorrow.");
    let rows = desk.sync.rows(desk.session);
    assert!(rows[..32].iter().all(failed));
    let sent = |pending: &Pending| pending.state == PendingState::Sent;
    assert!(desk.sync.outbox().iter().any(sent), "what was written after them goes out");
}

#[test]
fn an_invitation_that_ends_in_a_way_nobody_knows_yet_ends() {
    let mut desk = Desk::new();
    let (theirs, own) = (InviteId::new(), InviteId::new());
    for said in [
        format!(r#"{{"type":"Search","InviteID":"{theirs}","UserName":"Eve"}}"#),
        format!(r#"{{"type":"Search","InviteID":"{own}","Username":"Eve","Status":"Pending","Reason":""}}"#),
    ] {
        let _ = desk.sync.receive(ServerFrame::decode(&said).unwrap());
    }
    assert_eq!((desk.sync.invited().len(), desk.sync.asked().len()), (1, 1));
    for said in [
        format!(r#"{{"type":"Search","InviteID":"{theirs}","Status":"Expired"}}"#),
        format!(
            r#"{{"type":"Search","InviteID":"{own}","Username":"Eve","Status":"Expired","Reason":"Late."}}"#
        ),
    ] {
        let _ = desk.sync.receive(ServerFrame::decode(&said).unwrap());
    }
    assert_eq!((desk.sync.invited().len(), desk.sync.asked().len()), (0, 0));
}

#[test]
fn a_gap_is_asked_for_once_and_shows_nothing_before_it_is_filled() {
    let mut desk = Desk::new();
    let (one, two, three) = (desk.message(1, desk.bob), desk.message(2, desk.bob), desk.message(3, desk.bob));
    assert_eq!(desk.live(two.clone()).send, [desk.fetch(0)]);
    assert_eq!(desk.live(three.clone()).send, [], "it is on its way");
    assert!(desk.sync.rows(desk.session).is_empty());
    assert_eq!(desk.unread(), 3, "but it is known that there is something");
    let step = desk.page(0, vec![one, two, three]);
    assert_eq!((step.send, desk.sync.rows(desk.session).len()), (vec![], 3));
}

#[test]
fn messages_of_others_arrive_once_also_when_a_page_brings_them() {
    let mut desk = Desk::new();
    let messages: Vec<_> = (1..=4).map(|seq| desk.message(seq, desk.bob)).collect();
    assert_eq!(arrived(&desk.live(messages[0].clone()).changes), 1);
    assert_eq!(arrived(&desk.live(messages[0].clone()).changes), 0, "a repeat");
    let own = desk.message(2, desk.ada);
    assert_eq!(arrived(&desk.live(own.clone()).changes), 0, "one's own, from another device");
    let edited = Message { rev: Rev(3), data: "edited".into(), ..messages[0].clone() };
    assert_eq!(arrived(&desk.live(edited).changes), 0, "an edit is no arrival");

    assert_eq!(desk.reconnect(5, 4, 2), [], "the page comes unasked");
    let missed =
        vec![Message { rev: Rev(4), ..messages[2].clone() }, Message { rev: Rev(5), ..messages[3].clone() }];
    assert_eq!(arrived(&desk.page(3, missed).changes), 2);
}

#[test]
fn heads_are_answered_and_ask_again_for_what_may_have_been_forgotten() {
    let mut desk = Desk::new();
    let _ = desk.live(desk.message(2, desk.bob)); // fetches what is missing; the answer never comes
    let sessions = [(desk.session, Head { epoch: desk.epoch, rev: Rev(2) })].into();
    let step = desk.sync.receive(ServerFrame::Heads { sessions });
    assert_eq!(step.send, [ClientFrame::Pong {}, desk.fetch(0)]);
}

#[test]
fn a_client_that_lagged_begins_again_on_the_same_socket() {
    let mut desk = Desk::new();
    let _ = desk.live(desk.message(1, desk.bob));
    let (id, _) = desk.write("under way");
    let step = desk.sync.receive(ServerFrame::Lagged);
    let position = Position { rev: Rev(1), epoch: Some(desk.epoch) };
    assert_eq!(step.send, [ClientFrame::Hello { sessions: [(desk.session, position)].into() }]);
    assert!(!desk.sync.is_ready());

    let (late, step) = desk.write("until the welcome it waits");
    assert_eq!(step.send, []);
    let step = desk.welcome(3, 3, 0);
    assert_eq!(messages(&step.send), [id, late], "what has no answer goes out again, in order");
    let missed = vec![desk.message(2, desk.bob), desk.message(3, desk.bob)];
    assert_eq!(arrived(&desk.page(1, missed).changes), 2);
}

#[test]
fn an_answer_between_lagged_and_welcome_counts() {
    let mut desk = Desk::new();
    let (id, _) = desk.write("under way");
    let _ = desk.sync.receive(ServerFrame::Lagged);
    let ack = ServerFrame::Ack { message_id: id, seq: Seq(2), rev: Rev(2), time_stamp: TimeStamp(5) };
    assert_eq!(desk.sync.receive(ack).send, [], "nothing is asked before the welcome");
    let step = desk.welcome(2, 2, 0);
    assert_eq!(messages(&step.send), [], "it is not sent again");
    let missed = vec![desk.message(1, desk.bob), Message { message_id: id, ..desk.message(2, desk.ada) }];
    let _ = desk.page(0, missed);
    assert_eq!(desk.sync.rows(desk.session).len(), 2);
}

#[test]
fn a_reset_forgets_the_messages_and_asks_from_the_beginning() {
    let mut desk = Desk::new();
    let _ = desk.live(desk.message(1, desk.bob));
    desk.epoch = Epoch::new();
    assert_eq!(desk.reconnect(1, 1, 0), [], "the Reset is on its way");
    let (session_id, epoch) = (desk.session, desk.epoch);
    let step = desk.sync.receive(ServerFrame::Reset { session_id, epoch, rev: Rev(1) });
    assert_eq!(step.send, [desk.fetch(0)]);
    assert!(desk.sync.rows(desk.session).is_empty());
    let _ = desk.page(0, vec![desk.message(1, desk.bob)]);
    assert_eq!(desk.sync.rows(desk.session).len(), 1);
}

#[test]
fn what_was_read_without_a_connection_is_told_on_return() {
    let mut desk = Desk::new();
    let (one, two) = (desk.message(1, desk.bob), desk.message(2, desk.bob));
    let _ = (desk.live(one), desk.live(two));
    desk.sync.disconnected();
    assert_eq!(desk.sync.read(desk.session, Seq(2)).send, []);
    assert_eq!(desk.unread(), 0);
    let read = ClientFrame::Read { session_id: desk.session, seq: Seq(2) };
    assert_eq!(desk.reconnect(2, 2, 0), [read]);
    assert_eq!(desk.unread(), 0, "the server's older mark does not bring them back");
}

#[test]
fn names_of_what_waits_rise_whatever_the_clock_says() {
    let mut desk = Desk::new();
    desk.sync.disconnected();
    let tomorrow = MessageId("ffffffff-ffff-7000-8000-000000000000".parse().unwrap());
    let pending = Pending {
        message_id: tomorrow,
        session_id: desk.session,
        data: "written before the clock was set back".into(),
        written: TimeStamp(0),
        state: PendingState::Waiting,
        unanswered: false,
        put_off: None,
    };
    let _ = desk.sync.restore([pending]);
    let (first, second) = (desk.write("one").0, desk.write("two").0);
    assert!(tomorrow < first && first < second);
}

#[test]
fn what_was_said_while_ones_own_message_waited_is_unread() {
    let mut desk = Desk::new();
    desk.sync.disconnected();
    let (id, _) = desk.write("written before any of it");
    desk.reconnect(2, 2, 0);
    let said = vec![desk.message(1, desk.bob), desk.message(2, desk.bob)];
    let _ = desk.page(0, said);
    let _ = desk.ack(id, 3);
    assert_eq!(desk.unread(), 2);
    let _ = desk.live(desk.message(4, desk.ada)); // from another device
    assert_eq!(desk.unread(), 2);
    let _ = desk.sync.read(desk.session, Seq(2));
    assert_eq!(desk.unread(), 0, "one's own words are no news");
    let (id, _) = desk.write("and now");
    let _ = desk.ack(id, 5);
    assert_eq!(desk.unread(), 0);
}

#[test]
fn what_was_read_in_a_history_that_was_replaced_does_not_count() {
    let mut desk = Desk::new();
    let (one, two) = (desk.message(1, desk.bob), desk.message(2, desk.bob));
    let _ = (desk.live(one), desk.live(two), desk.sync.read(desk.session, Seq(2)));
    desk.epoch = Epoch::new();
    assert_eq!(desk.reconnect(2, 2, 1), [], "the old marker is not told");
    assert_eq!(desk.unread(), 1);
}

#[test]
fn a_session_that_welcome_does_not_name_is_gone() {
    let mut desk = Desk::new();
    let _ = desk.sync.receive(ServerFrame::Welcome { user_id: desk.ada, sessions: BTreeMap::new() });
    assert!(desk.sync.sessions().is_empty());
}

#[test]
fn a_welcome_for_somebody_else_is_refused_and_what_waits_stays_here() {
    let mut desk = Desk::new();
    let _ = desk.live(desk.message(1, desk.bob));
    let (id, _) = desk.write("Ada's own words");
    desk.sync.disconnected();
    let _hello = desk.sync.connected();
    let welcome = ServerFrame::Welcome { user_id: desk.bob, sessions: BTreeMap::new() };
    let step = desk.sync.receive(welcome);
    assert_eq!((step.send, step.changes), (vec![], vec![Change::Stranger]));
    assert_eq!((desk.sync.me(), desk.sync.is_ready()), (Some(desk.ada), false));
    assert_eq!(desk.sync.rows(desk.session).len(), 2, "nothing was applied");
    let (late, step) = desk.write("more of them");
    assert_eq!(step.send, []);
    assert_eq!(messages(&desk.reconnect(1, 1, 0)), [id, late], "they wait for Ada");
}

#[test]
fn what_two_clients_of_one_user_send_is_one_row_at_both() {
    let mut desk = Desk::new();
    let (id, _) = desk.write("said once");
    let kept = vec![Pending { state: PendingState::Waiting, ..desk.sync.outbox()[0].clone() }];
    let mut other = Desk { sync: Sync::new(), ..desk };
    let _ = other.welcome(0, 0, 0);
    assert_eq!(messages(&other.sync.restore(kept.clone()).send), [id]);
    assert_eq!(messages(&other.sync.restore(kept.clone()).send), [], "it is under way");
    assert_eq!(other.sync.rows(other.session).len(), 1);
    // The first device's copy reached the server first; this one's repeat gets its place as the answer.
    let _ = other.live(Message { message_id: id, ..other.message(1, other.ada) });
    let ack = ServerFrame::Ack { message_id: id, seq: Seq(1), rev: Rev(1), time_stamp: TimeStamp(1) };
    let _ = other.sync.receive(ack);
    assert_eq!(messages(&other.sync.restore(kept).send), [], "it is stored");
    assert_eq!((other.sync.rows(other.session).len(), other.sync.outbox().len()), (1, 0));
}

#[test]
fn after_a_restore_a_session_that_hello_had_no_room_for_begins_anew_too() {
    let (me, old, new) = (UserId::new(), Epoch::new(), Epoch::new());
    let sessions: Vec<_> = (0..257).map(|_| SessionId::new()).collect();
    let welcome = |epoch, rev| {
        let head = SessionHead {
            epoch,
            rev: Rev(rev),
            last_seq: Seq(rev),
            read_seq: Seq(0),
            users: BTreeMap::new(),
            kind: Kind::Pair,
            title: None,
            owner: None,
            began_at: TimeStamp(0),
            spans: vec![],
        };
        let sessions = sessions.iter().map(|id| (*id, head.clone())).collect();
        ServerFrame::Welcome { user_id: me, sessions }
    };
    let come_back = |sync: &mut Sync, rev| {
        sync.disconnected();
        let ClientFrame::Hello { sessions: named } = sync.connected() else { panic!("no Hello") };
        assert!(!named.contains_key(&sessions[0]));
        sync.receive(welcome(new, rev))
    };
    let mut sync = Sync::new();
    let _ = sync.receive(welcome(old, 2));
    let mut impatient = sync.clone().letting_go_beyond(400);

    let step = come_back(&mut sync, 2);
    assert_eq!(step.send, [ClientFrame::Fetch { session_id: sessions[0], rev: Rev(0) }]);
    assert!(step.changes.contains(&Change::Rows(sessions[0])));

    let step = come_back(&mut impatient, 500);
    assert_eq!(step.send, []);
    assert!(step.changes.contains(&Change::LetGo(sessions[0])));
}

#[test]
fn heads_say_nothing_of_a_session_that_is_not_known_yet() {
    let mut desk = Desk::new();
    let (session_id, epoch) = (SessionId::new(), Epoch::new());
    let sessions = [(session_id, Head { epoch, rev: Rev(500) })].into();
    assert_eq!(desk.sync.receive(ServerFrame::Heads { sessions }).send, [ClientFrame::Pong {}]);
    let users = [(desk.ada, "Ada".to_owned()), (desk.bob, "Bob".to_owned())].into();
    let _ = desk.sync.receive(begun(session_id, epoch, 500, users));
    assert_eq!(desk.sync.sessions()[&session_id].unread(desk.sync.me()), 0, "one is new there");
}

#[test]
fn invitations_come_and_go_on_both_sides() {
    let mut desk = Desk::new();
    let (theirs, own) = (InviteId::new(), InviteId::new());
    let mut hear = |notice| desk.sync.receive(ServerFrame::Search(notice));
    let outcome = |status| SearchNotice::Outcome {
        username: "Eve".into(),
        status,
        reason: String::new(),
        invite_id: Some(own),
        session_id: None,
    };
    let _ = hear(SearchNotice::Invited { invite_id: theirs, username: "Eve".into() });
    let _ = hear(SearchNotice::Invited { invite_id: theirs, username: "Eve".into() });
    let _ = hear(outcome(Outcome::Pending));
    assert_eq!((desk.sync.invited().len(), desk.sync.asked().len()), (1, 1), "told twice is there once");
    let mut hear = |notice| desk.sync.receive(ServerFrame::Search(notice));
    let _ = hear(SearchNotice::Closed { invite_id: theirs, status: Outcome::Accepted, session_id: None });
    let _ = hear(outcome(Outcome::Rejected));
    assert_eq!((desk.sync.invited().len(), desk.sync.asked().len()), (0, 0));

    // An invitation that was open and is not named after a Welcome was answered meanwhile.
    let _ = desk
        .sync
        .receive(ServerFrame::Search(SearchNotice::Invited { invite_id: theirs, username: "Eve".into() }));
    let _ = desk.reconnect(0, 0, 0);
    assert!(desk.sync.invited().is_empty());
}

#[test]
fn a_new_session_is_known_with_its_users_before_its_first_message() {
    let mut desk = Desk::new();
    let (session_id, epoch) = (SessionId::new(), Epoch::new());
    let users = [(desk.ada, "Ada".to_owned()), (desk.bob, "Bob".to_owned())].into();
    let _ = desk.sync.receive(begun(session_id, epoch, 0, users));
    let _ = desk.sync.receive(ServerFrame::Status { user_id: desk.bob, status: Presence::Online });
    assert_eq!(desk.sync.sessions()[&session_id].users[&desk.bob].status, Presence::Online);
    desk.session = session_id;
    let step = desk.live(desk.message(1, desk.bob));
    assert_eq!((step.send.len(), arrived(&step.changes), desk.unread()), (0, 1, 1));
}

#[test]
fn whoever_is_taken_into_a_session_has_nothing_to_read_of_before() {
    let mut desk = Desk::new();
    let (session_id, epoch) = (SessionId::new(), Epoch::new());
    let users = [(desk.ada, "Ada".to_owned()), (desk.bob, "Bob".to_owned())].into();
    let _ = desk.sync.receive(begun(session_id, epoch, 500, users));
    desk.session = session_id;
    assert_eq!(desk.unread(), 0);
    let message = Message { seq: Seq(501), ..desk.message(1, desk.bob) };
    let _ = desk.live(message);
    assert_eq!(desk.unread(), 1);
}

#[test]
fn an_answer_between_lagged_and_welcome_may_stand_for_a_later_state() {
    let mut desk = Desk::new();
    let (id, _) = desk.write("as it was written"); // stored, acknowledged, edited, and all frames about it discarded
    let _ = desk.sync.receive(ServerFrame::Lagged);
    let retried = desk.welcome(3, 2, 0).send;
    assert_eq!(messages(&retried), [id]);
    let _ = desk.page(0, vec![Message { rev: Rev(2), ..desk.message(2, desk.bob) }]); // part of what was missed
    let _ = desk.sync.receive(ServerFrame::Lagged);
    let ack = ServerFrame::Ack { message_id: id, seq: Seq(1), rev: Rev(3), time_stamp: TimeStamp(5) };
    let _ = desk.sync.receive(ack);
    let _ = desk.welcome(3, 2, 0);
    let edited = Message { message_id: id, rev: Rev(3), data: "edited".into(), ..desk.message(1, desk.ada) };
    let _ = desk.page(2, vec![edited]);
    assert_eq!(desk.sync.rows(desk.session)[0].data, "edited");
}

#[test]
fn a_client_without_patience_lets_go_and_begins_with_the_newest() {
    let mut desk = Desk::new();
    desk.sync = std::mem::take(&mut desk.sync).letting_go_beyond(400);
    let _ = desk.live(desk.message(1, desk.bob));
    let (id, _) = desk.write("on its way");
    assert_eq!(
        desk.reconnect(401, 401, 0).len(),
        1,
        "400 are caught up with: only the message goes out again"
    );
    assert_eq!(desk.sync.rows(desk.session).len(), 2);

    desk.sync.disconnected();
    let _hello = desk.sync.connected();
    let step = desk.welcome(1402, 1402, 1);
    assert!(step.changes.contains(&Change::LetGo(desk.session)));
    assert_eq!(messages(&step.send), [id], "nothing is fetched, and what is on its way goes out");
    assert_eq!(desk.sync.rows(desk.session).len(), 1, "it alone is held");
    assert_eq!(desk.unread(), 1401, "what was read stays so");
    let unasked = vec![desk.message(2, desk.bob)];
    assert_eq!(arrived(&desk.page(1, unasked).changes), 0, "the page that comes unasked is no news");

    let asked = desk.sync.sessions()[&desk.session].earlier();
    assert_eq!(asked.before, Seq(1403));
    let _ = desk.live(desk.message(1403, desk.bob));
    let newest = (1353..=1402).map(|seq| desk.message(seq, desk.bob)).collect();
    let _ = desk.sync.prepend(desk.session, asked, History { messages: newest, more: true, covers: None });
    let held = desk.sync.rows(desk.session);
    let places = held.iter().filter_map(|row| row.seq).map(|seq| seq.0);
    assert!(places.eq(1353..=1403), "no hole between what came and what was asked for");
    assert!(desk.sync.sessions()[&desk.session].timeline.has_older());
    assert!(!desk.sync.sessions()[&desk.session].timeline.is_behind());
}

#[test]
fn of_sessions_that_a_welcome_names_first_a_client_without_patience_asks_nothing_until_they_are_looked_at() {
    let (me, other, epoch) = (UserId::new(), UserId::new(), Epoch::new());
    let head = SessionHead {
        epoch,
        rev: Rev(3),
        last_seq: Seq(3),
        read_seq: Seq(1),
        users: [(me, User { username: "Ada".into(), status: Presence::Online })].into(),
        kind: Kind::Pair,
        title: None,
        owner: None,
        began_at: TimeStamp(0),
        spans: vec![],
    };
    let sessions: BTreeMap<_, _> = (0..5000).map(|_| (SessionId::new(), head.clone())).collect();
    let first = *sessions.keys().next().unwrap();
    let mut sync = Sync::new().letting_go_beyond(400);
    let step = sync.receive(ServerFrame::Welcome { user_id: me, sessions });
    assert_eq!(step.send, []);
    assert!(step.changes.contains(&Change::LetGo(first)));
    let session = &sync.sessions()[&first];
    assert_eq!(
        (session.unread(sync.me()), session.timeline.has_older(), session.timeline.is_behind()),
        (2, true, false)
    );

    let message = |seq| Message {
        message_id: MessageId::new(),
        data: "here".into(),
        time_stamp: TimeStamp(seq),
        sender: other,
        seq: Seq(seq),
        rev: Rev(seq),
        edited_at: None,
        deleted_at: None,
    };
    let step = sync.receive(ServerFrame::Message(LiveMessage { session_id: first, message: message(4) }));
    assert_eq!((step.send, sync.rows(first).len()), (vec![], 1), "the next one is there at once");
    let asked = sync.sessions()[&first].earlier();
    let messages = (1..=3).map(message).collect();
    let _ = sync.prepend(first, asked, History { messages, more: false, covers: None });
    assert_eq!(sync.rows(first).len(), 4);
}

#[test]
fn after_a_reset_too_a_client_without_patience_begins_with_the_newest() {
    let mut desk = Desk::new();
    desk.sync = std::mem::take(&mut desk.sync).letting_go_beyond(400);
    let _ = desk.live(desk.message(1, desk.bob));
    desk.epoch = Epoch::new();
    let _ = desk.reconnect(500, 500, 0);
    let (session_id, epoch) = (desk.session, desk.epoch);
    let step = desk.sync.receive(ServerFrame::Reset { session_id, epoch, rev: Rev(500) });
    assert_eq!(step.send, []);
    assert!(step.changes.contains(&Change::LetGo(desk.session)));
}
