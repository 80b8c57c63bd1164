//! A person whose device keeps the same state as the page: what it would show counts as delivered.

use std::collections::VecDeque;

use protocol::{
    Change, ClientFrame, Me, Message, MessageId, Seq, ServerFrame, SessionId, Snapshot, SnapshotSession,
    Step, Sync, TimeStamp,
};
use uuid::Uuid;

use super::head::head;
use crate::load::{Error, Heard, websocket};

/// A device with the page's state machine.
#[derive(Debug)]
pub(super) struct Page {
    sync: Sync,
    session: SessionId,
    /// The IDs that `Sync` gave the messages in flight, and those of the run.
    names: VecDeque<(MessageId, Uuid)>,
    /// The last place that a page brought: acknowledgements up to there come out of turn.
    paged: Seq,
}

impl Page {
    /// Starts at the session's current state: it does not fetch messages of earlier runs.
    pub fn new(session: SessionId, welcome: ServerFrame) -> Result<Self, Error> {
        let head = head(&welcome, session)?.clone();
        let ServerFrame::Welcome { user_id, .. } = welcome else { unreachable!("it has a head") };
        let username = head.users.get(&user_id).map(|user| user.username.clone()).unwrap_or_default();
        let known = SnapshotSession { head, messages: Vec::new(), more: true };
        let mut sync = Sync::from_snapshot(&Snapshot {
            me: Me { user_id, username },
            sessions: [(session, known)].into(),
            invited: Vec::new(),
            asked: Vec::new(),
        });
        let _ = sync.connected(); // its `Hello` is equivalent to the one already sent
        let _ = sync.receive(welcome);
        Ok(Self { sync, session, names: VecDeque::new(), paged: Seq(0) })
    }

    pub fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>) {
        let (name, step) = self.sync.send(self.session, text.to_owned(), TimeStamp(0));
        self.names.push_back((name, id));
        send(&step, out);
    }

    pub fn hear(
        &mut self,
        text: &str,
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(), Error> {
        let frame = ServerFrame::decode(text)?;
        let in_turn = matches!(frame, ServerFrame::Message(_));
        let is_lag = matches!(frame, ServerFrame::Lagged);
        // A page that is not the last asks for the next, and `Heads` may count a message of theirs before its `Ack`.
        let may_ask = matches!(frame, ServerFrame::Page { .. } | ServerFrame::Heads { .. });
        let messages: Vec<Message> = match &frame {
            ServerFrame::Message(live) => vec![live.message.clone()],
            ServerFrame::Page { messages, .. } => {
                self.paged = messages.iter().map(|message| message.seq).fold(self.paged, Seq::max);
                messages.clone()
            }
            _ => Vec::new(),
        };
        let acked = match &frame {
            ServerFrame::Ack { message_id, seq, .. } => Some((*message_id, *seq)),
            ServerFrame::Refused(refused) => {
                heard(Heard::Refused { reason: &refused.reason });
                None
            }
            _ => None,
        };
        let step = self.sync.receive(frame);
        if let Some((name, place)) = acked
            && let Some(at) = self.names.iter().position(|(known, _)| *known == name)
        {
            let (_, id) = self.names.remove(at).expect("it was found there");
            heard(Heard::Acked { id, place: (place > self.paged).then_some(place.0) });
        }
        for change in &step.changes {
            let Change::Arrived(session, id) = change else { continue };
            let Some(message) = messages.iter().find(|message| message.message_id == *id) else { continue };
            if *session == self.session {
                heard(Heard::Said { text: &message.data, place: in_turn.then_some(message.seq.0) });
            }
        }
        let asks = |frame: &ClientFrame| matches!(frame, ClientFrame::Fetch { .. });
        if is_lag {
            heard(Heard::Lagged);
        } else if !may_ask && step.send.iter().any(asks) {
            heard(Heard::Repaired);
        }
        send(&step, out);
        Ok(())
    }
}

fn send(step: &Step, out: &mut Vec<u8>) {
    for frame in &step.send {
        websocket::write_text(&frame.encode(), out);
    }
}
