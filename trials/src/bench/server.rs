//! A server's process: started, timed, observed, ended.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::system::{Site, System};
use crate::load::{Error, ProcessId, Service};

/// How long a server may take to start.
const BEGIN: Duration = Duration::from_secs(60);
/// How long it may take to end before it is killed.
const END: Duration = Duration::from_secs(10);
/// The pause between two attempts to connect.
const LOOK: Duration = Duration::from_millis(2);

/// A running server. Dropping this kills it.
#[derive(Debug)]
pub(super) struct Server<S> {
    child: Child,
    began: Instant,
    /// Its people.
    pub service: S,
    /// Its process.
    pub id: ProcessId,
}

/// Starts a system and waits until it accepts connections.
pub(super) async fn start<S: System>(system: &S, site: &Site) -> Result<Server<S::Service>, Error> {
    let mut command = system.command(site)?;
    let log = std::fs::File::create(site.data.join("bench.log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    let began = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| Error::protocol(format!("{} cannot be started: {error}", system.title())))?;
    let listening = async {
        while TcpStream::connect(site.address()).await.is_err() {
            if let Some(status) = child.try_wait()? {
                return Err(ended(system, site, &format!("ended with {status}")));
            }
            sleep(LOOK).await;
        }
        Ok(())
    };
    timeout(BEGIN, listening).await.map_err(|_| ended(system, site, "does not listen"))??;
    let id = child.id().ok_or_else(|| ended(system, site, "has ended"))?;
    Ok(Server { child, began, service: system.service(site).await?, id: ProcessId(id) })
}

/// Describes what went wrong, with the last lines of the server's log.
fn ended<S: System>(system: &S, site: &Site, what: &str) -> Error {
    let log = std::fs::read_to_string(site.data.join("bench.log")).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(5).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    Error::protocol(format!("{} {what}. It said:\n{last}", system.title()))
}

impl<S: Service> Server<S> {
    /// Waits until the first person, who has an account, can connect and talk. Returns the time since the start.
    pub async fn first_talk(&self) -> Result<Duration, Error> {
        let connected = async {
            while self.service.connect(0).await.is_err() {
                sleep(LOOK).await;
            }
        };
        timeout(BEGIN, connected).await.map_err(|_| Error::protocol("nobody can connect"))?;
        Ok(self.began.elapsed())
    }

    /// Ends it as a service manager does, with a kill when it does not end.
    pub async fn stop(mut self) -> Result<(), Error> {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = kill_process(id, Signal::TERM); // it may just have ended
        }
        if timeout(END, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}
