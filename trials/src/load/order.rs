//! Whether one person receives everything that another sends, once and in order.

use std::collections::BTreeSet;

/// What one person has received from another.
#[derive(Debug, Default, Clone)]
pub(super) struct Order {
    /// The number that should come next.
    next: u64,
    /// What was skipped and may still come. Empty, and so without an allocation, while all is well.
    missing: BTreeSet<u64>,
}

/// The verdict on a message that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// As it should be.
    Next,
    /// Something before it has not arrived.
    TooEarly,
    /// It came after something sent later.
    TooLate,
    /// It had arrived already.
    Doubled,
}

impl Order {
    /// Judges a message by its number.
    pub fn take(&mut self, number: u64) -> Arrival {
        match number {
            _ if number == self.next => {
                self.next += 1;
                Arrival::Next
            }
            _ if number > self.next => {
                self.missing.extend(self.next..number);
                self.next = number + 1;
                Arrival::TooEarly
            }
            _ if self.missing.remove(&number) => Arrival::TooLate,
            _ => Arrival::Doubled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_latecomers_and_repeats_are_told_apart() {
        let mut order = Order::default();
        let taken = [0, 1, 1, 4, 3, 3, 5, 2, 0, 6].map(|number| order.take(number));
        use Arrival::{Doubled, Next, TooEarly, TooLate};
        assert_eq!(taken, [Next, Next, Doubled, TooEarly, TooLate, Doubled, Next, TooLate, Doubled, Next]);
    }
}
