//! Names of people inside plain text, where no element can keep them apart from the words around them.

/// A name that turns nothing around it: in a sentence or a title. Elements have `<bdi>` for that.
pub(crate) fn isolated(name: &str) -> String {
    // Latin letters turn nothing, and some programs draw the two marks as boxes.
    if name.is_ascii() { name.to_owned() } else { format!("\u{2068}{name}\u{2069}") }
}

/// The same where the name stands in a sentence. Only in the browser, which searches texts without a byte of WASM.
pub(crate) fn isolated_in(sentence: &str, name: &str) -> String {
    js_sys::JsString::from(sentence).replace(name, &isolated(name)).into()
}

/// The names of everybody else in a conversation.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "Only you".to_owned() } else { names.join(", ") }
}
