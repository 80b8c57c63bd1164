//! What waits to be written to one socket. Bounded: a reader who does not keep up is let go, and catches up from
//! the store when it comes back. Nothing on the publishing path ever waits for a client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use protocol::close;
use tokio::sync::Notify;

/// Most bytes and frames that wait for one socket. Room for a burst: one commit may hold 256 messages.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_FRAMES: usize = 1024;

/// Something to write to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame, encoded.
    Frame(Bytes),
    /// The end: a close code (see [`protocol::close`]) and a reason.
    Close(u16, &'static str),
}

/// The queue of one socket. Clones are handles to the same queue.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<Queue>,
    ready: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    closed: Option<(u16, &'static str)>,
}

impl Outbox {
    pub(crate) fn push(&self, frame: Bytes) {
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        if queue.bytes > MAX_BYTES || queue.frames.len() > MAX_FRAMES {
            queue.frames = VecDeque::new();
            queue.closed = Some((close::SLOW, "Too slow. Come back and catch up."));
        }
        drop(queue);
        self.0.ready.notify_one();
    }

    /// Ends the socket after what waits already.
    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        self.lock().closed.get_or_insert((code, reason));
        self.0.ready.notify_one();
    }

    /// How the socket ends, once that is decided.
    pub(crate) fn closed(&self) -> Option<(u16, &'static str)> {
        self.lock().closed
    }

    /// Takes everything that waits, in order; waits until there is something. A close is always the last.
    /// May be dropped while it waits without losing anything.
    pub(crate) async fn take(&self) -> Vec<Outgoing> {
        loop {
            let taken = self.take_now();
            if !taken.is_empty() {
                return taken;
            }
            self.0.ready.notified().await;
        }
    }

    /// Takes what waits, if anything does.
    pub(crate) fn take_now(&self) -> Vec<Outgoing> {
        let mut queue = self.lock();
        queue.bytes = 0;
        let mut taken: Vec<_> = queue.frames.drain(..).map(Outgoing::Frame).collect();
        taken.extend(queue.closed.map(|(code, reason)| Outgoing::Close(code, reason)));
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.state.lock().expect("nothing panics under the outbox's lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_in_order_and_the_close_last() {
        let outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"1"));
        outbox.push(Bytes::from_static(b"2"));
        outbox.close(close::RESTART, "bye");
        outbox.push(Bytes::from_static(b"3"));
        let frame = |text: &'static str| Outgoing::Frame(Bytes::from_static(text.as_bytes()));
        assert_eq!(outbox.take().await, [frame("1"), frame("2"), Outgoing::Close(close::RESTART, "bye")]);
    }

    #[tokio::test]
    async fn a_reader_who_does_not_keep_up_is_let_go_and_holds_no_memory() {
        let outbox = Outbox::default();
        for _ in 0..=MAX_FRAMES {
            outbox.push(Bytes::from_static(b"x"));
        }
        assert!(matches!(outbox.take().await[..], [Outgoing::Close(close::SLOW, _)]));
        assert_eq!(outbox.lock().frames.capacity(), 0);
    }
}
