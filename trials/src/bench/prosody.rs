//! Prosody, with its message archive in SQLite.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use indicatif::ProgressBar;
use tokio::process::Command;

use super::system::{Site, System, debian_version};
use super::xmpp::{self, DOMAIN, PASSWORD, Xmpp, account};
use crate::load::{Error, Line, Plan, Service};

/// The configuration, with `@DATA@` and `@PORT@` to be filled in.
pub(super) const CONFIGURATION: &str = include_str!("../../peers/prosody.cfg.lua");

/// Prosody as Debian packages it.
pub(super) struct Prosody;

impl System for Prosody {
    type Service = People;

    fn key(&self) -> &'static str {
        "prosody"
    }

    fn title(&self) -> &'static str {
        "Prosody + SQLite"
    }

    fn version(&self) -> Result<String, String> {
        let missing = |package: &str| format!("Debian's package `{package}` is not installed");
        let prosody = debian_version("prosody").ok_or_else(|| missing("prosody"))?;
        let dbi = debian_version("lua-dbi-sqlite3").ok_or_else(|| missing("lua-dbi-sqlite3"))?;
        let sqlite = debian_version("libsqlite3-0").unwrap_or_default();
        Ok(format!("Prosody {prosody}, lua-dbi-sqlite3 {dbi}, SQLite {sqlite}"))
    }

    fn command(&self, site: &Site) -> Result<Command, Error> {
        let configuration = site.data.join("prosody.cfg.lua");
        fs::create_dir_all(site.data.join("certs"))?;
        fs::write(&configuration, site.fill(CONFIGURATION))?;
        let mut command = Command::new("prosody");
        command.arg("-F").arg("--config").arg(configuration);
        Ok(command)
    }

    async fn service(&self, site: &Site) -> Result<People, Error> {
        Ok(People { data: site.data.clone(), address: site.address(), plan: Plan::new(2, 2) })
    }
}

/// The people of a Prosody.
#[derive(Debug)]
pub(super) struct People {
    data: PathBuf,
    address: SocketAddr,
    plan: Plan,
}

impl Service for People {
    type Talk = Xmpp;

    fn name(&self) -> String {
        "prosody".to_owned()
    }

    /// Lets `prosodyctl` create the first account; the others are copies of its file, hash and all.
    async fn prepare(&mut self, plan: Plan, _: &ProgressBar) -> Result<(), Error> {
        self.plan = plan;
        let accounts = self.data.join(DOMAIN).join("accounts");
        let file = |person: usize| accounts.join(format!("{}.dat", account(person)));
        if !file(0).exists() {
            let made = Command::new("prosodyctl")
                .arg("--config")
                .arg(self.data.join("prosody.cfg.lua"))
                .args(["--root", "register", &account(0), DOMAIN, PASSWORD])
                .output()
                .await?;
            if !file(0).exists() {
                let said = String::from_utf8_lossy(&made.stdout).into_owned();
                return Err(Error::protocol(format!("prosodyctl made no account: {said}")));
            }
        }
        for person in (1..plan.people).filter(|person| !file(*person).exists()) {
            fs::copy(file(0), file(person))?;
        }
        Ok(())
    }

    async fn connect(&self, person: usize) -> Result<Line<Xmpp>, Error> {
        xmpp::connect(self.address, person, self.plan, "rooms.localhost").await
    }
}
