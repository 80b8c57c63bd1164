//! Losing the connection, the server, or both, and coming back.

use headless::Client;
use protocol::{Change, Message, MessageId, Outcome, Presence, Rev, Seq, ServerFrame, SessionId, close};
use tokio::sync::watch;

use crate::support::{Natter, TestServer, befriend, fence, holds, outcome, set_password, texts, within};

#[tokio::test]
async fn what_was_missed_comes_after_a_reconnect_in_order_and_once() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    let first = ada.say_and_wait(session, "first").await.unwrap();
    holds(&mut bob, session, &["first"]).await;
    bob.kill();
    for n in 0..250 {
        ada.say(session, n.to_string()).await.unwrap();
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    ada.edit(session, first, "first, edited").await.unwrap();
    bob.reconnect().await.unwrap();
    bob.wait_for("everything", |sync| !sync.sessions()[&session].timeline.is_behind()).await.unwrap();
    let mut wanted = vec!["first, edited".to_owned()];
    wanted.extend((0..250).map(|n| n.to_string()));
    bob.wait_for("the edit", |sync| sync.rows(session)[0].edited).await.unwrap();
    assert_eq!(texts(&bob, session), wanted);
    let arrived = bob.take_changes().into_iter().filter(|c| matches!(c, Change::Arrived(..))).count();
    assert!(arrived > 0, "and is announced");
}

#[tokio::test]
async fn what_was_written_without_a_connection_is_sent_once_on_return_in_order() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    ada.kill();
    for n in 0..40 {
        ada.say(session, n.to_string()).await.unwrap();
    }
    assert_eq!(ada.sync().outbox().len(), 40);
    ada.reconnect().await.unwrap();
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let wanted: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(texts(&ada, session), wanted);
    bob.wait_for("all", |sync| sync.rows(session).len() == 40).await.unwrap();
    assert_eq!(texts(&bob, session), wanted);
}

#[tokio::test]
async fn a_plug_pulled_again_and_again_loses_and_doubles_nothing() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    for n in 0..60 {
        ada.say(session, n.to_string()).await.unwrap();
        if n % 4 == 3 {
            ada.kill(); // some of it is still in flight
            ada.reconnect().await.unwrap();
        }
    }
    ada.wait_for("every ack", |sync| sync.outbox().is_empty()).await.unwrap();
    let wanted: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let stored = bob.whole_history(session).await.unwrap();
    assert!(stored.iter().map(|m| m.data.clone()).eq(wanted.iter().cloned()));
    bob.wait_for("all", |sync| sync.rows(session).len() == 60).await.unwrap();
    assert_eq!(texts(&bob, session), wanted);
}

#[tokio::test]
async fn a_server_that_stops_asks_its_sockets_to_come_back_and_closes_with_1012() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    ada.say_and_wait(session, "before").await.unwrap();
    bob.kill();
    let restarting = tokio::spawn(server.restart());
    let drain = |frame: &ServerFrame| match frame {
        ServerFrame::Drain { after_ms } => Some(*after_ms),
        _ => None,
    };
    assert!(ada.expect("Drain", drain).await.unwrap() <= 15_000);
    assert_eq!(ada.closed().await.unwrap(), Some(close::RESTART));
    ada.say(session, "while it was away").await.unwrap();
    let server = within("the restart", restarting).await.unwrap();
    for client in [&mut ada, &mut bob] {
        client.reconnect().await.unwrap();
        holds(client, session, &["before", "while it was away"]).await;
    }
    drop(server);
}

#[tokio::test]
async fn after_a_kill_of_the_server_nobody_is_seen_online_who_is_not() {
    let data = tempfile::tempdir().unwrap();
    let mut natter = Natter::start(data.path()).await;
    let (mut ada, mut bob) = (natter.online("Ada").await, natter.online("Bob").await);
    let mut eve = natter.online("Eve").await;
    let session = befriend(&mut ada, &mut bob).await;
    let bob_id = bob.id();
    ada.wait_for("Bob Online", |sync| sync.sessions()[&session].users[&bob_id].status == Presence::Online)
        .await
        .unwrap();

    natter.kill_and_restart().await;
    ada.reconnect().await.unwrap();
    assert_eq!(ada.sync().sessions()[&session].users[&bob_id].status, Presence::Offline);
    eve.reconnect().await.unwrap();
    eve.search("Bob").await.unwrap();
    assert_eq!(eve.expect("an answer", outcome).await.unwrap().status, Outcome::Offline);
    bob.reconnect().await.unwrap();
    ada.wait_for("Bob Online", |sync| sync.sessions()[&session].users[&bob_id].status == Presence::Online)
        .await
        .unwrap();
}

