//! Natter under load: accounts, logins and sessions as real people get them, and how they talk.

mod accounts;
mod head;
mod numbers;
mod page;
mod talk;

use std::net::SocketAddr;
use std::path::PathBuf;

use indicatif::ProgressBar;
use protocol::ServerFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Error, Line, Plan, Service, websocket};
use accounts::Accounts;
pub use talk::{Check, Habits, NatterTalk};

/// A Natter server, and the people it knows.
#[derive(Debug)]
pub struct Natter {
    base: String,
    address: SocketAddr,
    habits: Habits,
    accounts: Accounts,
    plan: Plan,
}

impl Natter {
    /// Drives the server at `base`, such as `http://127.0.0.1:3000`. Keeps accounts, logins and sessions in `file` for
    /// the next run: 5,000 logins cost the server minutes.
    ///
    /// # Errors
    /// When the server's name has no address, or the file has unexpected content.
    pub async fn new(base: &str, habits: Habits, file: Option<PathBuf>) -> Result<Self, Error> {
        let accounts = Accounts::open(file)?;
        let base = base.trim_end_matches('/').to_owned();
        let authority = base
            .strip_prefix("http://")
            .ok_or_else(|| Error::protocol(format!("{base} is no address of the form http://name:port")))?;
        let nowhere = || Error::protocol(format!("{authority} has no address"));
        let address = tokio::net::lookup_host(authority).await?.next().ok_or_else(nowhere)?;
        Ok(Self { base, address, habits, accounts, plan: Plan::new(2, 2) })
    }
}

impl Service for Natter {
    type Talk = NatterTalk;

    fn name(&self) -> String {
        "natter".to_owned()
    }

    async fn prepare(&mut self, plan: Plan, progress: &ProgressBar) -> Result<(), Error> {
        self.plan = plan;
        self.accounts.prepare(&self.base, plan, progress).await
    }

    async fn connect(&self, person: usize) -> Result<Line<NatterTalk>, Error> {
        let account = self.accounts.of(self.plan, person)?;
        let headers = [("Cookie", account.cookie())];
        let (mut stream, mut input) = websocket::open(self.address, person, "/ws", &headers).await?;
        let mut output = Vec::new();
        websocket::write_text(r#"{"type":"Hello"}"#, &mut output);
        stream.write_all(&output).await?;
        output.clear();
        let mut welcome = None;
        loop {
            let taken = websocket::read(&input, &mut output, |text, _| {
                if let frame @ ServerFrame::Welcome { .. } = ServerFrame::decode(text)? {
                    welcome = Some(frame);
                }
                Ok(())
            })?;
            input.drain(..taken);
            if let Some(welcome) = welcome {
                let talk = NatterTalk::new(self.habits, account.session(), welcome)?;
                return Line::new(stream, talk, input, output);
            }
            if stream.read_buf(&mut input).await? == 0 {
                return Err(Error::protocol("the server closed the socket before its Welcome"));
            }
        }
    }
}
