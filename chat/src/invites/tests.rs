//! Who may invite whom, how often, and what an answer leads to.

use std::collections::HashSet;

use protocol::{Answer, Code, Fault, InviteId, Outcome, SessionId};

use super::{AskResult, NewInvite};
use crate::Error;
use crate::store::Event;
use crate::testing::{Database, HERE, Person, code, invite, invited, met, opened, outcome};

/// In milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn asking_twice_is_one_invitation_and_asking_back_is_accepting() {
    let mut db = Database::new().await;
    let (ada, bob) = (db.person("Ada").await, db.person("Bob").await);
    assert_eq!(code(db.ask_new(invite(ada, ada, None, true)).await), Code::Yourself);
    assert_eq!(db.ask(ada, bob, false).await, AskResult::Offline);
    assert!(db.store.invitations(bob.id).await.unwrap().0.is_empty(), "nothing was left");

    assert_eq!(db.ask(ada, bob, true).await, AskResult::Pending);
    let first = invited(&db.announced().await);
    assert_eq!(db.ask(ada, bob, false).await, AskResult::Pending, "it waits already");
    assert_eq!(outcome(&db.announced().await, ada), Outcome::Pending);
    let waiting: Vec<_> =
        db.store.invitations(bob.id).await.unwrap().0.into_iter().map(|i| i.invite_id).collect();
    assert_eq!(waiting, [first]);
    assert_eq!(db.store.invitations(ada.id).await.unwrap().1.len(), 1);

    let asked_back = db.ask(bob, ada, false).await;
    let events = db.announced().await;
    let (session, joined) = opened(&events);
    assert_eq!(asked_back, AskResult::Accepted(session));
    assert_eq!(joined.len(), 2);
    assert_eq!(outcome(&events, ada), Outcome::Accepted);
    assert_eq!(met(&events), ("Ada".to_owned(), session, true));
    for (from, to) in [(ada, bob), (bob, ada)] {
        assert_eq!(db.ask(from, to, true).await, AskResult::AlreadyConnected(session));
        let told = met(&db.announced().await);
        assert_eq!(told, (to.name.to_owned(), session, false));
    }
    assert!(db.store.invitations(bob.id).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn who_asks_the_same_person_again_and_again_waits_a_day() {
    let mut db = Database::new().await;
    let (ada, bob, cleo) = (db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await);
    for answer in [Answer::Rejected, Answer::Cancelled].into_iter().cycle().take(5) {
        db.ask(ada, bob, true).await;
        let id = invited(&db.announced().await);
        let who = if answer == Answer::Rejected { bob } else { ada };
        db.answer(who, id, answer).await.unwrap();
        db.announced().await;
    }
    assert_eq!(code(db.ask_new(invite(ada, bob, None, true)).await), Code::TooMany);
    assert_eq!(code(db.ask_new(invite(ada, bob, None, false)).await), Code::TooMany, "here or away");
    assert_eq!(db.ask(ada, cleo, true).await, AskResult::Pending, "somebody else may be asked");
    db.announced().await;
    // Open ones count as well, and so do those into sessions.
    for name in ["Dan", "Eve", "Fay", "Gil", "Hal", "Ida"] {
        let session = db.group(ada, &[]).await;
        let asked = db.ask_new(invite(ada, cleo, Some(session), true)).await;
        match name {
            "Hal" | "Ida" => assert_eq!(code(asked), Code::TooMany, "{name}"),
            _ => assert!(!db.announced().await.is_empty() && asked.unwrap() == AskResult::Pending),
        }
    }
    db.store.invited_earlier(DAY).await;
    assert_eq!(db.ask(ada, bob, true).await, AskResult::Pending, "the next day");
    db.announced().await;
    assert!(matches!(db.ask(bob, ada, true).await, AskResult::Accepted(_)));
}

#[tokio::test]
async fn who_asks_everybody_is_held_back_and_whoever_is_welcome_is_not() {
    let mut db = Database::new().await;
    let ada = db.person("Ada").await;
    let mut guests = Vec::new();
    for n in 0..57 {
        guests.push(db.person(format!("Guest{n}").leak()).await);
        while db.events.try_recv().is_ok() {} // the channel is short
    }
    let mut open = Vec::new();
    for guest in &guests[..20] {
        db.ask(ada, *guest, true).await;
        open.push((*guest, invited(&db.announced().await)));
    }
    let one_more = || invite(ada, guests[56], None, true);
    assert_eq!(code(db.ask_new(one_more()).await), Code::TooMany, "20 wait for an answer");
    assert_eq!(db.ask(ada, guests[0], true).await, AskResult::Pending, "that is the same invitation");
    db.announced().await;
    db.ask(guests[20], ada, true).await;
    db.announced().await;
    let back = db.ask(ada, guests[20], true).await;
    assert!(matches!(back, AskResult::Accepted(_)), "asking back is accepting: {back:?}");
    db.announced().await;
    for (guest, id) in open.drain(..5) {
        db.answer(guest, id, Answer::Accepted).await.unwrap();
        db.announced().await;
    }
    for (guest, id) in open {
        db.answer(guest, id, Answer::Rejected).await.unwrap();
        db.announced().await;
    }
    // 15 failed today. 35 more are allowed.
    for guest in &guests[21..56] {
        db.ask(ada, *guest, true).await;
        let id = invited(&db.announced().await);
        db.answer(*guest, id, Answer::Rejected).await.unwrap();
        db.announced().await;
    }
    assert_eq!(code(db.ask_new(one_more()).await), Code::TooMany);
    db.store.invited_earlier(DAY).await;
    assert_eq!(db.ask_new(one_more()).await.unwrap(), AskResult::Pending, "the next day");
}

/// Security's finding 5: users could probe without limit who is away, and so who is online.
#[tokio::test]
async fn that_somebody_is_away_counts_and_beyond_the_limits_all_are_alike() {
    let mut db = Database::new().await;
    let ada = db.person("Ada").await;
    let mut away = Vec::new();
    for n in 0..51 {
        away.push(db.person(format!("Guest{n}").leak()).await);
        while db.events.try_recv().is_ok() {} // the channel is short
    }
    for (n, guest) in away[..50].iter().enumerate() {
        for _ in 0..if n < 49 { 3 } else { 1 } {
            assert_eq!(db.ask(ada, *guest, false).await, AskResult::Offline, "once in a while is enough");
        }
        while db.events.try_recv().is_ok() {}
    }
    let nobody = || NewInvite { to: None, ..invite(ada, away[50], None, false) };
    let alike = async |db: &Database| {
        let mut said = HashSet::new();
        for asked in [
            nobody(),
            invite(ada, away[50], None, false),
            invite(ada, away[50], None, true),
            invite(ada, away[0], None, false),
        ] {
            let refused = db.ask_new(asked).await.expect_err("refused");
            let Error::Refused(fault) = refused else { panic!("{refused}") };
            assert_eq!(fault.error, Code::TooMany);
            said.insert(fault.reason);
        }
        assert_eq!(said.len(), 1, "{said:?}");
    };
    alike(&db).await;
    // For one person it counts again after ten minutes; it is forgotten after a day.
    db.store.invited_earlier(DAY).await;
    assert_eq!(db.ask_new(nobody()).await.unwrap(), AskResult::NoUser);
    assert_eq!(db.ask(ada, away[0], false).await, AskResult::Offline);
    assert_eq!(db.store.looks().await, 1);
    db.store.invited_earlier(10 * 60 * 1000 + 1).await;
    assert_eq!(db.ask(ada, away[0], false).await, AskResult::Offline);
    assert_eq!(db.store.looks().await, 2);
    // It is not an invitation: five may still be sent to the same person.
    for _ in 0..5 {
        assert_eq!(db.ask(ada, away[0], true).await, AskResult::Pending);
        let id = invited(&db.announced().await);
        db.answer(ada, id, Answer::Cancelled).await.unwrap();
        db.announced().await;
    }
    // A user who may not be told about names is refused before anything else, except about people they know.
    let refused =
        |to: Person| NewInvite { refused: Some(Fault::of(Code::TooMany)), ..invite(ada, to, None, true) };
    assert_eq!(code(db.ask_new(refused(away[1])).await), Code::TooMany);
    let session = db.pair(ada, away[2]).await;
    assert_eq!(db.ask_new(refused(away[2])).await.unwrap(), AskResult::AlreadyConnected(session));
}

/// Security's finding 11.
#[tokio::test]
async fn a_hundred_invitations_wait_for_one_person_and_no_more() {
    let mut db = Database::new().await;
    let ada = db.person("Ada").await;
    let mut first = None;
    for n in 0..100 {
        let guest = db.person(format!("Guest{n}").leak()).await;
        assert_eq!(db.ask(guest, ada, true).await, AskResult::Pending);
        first = first.or(Some(invited(&db.announced().await)));
        while db.events.try_recv().is_ok() {} // the channel is short
    }
    let bob = db.person("Bob").await;
    for here in [true, false] {
        assert_eq!(db.ask(bob, ada, here).await, AskResult::Full, "whether they are here or not");
    }
    assert_eq!(db.store.invitations(ada.id).await.unwrap().0.len(), 100);
    db.answer(ada, first.unwrap(), Answer::Rejected).await.unwrap();
    db.announced().await;
    assert_eq!(db.ask(bob, ada, true).await, AskResult::Pending);
}

#[tokio::test]
async fn an_invitation_is_answered_once_and_by_the_right_person() {
    let mut db = Database::new().await;
    let (ada, bob, eve) = (db.person("Ada").await, db.person("Bob").await, db.person("Eve").await);
    for answer in [Answer::Rejected, Answer::Cancelled, Answer::Accepted] {
        db.ask(ada, bob, true).await;
        let id = invited(&db.announced().await);
        let (may, may_not) = if answer == Answer::Cancelled { (ada, bob) } else { (bob, ada) };
        assert_eq!(code(db.answer(eve, id, answer).await), Code::NotFound);
        assert_eq!(code(db.answer(may_not, id, answer).await), Code::NotFound);
        db.answer(may, id, answer).await.unwrap();
        assert_eq!(outcome(&db.announced().await, ada), answer.into());
        for (who, again) in [(bob, Answer::Accepted), (bob, Answer::Rejected), (ada, Answer::Cancelled)] {
            let twice = db.answer(who, id, again).await;
            if again != answer {
                assert_eq!(code(twice), Code::Gone);
                continue;
            }
            twice.unwrap(); // a repeat is news only to the socket that asks
            let told = db.announced().await;
            assert!(matches!(&told[..], [Event::EndedAgain { origin: HERE, .. }]), "{told:?}");
        }
    }
    assert_eq!(code(db.answer(bob, InviteId::new(), Answer::Accepted).await), Code::NotFound);
    assert_eq!(db.store.sessions_of(bob.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_has_more_conversations_than_they_may() {
    let mut db = Database::new().await;
    let [ada, bob, cleo, dara] =
        [db.person("Ada").await, db.person("Bob").await, db.person("Cleo").await, db.person("Dara").await];
    let session = db.pair(ada, bob).await;
    db.ask(ada, cleo, true).await; // before there is a limit
    let waiting = invited(&db.announced().await);
    let ask = async |from: Person, to: Person, session| {
        let new = NewInvite { conversations: Some(1), ..invite(from, to, session, true) };
        match db.ask_new(new).await {
            Err(crate::Error::Refused(fault)) => fault.reason,
            other => format!("{other:?}"),
        }
    };
    assert!(ask(ada, dara, None).await.starts_with("You have 1 conversations"));
    assert!(ask(dara, ada, None).await.starts_with("Ada has 1 conversations"));
    assert!(ask(cleo, ada, None).await.starts_with("Ada has 1 conversations"), "nor by asking back");
    assert_eq!(ask(ada, bob, None).await, format!("Ok(AlreadyConnected({session:?}))"));
    let begun = async |who: Person| match db.begin(who, SessionId::new(), "Walks", Some(1)).await {
        Err(crate::Error::Refused(fault)) => fault.reason,
        other => format!("{other:?}"),
    };
    assert!(begun(ada).await.starts_with("You have 1 conversations"), "nor by beginning a group");
    let group = SessionId::new();
    db.begin(ada, group, "Walks", None).await.unwrap();
    assert_eq!(ask(ada, dara, Some(group)).await, "Ok(Pending)", "into one that is there");
    let accept =
        async |who: Person, invite, most| db.answer_within(who, invite, Answer::Accepted, Some(most)).await;
    assert_eq!(code(accept(cleo, waiting, 2).await), Code::TooMany, "the other one has too many since");
    accept(cleo, waiting, 3).await.unwrap();
}
