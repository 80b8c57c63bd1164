//! Sending messages, changing them, reading them, catching up.

use protocol::{
    ClientFrame, Code, Message, MessageId, Refused, Rev, SendMessage, Seq, ServerFrame, SessionId,
};
use serde_json::{Value, json};

use crate::support::{TestServer, accepted_session, fence, gather, holds, invited, message, refused, texts};

fn send(session: SessionId, id: MessageId, data: &str) -> ClientFrame {
    ClientFrame::Message(SendMessage {
        session_id: session,
        message_id: id,
        data: data.into(),
        time_stamp: None,
        sender: None,
    })
}

fn ack(id: MessageId) -> impl FnMut(&ServerFrame) -> Option<(Seq, Rev, protocol::TimeStamp)> {
    move |frame| match frame {
        ServerFrame::Ack { message_id, seq, rev, time_stamp } if *message_id == id => {
            Some((*seq, *rev, *time_stamp))
        }
        _ => None,
    }
}

fn page(frame: &ServerFrame) -> Option<(Rev, Rev, bool, Vec<Message>)> {
    match frame.clone() {
        ServerFrame::Page { from, to, more, messages, .. } => Some((from, to, more, messages)),
        _ => None,
    }
}

#[tokio::test]
async fn a_message_is_acknowledged_to_its_sender_and_shown_to_the_other() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let said = ada.say(session, "hello").await.unwrap();
    let (seq, rev, time) = ada.expect("an ack", ack(said)).await.unwrap();
    assert_eq!((seq, rev), (Seq(1), Rev(1)));
    let heard = bob.expect("the message", message).await.unwrap();
    let wanted = Message {
        message_id: said,
        data: "hello".into(),
        time_stamp: time,
        sender: ada.id(),
        seq,
        rev,
        edited_at: None,
        deleted_at: None,
    };
    assert_eq!((heard.session_id, heard.message), (session, wanted));
    fence(&mut ada).await;
    assert_eq!(ada.take_frames().iter().filter_map(message).count(), 0, "the ack stands for the message");
}

#[tokio::test]
async fn the_senders_other_devices_get_the_message() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    let mut phone = server.other_device(&ada).await;
    ada.say_and_wait(session, "from the desk").await.unwrap();
    holds(&mut phone, session, &["from the desk"]).await;
    phone.say_and_wait(session, "from the phone").await.unwrap();
    holds(&mut ada, session, &["from the desk", "from the phone"]).await;
}

#[tokio::test]
async fn everybody_sees_the_same_order() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    for n in 0..40 {
        let (one, other) =
            tokio::join!(ada.say(session, format!("ada {n}")), bob.say(session, format!("bob {n}")));
        one.and(other).unwrap();
    }
    for client in [&mut ada, &mut bob] {
        client.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    }
    for client in [&mut ada, &mut bob] {
        client.wait_for("80 messages", |sync| sync.rows(session).len() == 80).await.unwrap();
    }
    assert_eq!(texts(&ada, session), texts(&bob, session));
    let of = |name: &str| {
        texts(&ada, session).into_iter().filter(|text| text.starts_with(name)).collect::<Vec<_>>()
    };
    assert_eq!(of("ada"), (0..40).map(|n| format!("ada {n}")).collect::<Vec<_>>());
    assert_eq!(of("bob"), (0..40).map(|n| format!("bob {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_seeds_message_with_time_stamp_and_sender_is_taken_and_only_ones_own_name() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let frame = |id: MessageId, sender: Value| {
        json!({
            "type": "Message", "SessionID": session, "MessageID": id, "Data": "as the seed has it",
            "TimeStamp": "2001-01-01T00:00:00Z", "Sender": sender,
        })
    };
    let (own, foreign) = (MessageId::new(), MessageId::new());
    let (ada_id, bob_id) = (json!(ada.id()), json!(bob.id()));
    ada.socket().unwrap().send_text(frame(own, ada_id).to_string()).await.unwrap();
    let (_, _, time) = ada.expect("an ack", ack(own)).await.unwrap();
    assert!(time.0 > 1_700_000_000_000, "the server's clock decides");
    ada.socket().unwrap().send_text(frame(foreign, bob_id).to_string()).await.unwrap();
    let told = ada.expect("a refusal", refused).await.unwrap();
    assert_eq!((told.message_id, told.code), (Some(foreign), Code::Invalid));
    holds(&mut bob, session, &["as the seed has it"]).await;
}

#[tokio::test]
async fn text_arrives_as_it_was_sent() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let long = "ä".repeat(8_192);
    let samples = [
        "  blanks  ",
        "line\n\tbreak\n",
        "\"quotes\" \\ / </script><!--",
        "'; drop table messages; --",
        "🦀👩‍👩‍👧 e\u{301}",
        "\u{202e}rtl\u{202c} \u{2028}\u{2029}",
        "\u{fffd}\u{feff}\u{ffff}",
        "محمد עברית",
        &"\"".repeat(16_384),
        &long,
        "x",
    ];
    for text in samples {
        ada.say_and_wait(session, text).await.unwrap();
    }
    holds(&mut bob, session, &samples).await;
    let stored = bob.whole_history(session).await.unwrap();
    assert!(stored.iter().map(|m| m.data.as_str()).eq(samples));
}

