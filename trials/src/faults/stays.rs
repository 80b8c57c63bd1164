//! People come into a group and leave it again, or are removed, while others talk there and the server is killed.

use std::time::Duration;

use futures::future::try_join_all;
use protocol::{Answer, Asked, ClientFrame, Rev, SearchNotice, Seq, ServerFrame, SessionId, UserId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::crowd::{Crowd, another_device};
use super::device::{Device, is_passing};
use super::run::{Talk, clean, finish, folder};
use super::{Failure, Outcome, Result, Rig};
use crate::check::{Actor, Table};
use crate::process::PATIENCE;

/// Who talks, all the time, and who comes and goes.
const TALKERS: usize = 3;
const GUESTS: usize = 5;

/// How long a server lives.
const LIFE: Duration = Duration::from_millis(1_500);

/// How long the owner waits before the next change, in milliseconds at most.
const PAUSE: u64 = 40;

/// One in so many frames makes a guest leave, or drop their connection.
const LEAVING: u64 = 150;
const DROPPING: u64 = 300;

/// Fewer comings and goings than this would prove nothing.
const STAYS: usize = 20;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let data = folder()?;
    let mut server = rig.server(data.path()).start().await?;
    let mut crowd = Crowd::gather(&server.base, TALKERS + GUESTS, 1, TALKERS).await?;
    let (session, guests) = (crowd.sessions[0].0, crowd.people.split_off(TALKERS));
    let names: Vec<String> = guests.iter().map(|guest| guest.me().username.clone()).collect();
    let users: Vec<UserId> = guests.iter().map(headless::Client::id).collect();
    let owner = another_device(&crowd.people[0]);
    let talk = Talk::begin(rig, crowd, |_| {});

    let (stop, stopped) = watch::channel(false);
    let mut coming = Vec::new();
    for (guest, n) in guests.into_iter().zip(TALKERS as u32..) {
        let mut device = Device::new(guest, talk.history.log(Actor(n)));
        device.set_coming_and_going();
        let random = rig.random(u64::from(n) + 100);
        coming.push(tokio::spawn(come_and_go(device, session, random, stopped.clone())));
    }
    let owner = Device::new(owner, talk.history.log(Actor((TALKERS + GUESTS) as u32)));
    let doing = tokio::spawn(invite_and_remove(owner, session, names, rig.random(99), stopped));

    let lives = rig.lane.of(2, 20, 100);
    for _ in 0..lives {
        sleep(LIFE).await;
        server.kill().await?;
        server.start_again().await?;
        if talk.has_failed() || doing.is_finished() {
            break;
        }
    }
    sleep(LIFE).await;
    let _ = stop.send(true);
    let mut devices = Vec::new();
    for device in coming.into_iter().chain([doing]) {
        devices.push(device.await.map_err(|error| Failure::Missed(error.to_string()))??);
    }
    let bounds = talk.bounds;
    let mut ended = talk.end(&server.base.clone()).await?;
    let stays = stays(data.path(), session).await?;
    let count: usize = stays.iter().map(|(_, stays)| stays.len()).sum();
    let head = ended.table[&session].last().map(|row| row.rev).unwrap_or_default();
    let own = |user: &UserId| stays.iter().find(|(id, _)| id == user).map_or(vec![], |(_, own)| own.clone());
    let mut own: Vec<_> = users.iter().map(own).collect();
    own.push(vec![(Seq(0), Seq(i64::MAX))]);
    try_join_all(devices.iter_mut().zip(&own).map(|(device, own)| rest(device, (session, head), own)))
        .await?;
    for ((device, own), n) in devices.into_iter().zip(own).zip(TALKERS as u32..) {
        ended.differences.extend(device.differs(&seen(&ended.table, &own)));
        ended.history.stayed(Actor(n), session, own);
        ended.history.add(device.into_parts().1);
    }
    let figures = ended.check(&bounds)?;
    finish(server).await?;
    if count < STAYS {
        return Err(Failure::Missed(format!("only {count} stays: nobody comes and goes")));
    }
    Ok(Outcome::Passed(format!("{lives} kills, {count} stays of {GUESTS} people; {figures}: {}", clean())))
}

