//! Deleted or replaced texts are gone from every file: a minute later, while the server runs and people read without
//! pause; after a `kill -9` within that minute; after a graceful stop; and after the upgrade of a folder in which an
//! earlier version deleted them.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use protocol::{MessageId, ServerFrame, SessionId};
use rusqlite::Connection;
use tokio::time::sleep;

use super::crowd::{Crowd, another_device};
use super::run::{finish, folder};
use super::{Failure, Outcome, Result, Rig};
use headless::Client;

/// The deadline of the promise.
const MINUTE: Duration = Duration::from_secs(60);

/// Messages sent for each part; all but every third are then deleted or edited.
const MESSAGES: usize = 240;

/// The length in bytes of a word that only one text contains.
const WORD: usize = 24;

/// People who read meanwhile.
const READERS: usize = 6;

/// A message, and the word that only it contains.
struct Said {
    id: MessageId,
    word: String,
}

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let folder = folder()?;
    let data = folder.path().join("data");
    let mut server = rig.server(&data).start().await?;
    let Crowd { mut people, sessions } = Crowd::gather(&server.base, 2, 1, 2).await?;
    let (session, mut random) = (sessions[0].0, rig.random(4_000));
    people.truncate(1);
    let ada = &mut people[0];

    let gone = say_and_delete(ada, session, &data, &mut random).await?;
    let reading: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(another_device(ada), session))).collect();
    sleep(MINUTE).await;
    if let Some(ended) = reading.iter().position(tokio::task::JoinHandle::is_finished) {
        return Err(Failure::Missed(format!("reader {ended} could not go on")));
    }
    none_is_left(&gone, &data, "a minute later, while people read")?;
    reading.iter().for_each(tokio::task::JoinHandle::abort);
    let mut searched = gone.len();

    ada.reconnect().await?;
    let gone = say_and_delete(ada, session, &data, &mut random).await?;
    server.kill().await?;
    server.start_again().await?;
    none_is_left(&gone, &data, "after a kill and a restart")?;
    searched += gone.len();

    ada.reconnect().await?;
    let gone = say_and_delete(ada, session, &data, &mut random).await?;
    server.terminate().await?;
    none_is_left(&gone, &data, "after a stop in good order")?;
    searched += gone.len();

    server.start_again().await?;
    ada.reconnect().await?;
    let said = say(ada, session, &mut random).await?;
    server.terminate().await?;
    let gone = delete_as_before(&said, &data)?;
    server.start_again().await?;
    none_is_left(&gone, &data, "after the upgrade of a folder in which it had been deleted")?;
    searched += gone.len();
    finish(server).await?;
    Ok(Outcome::Passed(format!("{searched} texts deleted or replaced, none of them left in any file")))
}

/// Reads the newest messages and the whole history over and over.
async fn read(mut reader: Client, session: SessionId) -> Result<()> {
    loop {
        reader.load().await?;
        reader.whole_history(session).await?;
    }
}

/// Sends messages of many lengths, each with a unique word.
async fn say(who: &mut Client, session: SessionId, random: &mut fastrand::Rng) -> Result<Vec<Said>> {
    let mut said = Vec::new();
    for _ in 0..MESSAGES {
        let (word, text) = text(random);
        said.push(Said { id: who.say_and_wait(session, text).await?, word });
    }
    Ok(said)
}

/// Returns a unique word, and a text that begins with it.
fn text(random: &mut fastrand::Rng) -> (String, String) {
    let word: String = std::iter::repeat_with(|| random.alphanumeric()).take(WORD).collect();
    let length = *random.choice([0, 5, 50, 200, 700, 3_000, 12_000].iter()).unwrap_or(&0);
    let text = format!("{word} {}", "x".repeat(length));
    (word, text.trim_end().to_owned())
}

/// Sends messages, then deletes or edits most of them, some more than once. Returns the words that must be gone.
async fn say_and_delete(
    who: &mut Client,
    session: SessionId,
    data: &Path,
    random: &mut fastrand::Rng,
) -> Result<Vec<String>> {
    let mut said = say(who, session, random).await?;
    let words: Vec<_> = said.iter().map(|said| said.word.clone()).collect();
    if left(&words, data)?.len() < words.len() {
        return Err(Failure::Missed("the search does not find what is there".into()));
    }
    random.shuffle(&mut said);
    let mut gone = Vec::new();
    for nth in 0..said.len() * 2 {
        let at = nth % said.len();
        if at % 3 == 0 || said[at].word.is_empty() {
            continue;
        }
        let old = std::mem::take(&mut said[at].word);
        if random.bool() {
            who.delete(session, said[at].id).await?;
            shows(who, session, said[at].id, "").await?;
        } else {
            let (word, text) = text(random);
            who.edit(session, said[at].id, &text).await?;
            shows(who, session, said[at].id, &text).await?;
            said[at].word = word;
        }
        gone.push(old);
    }
    Ok(gone)
}

/// Waits until the message has this text.
async fn shows(who: &mut Client, session: SessionId, id: MessageId, text: &str) -> Result<()> {
    let is_it = |frame: &ServerFrame| match frame {
        ServerFrame::Message(live) => {
            (live.session_id == session && live.message.message_id == id && live.message.data == text)
                .then_some(())
        }
        _ => None,
    };
    Ok(who.expect("the change", is_it).await?)
}

/// Deletes the messages as versions before 3 did, and turns the database into one of theirs.
fn delete_as_before(said: &[Said], data: &Path) -> Result<Vec<String>> {
    let broken =
        |error: rusqlite::Error| Failure::Missed(format!("the database of an earlier version: {error}"));
    let db = Connection::open(data.join("natter.sqlite")).map_err(broken)?;
    let delete = || {
        db.execute_batch(
            "pragma secure_delete = off; drop table vacuumed; delete from _sqlx_migrations where version = 7",
        )?;
        for Said { id, .. } in said {
            db.execute(
                "update messages set data = '', deleted_at = 1, altered = 1 where message_id = ?1",
                [id.0],
            )?;
        }
        db.execute_batch("pragma wal_checkpoint(truncate)")
    };
    delete().map_err(broken)?;
    drop(db);
    let words: Vec<_> = said.iter().map(|said| said.word.clone()).collect();
    let left = left(&words, data)?;
    if left.is_empty() {
        return Err(Failure::Missed("an earlier version would have left something".into()));
    }
    Ok(left)
}

fn none_is_left(words: &[String], data: &Path, when: &str) -> Result<()> {
    let left = left(words, data)?;
    if left.is_empty() {
        return Ok(());
    }
    let how = format!(
        "{when}: {} of {} deleted texts are still in a file, such as {}",
        left.len(),
        words.len(),
        left[0]
    );
    Err(Failure::Missed(how))
}

/// Returns the words that are still anywhere in the data folder.
fn left(words: &[String], data: &Path) -> Result<Vec<String>> {
    let wanted: HashSet<_> = words.iter().map(String::as_bytes).collect();
    let mut found = HashSet::new();
    for entry in std::fs::read_dir(data)? {
        let file = entry?.path();
        let name = file.to_string_lossy();
        if !name.contains(".before-") && !name.contains(".replaced-") {
            let bytes = std::fs::read(&file)?;
            let here = bytes.windows(WORD).filter(|part| wanted.contains(part)).map(<[u8]>::to_vec);
            found.extend(here);
        }
    }
    Ok(words.iter().filter(|word| found.contains(word.as_bytes())).cloned().collect())
}
