//! What may become a user's name, when two names are the same, and when they only look alike.
//!
//! The rules apply when a name is created. Lookups, at sign-in or by [`Chat::ask`](crate::Chat::ask), use keys only
//! ([`Sought`]): a name that the rules would refuse today still has its owner.

mod letters;
mod looks;
#[cfg(test)]
mod tests;

use caseless::Caseless;
use protocol::Fault;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use letters::unusable;
pub(crate) use looks::{key, skeleton};

/// In characters as people count them: grapheme clusters (UAX 29).
const LENGTH: std::ops::RangeInclusive<usize> = 2..=32;

/// In total, with every mark.
const MOST_CODE_POINTS: usize = 128;
const MOST_BYTES: usize = 512;

/// Nothing longer is normalised: one character may become eighteen, and a decomposed name is three times as long.
const MOST_TYPED: usize = 4 * MOST_BYTES;

/// A name that may be given to a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    typed: String,
    shown: String,
    key: String,
    skeleton: String,
}

/// The lookup keys for a name, which may be any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sought {
    /// The key from before [`key`]: an account whose new key somebody else already had kept this one.
    pub(crate) earlier: String,
    pub(crate) key: String,
}

impl Username {
    /// Parses a name as typed, without surrounding blanks. It is shown as written, composed (NFC).
    ///
    /// # Errors
    /// [`protocol::Code::UnusableName`], whose sentence gives the rule.
    pub fn parse(typed: &str) -> Result<Self, Fault> {
        let typed = typed.trim();
        if typed.len() > MOST_TYPED {
            return Err(too_long());
        }
        let (shown, plain) = (typed.nfc().collect::<String>(), typed.nfkc().collect::<String>());
        let clusters = shown.graphemes(true).count();
        let is_long = |form: &str| form.len() > MOST_BYTES || form.chars().count() > MOST_CODE_POINTS;
        if clusters > *LENGTH.end() || is_long(&shown) || is_long(&plain) {
            return Err(too_long());
        }
        if shown.is_empty() {
            return Err(too_short());
        }
        letters::check(&shown, &plain)?;
        if clusters < *LENGTH.start() && !letters::is_whole_alone(&plain) {
            return Err(too_short());
        }
        let (key, skeleton) = (key(&plain), skeleton(&plain));
        if looks::is_reserved(&key, &skeleton) {
            return Err(unusable("This name is kept for the server itself. Please choose another one."));
        }
        Ok(Self { typed: typed.to_owned(), shown, key, skeleton })
    }

    /// Returns the name exactly as typed.
    pub(crate) fn typed(&self) -> &str {
        &self.typed
    }

    /// Returns the name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Returns what it is compared by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns what it looks like: no new name may look like an existing one.
    #[must_use]
    pub fn skeleton(&self) -> &str {
        &self.skeleton
    }
}

impl Sought {
    /// Returns what to look up; `None` for a text too long to be a name.
    pub(crate) fn of(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        (typed.len() <= MOST_BYTES).then(|| Self { earlier: earlier_key(typed), key: key(typed) })
    }
}

/// Returns the key of a name as it was before [`key`] replaced it.
pub(crate) fn earlier_key(name: &str) -> String {
    name.nfkc().collect::<String>().chars().default_case_fold().nfkc().collect()
}

/// Returns the versions that keys and skeletons depend on: if they change, all are recomputed.
pub(crate) fn versions() -> String {
    let version = |(major, minor, patch): (u64, u64, u64)| format!("{major}.{minor}.{patch}");
    let (major, minor, patch) = unicode_normalization::UNICODE_VERSION;
    format!(
        "rules 1, confusables {}, case folding {}, normalisation {}",
        version(unicode_security::UNICODE_VERSION),
        version(caseless::UNICODE_VERSION),
        version((major.into(), minor.into(), patch.into())),
    )
}

fn too_short() -> Fault {
    unusable(format!("A name has {} to {} characters.", LENGTH.start(), LENGTH.end()))
}

fn too_long() -> Fault {
    unusable(format!(
        "A name has at most {} characters, and {MOST_CODE_POINTS} with all its marks.",
        LENGTH.end()
    ))
}