/// Accepts every invitation, and leaves or loses the connection now and then.
async fn come_and_go(
    mut device: Device,
    session: SessionId,
    mut random: fastrand::Rng,
    stop: watch::Receiver<bool>,
) -> Result<Device> {
    while !*stop.borrow() {
        let frame = match timeout(Duration::from_millis(100), device.next()).await {
            Err(_) => continue, // nobody talks to it just now
            Ok(Ok(frame)) => frame,
            Ok(Err(failure)) if is_passing(&failure) => {
                device.back().await?;
                continue;
            }
            Ok(Err(failure)) => return Err(failure),
        };
        if let ServerFrame::Search(SearchNotice::Invited { invite_id, .. }) = frame {
            let _ = device.client.answer(invite_id, Answer::Accepted).await; // `next` notices a lost connection
        }
        let is_in = device.client.sync().sessions().contains_key(&session);
        if is_in && random.u64(..LEAVING) == 0 {
            let _ = device.client.send(&ClientFrame::Leave { session_id: session }).await;
        }
        if random.u64(..DROPPING) == 0 {
            device.unplug();
            device.back().await?;
        }
    }
    Ok(device)
}

/// Invites whoever is out, and removes somebody now and then.
async fn invite_and_remove(
    mut owner: Device,
    session: SessionId,
    names: Vec<String>,
    mut random: fastrand::Rng,
    stop: watch::Receiver<bool>,
) -> Result<Device> {
    owner.back().await?;
    let mut next = Instant::now();
    while !*stop.borrow() {
        match timeout(Duration::from_millis(random.u64(1..=PAUSE)), owner.next()).await {
            Err(_) | Ok(Ok(_)) => {}
            Ok(Err(failure)) if is_passing(&failure) => owner.back().await?,
            Ok(Err(failure)) => return Err(failure),
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + Duration::from_millis(random.u64(1..=PAUSE));
        let name = &names[random.usize(..names.len())];
        let users = owner.client.sync().sessions().get(&session).map(|group| &group.users);
        let there = users.and_then(|users| users.iter().find(|(_, user)| user.username == *name));
        let frame = match there.map(|(id, _)| *id) {
            Some(_) if random.u64(..3) > 0 => continue, // some leave by themselves
            Some(user_id) => ClientFrame::Remove { session_id: session, user_id },
            None => {
                let asked = Asked { username: name.clone(), session_id: Some(session), leave: true };
                ClientFrame::Search(protocol::Search::Ask(asked))
            }
        };
        let _ = owner.client.send(&frame).await;
    }
    Ok(owner)
}

/// Takes frames until the device holds what it may see at the end.
async fn rest(device: &mut Device, head: (SessionId, Rev), stays: &[(Seq, Seq)]) -> Result<()> {
    if !device.client.is_connected() {
        device.back().await?;
    }
    if stays.last().is_some_and(|(_, up_to)| *up_to == Seq(i64::MAX)) {
        return device.catch_up(&[head]).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while device.client.sync().sessions().contains_key(&head.0) {
        if Instant::now() > deadline {
            return Err(Failure::Missed("a device was not told that its user has left".into()));
        }
        device.live().await?;
    }
    Ok(())
}

/// Reads from the database when everybody was in a session, each stay after one message and up to another.
async fn stays(data: &std::path::Path, session: SessionId) -> Result<Vec<(UserId, Vec<(Seq, Seq)>)>> {
    let mut db = SqliteConnectOptions::new().filename(data.join("natter.sqlite")).connect().await?;
    let rows: Vec<(Vec<u8>, i64, i64)> = sqlx::query_as(
        "select user_id, after_seq, until_seq from spans where session_id = $1
         union all
         select user_id, joined_seq, 9223372036854775807 from session_users
         where session_id = $1 and left_at is null order by 1, 2, 3",
    )
    .bind(session.0.as_bytes().as_slice())
    .fetch_all(&mut db)
    .await?;
    db.close().await?;
    let mut stays: Vec<(UserId, Vec<(Seq, Seq)>)> = Vec::new();
    for (user, after, up_to) in rows {
        let user = protocol::Uuid::from_slice(&user).map_err(|error| Failure::Missed(error.to_string()))?;
        match stays.last_mut() {
            Some((last, own)) if *last == UserId(user) => own.push((Seq(after), Seq(up_to))),
            _ => stays.push((UserId(user), vec![(Seq(after), Seq(up_to))])),
        }
    }
    Ok(stays)
}

/// Returns what somebody may see of a table.
fn seen(table: &Table, stays: &[(Seq, Seq)]) -> Table {
    let may_see = |seq: Seq| stays.iter().any(|(after, up_to)| *after < seq && seq <= *up_to);
    table
        .iter()
        .map(|(id, rows)| (*id, rows.iter().filter(|row| may_see(row.seq)).copied().collect()))
        .collect()
}
