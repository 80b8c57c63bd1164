//! Passwords that every attacker tries first (NIST SP 800-63B-4 3.1.1.2).

use crate::name::key;

/// The product's name, which attackers try on every server that runs it.
const PRODUCT: &str = "natter";

/// Fewer characters than this besides a name, without a letter among them, are no secret.
const BESIDE: usize = 8;

/// The most common passwords of 8 or more characters, in lower case, one per line, from the list by Royce Williams that
/// Django ships (`django/contrib/auth/common-passwords.txt.gz` of 5.2; BSD-3-Clause, Django Software Foundation and
/// individual contributors).
static COMMONEST: &str = include_str!("commonest.txt");

/// Why a password is guessed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guessable {
    /// Many people have it.
    Common,
    /// It is the name, or the product's, and little else.
    Name,
}

/// Returns why the password of the account with this name is among the first that an attacker would try, if it is.
pub(super) fn guessable(password: &str, name: &str) -> Option<Guessable> {
    let (password, name) = (key(password), key(name));
    let backwards: String = name.chars().rev().collect();
    if [&name, &backwards, PRODUCT].iter().any(|word| is_little_but(word, &password)) {
        return Some(Guessable::Name);
    }
    COMMONEST.lines().any(|common| common == password).then_some(Guessable::Common)
}

fn is_little_but(word: &str, password: &str) -> bool {
    if word.is_empty() || !password.contains(word) {
        return false;
    }
    let rest = password.replace(word, "");
    rest.chars().count() < BESIDE && !rest.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commonest_passwords_are_known_in_any_case_and_width() {
        for common in [
            "password",
            "Password1",
            "QWERTYUIOP",
            "12345678",
            "passw0rd",
            "ａｂｃ12345",
            "aaaaaaaa",
            "trustno1",
        ] {
            assert_eq!(guessable(common, "Ada"), Some(Guessable::Common), "{common}");
        }
        for own in [
            "correct horse",
            "  sp aces  ",
            "пароль-пароль",
            "🦀🦀🦀🦀🦀🦀🦀🦀",
            "xxxxxxxxxxxxxxxxxxxxxxxx",
            "12345678\n87654321",
        ] {
            assert_eq!(guessable(own, "Ada"), None, "{own}");
        }
    }

    #[test]
    fn names_are_no_secret_either_way_round_or_with_a_number() {
        for (name, password) in [
            ("samename", "samename"),
            ("Samename", "sameNAME!"),
            ("revers3d", "d3srever"),
            ("Ada", "adaadaada"),
            ("Ada", "ada.2026"),
            ("李", "李李李李李李李李"),
            ("bob", "natter12"),
            ("bob", "Natter-Natter"),
        ] {
            assert_eq!(guessable(password, name), Some(Guessable::Name), "{name} {password}");
        }
        for (name, password) in [
            ("Ada", "ada lovelace"),
            ("Ada", "canada is cold"),
            ("Ada", "ada-81542908"),
            ("bob", "natterjack toad"),
            ("\u{1160}", "a secret"),
        ] {
            assert_eq!(guessable(password, name), None, "{name} {password}");
        }
    }

    #[test]
    fn the_list_holds_what_could_be_set() {
        assert!(COMMONEST.lines().count() > 8_000);
        assert!(COMMONEST.lines().all(|common| common.chars().count() >= 8 && key(common) == common));
    }
}
