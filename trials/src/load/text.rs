//! Messages whose text says who sent them, their number among the sender's, and when they should have been sent.
//!
//! The receiver needs nothing else to measure the time and to notice what is lost, doubled or out of order, so this
//! works on every server, whatever it does with IDs and numbers.

use std::fmt::Write as _;

use uuid::{Builder, Uuid};

/// What a text says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Distinguishes this run's messages from those of an earlier one in the same session.
    pub run: u32,
    /// Who sent it.
    pub person: usize,
    /// Its number among the sender's: 0, 1, 2…
    pub number: u64,
    /// When it should have been sent, in nanoseconds of the run's clock.
    pub due: u64,
}

/// Hexadecimal parts of 8, 6, 10 and 16 digits, with a space after each.
const STAMP_BYTES: usize = 44;

/// Fills the rest: plain words, so that a server that compresses or escapes has ordinary work to do.
const WORDS: &str =
    "we could meet at the harbour at seven and walk to the old mill; bring a coat, it will be windy, and ";

impl Stamp {
    /// Writes a text of `bytes` bytes, or of the stamp's length if that is more.
    pub fn write(self, bytes: usize, text: &mut String) {
        let Self { run, person, number, due } = self;
        text.clear();
        write!(text, "{run:08x} {person:06x} {number:010x} {due:016x} ").expect("a string takes everything");
        while text.len() < bytes {
            let rest = (bytes - text.len()).min(WORDS.len());
            text.push_str(&WORDS[..rest]);
        }
        text.truncate(bytes.max(STAMP_BYTES - 1)); // a trailing space might not survive every server
        if text.ends_with(' ') {
            text.pop();
            text.push('.');
        }
    }

    /// Reads a text's stamp; `None` when the text is not ours.
    pub fn read(text: &str) -> Option<Self> {
        let part = |from: usize, to: usize| u64::from_str_radix(text.get(from..to)?, 16).ok();
        Some(Self {
            run: u32::try_from(part(0, 8)?).ok()?,
            person: usize::try_from(part(9, 15)?).ok()?,
            number: part(16, 26)?,
            due: part(27, 43)?,
        })
    }
}

/// The bits of an ID that carry the number.
const NUMBER: u64 = (1 << 48) - 1;

/// Returns a message's ID: a UUIDv7 like those of real clients, so that it costs a database the same. Its random part
/// is the person and the number, by which the sender recognizes it without a table.
pub(super) fn name(milliseconds: u64, person: usize, number: u64) -> Uuid {
    let person = person as u64;
    let mut random = [0; 10];
    // The version overwrites the first four of these bits, the variant two after the first two bytes.
    random[..2].copy_from_slice(&(person as u16 & 0x0fff).to_be_bytes());
    random[2..].copy_from_slice(&((person >> 12 & 0x3fff) << 48 | number & NUMBER).to_be_bytes());
    Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

/// Returns the number in an ID: see [`name`].
pub(super) fn number(name: Uuid) -> u64 {
    name.as_u64_pair().1 & NUMBER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_and_has_the_length_asked_for() {
        let stamp = Stamp { run: 0xdead_beef, person: 4_999, number: 12_345_678_901, due: 1 << 60 };
        let mut text = String::new();
        for bytes in [0, 43, 44, 100, 140, 1_000] {
            stamp.write(bytes, &mut text);
            assert_eq!(text.len(), bytes.max(43), "{text}");
            assert!(!text.ends_with(' '));
            assert_eq!(Stamp::read(&text), Some(stamp), "{text}");
        }
        assert_eq!(Stamp::read("hello"), None);
    }

    #[test]
    fn a_name_carries_its_number_and_is_nobody_elses() {
        for count in [0, 1, 0xffff, 0xffff_ffff_ffff] {
            let id = name(1_790_000_000_000, 70_000, count);
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(number(id), count);
        }
        assert_ne!(name(5, 1, 7), name(5, 2, 7));
    }
}
