//! What is queued for one socket. Bounded: the publishing path never waits for a client.
//!
//! If a reader does not keep up with what is *published*, the queue is discarded and the socket lags; its writer sends
//! `Lagged` as soon as it can write again. The client answers with `Hello`, which reopens the queue and catches it up
//! as after a reconnect; so nothing is lost, neither acknowledgements nor invitations. Answers to the socket's *own*
//! frames are queued unbounded, but while many of them wait the server reads nothing more from the client.
//!
//! Knows no runtime: it wakes a writer with the waker that the writer brought.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::locks::{Mutex, MutexGuard};

/// Most published bytes and frames queued for one socket: what a stalled reader may cost.
const MAX_BYTES: usize = 64 * 1024;
const MAX_FRAMES: usize = 128;

/// Something to write to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Encoded text frames, in order.
    Frames(VecDeque<Bytes>),
    /// Frames were discarded. Nothing follows until the client has sent `Hello`.
    Lagged,
    /// The end: a close code (see [`protocol::close`]) and a reason. Nothing follows.
    Close(u16, &'static str),
}

/// Why a frame is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// An event published to several sockets, including this one.
    Published,
    /// An answer to a frame from this socket.
    Own,
}

/// The queue of one socket.
#[derive(Default)]
pub(crate) struct SendQueue(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    published: Waiting,
    own: Waiting,
    flow: Flow,
    closed: Option<(u16, &'static str)>,
    /// The writer, while it waits for something to write.
    writer: Option<Waker>,
    /// The reader, while it waits for answers to be written.
    reader: Option<Waker>,
    /// A task that waits for the end to be decided.
    watcher: Option<Waker>,
}

/// How much is queued.
#[derive(Default)]
struct Waiting {
    bytes: usize,
    frames: usize,
}

impl Waiting {
    fn add(&mut self, frame: &Bytes) {
        self.bytes += frame.len();
        self.frames += 1;
    }

    fn is_over(&self, bytes: usize, frames: usize) -> bool {
        self.bytes > bytes || self.frames > frames
    }
}

#[derive(Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    /// Frames were discarded, and the client must be notified.
    Lagging,
    /// The client was notified, and must send `Hello`.
    Told,
}

impl SendQueue {
    /// Enqueues a frame. Returns whether that made the socket lag. Until it is reopened, nothing is accepted.
    pub(crate) fn push(&self, frame: Bytes, traffic: Traffic) -> bool {
        let mut queue = self.lock();
        if queue.closed.is_some() || queue.flow != Flow::Open {
            return false;
        }
        match traffic {
            Traffic::Published => queue.published.add(&frame),
            Traffic::Own => queue.own.add(&frame),
        }
        queue.frames.push_back(frame);
        let lags = queue.published.is_over(MAX_BYTES, MAX_FRAMES);
        if lags {
            queue.forget();
            queue.flow = Flow::Lagging;
        }
        wake(queue);
        lags
    }

    /// Accepts frames again, after `Hello`. Returns false if no `Hello` was due.
    pub(crate) fn reopen(&self) -> bool {
        let mut queue = self.lock();
        let told = queue.flow == Flow::Told;
        if told {
            queue.flow = Flow::Open;
        }
        told
    }

    /// Whether frames are accepted.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().flow == Flow::Open
    }

    /// Counts the queued frames.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().frames.len()
    }

    /// Ends the socket after what is already queued, and this frame.
    pub(crate) fn close(&self, last: Option<Bytes>, code: u16, reason: &'static str) {
        let mut queue = self.lock();
        if queue.closed.is_none() {
            queue.frames.extend(last);
            queue.closed = Some((code, reason));
        }
        if let Some(watcher) = queue.watcher.take() {
            watcher.wake();
        }
        wake(queue);
    }

    /// Returns how the socket ends, once that is decided.
    pub(crate) fn closed(&self) -> Option<(u16, &'static str)> {
        self.lock().closed
    }

    /// Like `closed`, but ready as soon as it is decided. For one watcher.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<(u16, &'static str)> {
        let mut queue = self.lock();
        if let Some(end) = queue.closed {
            return Poll::Ready(end);
        }
        queue.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes what to write next. Once ready, it is removed here: the caller must write it. For one writer.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Outgoing> {
        let mut queue = self.lock();
        if !queue.frames.is_empty() {
            return Poll::Ready(Outgoing::Frames(queue.forget()));
        }
        if let Some((code, reason)) = queue.closed {
            return Poll::Ready(Outgoing::Close(code, reason));
        }
        if queue.flow == Flow::Lagging {
            queue.flow = Flow::Told;
            return Poll::Ready(Outgoing::Lagged);
        }
        queue.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the socket's next frame may be read: its own answers take less than half of the queue. For one reader.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.closed.is_some() || !queue.own.is_over(MAX_BYTES / 2, MAX_FRAMES / 2) {
            return Poll::Ready(());
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes the frames queued right now, for a socket that is about to end.
    pub(crate) fn take_rest(&self) -> VecDeque<Bytes> {
        self.lock().forget()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().expect("nothing panics under the queue's lock")
    }
}

