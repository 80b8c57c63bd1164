//! One sample value for every frame and body; the golden files beside this one hold the same as JSON.

use std::collections::BTreeMap;
use std::fmt::Debug;

use protocol::api::{Loaded, LoadedMessage, LoadedSession};
use protocol::{
    Answer, Asked, ClientFrame, Code, Epoch, Head, InviteId, Kind, LiveMessage, Message, MessageId, Outcome,
    Position, Presence, Refused, Rev, Search, SearchNotice, SendMessage, Seq, ServerFrame, SessionHead,
    SessionId, SessionNotice, Span, TimeStamp, User, UserId,
};

pub fn client_frames() -> Vec<(&'static str, ClientFrame)> {
    let ask = |session_id, leave| {
        ClientFrame::Search(Search::Ask(Asked { username: "Bob".into(), session_id, leave }))
    };
    let answer = |answer| ClientFrame::Search(Search::Answer { invite_id: invite(), answer });
    let message = |sender| {
        ClientFrame::Message(SendMessage {
            session_id: talk(),
            message_id: hello().message_id,
            data: hello().data,
            time_stamp: None,
            sender,
        })
    };
    let positions = [
        (talk(), Position { rev: Rev(7), epoch: Some(epoch()) }),
        (other_talk(), Position { rev: Rev(0), epoch: None }),
    ];
    vec![
        ("hello", ClientFrame::Hello { sessions: positions.into() }),
        ("hello_empty", ClientFrame::Hello { sessions: BTreeMap::new() }),
        ("message", message(None)),
        ("message_with_sender", message(Some(ada()))),
        ("search", ask(None, false)),
        ("search_leave", ask(None, true)),
        ("search_into_session", ask(Some(talk()), false)),
        ("search_accept", answer(Answer::Accepted)),
        ("search_reject", answer(Answer::Rejected)),
        ("search_cancel", answer(Answer::Cancelled)),
        ("read", ClientFrame::Read { session_id: talk(), seq: Seq(5) }),
        ("typing", ClientFrame::Typing { session_id: talk() }),
        ("fetch", ClientFrame::Fetch { session_id: talk(), rev: Rev(7) }),
        (
            "edit",
            ClientFrame::Edit {
                session_id: talk(),
                message_id: hello().message_id,
                data: "hello Bob".into(),
            },
        ),
        ("delete", ClientFrame::Delete { session_id: talk(), message_id: hello().message_id }),
        ("begin", ClientFrame::Begin { session_id: other_talk(), title: "Sunday walks".into() }),
        ("leave", ClientFrame::Leave { session_id: other_talk() }),
        ("remove", ClientFrame::Remove { session_id: other_talk(), user_id: bob() }),
        ("rename", ClientFrame::Rename { session_id: other_talk(), title: "Saturday walks".into() }),
        ("owner", ClientFrame::Owner { session_id: other_talk(), user_id: bob() }),
        ("pong", ClientFrame::Pong {}),
    ]
}

pub fn server_frames() -> Vec<(&'static str, ServerFrame)> {
    let mut frames = session_frames();
    frames.extend(refusals().map(|(name, refused)| (name, ServerFrame::Refused(refused))));
    frames.extend(search_notices().into_iter().map(|(name, notice)| (name, ServerFrame::Search(notice))));
    frames
}

fn session_frames() -> Vec<(&'static str, ServerFrame)> {
    let (session_id, epoch) = (talk(), epoch());
    let Message { message_id, seq, rev, time_stamp, .. } = hello();
    let began_at = TimeStamp(1_763_900_000_000);
    let head = SessionHead {
        epoch,
        rev: Rev(9),
        last_seq: Seq(6),
        read_seq: Seq(5),
        users: users(),
        kind: Kind::Pair,
        title: None,
        owner: None,
        began_at,
        spans: vec![],
    };
    let in_group = SessionHead {
        kind: Kind::Group,
        title: Some("Sunday walks".into()),
        owner: Some(bob()),
        spans: vec![Span { after: Seq(0), up_to: Some(Seq(2)) }, Span { after: Seq(4), up_to: None }],
        ..head.clone()
    };
    let group = SessionNotice {
        session_id: other_talk(),
        epoch,
        rev: Rev(9),
        last_seq: Seq(6),
        users: [(ada(), "Ada".into()), (bob(), "Bob".into())].into(),
        kind: Kind::Group,
        title: Some("Sunday walks".into()),
        owner: Some(ada()),
        began_at,
        spans: vec![],
    };
    let spans = vec![Span { after: Seq(0), up_to: Some(Seq(2)) }, Span { after: Seq(6), up_to: None }];
    let back = SessionNotice { spans, ..group.clone() };
    let pair = SessionNotice { session_id, kind: Kind::Pair, title: None, owner: None, ..group.clone() };
    let live = |message| ServerFrame::Message(LiveMessage { session_id, message });
    let page =
        |more, messages| ServerFrame::Page { session_id, epoch, from: Rev(4), to: Rev(9), more, messages };
    vec![
        ("welcome", ServerFrame::Welcome { user_id: ada(), sessions: [(session_id, head)].into() }),
        (
            "welcome_group",
            ServerFrame::Welcome { user_id: ada(), sessions: [(other_talk(), in_group)].into() },
        ),
        ("welcome_empty", ServerFrame::Welcome { user_id: ada(), sessions: BTreeMap::new() }),
        ("ack", ServerFrame::Ack { message_id, seq, rev, time_stamp }),
        ("message", live(hello())),
        ("message_edited", live(edited())),
        ("message_deleted", live(deleted())),
        ("page", page(true, vec![hello(), edited(), deleted()])),
        ("page_empty", page(false, vec![])),
        ("heads", ServerFrame::Heads { sessions: [(session_id, Head { epoch, rev: Rev(9) })].into() }),
        ("reset", ServerFrame::Reset { session_id, epoch, rev: Rev(9) }),
        ("session", ServerFrame::Session(pair)),
        ("session_group", ServerFrame::Session(group)),
        ("session_again", ServerFrame::Session(back)),
        ("left", ServerFrame::Left { session_id: other_talk() }),
        ("read", ServerFrame::Read { session_id, seq: Seq(5) }),
        ("status_online", ServerFrame::Status { user_id: bob(), status: Presence::Online }),
        ("status_offline", ServerFrame::Status { user_id: bob(), status: Presence::Offline }),
        ("typing", ServerFrame::Typing { session_id, user_id: bob() }),
        ("lagged", ServerFrame::Lagged),
        ("drain", ServerFrame::Drain { after_ms: 1500 }),
    ]
}

