//! When two names are the same, when they only look alike (UTS 39, confusable detection), and the reserved names.

use std::collections::HashSet;
use std::sync::LazyLock;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use super::letters::is_ignorable;

/// A user with one of these names would seem to speak for the server, or for the reader.
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

/// Returns the key of a name: NFKC_Casefold (Unicode 3.13), in which invisible characters count for nothing.
pub(crate) fn key(name: &str) -> String {
    let mut key: String = name.nfd().collect();
    loop {
        let seen = key.chars().filter(|c| !is_ignorable(*c));
        let next: String = seen.default_case_fold().nfkc().collect();
        if next == key {
            return key;
        }
        key = next; // at most twice: a key is its own key
    }
}

/// Returns the skeleton: two names with the same one look alike. UTS 39's, case folded, with `w` as the `vv` it looks
/// like.
pub(crate) fn skeleton(name: &str) -> String {
    let plain: String = name.nfkc().collect();
    let folded = unicode_security::skeleton(&plain).default_case_fold().nfd();
    folded.collect::<String>().replace('w', "vv")
}

/// Whether a name is reserved, or looks like a reserved one in any case.
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
