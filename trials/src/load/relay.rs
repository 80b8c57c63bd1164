//! The bare durable relay under load.

use std::net::SocketAddr;

use indicatif::ProgressBar;
use uuid::Uuid;

use super::{Error, Heard, Line, Plan, Service, Talk, websocket};
use crate::relay::{Hear, Say};

/// A bare durable relay: see [`crate::relay`].
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    plan: Plan,
}

impl Relay {
    /// Drives the relay at `base`, such as `http://127.0.0.1:3000`.
    ///
    /// # Errors
    /// When that is not an address.
    pub fn new(base: &str) -> Result<Self, Error> {
        let address = base.trim_start_matches("http://").parse();
        let address = address.map_err(|_| Error::protocol(format!("{base} is no address")))?;
        Ok(Self { address, plan: Plan::new(2, 2) })
    }
}

impl Service for Relay {
    type Talk = RelayTalk;

    fn name(&self) -> String {
        "bare relay".to_owned()
    }

    async fn prepare(&mut self, plan: Plan, _: &ProgressBar) -> Result<(), Error> {
        self.plan = plan;
        Ok(())
    }

    async fn connect(&self, person: usize) -> Result<Line<RelayTalk>, Error> {
        let path = format!("/ws/{}/{person}", person / self.plan.group);
        let (stream, input) = websocket::open(self.address, person, &path, &[]).await?;
        Line::new(stream, RelayTalk::default(), input, Vec::new())
    }
}

/// A person on the relay.
#[derive(Debug, Default)]
pub struct RelayTalk {
    frame: Vec<u8>,
}

impl Talk for RelayTalk {
    fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>) {
        self.frame.clear();
        serde_json::to_writer(&mut self.frame, &Say { id, text: text.into() })
            .expect("memory takes everything");
        websocket::write_text(std::str::from_utf8(&self.frame).expect("JSON is UTF-8"), out);
    }

    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Error> {
        websocket::read(input, out, |text, _| {
            match serde_json::from_str(text)? {
                Hear::Ack(id) => heard(Heard::Acked { id, place: None }),
                Hear::Said(Say { text, .. }) => heard(Heard::Said { text: &text, place: None }),
            }
            Ok(())
        })
    }
}
