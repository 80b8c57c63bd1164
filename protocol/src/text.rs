//! What a message may contain. The page checks before sending, and the server before storing.
//!
//! A message must show something: [`is_blank`]. Characters that nobody can see and no script or emoji needs are refused
//! ([`check_message`]); the page removes them first ([`clean`]), because a user who pasted them cannot find them.

use crate::{Code, Fault};

/// Most bytes of UTF-8 in one message.
pub const MAX_MESSAGE_BYTES: usize = 16_384;

/// What shows nothing on its own, besides blanks (White_Space) and controls: Unicode's Default_Ignorable_Code_Point,
/// and letters, signs and annotation marks that are drawn empty. A test in `chat` checks it against Unicode's tables,
/// which are too large for the page.
const UNSEEN: [(char, char); 23] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'), // braille without a dot
    ('\u{3164}', '\u{3164}'),
    ('\u{fdd0}', '\u{fdef}'), // noncharacters
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),   // ignorable up to fff8, then annotation
    ('\u{fffe}', '\u{ffff}'),   // noncharacters
    ('\u{13441}', '\u{13442}'), // blanks among hieroglyphs
    ('\u{16fe4}', '\u{16fe4}'), // Khitan filler
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'), // an invisible notehead
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Accepts the text of a message that may be sent.
///
/// # Errors
/// [`Code::TooLong`] above [`MAX_MESSAGE_BYTES`]; [`Code::Invalid`] if it shows nothing, or has a control character
/// other than newline and tab.
pub fn check_message(data: &str) -> Result<(), Fault> {
    if data.len() > MAX_MESSAGE_BYTES {
        return Err(Fault::new(
            Code::TooLong,
            format!(
                "This message has {} bytes; the most is {MAX_MESSAGE_BYTES}. Please send it in parts.",
                data.len()
            ),
        ));
    }
    if data.chars().any(is_refused) {
        return Err(Fault::new(
            Code::Invalid,
            "This message holds a control character, which cannot be sent. Please remove it.",
        ));
    }
    if is_blank(data) {
        return Err(Fault::new(Code::Invalid, "There is nothing to see in this message: it cannot be sent."));
    }
    Ok(())
}

/// Whether a text shows nothing: only blanks, and characters that are ignored or drawn empty.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_unseen)
}

/// Whether this character shows nothing when it stands alone.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_whitespace() || c.is_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Returns a name as the person typing it sees it: copied from a sentence, it may bring marks that they cannot see to
/// delete. Joiners stay, because some scripts need them, and so do blanks, which can be seen.
#[must_use]
pub fn clean_name(name: &str) -> String {
    let stays = |c: &char| !is_unseen(*c) || c.is_whitespace() || matches!(c, '\u{200c}' | '\u{200d}');
    name.chars().filter(stays).collect()
}

/// Returns the text ready to send: newlines for everything that ends a line or a page elsewhere, and no controls,
/// annotation marks or noncharacters, which come with text pasted from a slide, a PDF or a terminal. Everything that a
/// script or an emoji needs stays: joiners, variation selectors, tags, direction marks.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut after_return = false;
    for c in text.chars() {
        match c {
            '\n' if after_return => {} // already added
            '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => cleaned.push('\n'),
            _ if is_refused(c) || is_noise(c) => {}
            _ => cleaned.push(c),
        }
        after_return = c == '\r';
    }
    cleaned
}

/// Splits a text into lines as they are drawn: besides newline, a message may hold two more line ends.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\u{2028}', '\u{2029}'])
}

