//! What a group may be called.

use protocol::{Code, Fault, text};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// In characters as people count them: grapheme clusters (UAX 29).
const MOST: usize = 60;

/// In total, with every mark.
const MOST_BYTES: usize = 960;

/// A group's name: one line that shows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Title(String);

impl Title {
    /// Parses a name as typed, without surrounding blanks. It is kept composed (NFC).
    ///
    /// # Errors
    /// [`Code::UnusableTitle`], whose sentence gives the rule.
    pub(crate) fn parse(typed: &str) -> Result<Self, Fault> {
        let typed = typed.trim();
        if typed.len() > MOST_BYTES {
            return Err(Fault::of(Code::UnusableTitle));
        }
        let title: String = typed.nfc().collect();
        let is_one_line = !title.contains(['\n', '\t']);
        if title.len() > MOST_BYTES || !is_one_line || title.graphemes(true).count() > MOST {
            return Err(Fault::of(Code::UnusableTitle));
        }
        // What a message may not contain is not in a name either.
        text::check_message(&title).map_err(|_| {
            Fault::new(Code::UnusableTitle, "This name shows nothing, or has characters that cannot be seen.")
        })?;
        Ok(Self(title))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_of_up_to_sixty_characters_that_shows_something() {
        for good in ["x", " Sunday walks ", "家族", &"👩‍👩‍👧‍👦".repeat(30), &"é".repeat(60)]
        {
            assert_eq!(Title::parse(good).unwrap().as_str(), good.trim(), "{good}");
        }
        assert_eq!(Title::parse("e\u{301}").unwrap().as_str(), "é");
        for bad in [
            "",
            "  ",
            "\u{200b}",
            "two\nlines",
            "a\tb",
            "a\u{7}b",
            &"é".repeat(61),
            &"e\u{301}\u{301}".repeat(400),
        ] {
            assert_eq!(Title::parse(bad).unwrap_err().error, Code::UnusableTitle, "{bad:?}");
        }
    }
}
