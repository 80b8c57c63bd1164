//! Searching for people, and the life of invitations.

use headless::Client;
use protocol::{
    Answer, Asked, Code, InviteId, Outcome, Presence, Refused, SearchNotice, ServerFrame, SessionId,
};

use crate::support::{
    PASSWORD, TestServer, accepted_session, befriend, card_closed, closed_with, fence, gather, invited,
    knows, message, outcome, outcome_is, refused, session_of,
};

fn leave(username: &str) -> Asked {
    Asked { username: username.into(), session_id: None, leave: true }
}

fn into(username: &str, session: SessionId) -> Asked {
    Asked { username: username.into(), session_id: Some(session), leave: false }
}

/// Searches and returns the ID of the pending invitation.
async fn pending(client: &mut Client, username: &str) -> InviteId {
    client.search(username).await.unwrap();
    client.expect("Pending", outcome_is(Outcome::Pending)).await.unwrap().invite_id.unwrap()
}

#[tokio::test]
async fn searching_somebody_online_shows_them_the_invitation_at_once() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    ada.search(" bOB ").await.unwrap();
    let told = ada.expect("Pending", outcome).await.unwrap();
    assert_eq!((told.status, told.username.as_str(), told.session_id), (Outcome::Pending, "Bob", None));
    let (invite, from) = bob.expect("an invitation", invited).await.unwrap();
    assert_eq!((Some(invite), from.as_str()), (told.invite_id, "Ada"));
    assert!(ada.sync().sessions().is_empty(), "nothing begins before the answer");
}

#[tokio::test]
async fn searching_somebody_offline_says_so_and_leaves_nothing() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    let mut bob = server.client();
    bob.register("Bob", PASSWORD).await.unwrap();
    ada.search("Bob").await.unwrap();
    let told = ada.expect("Offline", outcome).await.unwrap();
    assert_eq!((told.status, told.invite_id, told.session_id), (Outcome::Offline, None, None));
    assert!(told.reason.contains("offline") && told.reason.contains("cannot establish"), "{}", told.reason);

    bob.login("Bob", PASSWORD).await.unwrap();
    bob.online().await.unwrap();
    fence(&mut bob).await;
    assert!(bob.sync().invited().is_empty());
}

#[tokio::test]
async fn somebody_is_found_however_their_name_is_typed() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    server.user("Zoë").await;
    for typed in ["zoe\u{308}", " ZOË ", "Zo\u{200b}ë\u{feff}", "ｚｏë"] {
        ada.search(typed).await.unwrap();
        let told = ada.expect("an outcome", outcome).await.unwrap();
        assert_ne!(told.status, Outcome::NoUser, "{typed:?}");
    }
}

#[tokio::test]
async fn searching_nobody_says_that_there_is_no_such_user() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    for name in ["Bob", "", "x", "no such@name", "\u{202e}", &"long".repeat(1000)] {
        ada.search(name).await.unwrap();
        let told = ada.expect("NoUser", outcome).await.unwrap();
        assert_eq!((told.status, told.invite_id, told.session_id), (Outcome::NoUser, None, None), "{name}");
    }
}

#[tokio::test]
async fn accepting_begins_a_session_and_both_sides_are_told() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let invite = pending(&mut ada, "Bob").await;
    bob.expect("an invitation", invited).await.unwrap();
    bob.answer(invite, Answer::Accepted).await.unwrap();

    let told = ada.expect("Accepted", outcome).await.unwrap();
    assert_eq!((told.status, told.invite_id), (Outcome::Accepted, Some(invite)));
    let session = told.session_id.unwrap();
    let names = [(ada.id(), "Ada".to_owned()), (bob.id(), "Bob".to_owned())].into();
    let (mut told_ada, mut told_bob) = (None, None);
    for (client, told) in [(&mut ada, &mut told_ada), (&mut bob, &mut told_bob)] {
        *told = client
            .expect("the session", |frame| match frame {
                ServerFrame::Session(told) => Some((told.session_id, told.users.clone())),
                _ => None,
            })
            .await
            .ok();
    }
    assert_eq!(told_ada, Some((session, names)));
    assert_eq!(told_bob, told_ada);
    assert_eq!(bob.expect("the card to go", card_closed).await.unwrap(), (invite, Outcome::Accepted));
    assert!(ada.sync().asked().is_empty() && bob.sync().invited().is_empty());

    ada.say_and_wait(session, "hello").await.unwrap();
    assert_eq!(bob.expect("the message", message).await.unwrap().message.data, "hello");
}