#[tokio::test]
async fn a_text_that_cannot_be_sent_is_refused_with_the_reason_and_kept_by_its_writer() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    for (text, code) in [
        ("", Code::Invalid),
        ("bell\u{7}", Code::Invalid),
        ("nul\0", Code::Invalid),
        ("carriage\r\nreturn", Code::Invalid),
        (" \u{a0}\n\t", Code::Invalid),
        ("\u{3164}\u{200b}\u{2800}\u{feff}", Code::Invalid),
        (&"x".repeat(16_385), Code::TooLong),
        (&"ä".repeat(8_193), Code::TooLong),
    ] {
        let id = ada.say(session, text).await.unwrap();
        let told = ada.expect("a refusal", refused).await.unwrap();
        assert_eq!((told.message_id, told.code), (Some(id), code));
        assert!(told.reason.ends_with('.'), "{}", told.reason);
    }
    assert_eq!(ada.sync().outbox().len(), 8, "each stays as a failed row with its text");
    ada.say_and_wait(session, "and it goes on").await.unwrap();
    holds(&mut bob, session, &["and it goes on"]).await;
}

#[tokio::test]
async fn the_same_message_again_gets_the_same_ack_and_is_stored_once() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let id = MessageId::new();
    ada.send(&send(session, id, "once")).await.unwrap();
    let first = ada.expect("an ack", ack(id)).await.unwrap();
    ada.say_and_wait(session, "twice").await.unwrap();
    let mut phone = server.other_device(&ada).await;
    for client in [&mut ada, &mut phone] {
        client.send(&send(session, id, "once")).await.unwrap();
        assert_eq!(client.expect("an ack", ack(id)).await.unwrap(), first);
        client.send(&send(session, id, "with another text")).await.unwrap();
        assert_eq!(client.expect("an ack", ack(id)).await.unwrap(), first);
    }
    let server = server.restart().await;
    ada.kill();
    ada.reconnect().await.unwrap();
    ada.send(&send(session, id, "once")).await.unwrap();
    assert_eq!(ada.expect("an ack", ack(id)).await.unwrap(), first, "after a restart too");
    bob.kill();
    bob.reconnect().await.unwrap();
    holds(&mut bob, session, &["once", "twice"]).await;
    drop(server);
}

#[tokio::test]
async fn the_name_of_somebody_elses_message_is_a_conflict() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let id = ada.say_and_wait(session, "mine").await.unwrap();
    bob.send(&send(session, id, "no, mine")).await.unwrap();
    let told = bob.expect("a refusal", refused).await.unwrap();
    assert_eq!((told.message_id, told.code), (Some(id), Code::Conflict));
    holds(&mut bob, session, &["mine"]).await;
}

