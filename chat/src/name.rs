//! What may be a user's name, and when two names are the same.

use caseless::Caseless;
use protocol::{Code, Fault};
use unicode_normalization::UnicodeNormalization;
use unicode_security::MixedScript;

const LENGTH: std::ops::RangeInclusive<usize> = 3..=32;

/// A name that may exist. Two names are the same when their keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

impl Username {
    /// Takes a name as typed; blanks around it are dropped. It is shown in Unicode's compatibility form (NFKC).
    ///
    /// # Errors
    /// [`Code::UnusableName`] unless it has 3 to 32 letters, digits, `.`, `_` or `-` of one script
    /// (UTS 39 5.1: names that mix scripts can pass for somebody else's).
    pub fn parse(typed: &str) -> Result<Self, Fault> {
        let unusable = |reason: String| Fault::new(Code::UnusableName, reason);
        let typed = typed.trim();
        // Before normalising: one character may become eighteen.
        if typed.chars().count() > *LENGTH.end() {
            return Err(unusable(format!("A name has at most {} characters.", LENGTH.end())));
        }
        let shown: String = typed.nfkc().collect();
        if let Some(c) = shown.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
            let c = if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            return Err(unusable(format!(
                "A name holds letters, digits, dots, dashes and underscores only; “{c}” cannot be used."
            )));
        }
        if !LENGTH.contains(&shown.chars().count()) {
            return Err(unusable(format!("A name has {} to {} characters.", LENGTH.start(), LENGTH.end())));
        }
        if !shown.chars().any(char::is_alphanumeric) {
            return Err(unusable("A name holds at least one letter or digit.".into()));
        }
        if !shown.as_str().is_single_script() {
            return Err(unusable("A name keeps to the letters of one script.".into()));
        }
        let key = shown.chars().default_case_fold().nfkc().collect();
        Ok(Self { shown, key })
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// What it is compared by: NFKC and case folded.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(typed: &str) -> String {
        Username::parse(typed).unwrap_or_else(|fault| panic!("{typed}: {fault}")).key().to_owned()
    }

    #[test]
    fn case_width_and_composition_make_no_difference() {
        for (one, other) in [
            ("Ada", "aDA"),
            ("Ａｄａ", "ada"),
            ("Zoë", "Zoe\u{308}"),
            ("Straße", "STRASSE"),
            ("ﬁona", "FIONA"),
            (" ada ", "ada"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        assert_ne!(key("ada.l"), key("ada-l"));
    }

    #[test]
    fn names_of_any_one_script_are_taken() {
        for name in
            ["bob", "Ольга", "田中さん", "محمد", "김철수", "a.b_c-1", "Ελένη", "x".repeat(32).as_str()]
        {
            assert!(Username::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_that_break_a_rule_are_refused() {
        let long = "x".repeat(33);
        for name in [
            "",
            "ab",
            &long,
            "two words",
            "a\u{0}bc",
            "...",
            "p\u{430}ypal",
            "ada\u{202e}",
            "ad\u{200d}a",
            "a@b.c",
            "ﷺﷺ",
        ] {
            let fault = Username::parse(name).expect_err(name);
            assert_eq!(fault.error, Code::UnusableName, "{name:?}");
        }
    }
}