#[tokio::test]
async fn an_accepted_session_is_stored_and_there_after_a_restart() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    ada.say_and_wait(session, "hello").await.unwrap();
    let server = server.restart().await;
    for client in [&mut ada, &mut bob] {
        let loaded = client.load().await.unwrap();
        assert_eq!(loaded.keys().collect::<Vec<_>>(), [&session]);
        assert!(
            loaded[&session].user_ids.values().eq(["Ada", "Bob"])
                || loaded[&session].user_ids.values().eq(["Bob", "Ada"])
        );
        assert_eq!(loaded[&session].messages.len(), 1);
    }
    drop(server);
}

#[tokio::test]
async fn rejecting_tells_the_searcher_and_begins_nothing() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let invite = pending(&mut ada, "Bob").await;
    bob.answer(invite, Answer::Rejected).await.unwrap();
    let told = ada.expect("Rejected", outcome).await.unwrap();
    assert_eq!((told.status, told.invite_id, told.session_id), (Outcome::Rejected, Some(invite), None));
    assert_eq!(bob.expect("the card to go", card_closed).await.unwrap(), (invite, Outcome::Rejected));
    fence(&mut ada).await;
    assert!(ada.sync().sessions().is_empty() && ada.load().await.unwrap().is_empty());

    let again = pending(&mut ada, "Bob").await;
    assert_ne!(again, invite, "a rejected invitation is over; the next one is another");
}

#[tokio::test]
async fn cancelling_takes_the_card_away_on_the_other_side() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let mut phone = server.other_device(&ada).await;
    let invite = pending(&mut ada, "Bob").await;
    bob.expect("an invitation", invited).await.unwrap();
    ada.answer(invite, Answer::Cancelled).await.unwrap();
    assert_eq!(bob.expect("the card to go", card_closed).await.unwrap(), (invite, Outcome::Cancelled));
    for device in [&mut ada, &mut phone] {
        let told = device.expect("Cancelled", outcome_is(Outcome::Cancelled)).await.unwrap();
        assert_eq!(told.invite_id, Some(invite));
        assert!(device.sync().asked().is_empty());
    }
    bob.answer(invite, Answer::Accepted).await.unwrap();
    let told = bob.expect("a refusal", refused).await.unwrap();
    assert_eq!((told.code, told.invite_id), (Code::Gone, Some(invite)));
}

#[tokio::test]
async fn an_invitation_left_for_somebody_offline_waits_for_their_return_and_through_a_restart() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    let mut bob = server.client();
    bob.register("Bob", PASSWORD).await.unwrap();
    ada.ask(leave("Bob")).await.unwrap();
    let told = ada.expect("Pending", outcome).await.unwrap();
    assert_eq!(told.status, Outcome::Pending);

    ada.kill();
    let server = server.restart().await;
    ada.reconnect().await.unwrap();
    ada.wait_for("one's own invitation", |sync| sync.asked().len() == 1).await.unwrap();
    bob.login("Bob", PASSWORD).await.unwrap();
    bob.online().await.unwrap();
    let (invite, from) = bob.expect("the invitation", invited).await.unwrap();
    assert_eq!((Some(invite), from.as_str()), (told.invite_id, "Ada"));
    bob.answer(invite, Answer::Accepted).await.unwrap();
    let session = accepted_session(&mut ada).await;
    knows(&mut ada, session).await;
    drop(server);
}

#[tokio::test]
async fn searching_twice_gives_the_same_invitation_and_one_card() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let first = pending(&mut ada, "Bob").await;
    assert_eq!(pending(&mut ada, "Bob").await, first);
    ada.ask(leave("BOB")).await.unwrap();
    assert_eq!(ada.expect("Pending", outcome).await.unwrap().invite_id, Some(first));
    fence(&mut bob).await;
    assert_eq!(bob.take_frames().iter().filter_map(invited).count(), 1);
}

