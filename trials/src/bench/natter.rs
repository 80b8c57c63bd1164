//! Natter itself, as released, and the bare durable relay beside it.

use std::path::PathBuf;

use tokio::process::Command;

use super::system::{Site, System, first_line};
use crate::load::{self, Check, Error, Habits};

/// Natter's release.
pub(super) struct Natter {
    /// The program.
    pub program: PathBuf,
    /// Whether its limits are on, and its people do all that they do on the page.
    pub everyday: bool,
}

impl System for Natter {
    type Service = load::Natter;

    fn key(&self) -> &'static str {
        "natter"
    }

    fn title(&self) -> &'static str {
        "Natter"
    }

    fn version(&self) -> Result<String, String> {
        let program = self.program.display().to_string();
        let version = first_line(&program, &["--version"]);
        let version = version.ok_or_else(|| format!("there is no {program}: `make build` builds it"))?;
        Ok(version.replacen("natter", "Natter", 1))
    }

    fn as_on_the_page(&self) -> Option<Self> {
        Some(Self { program: self.program.clone(), everyday: true })
    }

    fn command(&self, site: &Site) -> Result<Command, Error> {
        let mut command = Command::new(&self.program);
        command.arg("--data").arg(&site.data).arg("--listen").arg(site.address().to_string());
        // Everybody here comes from one address, and some limits are for an address.
        let limits: &[_] = match self.everyday {
            true => &["--connections-per-address", "100000", "--logins-per-minute", "100000"],
            false => &["--limits", "off"],
        };
        command.args(limits);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NATTER_") {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    async fn service(&self, site: &Site) -> Result<load::Natter, Error> {
        let base = format!("http://{}", site.address());
        let habits = Habits { check: Check::Numbers, reads: false, mixed: self.everyday };
        load::Natter::new(&base, habits, Some(site.data.join("people.json"))).await
    }
}

/// The bare durable relay of [`crate::relay`].
pub(super) struct Relay;

impl Relay {
    /// Returns its program, which is beside this one.
    fn program() -> Option<PathBuf> {
        let program = std::env::current_exe().ok()?.with_file_name("relay");
        program.exists().then_some(program)
    }
}

impl System for Relay {
    type Service = load::Relay;

    fn key(&self) -> &'static str {
        "relay"
    }

    fn title(&self) -> &'static str {
        "Bare relay (the floor)"
    }

    fn version(&self) -> Result<String, String> {
        Self::program().ok_or("its program was not built")?;
        Ok(format!("the program `relay` of Natter {}", env!("CARGO_PKG_VERSION")))
    }

    fn as_on_the_page(&self) -> Option<Self> {
        Some(Self)
    }

    fn command(&self, site: &Site) -> Result<Command, Error> {
        let program = Self::program().ok_or_else(|| Error::protocol("there is no relay to be started"))?;
        let mut command = Command::new(program);
        command.arg("--data").arg(&site.data).arg("--listen").arg(site.address().to_string());
        Ok(command)
    }

    async fn service(&self, site: &Site) -> Result<load::Relay, Error> {
        load::Relay::new(&format!("http://{}", site.address()))
    }
}