/// What one side of a conversation saw.
pub struct Record {
    pub client: Client,
    /// What was written, in order.
    pub written: Vec<MessageId>,
    /// What was acknowledged, once for each time.
    acked: Vec<(MessageId, Seq, Rev)>,
    /// How many were in flight when the server died.
    cut_off: usize,
}

/// Sends without pause, a few messages ahead of the acknowledgements, and reconnects whenever the server is gone. Ends
/// when signalled, with nothing left unacknowledged.
pub async fn converse(
    mut client: Client,
    session: SessionId,
    over: watch::Receiver<bool>,
    acks: watch::Sender<usize>,
) -> Record {
    let (mut written, mut acked, mut cut_off) = (Vec::new(), Vec::new(), 0);
    loop {
        while !*over.borrow() && client.sync().outbox().len() < 6 {
            let text = format!("{} {}", client.me().username, written.len());
            written.push(client.say(session, text).await.unwrap());
        }
        if *over.borrow()
            && client.is_connected()
            && client.sync().is_ready()
            && client.sync().outbox().is_empty()
        {
            return Record { client, written, acked, cut_off };
        }
        match client.next().await {
            Ok(ServerFrame::Ack { message_id, seq, rev, .. }) => {
                acked.push((message_id, seq, rev));
                acks.send_modify(|acks| *acks += 1);
            }
            Ok(_) => {}
            Err(error) if error.is_disconnect() => {
                cut_off += client.sync().outbox().len();
                client.reconnect().await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_of_the_server_during_a_conversation_lose_double_and_reorder_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut natter = Natter::start(data.path()).await;
    let (mut ada, mut bob) = (natter.online("Ada").await, natter.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    let (over, told) = watch::channel(false);
    let (acks, mut count) = watch::channel(0);
    let talks = [ada, bob].map(|client| tokio::spawn(converse(client, session, told.clone(), acks.clone())));

    for kill in 0..20 {
        // At a different moment each time: after 3 to 60 acknowledgements since the server started.
        let goal = *count.borrow() + 3 + kill * 3;
        within("acknowledgements", count.wait_for(|acks| *acks >= goal)).await.unwrap();
        natter.kill_and_restart().await;
    }
    over.send(true).unwrap();
    let mut records = Vec::new();
    for talk in talks {
        records.push(within("the end of the talk", talk).await.unwrap());
    }

    let stored = records[0].client.whole_history(session).await.unwrap();
    assert!(stored.iter().map(|m| m.seq.0).eq(1..=stored.len() as i64), "no holes");
    for record in &records {
        check(record, &stored);
        assert!(record.cut_off >= 20, "the kills hit messages under way: {}", record.cut_off);
    }
    assert_eq!(
        stored.len(),
        records.iter().map(|r| r.written.len()).sum::<usize>(),
        "nothing else is stored"
    );
    for mut record in records {
        fence(&mut record.client).await;
        let all = stored.len();
        record.client.wait_for("everything", |sync| sync.rows(session).len() == all).await.unwrap();
        let held: Vec<_> = record.client.sync().sessions()[&session].timeline.messages().cloned().collect();
        assert_eq!(held, stored, "each side holds what is stored");
    }
}

/// Checks that everything one side wrote is stored once, in order, where its acknowledgements said.
fn check(record: &Record, stored: &[Message]) {
    let me = record.client.id();
    let own: Vec<MessageId> = stored.iter().filter(|m| m.sender == me).map(|m| m.message_id).collect();
    assert_eq!(own, record.written);
    for (id, seq, rev) in &record.acked {
        let message = &stored[usize::try_from(seq.0 - 1).unwrap()];
        assert_eq!((message.message_id, message.rev), (*id, *rev), "an acknowledged message is where it was");
    }
}

#[tokio::test]
async fn a_stop_by_sigterm_ends_in_good_order_within_15_s() {
    let data = tempfile::tempdir().unwrap();
    let mut natter = Natter::start(data.path()).await;
    let (mut ada, mut bob) = (natter.online("Ada").await, natter.online("Bob").await);
    let session = befriend(&mut ada, &mut bob).await;
    ada.say_and_wait(session, "hello").await.unwrap();
    let (ended, code) = tokio::join!(natter.terminate(), ada.closed());
    assert_eq!(code.unwrap(), Some(close::RESTART));
    assert!(ended.success(), "{ended}");
    let (code, out, _) = set_password(data.path(), "Ada", "battery staple\n").await;
    assert_eq!(code, Some(0), "the data is left in order: {out}");
}