#[tokio::test]
async fn inviting_oneself_is_refused() {
    let server = TestServer::start().await;
    let mut ada = server.online("Ada").await;
    ada.search("aDA").await.unwrap();
    let told = ada.expect("a refusal", refused).await.unwrap();
    assert_eq!(told.code, Code::Yourself);
    assert_eq!(told.username.as_deref(), Some("aDA"), "it says which search it answers");
}

#[tokio::test]
async fn two_people_who_invite_each_other_are_in_one_session() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    pending(&mut ada, "Bob").await;
    bob.search("aDA").await.unwrap();
    let session = accepted_session(&mut ada).await;
    knows(&mut ada, session).await;
    // The search is answered too, after the session and the closed card, which both name it.
    let told = bob.expect("an answer", outcome).await.unwrap();
    assert_eq!((told.status, told.username.as_str(), told.invite_id), (Outcome::Accepted, "Ada", None));
    assert_eq!(told.session_id, Some(session));
    assert!(told.reason.contains("Ada") && told.reason.contains("talk"), "{}", told.reason);
    assert!(!bob.sync().sessions()[&session].users.is_empty(), "it is known when the answer comes");
    assert_eq!(bob.expect("the card to go", closed_with).await.unwrap(), Some(session));
    assert_eq!(ada.sync().sessions().len(), 1);
    assert!(
        ada.sync().asked().is_empty() && bob.sync().invited().is_empty() && bob.sync().asked().is_empty()
    );
}

#[tokio::test]
async fn two_people_who_invite_each_other_at_the_same_moment_are_in_one_session() {
    let server = TestServer::start().await;
    for n in 0..10 {
        let (mut ada, mut bob) =
            (server.online(&format!("Ada{n}")).await, server.online(&format!("Bob{n}")).await);
        let (to_bob, to_ada) = (bob.me().username.clone(), ada.me().username.clone());
        let (one, other) = tokio::join!(ada.search(&to_bob), bob.search(&to_ada));
        one.and(other).unwrap();
        for client in [&mut ada, &mut bob] {
            client.wait_for("a session", |sync| !sync.sessions().is_empty()).await.unwrap();
            fence(client).await;
            assert_eq!(client.sync().sessions().len(), 1);
            assert!(
                client.sync().asked().is_empty() && client.sync().invited().is_empty(),
                "nothing is left open"
            );
        }
        assert_eq!(ada.load().await.unwrap(), bob.load().await.unwrap());
    }
}

#[tokio::test]
async fn searching_somebody_one_talks_to_opens_that_session() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, session) = server.pair().await;
    for client in [&mut bob, &mut ada] {
        let other = if client.me().username == "Ada" { "Bob" } else { "Ada" };
        client.search(other).await.unwrap();
        let told = client.expect("AlreadyConnected", outcome_is(Outcome::AlreadyConnected)).await.unwrap();
        assert_eq!(told.session_id, Some(session));
    }
    bob.kill();
    ada.search("Bob").await.unwrap();
    let found = ada.expect("AlreadyConnected", session_of(Outcome::AlreadyConnected)).await.unwrap();
    assert_eq!(found, session, "here or not");
}

#[tokio::test]
async fn another_answer_to_an_answered_invitation_is_gone() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let mut phone = server.other_device(&bob).await;
    let invite = pending(&mut ada, "Bob").await;
    bob.answer(invite, Answer::Accepted).await.unwrap();
    assert_eq!(phone.expect("the card to go", card_closed).await.unwrap(), (invite, Outcome::Accepted));
    phone.answer(invite, Answer::Rejected).await.unwrap();
    let told = phone.expect("a refusal", refused).await.unwrap();
    assert_eq!((told.code, told.invite_id), (Code::Gone, Some(invite)));
    ada.answer(invite, Answer::Cancelled).await.unwrap();
    assert_eq!(ada.expect("a refusal", refused).await.unwrap().code, Code::Gone);
}

