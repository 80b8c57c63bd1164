//! Which part of a long session is drawn. Seqs have no gaps, so this is arithmetic.

use std::ops::{Bound, RangeBounds};

use protocol::Seq;

/// Rows added at a time, and in the first render.
pub(crate) const PAGE: i64 = 50;
/// Most rows drawn at the same time.
pub(crate) const MOST: i64 = 400;

/// The Seqs drawn: from `first`, up to `last` or open-ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    first: Seq,
    last: Option<Seq>,
}

impl Window {
    /// Returns the newest page of a session whose last message is `newest`.
    pub(crate) fn at_end(newest: Seq) -> Self {
        Self { first: Seq((newest.0 - PAGE + 1).max(1)), last: None }
    }

    /// Returns where it begins.
    pub(crate) fn first(self) -> Seq {
        self.first
    }

    /// Whether it shows the newest message, and those in flight.
    pub(crate) fn is_at_end(self) -> bool {
        self.last.is_none()
    }

    /// Extends the window one page into the past; drops the newest rows if that is too many.
    pub(crate) fn older(self, oldest_held: Seq, newest: Seq) -> Self {
        let from = self.first.max(oldest_held);
        let first = Seq((from.0 - PAGE).max(1)).min(self.first);
        Self { first, last: self.last }.bounded_below(newest)
    }

    /// Extends the window one page towards the present; drops the oldest rows if that is too many.
    pub(crate) fn newer(self, newest: Seq) -> Self {
        let Some(last) = self.last else { return self };
        let last = Seq(last.0 + PAGE);
        let first = self.first.max(Seq(last.0.min(newest.0) - MOST + 1));
        Self { first, last: (last < newest).then_some(last) }
    }

    /// Keeps to the most rows while new ones arrive. For a reader at the end it drops the oldest rows, half of them at
    /// a time so that this is rare; for a reader further up it leaves the newest ones out.
    pub(crate) fn grown(self, newest: Seq, at_end: bool) -> Self {
        if self.last.is_some() || newest.0 - self.first.0 < MOST {
            self
        } else if at_end {
            Self { first: Seq(newest.0 - MOST / 2 + 1), last: None }
        } else {
            self.bounded_below(newest)
        }
    }

    fn bounded_below(self, newest: Seq) -> Self {
        let end = self.first.0 + MOST - 1;
        let last = if self.last.unwrap_or(newest).0 > end { Some(Seq(end)) } else { self.last };
        Self { first: self.first, last }
    }
}

impl RangeBounds<Seq> for Window {
    fn start_bound(&self) -> Bound<&Seq> {
        Bound::Included(&self.first)
    }

    fn end_bound(&self) -> Bound<&Seq> {
        self.last.as_ref().map_or(Bound::Unbounded, Bound::Included)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(first: i64, last: Option<i64>) -> Window {
        Window { first: Seq(first), last: last.map(Seq) }
    }

    #[test]
    fn begins_with_the_newest_page() {
        assert_eq!(Window::at_end(Seq(1000)), window(951, None));
        assert_eq!(Window::at_end(Seq(3)), window(1, None));
        assert_eq!(Window::at_end(Seq(0)), window(1, None));
    }

    #[test]
    fn never_holds_more_than_the_most() {
        let mut here = Window::at_end(Seq(1000));
        for _ in 0..30 {
            here = here.older(here.first(), Seq(1000));
            let last = here.last.map_or(1000, |seq| seq.0);
            assert!(last - here.first.0 < MOST, "{here:?}");
        }
        assert_eq!(here, window(1, Some(400)));
        for _ in 0..30 {
            here = here.newer(Seq(1000));
            let last = here.last.map_or(1000, |seq| seq.0);
            assert!(last - here.first.0 < MOST, "{here:?}");
        }
        assert_eq!(here, window(601, None));
    }

    #[test]
    fn a_page_begins_before_what_is_held() {
        assert_eq!(Window::at_end(Seq(1000)).older(Seq(1000), Seq(1000)), window(950, None));
        assert_eq!(window(951, None).older(Seq(901), Seq(1000)), window(901, None));
        assert_eq!(window(1, None).older(Seq(40), Seq(40)), window(1, None));
    }

    #[test]
    fn a_reader_at_the_end_follows_and_one_further_up_stays() {
        assert_eq!(window(601, None).grown(Seq(1000), true), window(601, None));
        assert_eq!(window(601, None).grown(Seq(1001), true), window(802, None));
        assert_eq!(window(601, None).grown(Seq(1001), false), window(601, Some(1000)));
        assert_eq!(window(601, Some(1000)).grown(Seq(2000), true), window(601, Some(1000)));
    }
}
