//! A person whose device keeps no messages, only its position: the same rules as the page's (apply the next change,
//! drop repeats, ask for what is missing), by the numbers alone.

use std::fmt::Write as _;

use protocol::{ClientFrame, Epoch, Message, Position, Rev, ServerFrame, SessionId, UserId};
use serde::Deserialize;
use uuid::Uuid;

use super::head::head;
use crate::load::{Error, Heard, websocket};

/// A device that only counts.
#[derive(Debug)]
pub(super) struct Numbers {
    me: UserId,
    session: SessionId,
    epoch: Epoch,
    /// The last change received.
    rev: Rev,
    /// A page brought everything up to here: what was queued behind it may repeat it.
    paged: Rev,
    /// A page is on its way; until it arrives, what comes is part of it.
    fetching: bool,
}

/// The two frames that come by the thousand, parsed in place.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "SessionID")]
    session_id: Option<SessionId>,
    #[serde(rename = "MessageID")]
    message_id: Option<Uuid>,
    data: Option<&'a str>,
    seq: Option<i64>,
    rev: Option<i64>,
    edited_at: Option<i64>,
}

impl Numbers {
    pub fn new(session: SessionId, welcome: &ServerFrame) -> Result<Self, Error> {
        let head = head(welcome, session)?;
        let ServerFrame::Welcome { user_id, .. } = *welcome else { unreachable!("it has a head") };
        let (epoch, rev) = (head.epoch, head.rev);
        Ok(Self { me: user_id, session, epoch, rev, paged: rev, fetching: false })
    }

    pub fn say(&self, id: Uuid, text: &str, frame: &mut String) {
        debug_assert!(!text.contains(['"', '\\', '\n']), "a run's texts need no escapes");
        frame.clear();
        let session = self.session;
        write!(frame, r#"{{"type":"Message","SessionID":"{session}","MessageID":"{id}","Data":"{text}"}}"#)
            .expect("a string takes everything");
    }

    pub fn hear(
        &mut self,
        text: &str,
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(), Error> {
        match serde_json::from_str::<Frame<'_>>(text) {
            Ok(Frame { kind: "Ack", message_id: Some(id), seq: place, rev: Some(rev), .. }) => {
                // After a page that already brought the message, its place is out of turn.
                let in_turn = self.take(Rev(rev), out, heard) == Some(true);
                heard(Heard::Acked { id, place: place.filter(|_| in_turn) });
            }
            Ok(Frame {
                kind: "Message",
                session_id: Some(session),
                data: Some(text),
                seq: place,
                rev: Some(rev),
                edited_at,
                ..
            }) if session == self.session => {
                if self.take(Rev(rev), out, heard) == Some(true) && edited_at.is_none() {
                    heard(Heard::Said { text, place });
                }
            }
            _ => self.hear_other(ServerFrame::decode(text)?, out, heard),
        }
        Ok(())
    }

    /// Takes a change's number. True when it is next, false when a page will bring it, `None` when one already has.
    fn take(&mut self, rev: Rev, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) -> Option<bool> {
        if rev <= self.paged {
            return None;
        }
        if self.fetching {
            return Some(false);
        }
        if rev > self.rev.next() {
            heard(Heard::Repaired);
            self.fetch(out);
            return Some(false);
        }
        self.rev = self.rev.max(rev);
        Some(true) // a repeat too: nothing excuses it
    }

    fn hear_other(&mut self, frame: ServerFrame, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        match frame {
            ServerFrame::Heads { .. } => send(&ClientFrame::Pong {}, out),
            ServerFrame::Refused(refused) => heard(Heard::Refused { reason: &refused.reason }),
            ServerFrame::Lagged => {
                heard(Heard::Lagged);
                let position = Position { rev: self.rev, epoch: Some(self.epoch) };
                send(&ClientFrame::Hello { sessions: [(self.session, position)].into() }, out);
            }
            ServerFrame::Welcome { sessions, .. } => {
                self.fetching = sessions.get(&self.session).is_some_and(|head| head.rev > self.rev);
            }
            ServerFrame::Page { session_id, to, more, messages, .. } if session_id == self.session => {
                self.page(to, &messages, heard);
                self.fetching = false;
                if more {
                    self.fetch(out);
                }
            }
            _ => {}
        }
    }

    fn page(&mut self, to: Rev, messages: &[Message], heard: &mut dyn FnMut(Heard<'_>)) {
        let mut new: Vec<_> = messages.iter().filter(|m| m.rev > self.rev && m.sender != self.me).collect();
        new.sort_by_key(|message| message.rev);
        for message in new {
            // Without its place: the places of this person's own messages in between came with their acknowledgements.
            heard(Heard::Said { text: &message.data, place: None });
        }
        self.rev = self.rev.max(to);
        self.paged = self.rev;
    }

    fn fetch(&mut self, out: &mut Vec<u8>) {
        self.fetching = true;
        send(&ClientFrame::Fetch { session_id: self.session, rev: self.rev }, out);
    }
}

fn send(frame: &ClientFrame, out: &mut Vec<u8>) {
    websocket::write_text(&frame.encode(), out);
}