#[tokio::test]
async fn the_same_answer_twice_is_the_same_answer() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    for answer in [Answer::Rejected, Answer::Cancelled, Answer::Accepted] {
        let invite = pending(&mut ada, "Bob").await;
        let whose = if answer == Answer::Cancelled { &mut ada } else { &mut bob };
        let mut told = Vec::new();
        for _ in 0..2 {
            whose.answer(invite, answer).await.unwrap();
            let heard = |frame: &ServerFrame| match frame {
                ServerFrame::Search(SearchNotice::Closed { invite_id, status, session_id }) => {
                    (*invite_id == invite).then_some((*status, *session_id))
                }
                ServerFrame::Search(SearchNotice::Outcome { invite_id, status, session_id, .. }) => {
                    let is_over = *invite_id == Some(invite) && *status != Outcome::Pending;
                    is_over.then_some((*status, *session_id))
                }
                _ => None,
            };
            told.push(whose.expect("how it ended", heard).await.unwrap());
        }
        assert_eq!(told[0], told[1]);
        assert_eq!(told[0].0, answer.into());
        assert_eq!(told[0].1.is_some(), answer == Answer::Accepted);
        fence(whose).await;
        assert!(!whose.take_frames().iter().any(|frame| refused(frame).is_some()));
    }
    let loaded = ada.load().await.unwrap();
    assert_eq!((loaded.len(), &loaded), (1, &bob.load().await.unwrap()), "one session came of it");
}

#[tokio::test]
async fn when_cancelling_races_accepting_one_wins_and_both_sides_agree() {
    let server = TestServer::start().await;
    for n in 0..10 {
        let (mut ada, mut bob) =
            (server.online(&format!("Ada{n}")).await, server.online(&format!("Bob{n}")).await);
        let invite = pending(&mut ada, &bob.me().username.clone()).await;
        bob.expect("an invitation", invited).await.unwrap();
        let (cancelled, accepted) =
            tokio::join!(ada.answer(invite, Answer::Cancelled), bob.answer(invite, Answer::Accepted));
        cancelled.and(accepted).unwrap();
        let (_, how) = bob.expect("the card to go", card_closed).await.unwrap();
        let loser = if how == Outcome::Cancelled { &mut bob } else { &mut ada };
        assert_eq!(loser.expect("a refusal", refused).await.unwrap().code, Code::Gone);
        let sessions = usize::from(how == Outcome::Accepted);
        for client in [&mut ada, &mut bob] {
            fence(client).await;
            assert_eq!(client.sync().sessions().len(), sessions, "{how:?}");
            assert_eq!(client.load().await.unwrap().len(), sessions, "{how:?}");
        }
    }
}

#[tokio::test]
async fn only_the_person_invited_answers_and_only_the_one_who_asked_cancels() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let mut eve = server.online("Eve").await;
    let invite = pending(&mut ada, "Bob").await;
    let made_up = InviteId::new();
    for (client, answers) in [
        (&mut eve, vec![Answer::Accepted, Answer::Rejected, Answer::Cancelled]),
        (&mut ada, vec![Answer::Accepted, Answer::Rejected]),
        (&mut bob, vec![Answer::Cancelled]),
    ] {
        for answer in answers {
            client.answer(invite, answer).await.unwrap();
            let foreign = client.expect("a refusal", refused).await.unwrap();
            client.answer(made_up, answer).await.unwrap();
            let missing = client.expect("a refusal", refused).await.unwrap();
            assert_eq!(foreign.code, Code::NotFound);
            let same = Refused { invite_id: Some(invite), ..missing };
            assert_eq!(foreign, same, "the same answer as for one that does not exist");
        }
    }
    bob.answer(invite, Answer::Accepted).await.unwrap();
    accepted_session(&mut ada).await;
}