impl Queue {
    /// Empties the queue and returns its frames, with their memory.
    fn forget(&mut self) -> VecDeque<Bytes> {
        (self.published, self.own) = Default::default();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        std::mem::take(&mut self.frames)
    }
}

/// Wakes the writer, after unlocking the queue.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let writer = queue.writer.take();
    drop(queue);
    if let Some(writer) = writer {
        writer.wake();
    }
}

#[cfg(test)]
mod tests {
    use protocol::close;

    use super::*;

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn taken(queue: &SendQueue) -> Poll<Outgoing> {
        queue.poll_take(&Context::from_waker(Waker::noop()))
    }

    fn has_room(queue: &SendQueue) -> bool {
        queue.poll_room(&Context::from_waker(Waker::noop())).is_ready()
    }

    /// Publishes until it lags; returns how many frames that took.
    fn fill(queue: &SendQueue, frame: &Bytes) -> usize {
        (1..).find(|_| queue.push(frame.clone(), Traffic::Published)).unwrap()
    }

    #[test]
    fn frames_come_out_in_order_and_the_close_last() {
        let queue = SendQueue::default();
        queue.push(frame("1"), Traffic::Published);
        queue.push(frame("2"), Traffic::Own);
        queue.close(Some(frame("3")), close::RESTART, "bye");
        queue.push(frame("4"), Traffic::Published);
        let frames = ["1", "2", "3"].map(frame).into();
        assert_eq!(taken(&queue), Poll::Ready(Outgoing::Frames(frames)));
        for _ in 0..2 {
            assert_eq!(taken(&queue), Poll::Ready(Outgoing::Close(close::RESTART, "bye")));
        }
    }

    #[test]
    fn a_reader_who_does_not_keep_up_is_told_once_and_gets_nothing_until_its_hello() {
        let queue = SendQueue::default();
        queue.push(frame("an answer"), Traffic::Own);
        assert_eq!(fill(&queue, &frame("x")), MAX_FRAMES + 1);
        assert_eq!(queue.lock().frames.capacity(), 0, "nothing is held for it");
        assert!(!queue.reopen() && !queue.is_open(), "it was not told yet");
        assert_eq!(taken(&queue), Poll::Ready(Outgoing::Lagged));
        assert_eq!(taken(&queue), Poll::Pending);
        for kind in [Traffic::Published, Traffic::Own] {
            queue.push(frame("lost"), kind);
        }
        assert_eq!(taken(&queue), Poll::Pending);
        assert!(!queue.is_open() && queue.reopen() && queue.is_open());
        queue.push(frame("new"), Traffic::Published);
        assert_eq!(taken(&queue), Poll::Ready(Outgoing::Frames([frame("new")].into())));
        assert!(!queue.reopen(), "one Hello for each time");
    }

    #[test]
    fn bytes_count_as_well_as_frames_and_what_was_taken_does_not() {
        let (queue, large) = (SendQueue::default(), Bytes::from(vec![b'x'; MAX_BYTES / 4]));
        for _ in 0..4 {
            assert!(!queue.push(large.clone(), Traffic::Published));
        }
        assert!(taken(&queue).is_ready());
        assert_eq!(fill(&queue, &large), 5);
    }

    #[test]
    fn answers_are_not_let_go_but_nothing_more_is_read_while_many_wait() {
        let queue = SendQueue::default();
        assert!(has_room(&queue));
        let page = Bytes::from(vec![b'x'; MAX_BYTES]);
        assert!(!queue.push(page.clone(), Traffic::Own));
        assert!(!has_room(&queue));
        assert!(!queue.push(frame("live"), Traffic::Published), "nor does a large answer make it lag");
        assert_eq!(taken(&queue), Poll::Ready(Outgoing::Frames([page, frame("live")].into())));
        assert!(has_room(&queue));
        for _ in 0..=MAX_FRAMES / 2 {
            queue.push(frame("ack"), Traffic::Own);
        }
        assert!(!has_room(&queue));
        queue.close(None, close::RESTART, "bye");
        assert!(has_room(&queue), "the reader has to learn of the end");
    }

    #[test]
    fn a_socket_that_lags_can_be_closed_and_hears_the_last_frame() {
        let queue = SendQueue::default();
        fill(&queue, &frame("x"));
        queue.close(Some(frame("drain")), close::RESTART, "bye");
        assert_eq!(taken(&queue), Poll::Ready(Outgoing::Frames([frame("drain")].into())));
        assert_eq!(taken(&queue), Poll::Ready(Outgoing::Close(close::RESTART, "bye")));
    }
}
