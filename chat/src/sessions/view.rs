//! What a user may see of a session.

use std::sync::Arc;

use protocol::{Seq, Span};

/// The parts of a session that a user may see: what was said while they were in it. Whoever is in a session again has a
/// later `joined`, so of two views of one user the one with the later `joined` is the newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// They are in it since this message.
    joined: Seq,
    /// What they saw before they left, each after one message and up to another, in order. Behind one pointer, because
    /// every socket holds a view of every session, and almost nobody has left one and come back.
    earlier: Option<Arc<Vec<(Seq, Seq)>>>,
}

impl View {
    /// What somebody sees who has been in a session since this message, and in `earlier` stays before.
    pub(crate) fn new(joined: Seq, earlier: Vec<(Seq, Seq)>) -> Self {
        Self { joined, earlier: (!earlier.is_empty()).then(|| Arc::new(earlier)) }
    }

    /// What somebody sees who has never left.
    #[cfg(test)]
    pub(crate) fn since(joined: Seq) -> Self {
        Self::new(joined, Vec::new())
    }

    /// Whether the message at this place is in it.
    pub(crate) fn sees(&self, seq: Seq) -> bool {
        seq > self.joined || self.earlier().iter().any(|(after, up_to)| (*after < seq) && (seq <= *up_to))
    }

    /// Whether this view of a user is newer than another one of theirs.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.joined > other.joined
    }

    /// Returns the place after which it begins.
    pub(crate) fn begins_after(&self) -> Seq {
        self.earlier().first().map_or(self.joined, |(after, _)| *after)
    }

    /// Returns its parts in order, each after one message and up to another. Parts without a gap between them are one.
    pub(crate) fn parts(&self) -> Vec<(Seq, Seq)> {
        let mut parts: Vec<(Seq, Seq)> = Vec::new();
        for (after, up_to) in self.earlier().iter().copied().chain([(self.joined, Seq(i64::MAX))]) {
            match parts.last_mut() {
                Some((_, end)) if *end == after => *end = up_to,
                _ => parts.push((after, up_to)),
            }
        }
        parts
    }

    /// Returns its parts as the wire names them: none if it is the whole session.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let parts = self.parts();
        if parts == [(Seq(0), Seq(i64::MAX))] {
            return Vec::new();
        }
        let up_to = |up_to: Seq| (up_to < Seq(i64::MAX)).then_some(up_to);
        parts.into_iter().map(|(after, end)| Span { after, up_to: up_to(end) }).collect()
    }

    fn earlier(&self) -> &[(Seq, Seq)] {
        self.earlier.as_deref().map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(after: i64, up_to: Option<i64>) -> Span {
        Span { after: Seq(after), up_to: up_to.map(Seq) }
    }

    #[test]
    fn what_was_said_during_a_stay_is_seen_and_nothing_else() {
        let view = View::new(Seq(9), vec![(Seq(0), Seq(2)), (Seq(4), Seq(6))]);
        let seen: Vec<i64> = (1..=11).filter(|seq| view.sees(Seq(*seq))).collect();
        assert_eq!(seen, [1, 2, 5, 6, 10, 11]);
        assert_eq!(view.begins_after(), Seq(0));
        assert_eq!(view.spans(), [span(0, Some(2)), span(4, Some(6)), span(9, None)]);
    }

    #[test]
    fn stays_between_which_nothing_was_said_are_one() {
        assert_eq!(View::new(Seq(2), vec![(Seq(0), Seq(2))]).spans(), []);
        assert_eq!(View::new(Seq(6), vec![(Seq(1), Seq(4)), (Seq(4), Seq(6))]).spans(), [span(1, None)]);
        assert_eq!(View::since(Seq(0)).spans(), []);
        assert_eq!(View::since(Seq(3)).spans(), [span(3, None)]);
    }
}
