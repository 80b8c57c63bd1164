//! All lines in one loop: one thread, no tasks, no locks. The program takes little of the machine that it shares with
//! the server, and its own queues add nothing to the times.

use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::{Error, Line, Mode, Talk, Tally};

/// The token of the timer's events; a line's is its person's number.
const TIMER: Token = Token(usize::MAX);

/// How long after the end to wait for outstanding messages while nothing arrives, in nanoseconds.
const PATIENCE: u64 = 5_000_000_000;

/// Everybody's lines.
#[derive(Debug)]
pub struct Crowd<T> {
    poll: Poll,
    timer: Timer,
    /// By person; `None` where the connection is gone.
    lines: Vec<Option<Line<T>>>,
    buffer: Vec<u8>,
    /// Why the first connection was lost, if one was.
    first_loss: Option<String>,
}

/// A run's length and its messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Nobody sends after this, in nanoseconds of the run's clock.
    pub end: u64,
    /// Each message's length in bytes.
    pub bytes: usize,
}

impl<T: Talk> Crowd<T> {
    /// Creates a crowd of these lines; person `p`'s line is at index `p`.
    ///
    /// # Errors
    /// When the system is out of descriptors.
    pub fn new(lines: Vec<Line<T>>) -> Result<Self, Error> {
        let (poll, timer) = (Poll::new()?, Timer::new()?);
        poll.registry().register(&mut SourceFd(&timer.fd.as_raw_fd()), TIMER, Interest::READABLE)?;
        let mut lines: Vec<_> = lines.into_iter().map(Some).collect();
        for (person, line) in lines.iter_mut().flatten().enumerate() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut line.stream, Token(person), interest)?;
        }
        Ok(Self { poll, timer, lines, buffer: vec![0; 64 * 1024], first_loss: None })
    }

    /// Returns how many connections are open.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.lines.iter().flatten().count()
    }

    /// Returns why the first connection was lost, if one was.
    #[must_use]
    pub fn first_loss(&self) -> Option<&str> {
        self.first_loss.as_deref()
    }

    /// Lets everybody talk for `length` as `mode` says, in messages of `bytes` bytes, and waits until everything has
    /// arrived or nothing arrives any more. Calls `tick` about ten times a second.
    ///
    /// # Errors
    /// When the system fails; lost connections are counted instead.
    pub fn run(
        &mut self,
        mode: &mut impl Mode,
        tally: &mut Tally,
        length: Duration,
        bytes: usize,
        mut tick: impl FnMut(&Tally, u64),
    ) -> Result<(), Error> {
        let span = Span { end: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX), bytes };
        let mut events = Events::with_capacity(1024);
        let (mut says, mut text) = (Vec::new(), String::new());
        let (mut next_tick, mut last_news) = (0, 0);
        loop {
            let now = tally.now();
            let mut wake = next_tick;
            if now < span.end {
                last_news = now;
                let due = mode.due(now, &mut says);
                wake = due.map_or(wake, |due| wake.min(due)).min(span.end);
            } else if tally.is_complete() || now - last_news > PATIENCE {
                return Ok(());
            }
            if now >= next_tick {
                tick(tally, now);
                next_tick = now + 100_000_000;
            }
            for (person, due) in says.drain(..).filter(|(_, due)| *due < span.end) {
                self.say(person, due, span, tally, &mut text);
            }
            self.timer.set(wake.saturating_sub(now))?;
            self.wait(&mut events)?;
            for event in &events {
                if event.token() == TIMER {
                    self.timer.clear();
                    continue;
                }
                let now = tally.now();
                if self.listen(event.token().0, mode, tally, &mut says, now) {
                    last_news = now;
                }
                for (person, due) in says.drain(..).filter(|(_, due)| *due < span.end) {
                    self.say(person, due, span, tally, &mut text);
                }
            }
        }
    }

    fn wait(&mut self, events: &mut Events) -> Result<(), Error> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn say(&mut self, person: usize, due: u64, span: Span, tally: &mut Tally, text: &mut String) {
        let Some(line) = &mut self.lines[person] else { return };
        let id = tally.say(person, due, span.bytes, text);
        let blocked = line.has_output();
        line.say(id, text);
        if !blocked && let Err(error) = line.flush() {
            self.lose(person, tally, &error);
        }
    }

    /// Reads what a person's socket has, and sends what had to wait. Returns whether there was any news.
    fn listen(
        &mut self,
        person: usize,
        mode: &mut impl Mode,
        tally: &mut Tally,
        says: &mut Vec<(usize, u64)>,
        now: u64,
    ) -> bool {
        let Some(line) = &mut self.lines[person] else { return false };
        let mut news = false;
        let listened = line.listen(&mut self.buffer, &mut |heard| {
            if tally.hear(person, heard, now) {
                news = true;
                if let super::Heard::Said { .. } = heard {
                    mode.said(person, now, says);
                }
            }
        });
        if let Err(error) = listened.and_then(|()| line.flush()) {
            self.lose(person, tally, &error);
        }
        news
    }

    fn lose(&mut self, person: usize, tally: &mut Tally, error: &Error) {
        self.lines[person] = None;
        self.first_loss.get_or_insert_with(|| error.to_string());
        tally.disconnected();
    }
}

/// A timer in the sockets' `poll`: `poll`'s own timeout has a resolution of milliseconds, as long as a whole delivery
/// takes.
#[derive(Debug)]
struct Timer {
    fd: OwnedFd,
}

impl Timer {
    fn new() -> Result<Self, Error> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self { fd: timerfd_create(TimerfdClockId::Monotonic, flags).map_err(std::io::Error::from)? })
    }

    /// Goes off once, after this many nanoseconds.
    fn set(&self, after: u64) -> Result<(), Error> {
        let after = after.max(1); // zero would disarm it
        let time = Timespec {
            tv_sec: i64::try_from(after / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(after % 1_000_000_000).expect("below a second"),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: time };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once).map_err(std::io::Error::from)?;
        Ok(())
    }

    /// Reads the expiration, so that the next one is an event again.
    fn clear(&self) {
        let _ = rustix::io::read(&self.fd, &mut [0; 8]); // nothing to read is as good
    }
}