#[tokio::test]
async fn a_session_one_is_not_in_answers_as_one_that_does_not_exist() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    let said = ada.say_and_wait(session, "private").await.unwrap();
    let mut eve = server.online("Eve").await;
    let frames = |session_id: SessionId| {
        [
            send(session_id, said, "let me in"),
            ClientFrame::Fetch { session_id, rev: Rev(0) },
            ClientFrame::Edit { session_id, message_id: said, data: "hacked".into() },
            ClientFrame::Delete { session_id, message_id: said },
        ]
    };
    for (foreign, missing) in frames(session).into_iter().zip(frames(SessionId::new())) {
        let mut answers = Vec::new();
        for frame in [&foreign, &missing] {
            eve.send(frame).await.unwrap();
            answers.push(Refused { session_id: None, ..eve.expect("a refusal", refused).await.unwrap() });
        }
        assert_eq!(answers[0].code, Code::NotFound, "{foreign:?}");
        assert_eq!(answers[0], answers[1], "{foreign:?}");
    }
    // Typing and reading reveal nothing either.
    for session_id in [session, SessionId::new()] {
        eve.typing(session_id).await.unwrap();
        eve.send(&ClientFrame::Read { session_id, seq: Seq(1) }).await.unwrap();
    }
    fence(&mut eve).await;
    let about_it = |frame: &ServerFrame| frame.encode().contains("private");
    assert!(!eve.take_frames().iter().any(about_it));
    fence(&mut ada).await;
    assert!(!ada.take_frames().iter().any(|frame| matches!(frame, ServerFrame::Typing { .. })));
    assert_eq!(texts(&ada, session), ["private"]);
}

#[tokio::test]
async fn naming_a_foreign_session_in_hello_shows_nothing_of_it() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    ada.say_and_wait(session, "private").await.unwrap();
    let mut eve = server.user("Eve").await;
    let mut socket = headless::Socket::open(&eve.handshake()).await.unwrap();
    let hello = json!({ "type": "Hello", "Sessions": { session.to_string(): { "Rev": 0 }, eve.id().to_string(): { "Rev": 0 } } });
    socket.send_text(hello.to_string()).await.unwrap();
    let wanted = ServerFrame::Welcome { user_id: eve.id(), sessions: Default::default() };
    assert_eq!(socket.next().await, headless::Event::Text(wanted.encode()));
    eve.online().await.unwrap();
    fence(&mut eve).await;
    assert!(eve.sync().sessions().is_empty());
}

#[tokio::test]
async fn ones_own_message_can_be_edited_and_deleted_and_everybody_sees_it() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let first = ada.say_and_wait(session, "helo").await.unwrap();
    let second = ada.say_and_wait(session, "oops").await.unwrap();
    ada.edit(session, first, "hello").await.unwrap();
    ada.delete(session, second).await.unwrap();
    for client in [&mut ada, &mut bob] {
        holds(client, session, &["hello", ""]).await;
        let rows = client.sync().rows(session);
        assert!(rows[0].edited && !rows[0].deleted && rows[1].deleted);
        assert_eq!(client.sync().sessions()[&session].timeline.rev(), Rev(4), "two messages, two changes");
    }
    let stored = bob.whole_history(session).await.unwrap();
    assert_eq!((stored[1].seq, stored[1].data.as_str()), (Seq(2), ""), "its place stays, its text is gone");
    for frame in [
        ClientFrame::Edit { session_id: session, message_id: second, data: "back".into() },
        ClientFrame::Edit { session_id: session, message_id: MessageId::new(), data: "none".into() },
    ] {
        ada.send(&frame).await.unwrap();
        assert_eq!(ada.expect("a refusal", refused).await.unwrap().code, Code::NotFound);
    }
    ada.edit(session, first, "").await.unwrap();
    assert_eq!(ada.expect("a refusal", refused).await.unwrap().code, Code::Invalid);
}

