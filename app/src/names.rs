//! Isolates people's names in plain text, where no element can keep them apart from the words around them.

/// Wraps a name in directional isolates, for a sentence or a title. Elements have `<bdi>` for that.
pub(crate) fn isolated(name: &str) -> String {
    // ASCII never changes the direction, and some programs draw the two marks as boxes.
    if name.is_ascii() { name.to_owned() } else { format!("\u{2068}{name}\u{2069}") }
}

/// Isolates the name within a sentence. Only in the browser, whose string search costs no WASM.
pub(crate) fn isolated_in(sentence: &str, name: &str) -> String {
    js_sys::JsString::from(sentence).replace(name, &isolated(name)).into()
}

/// Lists the names of everybody else in a conversation.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "Only you".to_owned() } else { names.join(", ") }
}
