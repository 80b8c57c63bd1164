//! Connections that send nothing, one byte, or half a head: the server closes all, and signing in works meanwhile.

use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::crowd::{Crowd, another_login};
use super::run::{finish, folder};
use super::{Failure, Outcome, Result, Rig};
use crate::process::{PATIENCE, raise_open_files};

/// What the connections send, one of these each.
const SAID: [&[u8]; 3] = [b"", b"G", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "];

/// The server's timeout is 5 s; the rest is slack for its timers and this machine. A connection closed much earlier was
/// not let in at all.
const CLOSED: Duration = Duration::from_millis(5_500);
const LET_IN: Duration = Duration::from_secs(3);

/// How long signing in may take meanwhile.
const LOGIN: Duration = Duration::from_millis(300);

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let connections = if rig.lane.is_timed() { 4_000 } else { 300 };
    // The server has the same limit, and reserves some for its own files.
    let files = raise_open_files();
    if files < connections as u64 + 256 {
        return Ok(Outcome::Skipped(format!(
            "{connections} connections need more open files than the {files} allowed here (ulimit -Hn)."
        )));
    }
    let data = folder()?;
    let server = rig.server(data.path()).start().await?;
    let crowd = Crowd::gather(&server.base, 2, 1, 2).await?;
    let address = server.base.strip_prefix("http://").unwrap_or_default().to_owned();
    let silent = (0..connections).map(|n| tokio::spawn(say_nothing(address.clone(), SAID[n % SAID.len()])));
    let silent: Vec<_> = silent.collect();
    let mut logins = Vec::new();
    while silent.iter().any(|connection| !connection.is_finished()) {
        let began = Instant::now();
        another_login(&crowd.people[0]).await?;
        logins.push(began.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for open in join_all(silent).await {
        let open = open.map_err(|error| Failure::Missed(error.to_string()))??;
        (shortest, longest) = (shortest.min(open), longest.max(open));
    }
    finish(server).await?;
    let slowest = logins.iter().max().copied().unwrap_or_default();
    let said = format!(
        "{connections} connections closed after {shortest:.2?} to {longest:.2?}, {} logins meanwhile, the slowest {slowest:.0?}",
        logins.len()
    );
    if shortest < LET_IN || rig.lane.is_timed() && (longest > CLOSED || slowest > LOGIN) {
        return Err(Failure::Missed(said));
    }
    Ok(Outcome::Passed(said))
}

/// Connects, sends these few bytes, and waits for the end. Returns how long the connection was open.
async fn say_nothing(address: String, said: &[u8]) -> Result<Duration> {
    let mut connection = TcpStream::connect(&address).await?;
    let began = Instant::now();
    connection.write_all(said).await?;
    let mut answer = Vec::new();
    // An answer, such as 408, and a reset are both an end.
    match timeout(PATIENCE, connection.read_to_end(&mut answer)).await {
        Ok(_) => Ok(began.elapsed()),
        Err(_) => {
            Err(Failure::Missed(format!("a connection that said {said:?} was still open after {PATIENCE:?}")))
        }
    }
}