#[tokio::test]
async fn somebody_elses_message_can_be_neither_edited_nor_deleted() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let said = ada.say_and_wait(session, "mine").await.unwrap();
    holds(&mut bob, session, &["mine"]).await;
    bob.edit(session, said, "yours").await.unwrap();
    assert_eq!(bob.expect("a refusal", refused).await.unwrap().code, Code::NotFound);
    bob.delete(session, said).await.unwrap();
    assert_eq!(bob.expect("a refusal", refused).await.unwrap().code, Code::NotFound);
    assert_eq!(ada.whole_history(session).await.unwrap()[0].data, "mine");
}

#[tokio::test]
async fn what_was_read_on_one_device_is_read_on_the_others() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let mut phone = server.other_device(&bob).await;
    for n in 0..3 {
        ada.say_and_wait(session, n.to_string()).await.unwrap();
    }
    let unread =
        |wanted: i64| move |sync: &protocol::Sync| sync.sessions()[&session].unread(sync.me()) == wanted;
    for device in [&mut bob, &mut phone] {
        device.wait_for("three unread", unread(3)).await.unwrap();
    }
    bob.read(session, Seq(2)).await.unwrap();
    phone.wait_for("one unread", unread(1)).await.unwrap();
    fence(&mut ada).await;
    assert!(!ada.take_frames().iter().any(|f| matches!(f, ServerFrame::Read { .. })), "nobody else is told");

    phone.kill();
    phone.reconnect().await.unwrap();
    assert!(unread(1)(phone.sync()), "and it is kept");
    // Beyond the end, or backwards, is ignored.
    bob.send(&ClientFrame::Read { session_id: session, seq: Seq(1) }).await.unwrap();
    bob.send(&ClientFrame::Read { session_id: session, seq: Seq(i64::MAX) }).await.unwrap();
    bob.send(&ClientFrame::Read { session_id: session, seq: Seq(i64::MIN) }).await.unwrap();
    fence(&mut bob).await;
    ada.say_and_wait(session, "one more").await.unwrap();
    let mut tablet = server.other_device(&bob).await;
    tablet.wait_for("the new one unread", unread(1)).await.unwrap();
}

#[tokio::test]
async fn what_one_says_oneself_is_not_unread_anywhere() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    let mut phone = server.other_device(&ada).await;
    ada.say_and_wait(session, "hello").await.unwrap();
    holds(&mut phone, session, &["hello"]).await;
    let tablet = server.other_device(&ada).await;
    for device in [&ada, &phone, &tablet] {
        assert_eq!(device.sync().sessions()[&session].unread(device.sync().me()), 0);
    }
}

#[tokio::test]
async fn a_page_brings_what_changed_since_a_number_in_parts() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    for n in 1..=150 {
        ada.say(session, n.to_string()).await.unwrap();
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let first = ada.sync().rows(session)[0].message_id;
    ada.edit(session, first, "edited").await.unwrap();
    bob.wait_for("everything", |sync| sync.sessions()[&session].timeline.rev() == Rev(151)).await.unwrap();

    let (mut from, mut got) = (Rev(0), Vec::new());
    loop {
        bob.send(&ClientFrame::Fetch { session_id: session, rev: from }).await.unwrap();
        let (answered, to, more, messages) = bob.expect("a page", page).await.unwrap();
        assert_eq!(answered, from);
        assert!(messages.iter().all(|m| from < m.rev && m.rev <= to));
        assert!(messages.is_sorted_by_key(|m| m.rev));
        got.extend(messages);
        from = to;
        if !more {
            break;
        }
        assert!(got.len() < 150, "it comes in parts");
    }
    assert_eq!(from, Rev(151));
    assert_eq!(got.iter().map(|m| m.seq.0).collect::<Vec<_>>(), (2..=150).chain([1]).collect::<Vec<_>>());
    assert_eq!(got.last().unwrap().data, "edited");
}

