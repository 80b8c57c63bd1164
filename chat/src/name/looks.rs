//! What a name looks like (UTS 39, confusable detection), and the names that are nobody's.

use std::collections::HashSet;
use std::sync::LazyLock;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use super::key;

/// Whoever had one of these would seem to speak for the server, or for the reader.
const RESERVED: [&str; 15] = [
    "admin",
    "administrator",
    "everyone",
    "moderator",
    "natter",
    "official",
    "operator",
    "root",
    "security",
    "server",
    "staff",
    "support",
    "sysadmin",
    "system",
    "you",
];

/// Two names with the same skeleton look alike: UTS 39's, case folded, with `w` as the `vv` that it looks like.
pub(crate) fn skeleton(name: &str) -> String {
    let plain: String = name.nfkc().collect();
    let folded = unicode_security::skeleton(&plain).default_case_fold().nfd();
    folded.collect::<String>().replace('w', "vv")
}

/// Whether a name is one of those that are nobody's, or looks like one, in whatever case that is written.
pub(super) fn is_reserved(name_key: &str, name_skeleton: &str) -> bool {
    static LIKE_RESERVED: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let cased = RESERVED.iter().flat_map(|word| {
            let title = word[..1].to_uppercase() + &word[1..];
            [(*word).to_owned(), word.to_uppercase(), title]
        });
        cased.map(|word| skeleton(&word)).collect()
    });
    RESERVED.iter().any(|word| key(word) == name_key) || LIKE_RESERVED.contains(name_skeleton)
}
