//! How people talk on Natter's socket.

use clap::ValueEnum;
use protocol::{ClientFrame, MessageId, Seq, ServerFrame, SessionId};
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
    /// Whether they do what else people do on the page: say that they are typing, and change one message in 20. Only
    /// with [`Check::Numbers`].
    pub mixed: bool,
}

/// Of so many messages one is announced by typing, and one is edited once it is stored.
const EVERY: u64 = 20;

/// A person on Natter's socket, after the `Welcome`.
#[derive(Debug)]
pub struct NatterTalk {
    device: Device,
    /// The session whose messages they report as read, if they do.
    reading: Option<SessionId>,
    mixing: Option<Mixing>,
    /// A reused buffer, so that writing a frame allocates nothing.
    frame: String,
}

/// What a person does beside sending and reading.
#[derive(Debug)]
struct Mixing {
    session_id: SessionId,
    /// How many messages they have sent.
    said: u64,
    /// What they will edit once it is stored.
    to_edit: Option<(Uuid, String)>,
}

impl Mixing {
    /// Says that they type, now and then, and notes what they will edit.
    fn says(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>) {
        let session_id = self.session_id;
        if self.said.is_multiple_of(EVERY) {
            websocket::write_text(&ClientFrame::Typing { session_id }.encode(), out);
        } else if self.said % EVERY == EVERY / 2 {
            self.to_edit = Some((id, text.to_owned()));
        }
        self.said += 1;
    }

    /// Edits what was waiting for this acknowledgement.
    fn acked(&mut self, acked: Uuid, out: &mut Vec<u8>) {
        if let Some((id, text)) = self.to_edit.take_if(|(id, _)| *id == acked) {
            let (session_id, message_id, data) = (self.session_id, MessageId(id), format!("{text}!"));
            websocket::write_text(&ClientFrame::Edit { session_id, message_id, data }.encode(), out);
        }
    }
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
        let mixing = habits.mixed.then_some(Mixing { session_id: session, said: 0, to_edit: None });
        let reading = (habits.reads || habits.mixed).then_some(session);
        Ok(Self { device, reading, mixing, frame: String::new() })
    }
}

impl Talk for NatterTalk {
    fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>) {
        if let Some(mixing) = &mut self.mixing {
            mixing.says(id, text, out);
        }
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
        let (mut newest, mut acked) = (None, Vec::new());
        let mixes = self.mixing.is_some();
        let mut heard = |what: Heard<'_>| {
            match what {
                Heard::Said { place, .. } => newest = newest.max(place),
                Heard::Acked { id, .. } if mixes => acked.push(id),
                _ => {}
            }
            heard(what);
        };
        let taken = websocket::read(input, out, |text, out| match &mut self.device {
            Device::Page(page) => page.hear(text, out, &mut heard),
            Device::Numbers(numbers) => numbers.hear(text, out, &mut heard),
        })?;
        if let Some(mixing) = &mut self.mixing {
            acked.into_iter().for_each(|id| mixing.acked(id, out));
        }
        if let (Some(session_id), Some(place)) = (self.reading, newest) {
            websocket::write_text(&ClientFrame::Read { session_id, seq: Seq(place) }.encode(), out);
        }
        Ok(taken)
    }
}
