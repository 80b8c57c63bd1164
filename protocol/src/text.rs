//! What a message may hold. Checked by the page before sending and by the server before storing.

use crate::{Code, Fault};

/// Most bytes of UTF-8 in one message.
pub const MAX_MESSAGE_BYTES: usize = 16_384;

/// Passes the text of a message that may be sent, unchanged.
///
/// # Errors
/// [`Code::TooLong`] above [`MAX_MESSAGE_BYTES`]; [`Code::Invalid`] when empty, or with a control character
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
    if data.is_empty() {
        return Err(Fault::new(Code::Invalid, "An empty message cannot be sent."));
    }
    if data.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Fault::new(
            Code::Invalid,
            "This message holds a control character, which cannot be sent. Please remove it.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn newline_and_tab_are_the_only_control_characters() {
        assert!(check_message("a\n\tb").is_ok());
        for c in ['\0', '\r', '\u{1b}', '\u{7f}', '\u{85}'] {
            assert_eq!(check_message(&format!("a{c}")).unwrap_err().error, Code::Invalid, "{c:?}");
        }
    }
}