#[tokio::test]
async fn whoever_is_invited_into_a_group_talks_along_with_everybody() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let session = gather(&mut ada, &mut [&mut bob]).await;
    let mut eve = server.online("Eve").await;
    let before = ada.say_and_wait(session, "before Eve").await.unwrap();
    ada.take_frames();

    ada.ask(into("Eve", session)).await.unwrap();
    let (invite, from) = eve.expect("an invitation", invited).await.unwrap();
    assert_eq!(from, "Ada");
    eve.answer(invite, Answer::Accepted).await.unwrap();
    assert_eq!(accepted_session(&mut ada).await, session);
    for client in [&mut ada, &mut bob, &mut eve] {
        let three = |sync: &protocol::Sync| sync.sessions().get(&session).is_some_and(|s| s.users.len() == 3);
        client.wait_for("three users", three).await.unwrap();
    }
    let everybody_online = |sync: &protocol::Sync| {
        sync.sessions()[&session].users.values().all(|user| user.status == Presence::Online)
    };
    eve.wait_for("who is here", everybody_online).await.unwrap();
    eve.say_and_wait(session, "hello both").await.unwrap();
    bob.say_and_wait(session, "hello Eve").await.unwrap();
    for client in [&mut ada, &mut bob, &mut eve] {
        let heard = |sync: &protocol::Sync| {
            let rows = sync.rows(session);
            rows.iter().rev().take(2).map(|row| row.data.as_str()).eq(["hello Eve", "hello both"])
        };
        client.wait_for("both messages", heard).await.unwrap();
        assert_eq!(client.load().await.unwrap()[&session].user_ids.len(), 3);
    }
    // Ada knew Bob's status already: if everybody got everybody's, each new member would flood a large session's
    // queues.
    let told_of = ada.take_frames().into_iter().filter_map(|frame| match frame {
        ServerFrame::Status { user_id, .. } => Some(user_id),
        _ => None,
    });
    assert!(told_of.into_iter().all(|user| user == eve.id()));
    // Eve must not see changes to messages from before she joined either, live or later.
    ada.edit(session, before, "before Eve, a secret").await.unwrap();
    ada.say_and_wait(session, "after the edit").await.unwrap();
    let last = |sync: &protocol::Sync| sync.last_row(session).is_some_and(|row| row.data == "after the edit");
    for client in [&mut bob, &mut eve] {
        client.wait_for("the message after the edit", last).await.unwrap();
    }
    let secret = |frames: Vec<ServerFrame>| frames.iter().any(|frame| frame.encode().contains("secret"));
    assert!(!secret(eve.take_frames()) && secret(bob.take_frames()));
    assert_eq!(eve.sync().rows(session).len(), 3);

    eve.kill();
    eve.reconnect().await.unwrap();
    eve.say_and_wait(session, "back again").await.unwrap();
    assert!(!secret(eve.take_frames()));

    ada.ask(into("Eve", session)).await.unwrap();
    let told = ada.expect("AlreadyConnected", outcome_is(Outcome::AlreadyConnected)).await.unwrap();
    assert_eq!(told.session_id, Some(session));
    ada.take_frames();
    ada.search("Eve").await.unwrap();
    let told = ada.expect("an answer", outcome).await.unwrap();
    assert_eq!(
        (told.status, told.username.as_str()),
        (Outcome::Pending, "Eve"),
        "a group is not a session of two"
    );
}

#[tokio::test]
async fn inviting_into_a_session_one_is_not_in_is_refused_as_into_one_that_does_not_exist() {
    let server = TestServer::start().await;
    let (_ada, _bob, session) = server.pair().await;
    let mut eve = server.online("Eve").await;
    let _max = server.online("Max").await;
    let mut answers = Vec::new();
    for wanted in [session, SessionId::new()] {
        eve.ask(into("Max", wanted)).await.unwrap();
        answers.push(Refused { session_id: None, ..eve.expect("a refusal", refused).await.unwrap() });
    }
    assert_eq!(answers[0].code, Code::NotFound);
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn invitations_reach_every_device_of_a_person() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (server.online("Ada").await, server.online("Bob").await);
    let (mut ada_too, mut bob_too) = (server.other_device(&ada).await, server.other_device(&bob).await);
    let session = befriend(&mut ada, &mut bob_too).await;
    for client in [&mut ada_too, &mut bob] {
        knows(client, session).await;
        fence(client).await;
        assert!(client.sync().asked().is_empty() && client.sync().invited().is_empty());
    }
}
