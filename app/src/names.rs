//! Names of people inside plain text, where no element can keep them apart from the words around them.

/// A name that turns nothing around it: in a sentence or a title. Elements have `<bdi>` for that.
pub(crate) fn isolated(name: &str) -> String {
    // Latin letters turn nothing, and some programs draw the two marks as boxes.
    if name.is_ascii() { name.to_owned() } else { format!("\u{2068}{name}\u{2069}") }
}

/// The names of everybody else in a conversation.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    match names.collect::<Vec<_>>().as_slice() {
        [] => "Only you".to_owned(),
        [one] => (*one).to_owned(),
        many => many.iter().map(|name| isolated(name)).collect::<Vec<_>>().join(", "),
    }
}
