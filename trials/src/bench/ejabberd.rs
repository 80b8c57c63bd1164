//! ejabberd, with its message archive in SQLite.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde_json::json;
use tokio::process::Command;

use super::system::{Site, System, debian_version};
use super::xmpp::{self, DOMAIN, PASSWORD, Xmpp, account};
use crate::load::{Error, Line, Plan, Service};

/// The configuration, with `@DATA@`, `@PORT@` and `@API_PORT@` to be filled in.
pub(super) const CONFIGURATION: &str = include_str!("../../peers/ejabberd.yml");

/// The script that starts Debian's ejabberd: it knows where Debian keeps Erlang's libraries.
const SCRIPT: &str = "/usr/sbin/ejabberdctl";

/// ejabberd as Debian packages it.
pub(super) struct Ejabberd;

impl System for Ejabberd {
    type Service = People;

    fn key(&self) -> &'static str {
        "ejabberd"
    }

    fn title(&self) -> &'static str {
        "ejabberd + SQLite"
    }

    fn version(&self) -> Result<String, String> {
        let missing = |package: &str| format!("Debian's package `{package}` is not installed");
        let ejabberd = debian_version("ejabberd").ok_or_else(|| missing("ejabberd"))?;
        debian_version("erlang-p1-sqlite3").ok_or_else(|| missing("erlang-p1-sqlite3"))?;
        let erlang = debian_version("erlang-base").unwrap_or_default();
        let sqlite = debian_version("libsqlite3-0").unwrap_or_default();
        Ok(format!("ejabberd {ejabberd}, Erlang {erlang}, SQLite {sqlite}"))
    }

    /// Does what `ejabberdctl foreground` does with its defaults, but without a cluster name: so it needs neither
    /// Erlang's port mapper nor the system's user and folders.
    fn command(&self, site: &Site) -> Result<Command, Error> {
        let configuration = site.data.join("ejabberd.yml");
        fs::write(&configuration, site.fill(CONFIGURATION))?;
        let script = fs::read_to_string(SCRIPT)?;
        let libraries = script.lines().find_map(|line| line.strip_prefix("ERL_LIBS="));
        let mut command = Command::new("erl");
        command
            .env("EJABBERD_CONFIG_PATH", configuration)
            .env("EJABBERD_LOG_PATH", site.data.join("ejabberd.log"))
            .env("ERL_LIBS", libraries.unwrap_or_default().trim_matches('\''))
            .env("ERL_MAX_PORTS", "32000")
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("HOME", &site.data)
            .args(["+K", "true", "+P", "250000", "-mnesia", "dir"])
            .arg(format!("{:?}", site.data.join("mnesia").display().to_string()))
            .args(["-s", "ejabberd", "-noinput"])
            .current_dir(&site.data);
        Ok(command)
    }

    async fn service(&self, site: &Site) -> Result<People, Error> {
        let api = format!("http://127.0.0.1:{}/api/register", site.api_port);
        let known = site.data.join("people");
        Ok(People { known, api, address: site.address(), plan: Plan::new(2, 2) })
    }
}

/// The people of an ejabberd.
#[derive(Debug)]
pub(super) struct People {
    /// The file that records how many have accounts.
    known: PathBuf,
    api: String,
    address: SocketAddr,
    plan: Plan,
}

impl Service for People {
    type Talk = Xmpp;

    fn name(&self) -> String {
        "ejabberd".to_owned()
    }

    async fn prepare(&mut self, plan: Plan, progress: &ProgressBar) -> Result<(), Error> {
        self.plan = plan;
        let known = fs::read_to_string(&self.known).ok().and_then(|number| number.parse().ok()).unwrap_or(0);
        if known >= plan.people {
            return Ok(());
        }
        progress.set_message("accounts");
        progress.set_length(plan.people as u64);
        let client = reqwest::Client::builder().no_proxy().build().map_err(headless::Error::from)?;
        let registering = stream::iter(known..plan.people).map(|person| {
            let body = json!({ "user": account(person), "host": DOMAIN, "password": PASSWORD }).to_string();
            let request = client.post(&self.api).body(body);
            async move {
                let answer = request.send().await.map_err(headless::Error::from)?;
                match answer.status().as_u16() {
                    200 | 409 => Ok(()),
                    status => Err(Error::protocol(format!("ejabberd registered nobody: status {status}"))),
                }
            }
        });
        let done: Result<(), Error> =
            registering.buffer_unordered(4).inspect_ok(|()| progress.inc(1)).try_collect().await;
        done?;
        fs::write(&self.known, plan.people.to_string())?;
        Ok(())
    }

    async fn connect(&self, person: usize) -> Result<Line<Xmpp>, Error> {
        xmpp::connect(self.address, person, self.plan, "conference.localhost").await
    }
}