#[tokio::test]
async fn a_page_of_long_messages_stays_within_a_frame() {
    let server = TestServer::start().await;
    let (mut ada, bob, session) = server.pair().await;
    drop(bob);
    let long = "\\\"".repeat(8_192);
    for _ in 0..6 {
        ada.say(session, long.clone()).await.unwrap();
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let (mut from, mut pages) = (Rev(0), 0);
    while from < Rev(6) {
        ada.send(&ClientFrame::Fetch { session_id: session, rev: from }).await.unwrap();
        let bytes = |frame: &ServerFrame| page(frame).map(|page| (page, frame.encode().len()));
        let ((_, to, _, _), bytes) = ada.expect("a page", bytes).await.unwrap();
        assert!(bytes <= protocol::MAX_FRAME_BYTES, "{bytes}");
        assert!(to > from);
        (from, pages) = (to, pages + 1);
    }
    assert!(pages > 1);
}

#[tokio::test]
async fn a_client_that_is_ahead_or_of_another_history_is_reset() {
    let server = TestServer::start().await;
    let (mut ada, _bob, session) = server.pair().await;
    ada.say_and_wait(session, "hello").await.unwrap();
    let epoch = ada.sync().sessions()[&session].timeline.epoch().unwrap();
    for position in [
        json!({ "Rev": 9, "Epoch": epoch }),
        json!({ "Rev": 9 }),
        json!({ "Rev": 1, "Epoch": MessageId::new() }),
        json!({ "Rev": 0, "Epoch": MessageId::new() }),
    ] {
        let mut socket = headless::Socket::open(&ada.handshake()).await.unwrap();
        let hello = json!({ "type": "Hello", "Sessions": { session.to_string(): position } });
        socket.send_text(hello.to_string()).await.unwrap();
        let headless::Event::Text(welcome) = socket.next().await else { panic!() };
        assert!(matches!(ServerFrame::decode(&welcome).unwrap(), ServerFrame::Welcome { .. }));
        let reset = ServerFrame::Reset { session_id: session, epoch, rev: Rev(1) };
        assert_eq!(socket.next().await, headless::Event::Text(reset.encode()), "{position}");
    }
    ada.send(&ClientFrame::Fetch { session_id: session, rev: Rev(9) }).await.unwrap();
    ada.expect("a reset", |frame| matches!(frame, ServerFrame::Reset { .. }).then_some(())).await.unwrap();
    holds(&mut ada, session, &["hello"]).await;
}

#[tokio::test]
async fn who_comes_to_a_session_late_is_never_shown_a_hole() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = gather(&mut ada, &mut [&mut bob]).await;
    for n in 0..5 {
        ada.say_and_wait(session, format!("before {n}")).await.unwrap();
    }
    let mut eve = server.online("Eve").await;
    ada.ask(protocol::Asked { username: "Eve".into(), session_id: Some(session), leave: false })
        .await
        .unwrap();
    let (invite, _) = eve.expect("an invitation", invited).await.unwrap();
    eve.answer(invite, protocol::Answer::Accepted).await.unwrap();
    accepted_session(&mut ada).await;
    bob.say_and_wait(session, "after").await.unwrap();
    let last = |sync: &protocol::Sync| sync.rows(session).last().is_some_and(|row| row.data == "after");
    eve.wait_for("the message after", last).await.unwrap();
    let seqs: Vec<_> = eve.sync().rows(session).iter().filter_map(|row| row.seq).map(|seq| seq.0).collect();
    assert!(seqs.windows(2).all(|w| w[1] == w[0] + 1), "{seqs:?}");
    let history = eve.whole_history(session).await.unwrap();
    assert_eq!(
        history.iter().map(|m| m.seq.0).collect::<Vec<_>>(),
        seqs,
        "socket and history agree on what is hers"
    );
    let loaded: Vec<_> = eve.load().await.unwrap()[&session].messages.values().map(|m| m.seq.0).collect();
    assert_eq!(loaded.len(), seqs.len());
}
