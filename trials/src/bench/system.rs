//! What the benchmark needs to know about a server to start it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::load::{Error, Service};

/// A server that the benchmark starts, drives and stops.
pub(super) trait System {
    /// How its people are served.
    type Service: Service;

    /// Returns its short name, for file names and the results.
    fn key(&self) -> &'static str;

    /// Returns its name for people.
    fn title(&self) -> &'static str;

    /// Returns the versions of all its parts.
    ///
    /// # Errors
    /// Why it cannot take part: a sentence for the page.
    fn version(&self) -> Result<String, String>;

    /// Returns it as it is driven by people who do all that they do on Natter's page, if that is measured: for Natter,
    /// and for the floor beside it, which knows nothing but messages.
    fn as_on_the_page(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Returns the command that starts it in a site. It stays in the foreground and ends on SIGTERM.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    fn command(&self, site: &Site) -> Result<Command, Error>;

    /// Returns its people, once it runs.
    ///
    /// # Errors
    /// When the folder's content is wrong.
    async fn service(&self, site: &Site) -> Result<Self::Service, Error>;
}

/// Where a server runs: its folder and two ports that were free a moment ago.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub data: PathBuf,
    pub port: u16,
    pub api_port: u16,
}

impl Site {
    pub fn new(data: &Path) -> Result<Self, Error> {
        // Holds both until both are known, so that they differ.
        let [one, other] = [free()?, free()?];
        Ok(Self {
            data: data.to_owned(),
            port: one.local_addr()?.port(),
            api_port: other.local_addr()?.port(),
        })
    }

    /// Returns where people connect.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Fills in `@DATA@`, `@PORT@` and `@API_PORT@` in a configuration.
    pub fn fill(&self, template: &str) -> String {
        template
            .replace("@DATA@", &self.data.display().to_string())
            .replace("@PORT@", &self.port.to_string())
            .replace("@API_PORT@", &self.api_port.to_string())
    }
}

fn free() -> Result<TcpListener, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
}

/// Returns the first line that a program prints; `None` when it is missing or fails.
pub(super) fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Returns a Debian package's version; `None` when it is not installed.
pub(super) fn debian_version(package: &str) -> Option<String> {
    first_line("dpkg-query", &["-W", "-f", "${Version}", package])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_two_ports_and_fills_them_in() {
        let site = Site::new(Path::new("/tmp/x")).unwrap();
        assert_ne!(site.port, site.api_port);
        let filled = site.fill("@DATA@ @PORT@ @API_PORT@ @PORT@");
        assert_eq!(filled, format!("/tmp/x {0} {1} {0}", site.port, site.api_port));
    }

    #[test]
    fn the_peers_configurations_leave_nothing_open() {
        let site = Site::new(Path::new("/tmp/x")).unwrap();
        for template in [super::super::prosody::CONFIGURATION, super::super::ejabberd::CONFIGURATION] {
            let filled = site.fill(template);
            assert_eq!(filled.replace("@NAMES@", "").matches('@').count(), 0, "{filled}");
            assert!(filled.contains(&site.port.to_string()) && filled.contains("/tmp/x/"));
        }
    }
}
