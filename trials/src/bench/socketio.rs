//! Socket.IO with SQLite, as in `trials/peers/socketio`. People talk over Socket.IO 4 (its protocol 5 on
//! Engine.IO 4), over WebSocket only.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;

use indicatif::ProgressBar;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use uuid::Uuid;

use super::system::{Site, System, first_line};
use crate::load::{Error, Heard, Line, Plan, Service, Talk, websocket};

/// Where the server and its packages are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/socketio");

/// Socket.IO and better-sqlite3, as installed by npm.
pub(super) struct SocketIoSqlite;

impl System for SocketIoSqlite {
    type Service = People;

    fn key(&self) -> &'static str {
        "socketio"
    }

    fn title(&self) -> &'static str {
        "Socket.IO + SQLite"
    }

    fn version(&self) -> Result<String, String> {
        let node = first_line("node", &["--version"]).ok_or("Node is not installed")?;
        let socketio = package_version("socket.io")?;
        let sqlite = package_version("better-sqlite3")?;
        let ask = "console.log(new (require('better-sqlite3'))(':memory:').prepare('select sqlite_version()').pluck().get())";
        let engine = std::process::Command::new("node").args(["-e", ask]).current_dir(FOLDER).output();
        let engine = engine.ok().filter(|output| output.status.success());
        let engine = engine.ok_or("better-sqlite3's native part was not built")?;
        let engine = String::from_utf8_lossy(&engine.stdout).trim().to_owned();
        Ok(format!("Socket.IO {socketio}, better-sqlite3 {sqlite} (SQLite {engine}), Node {node}"))
    }

    fn command(&self, site: &Site) -> Result<Command, Error> {
        let mut command = Command::new("node");
        let server = Path::new(FOLDER).join("server.js");
        command.arg(server).arg(site.data.join("messages.db")).arg(site.port.to_string());
        command.env("NODE_ENV", "production");
        Ok(command)
    }

    async fn service(&self, site: &Site) -> Result<People, Error> {
        Ok(People { address: site.address(), plan: Plan::new(2, 2) })
    }
}

/// Returns the version of an installed npm package.
fn package_version(package: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let missing = || format!("the npm package `{package}` is not installed");
    let file = Path::new(FOLDER).join("node_modules").join(package).join("package.json");
    let text = std::fs::read(file).map_err(|_| missing())?;
    serde_json::from_slice(&text).map(|Package { version }| version).map_err(|_| missing())
}

/// The people of a Socket.IO server, who are whoever they claim to be.
#[derive(Debug)]
pub(super) struct People {
    address: SocketAddr,
    plan: Plan,
}

impl Service for People {
    type Talk = SocketIo;

    fn name(&self) -> String {
        "socketio".to_owned()
    }

    async fn prepare(&mut self, plan: Plan, _: &ProgressBar) -> Result<(), Error> {
        self.plan = plan;
        Ok(())
    }

    async fn connect(&self, person: usize) -> Result<Line<SocketIo>, Error> {
        connect(self.address, person, self.plan).await
    }
}

/// How one person talks over Socket.IO.
#[derive(Debug, Default)]
pub struct SocketIo {
    /// The number of the next message, which identifies its answer.
    next: u64,
}

/// `["said", text, seq, id, sender]`: somebody else's message.
#[derive(Deserialize)]
struct Said<'a>(IgnoredAny, #[serde(borrow)] Cow<'a, str>, i64, IgnoredAny, IgnoredAny);

impl Talk for SocketIo {
    fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>) {
        let text = serde_json::to_string(text).expect("a string can always be written as JSON");
        websocket::write_text(&format!("42{}[\"say\",\"{id}\",{text}]", self.next), out);
        self.next += 1;
    }

    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Error> {
        websocket::read(input, out, |packet, out| {
            if packet == "2" {
                websocket::write_text("3", out); // a ping, and its answer
            } else if let Some(said) = packet.strip_prefix("42") {
                let Said(_, text, site, ..) = serde_json::from_str(said)?;
                heard(Heard::Said { text: &text, place: Some(site) });
            } else if let Some(ack) = packet.strip_prefix("43") {
                let (id, site) = serde_json::from_str(ack.trim_start_matches(|c: char| c.is_ascii_digit()))?;
                heard(Heard::Acked { id, place: Some(site) });
            } else {
                return Err(Error::protocol(format!("a packet that nobody expects: {packet}")));
            }
            Ok(())
        })
    }
}

/// Connects a person, who is then in their group's room.
async fn connect(address: SocketAddr, person: usize, plan: Plan) -> Result<Line<SocketIo>, Error> {
    let (mut stream, mut input) =
        websocket::open(address, person, "/socket.io/?EIO=4&transport=websocket", &[]).await?;
    let mut out = Vec::new();
    let room = person / plan.group;
    let auth = format!("40{{\"person\":{person},\"room\":{room}}}");
    websocket::write_text(&auth, &mut out);
    stream.write_all(&out).await?;
    out.clear();
    // Two packets arrive: Engine.IO's "0{…}", and Socket.IO's "40{…}" once we are in.
    let mut entered = false;
    while !entered {
        let taken = websocket::read(&input, &mut out, |packet, _| {
            entered |= packet.starts_with("40");
            Ok(())
        })?;
        input.drain(..taken);
        if !entered && stream.read_buf(&mut input).await? == 0 {
            return Err(Error::protocol("the server closed the connection during the handshake"));
        }
    }
    Line::new(stream, SocketIo::default(), input, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(packet: &str) -> Vec<u8> {
        let length = u8::try_from(packet.len()).unwrap();
        assert!(length < 126);
        [&[0x81, length], packet.as_bytes()].concat()
    }

    #[test]
    fn packets_are_told_apart_and_a_ping_is_answered() {
        let id = Uuid::from_u128(5);
        let stream = [
            served("2"),
            served(&format!("4312[\"{id}\",7]")),
            served(&format!("42[\"said\",\"a \\\"b\\\"\",8,\"{id}\",3]")),
        ]
        .concat();
        let (mut out, mut said) = (Vec::new(), Vec::new());
        let taken = SocketIo::default().hear(&stream, &mut out, &mut |heard| said.push(format!("{heard:?}")));
        assert_eq!(taken.unwrap(), stream.len());
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with("Acked") && said[0].contains("Some(7)"), "{said:?}");
        assert!(said[1].starts_with("Said { text: \"a \\\"b\\\"\", place: Some(8)"), "{said:?}");
        let mut pong = Vec::new();
        websocket::write_text("3", &mut pong);
        assert_eq!(out, pong);
    }

    #[test]
    fn a_message_asks_for_its_answer_by_number() {
        let (mut person, mut out) = (SocketIo::default(), Vec::new());
        person.say(Uuid::nil(), "a", &mut out);
        person.say(Uuid::nil(), "b\"", &mut out);
        let sent = String::from_utf8_lossy(&out).into_owned();
        assert!(sent.contains("420[\"say\"") && sent.contains("421[\"say\""), "{sent}");
        assert!(sent.ends_with(",\"b\\\"\"]"), "{sent}");
    }
}
