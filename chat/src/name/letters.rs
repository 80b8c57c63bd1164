//! Which characters a name may contain, and next to which others: UAX 31 for letters and joiners, UTS 39 for scripts,
//! and what each script does with its marks.

use icu_properties::props::{
    BinaryProperty, CanonicalCombiningClass, DefaultIgnorableCodePoint, EnumeratedProperty, GeneralCategory,
    GeneralCategoryGroup, IndicSyllabicCategory, JoiningType, XidContinue,
};
use protocol::{Code, Fault};
use unicode_normalization::UnicodeNormalization;
use unicode_script::{Script, ScriptExtension, UnicodeScript};
use unicode_security::mixed_script::AugmentedScriptSet;

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';

/// Most nonspacing marks in a row: more would overlap the surrounding text.
const MARKS: usize = 3;

/// Subjoined letters under a Tibetan letter, as in the tallest written stack (the tenfold syllable of Kalachakra).
const SUBJOINED: usize = 7;

/// Subjoined letters under a Khmer letter, and marks in its whole stack (Unicode 16.4).
const COENGS: usize = 3;
const KHMER_MARKS: usize = 4;
const COENG: char = '\u{17d2}';

/// Refuses a name, with a sentence that gives the rule.
pub(super) fn unusable(reason: impl Into<String>) -> Fault {
    Fault::new(Code::UnusableName, reason)
}

/// Accepts a name in which every character is where it belongs. `plain` is its NFKC.
pub(super) fn check(shown: &str, plain: &str) -> Result<(), Fault> {
    for c in shown.chars() {
        if !std::iter::once(c).nfkc().all(may_be_used) {
            return Err(not_in_a_name(c));
        }
    }
    check_joiners(plain)?;
    if !plain.chars().any(|c| is_letter(c) || GeneralCategoryGroup::Number.contains(category(c))) {
        return Err(unusable("A name holds at least one letter or digit."));
    }
    if !is_of_one_script(plain) {
        return Err(unusable(
            "A name keeps to the letters of one script; beside Chinese, Japanese or Korean ones may be Latin ones.",
        ));
    }
    check_marks(plain)
}

/// Whether a name may be one character long, because its script writes such names.
pub(super) fn is_whole_alone(plain: &str) -> bool {
    let mut letters = plain.chars().filter(|c| is_letter(*c)).peekable();
    letters.peek().is_some()
        && letters.all(|c| {
            let scripts = c.script_extension();
            !is_of_any_script(scripts)
                && [Script::Han, Script::Hangul, Script::Hiragana, Script::Katakana]
                    .iter()
                    .any(|script| scripts.contains_script(*script))
        })
}

/// Whether this character is ignored when drawn, unless its context uses it.
pub(super) fn is_ignorable(c: char) -> bool {
    DefaultIgnorableCodePoint::for_char(c)
}

fn may_be_used(c: char) -> bool {
    let is_of_a_name = XidContinue::for_char(c) || matches!(c, '.' | '_' | '-');
    matches!(c, JOINER | NON_JOINER) || (is_of_a_name && !is_ignorable(c))
}

fn not_in_a_name(c: char) -> Fault {
    let said = if c == ' ' {
        "a blank".to_owned()
    } else if protocol::text::is_unseen(c) || is_mark(c) {
        format!("U+{:04X}", u32::from(c))
    } else {
        format!("“{c}”")
    };
    unusable(format!(
        "A name holds letters, digits, dots, dashes and underscores only; {said} cannot be used."
    ))
}

/// UAX 31 2.3: joiners are allowed only where they change how a word is drawn.
fn check_joiners(plain: &str) -> Result<(), Fault> {
    let chars: Vec<char> = plain.chars().collect();
    for (at, c) in chars.iter().enumerate() {
        let (before, after) = (&chars[..at], &chars[at + 1..]);
        let is_in_place = match *c {
            NON_JOINER => {
                breaks_a_connection(before, after)
                    || (follows_a_virama(before) && first_but_marks(after).is_some_and(is_letter))
            }
            JOINER => follows_a_virama(before) && !first_but_marks(after).is_some_and(is_dependent_vowel),
            _ => true,
        };
        if !is_in_place {
            return Err(not_in_a_name(*c));
        }
    }
    Ok(())
}

