//! The binary itself: as a server, and as a command.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use headless::Client;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::{client, user, within};

/// The binary, running as a separate process.
pub struct Natter {
    child: Child,
    pub base: String,
    /// The address of the private listener, if it has one.
    pub private: Option<String>,
    data: PathBuf,
    args: Vec<String>,
    /// What the shell runs before it becomes the server.
    shell: String,
}

impl Natter {
    /// Starts it on this data, at a free port and without limits, and waits until it reports that it is listening.
    pub async fn start(data: &Path) -> Self {
        Self::with(data, &["--limits", "off"]).await
    }

    /// The same, with other settings.
    pub async fn with(data: &Path, args: &[&str]) -> Self {
        Self::under("true", data, args).await
    }

    /// The same, after a shell command such as `ulimit`.
    pub async fn under(shell: &str, data: &Path, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self::at(shell.to_owned(), data, "127.0.0.1:0", args).await
    }

    async fn at(shell: String, data: &Path, address: &str, args: Vec<String>) -> Self {
        let mut child = natter_under(&shell, data)
            .args(["--listen", address])
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let base = address_in(&mut stdout, "Natter is listening on ").await;
        let private = match args.iter().any(|arg| arg == "--private-listen") {
            true => Some(address_in(&mut stdout, "Natter's private listener is on ").await),
            false => None,
        };
        Self { child, base, private, data: data.to_owned(), args, shell }
    }

    /// Returns a client without an account.
    pub fn client(&self) -> Client {
        client(&self.base)
    }

    /// Returns a client with an account, signed in, without a socket.
    pub async fn user(&self, name: &str) -> Client {
        user(&self.base, name).await
    }

    /// Returns a client with an account, signed in and connected.
    pub async fn online(&self, name: &str) -> Client {
        let mut client = self.user(name).await;
        client.online().await.unwrap();
        client
    }

    /// Kills it with `kill -9` and restarts it with the same data and port.
    pub async fn kill_and_restart(&mut self) {
        self.child.kill().await.unwrap();
        self.start_again().await;
    }

    /// Restarts it after it has ended, with the same data and port.
    pub async fn start_again(&mut self) {
        let address = self.base.strip_prefix("http://").unwrap().to_owned();
        *self = Self::at(self.shell.clone(), &self.data, &address, self.args.clone()).await;
    }

    /// Stops it with SIGTERM, as a service manager would.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Returns the process ID.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal.
    pub async fn signal(&self, name: &str) {
        // The shell's builtin: a minimal system has no `kill` program.
        let kill = format!("kill -s {name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the process to end", self.child.wait()).await.unwrap()
    }
}

/// Reads the address from the next line of a program's output.
async fn address_in(stdout: &mut BufReader<ChildStdout>, before: &str) -> String {
    let mut line = String::new();
    within("the line on stdout", stdout.read_line(&mut line)).await.unwrap();
    line.trim().strip_prefix(before).unwrap_or_else(|| panic!("{line:?}")).to_owned()
}

/// Returns a command of the binary on this data, without settings from this process's environment.
pub fn natter(data: &Path) -> Command {
    natter_under("true", data)
}

/// The same, after a shell command.
fn natter_under(shell: &str, data: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_natter")]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NATTER_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data).kill_on_drop(true);
    command
}

/// Runs a command to its end; returns exit code, stdout and stderr.
pub async fn run(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input.as_bytes()).await; // it may not read any
    drop(stdin);
    let output = within("the command to end", child.wait_with_output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}
