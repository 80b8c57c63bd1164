//! How people talk on Natter's socket.

use clap::ValueEnum;
use protocol::{ClientFrame, Seq, ServerFrame, SessionId};
use uuid::Uuid;

use super::numbers::Numbers;
use super::page::Page;
use crate::load::{Error, Heard, Talk, websocket};

/// How to check arriving messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// With the page's own state machine: what a person would see is what counts.
    #[default]
    Sync,
    /// By the numbers in the frames: a third of the CPU, for the highest rates.
    Numbers,
}

/// What everybody does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Habits {
    /// How their devices check what arrives.
    pub check: Check,
    /// Whether they report what arrives as read, as a visible page does.
    pub reads: bool,
}

/// A person on Natter's socket, after the `Welcome`.
#[derive(Debug)]
pub struct NatterTalk {
    device: Device,
    /// The session whose messages they report as read, if they do.
    reading: Option<SessionId>,
    /// A reused buffer, so that writing a frame allocates nothing.
    frame: String,
}

#[derive(Debug)]
enum Device {
    Page(Box<Page>),
    Numbers(Numbers),
}

impl NatterTalk {
    /// Creates a person who received this `Welcome` and talks in this session.
    ///
    /// # Errors
    /// When the session is not one of theirs.
    pub(super) fn new(
        habits: Habits,
        session: Option<SessionId>,
        welcome: ServerFrame,
    ) -> Result<Self, Error> {
        let session = session.ok_or_else(|| Error::protocol("this person has no session"))?;
        let device = match habits.check {
            Check::Sync => Device::Page(Box::new(Page::new(session, welcome)?)),
            Check::Numbers => Device::Numbers(Numbers::new(session, &welcome)?),
        };
        Ok(Self { device, reading: habits.reads.then_some(session), frame: String::new() })
    }
}

impl Talk for NatterTalk {
    fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>) {
        match &mut self.device {
            Device::Page(page) => page.say(id, text, out),
            Device::Numbers(numbers) => {
                numbers.say(id, text, &mut self.frame);
                websocket::write_text(&self.frame, out);
            }
        }
    }

    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Error> {
        let mut newest = None;
        let mut heard = |what: Heard<'_>| {
            if let Heard::Said { place, .. } = what {
                newest = newest.max(place);
            }
            heard(what);
        };
        let taken = websocket::read(input, out, |text, out| match &mut self.device {
            Device::Page(page) => page.hear(text, out, &mut heard),
            Device::Numbers(numbers) => numbers.hear(text, out, &mut heard),
        })?;
        if let (Some(session_id), Some(place)) = (self.reading, newest) {
            websocket::write_text(&ClientFrame::Read { session_id, seq: Seq(place) }.encode(), out);
        }
        Ok(taken)
    }
}
