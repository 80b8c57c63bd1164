//! A server as a separate process: started from a binary on a folder, killed, stopped, monitored.
//!
//! For this crate's programs; Linux only where it reads `/proc`.

use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// How long a server may take to start or to end; longer means that it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Start {
    /// The program and any prefix: `natter`, or `strace … natter`.
    command: Vec<String>,
    data: PathBuf,
    address: String,
    settings: Vec<String>,
    variables: Vec<(String, String)>,
    log: Option<PathBuf>,
}

impl Start {
    /// Prepares the program `binary` on the folder `data`, on a free port, without limits.
    #[must_use]
    pub fn new(binary: &Path, data: &Path) -> Self {
        Self {
            command: vec![binary.display().to_string()],
            data: data.to_owned(),
            address: "127.0.0.1:0".into(),
            settings: ["--limits", "off"].map(String::from).to_vec(),
            variables: Vec::new(),
            log: None,
        }
    }

    /// Prepares the bare relay, which has no settings, on the folder `data`, on a free port.
    #[must_use]
    pub fn relay(binary: &Path, data: &Path) -> Self {
        Self { settings: Vec::new(), ..Self::new(binary, data) }
    }

    /// Runs the program under another one, such as `strace`.
    #[must_use]
    pub fn under<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.splice(0..0, words.into_iter().map(String::from));
        self
    }

    /// Listens here, such as `127.0.0.1:3000`, so that clients find it after a restart.
    #[must_use]
    pub fn at(mut self, address: &str) -> Self {
        self.address = address.to_owned();
        self
    }

    /// Also opens a private listener, on a free port.
    #[must_use]
    pub fn private(self) -> Self {
        self.with(["--private-listen", "127.0.0.1:0"])
    }

    /// Adds settings to the command line.
    #[must_use]
    pub fn with<'a>(mut self, settings: impl IntoIterator<Item = &'a str>) -> Self {
        self.settings.extend(settings.into_iter().map(String::from));
        self
    }

    /// Applies all of the server's default limits.
    #[must_use]
    pub fn holding_back(mut self) -> Self {
        self.settings.retain(|setting| !["--limits", "off"].contains(&setting.as_str()));
        self
    }

    /// Applies the server's default limits, except those on how fast people talk and sign in: these clients are faster
    /// than people.
    #[must_use]
    pub fn limited(self) -> Self {
        let mut start = self.holding_back();
        let paces = ["messages-per-second", "message-burst", "text-per-second", "text-burst"];
        let doors = ["logins-per-minute", "registrations-per-minute", "connections-per-address"];
        let many = |setting: &&str| format!("--{setting}=1000000");
        start.settings.extend(paces.iter().chain(&doors).map(many));
        start.with(["--text-per-day=1000000"])
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Appends the server's log to this file instead of discarding it.
    #[must_use]
    pub fn logging_to(mut self, file: &Path) -> Self {
        self.log = Some(file.to_owned());
        self
    }

    /// Starts it and waits until it reports that it is listening.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not report in time; with the last lines of its log.
    pub async fn start(&self) -> io::Result<Process> {
        let mut log = match &self.log {
            Some(file) => std::fs::File::options().create(true).append(true).read(true).open(file)?,
            None => tempfile::tempfile()?,
        };
        let started = self.start_logging(log.try_clone()?).await;
        started.map_err(|error| {
            let mut said = String::new();
            let _ = log.rewind().and_then(|()| log.read_to_string(&mut said));
            let last: Vec<_> = said.lines().rev().take(3).collect();
            io::Error::other(format!("{error}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / ")))
        })
    }

    /// Starts it and kills it this long after, ready or not. Returns when it is gone.
    ///
    /// # Errors
    /// When it cannot be started or killed.
    pub async fn start_and_kill(&self, after: Duration) -> io::Result<()> {
        let mut child = self.command().spawn()?;
        tokio::time::sleep(after).await;
        child.kill().await
    }

    async fn start_logging(&self, log: std::fs::File) -> io::Result<Process> {
        let began = Instant::now();
        let mut child = self.command().stderr(log).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut base = None;
        let mut private = None;
        let wants_private = self.settings.iter().any(|setting| setting == "--private-listen");
        let said = async {
            while base.is_none() || (wants_private && private.is_none()) {
                let line = lines.next_line().await?;
                let line =
                    line.ok_or_else(|| io::Error::other("the server ended before it was listening"))?;
                if let Some((_, at)) = line.split_once(" is listening on ") {
                    base = Some(at.to_owned());
                } else if let Some(at) = line.strip_prefix("Natter's private listener is on ") {
                    private = Some(at.to_owned());
                }
            }
            Ok::<_, io::Error>(())
        };
        timeout(PATIENCE, said)
            .await
            .map_err(|_| io::Error::other("the server did not say that it listens"))??;
        let base = base.expect("waited for");
        Ok(Process { child, base, private, ready_after: began.elapsed(), start: self.clone() })
    }

    /// Builds the command, without anything from this process's environment that could configure the server.
    fn command(&self) -> Command {
        let (program, before) = self.command.split_first().expect("never empty");
        let mut command = Command::new(program);
        command
            .args(before)
            .arg("--data")
            .arg(&self.data)
            .args(["--listen", &self.address])
            .args(&self.settings);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NATTER_"))
        {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// A running server. Dropping this kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    start: Start,
    /// Where it listens, such as `http://127.0.0.1:3000`.
    pub base: String,
    /// The address of its private listener, when it has one.
    pub private: Option<String>,
    /// How long it took from start to listening.
    pub ready_after: Duration,
}

impl Process {
    /// Returns its process ID.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> io::Result<u32> {
        self.child.id().ok_or_else(|| io::Error::other("the server has ended"))
    }

    /// Kills it with `kill -9`. Returns when it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        timeout(PATIENCE, self.child.wait()).await.map_err(|_| io::Error::other("the server did not end"))?
    }

    /// Freezes it, as if its machine stood still. Returns when every thread has stopped: a thread in the middle of a
    /// sync stops only after it.
    ///
    /// # Errors
    /// When it has ended, or does not stop.
    pub async fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + PATIENCE;
        while !stands(self.id()?)? {
            if Instant::now() > deadline {
                return Err(io::Error::other("the server could not be frozen"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Resumes it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts it again, at the same address with the same data, after it has ended.
    ///
    /// # Errors
    /// As for [`Start::start`].
    pub async fn start_again(&mut self) -> io::Result<()> {
        *self = self.at_same_address().start().await?;
        Ok(())
    }

    /// Starts it again, and kills it this long after, ready or not.
    ///
    /// # Errors
    /// When it cannot be started or killed.
    pub async fn start_and_kill(&mut self, after: Duration) -> io::Result<()> {
        self.at_same_address().start_and_kill(after).await
    }

    fn at_same_address(&self) -> Start {
        self.start.clone().at(self.base.strip_prefix("http://").unwrap_or(&self.base))
    }

    /// Returns its resident memory, in bytes.
    ///
    /// # Errors
    /// When it has ended, or there is no `/proc`.
    pub fn memory(&self) -> io::Result<u64> {
        memory(self.id()?)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(self.id()?).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("the server has no process id"))?;
        Ok(kill_process(id, signal)?)
    }
}

/// Returns whether every thread of a process is stopped.
fn stands(id: u32) -> io::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
        // The state follows the last bracket, which ends the name. A thread that has just ended has none.
        let stat = std::fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        if stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" T")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the resident memory of a process, in bytes.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn memory(id: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.map(|kb| kb * 1024).ok_or_else(|| io::Error::other("/proc names no VmRSS"))
}

/// Returns how many bytes a process has caused to be written to disk; on a folder in memory, none.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn written(id: u32) -> io::Result<u64> {
    let counts = std::fs::read_to_string(format!("/proc/{id}/io"))?;
    let bytes = counts.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    bytes.ok_or_else(|| io::Error::other("/proc names no write_bytes"))
}

/// Returns the CPU time of a process, user and system.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn processor_time(id: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // Field 2 is the program's name in brackets and may contain anything; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Descriptors to make room for from the start.
const ROOM: u64 = 16 * 1024;

/// Lets this process open as many files and sockets as the system allows, and makes room for thousands up front: Linux
/// makes threads wait 20 ms whenever it grows the table, which would spoil measurements. Returns the limit.
#[must_use]
pub fn raise_open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // a lower limit shows up where it is hit
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let highest = i32::try_from(most.min(ROOM)).unwrap_or(i32::MAX).saturating_sub(1);
    let _ = rustix::io::fcntl_dupfd_cloexec(io::stderr(), highest); // at the highest place, closed immediately
    most
}