/// A1: between two letters that would otherwise connect.
fn breaks_a_connection(before: &[char], after: &[char]) -> bool {
    let is_transparent = |c: &&char| JoiningType::for_char(**c) == JoiningType::Transparent;
    let left = before.iter().rev().find(|c| !is_transparent(c)).map(|c| JoiningType::for_char(*c));
    let right = after.iter().find(|c| !is_transparent(c)).map(|c| JoiningType::for_char(*c));
    matches!(left, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(right, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// A2 and B: a letter, marks, a virama, marks that may be reordered around it.
fn follows_a_virama(before: &[char]) -> bool {
    let is_virama = |c: char| CanonicalCombiningClass::for_char(c) == CanonicalCombiningClass::Virama;
    let mut back = before.iter().rev().copied().skip_while(|c| moves(*c) && !is_virama(*c));
    back.next().is_some_and(is_virama) && back.find(|c| !is_nonspacing(*c)).is_some_and(is_letter)
}

fn first_but_marks(after: &[char]) -> Option<char> {
    after.iter().copied().find(|c| !moves(*c))
}

/// Whether normalisation may move this mark.
fn moves(c: char) -> bool {
    is_nonspacing(c) && CanonicalCombiningClass::for_char(c) != CanonicalCombiningClass::NotReordered
}

fn is_dependent_vowel(c: char) -> bool {
    IndicSyllabicCategory::for_char(c) == IndicSyllabicCategory::VowelDependent
}

/// UTS 39 5.2, "highly restrictive", except for its list of allowed characters: one script, or Latin with those of
/// Japanese, Chinese with Bopomofo, or Korean.
fn is_of_one_script(plain: &str) -> bool {
    let (mut all, mut beside_latin) = (AugmentedScriptSet::default(), AugmentedScriptSet::default());
    for c in plain.chars() {
        let scripts = AugmentedScriptSet::for_char(c);
        all.intersect_with(scripts);
        if !scripts.base.contains_script(Script::Latin) {
            beside_latin.intersect_with(scripts);
        }
    }
    !all.is_empty() || beside_latin.jpan || beside_latin.hanb || beside_latin.kore
}

/// What a letter carries so far.
#[derive(Default)]
struct Stack {
    base: Option<char>,
    marks: usize,
    in_a_row: usize,
    subjoined: usize,
    coengs: usize,
}

/// Checks that marks belong to the letter before them, and are few.
fn check_marks(plain: &str) -> Result<(), Fault> {
    let mut stack = Stack::default();
    let mut chars = plain.chars().filter(|c| !matches!(*c, JOINER | NON_JOINER)).peekable();
    let mut below = false;
    while let Some(c) = chars.next() {
        if !is_mark(c) {
            if below {
                stack.in_a_row = 0;
            } else {
                stack = Stack { base: Some(c), ..Stack::default() };
            }
            below = false;
            continue;
        }
        let Some(base) = stack.base else {
            return Err(unusable("A name begins with a letter or a digit, not with a mark."));
        };
        if !belongs_to(c, base) {
            return Err(unusable("A name holds only marks that belong to the letter before them."));
        }
        below =
            c == COENG && chars.peek().is_some_and(|next| is_letter(*next) && next.script() == Script::Khmer);
        stack.add(c, below);
        if !stack.is_low_enough() {
            return Err(unusable(format!("A letter of a name carries at most {MARKS} marks.")));
        }
    }
    Ok(())
}

impl Stack {
    /// Adds a mark. `below`: a letter follows that is drawn below.
    fn add(&mut self, mark: char, below: bool) {
        let is_subjoined = IndicSyllabicCategory::for_char(mark) == IndicSyllabicCategory::ConsonantSubjoined;
        if below {
            self.coengs += 1;
        } else if is_subjoined && mark.script() == Script::Tibetan && self.base.is_some_and(is_letter) {
            self.subjoined += 1;
        } else if is_nonspacing(mark) {
            self.marks += 1;
            self.in_a_row += 1;
        } else {
            self.in_a_row = 0;
        }
    }

    fn is_low_enough(&self) -> bool {
        let is_khmer_stack = self.coengs > 0;
        self.in_a_row <= MARKS
            && self.subjoined <= SUBJOINED
            && self.coengs <= COENGS
            && !(is_khmer_stack && self.marks > KHMER_MARKS)
    }
}

fn belongs_to(mark: char, base: char) -> bool {
    let (of_mark, of_base) = (mark.script_extension(), base.script_extension());
    mark.script() == Script::Inherited
        || (!is_of_any_script(of_base)
            && !is_of_any_script(of_mark)
            && !of_mark.intersection(of_base).is_empty())
}

fn is_of_any_script(scripts: ScriptExtension) -> bool {
    scripts.is_common() || scripts.is_inherited()
}

fn category(c: char) -> GeneralCategory {
    GeneralCategory::for_char(c)
}

fn is_letter(c: char) -> bool {
    GeneralCategoryGroup::Letter.contains(category(c))
}

fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(category(c))
}

fn is_nonspacing(c: char) -> bool {
    category(c) == GeneralCategory::NonspacingMark
}