fn refusals() -> [(&'static str, Refused); 6] {
    let of = |code: Code| Refused {
        message_id: None,
        session_id: None,
        invite_id: None,
        username: None,
        code,
        reason: code.reason().into(),
        after_ms: None,
    };
    [
        ("refused_malformed", of(Code::Malformed)),
        (
            "refused_message",
            Refused { message_id: Some(hello().message_id), session_id: Some(talk()), ..of(Code::TooLong) },
        ),
        (
            "refused_for_now",
            Refused {
                message_id: Some(hello().message_id),
                session_id: Some(talk()),
                after_ms: Some(3000),
                ..of(Code::TooMany)
            },
        ),
        ("refused_session", Refused { session_id: Some(talk()), ..of(Code::NotFound) }),
        ("refused_answer", Refused { invite_id: Some(invite()), ..of(Code::Gone) }),
        ("refused_search", Refused { username: Some("Ada".into()), ..of(Code::Yourself) }),
    ]
}

fn search_notices() -> Vec<(&'static str, SearchNotice)> {
    let outcome = |status, reason: &str, invite_id, session_id| SearchNotice::Outcome {
        username: "Bob".into(),
        status,
        reason: reason.into(),
        invite_id,
        session_id,
    };
    let closed = |status, session_id| SearchNotice::Closed { invite_id: invite(), status, session_id };
    vec![
        ("search_invited", SearchNotice::Invited { invite_id: invite(), username: "Ada".into() }),
        ("search_pending", outcome(Outcome::Pending, "Your invitation is with Bob.", Some(invite()), None)),
        (
            "search_accepted",
            outcome(Outcome::Accepted, "Bob accepted. You can talk now.", Some(invite()), Some(talk())),
        ),
        (
            "search_rejected",
            outcome(Outcome::Rejected, "Bob does not want to talk now.", Some(invite()), None),
        ),
        (
            "search_offline",
            outcome(Outcome::Offline, "Bob is offline: cannot establish a session.", None, None),
        ),
        ("search_no_user", outcome(Outcome::NoUser, "There is no user “Bob”.", None, None)),
        (
            "search_already_connected",
            outcome(Outcome::AlreadyConnected, "You talk with Bob already.", None, Some(talk())),
        ),
        (
            "search_cancelled",
            outcome(Outcome::Cancelled, "Your invitation to Bob was taken back.", Some(invite()), None),
        ),
        ("search_closed_accepted", closed(Outcome::Accepted, Some(talk()))),
        ("search_closed_rejected", closed(Outcome::Rejected, None)),
        ("search_closed_cancelled", closed(Outcome::Cancelled, None)),
    ]
}

pub fn loaded() -> Loaded {
    let messages: BTreeMap<MessageId, LoadedMessage> = [hello(), edited(), deleted()].map(Into::into).into();
    let names = [(ada(), "Ada".into()), (bob(), "Bob".into())];
    let empty = LoadedSession { user_ids: BTreeMap::from(names.clone()), messages: BTreeMap::new() };
    [(talk(), LoadedSession { user_ids: names.into(), messages }), (other_talk(), empty)].into()
}

fn users() -> BTreeMap<UserId, User> {
    let user = |name: &str, status| User { username: name.into(), status };
    [(ada(), user("Ada", Presence::Online)), (bob(), user("Bob", Presence::Offline))].into()
}

pub fn hello() -> Message {
    Message {
        message_id: id("0198c0de-0000-7000-8000-000000000011"),
        data: "hello".into(),
        time_stamp: TimeStamp(1_790_000_000_000),
        sender: ada(),
        seq: Seq(5),
        rev: Rev(7),
        edited_at: None,
        deleted_at: None,
    }
}

fn edited() -> Message {
    Message {
        message_id: id("0198c0de-0000-7000-8000-000000000012"),
        data: "good morning\nall".into(),
        seq: Seq(3),
        rev: Rev(8),
        edited_at: Some(TimeStamp(1_790_000_060_000)),
        ..hello()
    }
}

fn deleted() -> Message {
    Message {
        message_id: id("0198c0de-0000-7000-8000-000000000013"),
        data: String::new(),
        seq: Seq(4),
        rev: Rev(9),
        deleted_at: Some(TimeStamp(1_790_000_120_000)),
        ..hello()
    }
}

pub fn ada() -> UserId {
    id("0198c0de-0000-7000-8000-000000000001")
}

fn bob() -> UserId {
    id("0198c0de-0000-7000-8000-000000000002")
}

pub fn talk() -> SessionId {
    id("0198c0de-0000-7000-8000-0000000000a1")
}

fn other_talk() -> SessionId {
    id("0198c0de-0000-7000-8000-0000000000a2")
}

fn epoch() -> Epoch {
    id("0198c0de-0000-7000-8000-0000000000e1")
}

pub fn invite() -> InviteId {
    id("0198c0de-0000-7000-8000-0000000000b1")
}

fn id<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}