fn is_refused(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

/// What is not refused, because older pages and other programs may send it, but is of no use to anybody.
fn is_noise(c: char) -> bool {
    let is_noncharacter = u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    is_noncharacter || ('\u{fff9}'..='\u{fffb}').contains(&c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words and emoji whose meaning depends on characters that are invisible on their own.
    const DELICATE: [&str; 12] = [
        "👩‍👩‍👧‍👦",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        "❤\u{fe0f}‍🔥 1\u{fe0f}\u{20e3} ☺\u{fe0e}",
        "👍🏽 🇦🇶",
        "می\u{200c}خواهم",
        "क\u{94d}\u{200d}ष क\u{94d}\u{200c}ष",
        "ශ\u{dca}\u{200d}රී",
        "葛\u{e0100}城",
        "ᠮᠣᠩᠭᠣᠯ\u{180b}",
        "สวัสดี\u{200b}ครับ",
        "a\u{2066}אב\u{2069} \u{200f}\u{61c}",
        "co\u{ad}operate e\u{301}",
    ];

    #[test]
    fn a_message_has_1_to_16384_bytes() {
        assert_eq!(check_message("").unwrap_err().error, Code::Invalid);
        assert!(check_message("a").is_ok());
        assert!(check_message(&"a".repeat(16_384)).is_ok());
        assert_eq!(check_message(&"a".repeat(16_385)).unwrap_err().error, Code::TooLong);
        assert_eq!(
            check_message(&"ä".repeat(8_193)).unwrap_err().error,
            Code::TooLong,
            "bytes, not characters"
        );
    }

    #[test]
    fn a_name_loses_what_nobody_sees_and_nothing_else() {
        assert_eq!(clean_name("\u{2068}\u{ae40}\u{200b}\u{2069}\0"), "\u{ae40}");
        for kept in ["Ben Smith", "می\u{200c}خواهم", "ශ\u{dca}\u{200d}රී", "Zoë"] {
            assert_eq!(clean_name(kept), kept);
        }
    }

    #[test]
    fn newline_and_tab_are_the_only_control_characters() {
        assert!(check_message("a\n\tb").is_ok());
        for c in ('\0'..='\u{9f}').filter(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            assert_eq!(check_message(&format!("a{c}")).unwrap_err().error, Code::Invalid, "{c:?}");
        }
    }

    #[test]
    fn nothing_to_see_is_nothing_to_say() {
        for text in [
            " ",
            "\n\t ",
            "\u{a0}\u{2003}\u{3000}\u{205f}",
            "\u{3164}\u{115f}\u{1160}\u{ffa0}",
            "\u{200b}\u{200c}\u{200d}\u{feff}\u{2060}",
            "\u{2800}\u{2800}",
            "\u{fe0f}",
            "\u{e0041}\u{e007f}",
            "\u{202e}\u{2066}\u{200f}",
            "\u{ad}\u{34f}\u{17b4}\u{180e}\u{1d159}\u{fffb}\u{ffff}",
            "\u{2028}\u{2029}",
        ] {
            assert_eq!(check_message(text).unwrap_err().error, Code::Invalid, "{text:?}");
        }
        for text in [".", "\u{200b}.", "\u{301}", "🇦", "\u{2801}", "\u{e000}", "\u{fffd}", "١"] {
            assert!(check_message(text).is_ok(), "{text:?}");
        }
        for text in DELICATE {
            assert!(check_message(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_is_pasted_loses_what_nobody_can_see_and_keeps_its_lines() {
        for (pasted, cleaned) in [
            ("Roadmap\u{b}2026", "Roadmap\n2026"),
            ("end of page\u{c}next page", "end of page\nnext page"),
            ("\u{1b}[31merror\u{1b}[0m: no space", "[31merror[0m: no space"),
            ("one\r\ntwo\rthree\r\r\nfour\n\nfive", "one\ntwo\nthree\n\nfour\n\nfive"),
            ("a\u{85}b\u{2028}c\u{2029}d", "a\nb\nc\nd"),
            ("nul\0 bell\u{7} del\u{7f} c1\u{9b}", "nul bell del c1"),
            ("\u{fff9}base\u{fffa}note\u{fffb} \u{fffe}\u{1ffff}\u{fdd0}", "basenote "),
            ("\t tab stays\n", "\t tab stays\n"),
        ] {
            assert_eq!(clean(pasted), cleaned, "{pasted:?}");
        }
        for text in DELICATE {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn a_line_ends_wherever_it_is_drawn_to_end() {
        let drawn: Vec<_> = lines("a\nb\u{2028}c\u{2029}\nd").collect();
        assert_eq!(drawn, ["a", "b", "c", "", "d"]);
    }

    proptest! {
        #[test]
        fn a_cleaned_text_is_taken_unless_it_is_blank_or_too_long(text in "[\\x00-\\xff\u{2020}-\u{2070}\u{fdc0}-\u{ffff}a ]{0,40}") {
            let cleaned = clean(&text);
            prop_assert_eq!(check_message(&cleaned).is_ok(), !is_blank(&cleaned));
            prop_assert_eq!(is_blank(&cleaned), is_blank(&text), "nothing that can be seen is lost");
            prop_assert_eq!(&clean(&cleaned), &cleaned, "once is enough");
            prop_assert!(cleaned.len() <= text.len());
        }

        #[test]
        fn a_text_that_is_taken_loses_nothing_that_can_be_seen(text in any::<String>()) {
            let seen = |text: &str| text.chars().filter(|c| !is_unseen(*c)).collect::<String>();
            prop_assert_eq!(seen(&clean(&text)), seen(&text));
        }
    }
}
