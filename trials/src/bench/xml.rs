//! As much of XML as an XMPP stream needs: where an element ends, what its first tag says, what its `<body>` contains.
//!
//! No entity, comment or CDATA section occurs: RFC 6120 (11.1) forbids the comments, and servers write no sections.

use std::borrow::Cow;

use crate::load::Error;

/// Returns the first whole element of `input`, including white space before it (servers send some to keep a connection
/// open), or `None` when its end has not arrived.
///
/// # Errors
/// When the stream ends here, or the input is not UTF-8.
pub(super) fn element(input: &[u8]) -> Result<Option<&str>, Error> {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(open) = find(input, at, b'<') {
        let Some(close) = tag_end(input, open) else { return Ok(None) };
        match (input[open + 1], input[close - 1]) {
            (b'?' | b'!', _) => {}
            (b'/', _) if depth == 0 => return Err(Error::protocol("the server ended the stream")),
            (b'/', _) => depth -= 1,
            (_, b'/') => {}
            _ => depth += 1,
        }
        at = close + 1;
        if depth == 0 && !matches!(input[open + 1], b'?' | b'!') {
            let text = std::str::from_utf8(&input[..at]);
            return text
                .map(Some)
                .map_err(|error| Error::protocol(format!("a stanza is not UTF-8: {error}")));
        }
    }
    Ok(None)
}

/// Returns where the tag that begins at `open` ends: at a `>` outside quotes.
fn tag_end(input: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match input.get(at)? {
            b'>' => return Some(at),
            quote @ (b'"' | b'\'') => at = find(input, at + 1, *quote)? + 1,
            _ => at += 1,
        }
    }
}

fn find(input: &[u8], from: usize, byte: u8) -> Option<usize> {
    input.get(from..)?.iter().position(|&other| other == byte).map(|at| from + at)
}

/// Returns an element's own tag, without the angle brackets: `message from='…' to='…'`.
pub(super) fn tag(element: &str) -> &str {
    let inside = element.trim_start().trim_start_matches('<');
    let end = tag_end(inside.as_bytes(), 0).unwrap_or(inside.len());
    inside[..end].trim_end_matches('/')
}

/// Returns the name at the beginning of a tag.
pub(super) fn name(tag: &str) -> &str {
    tag.split_ascii_whitespace().next().unwrap_or_default()
}

/// Returns a tag's attribute, undecoded.
pub(super) fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag;
    loop {
        let (before, after) = rest.split_once('=')?;
        let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, behind) = after[1..].split_once(quote)?;
        if before.rsplit(|c: char| c.is_ascii_whitespace()).next() == Some(name) {
            return Some(value);
        }
        rest = behind;
    }
}

/// Returns the text of the element's `<body>`.
pub(super) fn body(element: &str) -> Option<Cow<'_, str>> {
    let (_, rest) = element.split_once("<body>")?;
    let (text, _) = rest.split_once("</body>")?;
    if !text.contains('&') {
        return Some(Cow::Borrowed(text));
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'").replace("&quot;", "\"");
    Some(Cow::Owned(text.replace("&amp;", "&")))
}

/// Appends text as an element's content.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: [&str; 4] = [
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<message from='p1@localhost/r' id=\"a>b\" to='p0@localhost'><body>2 &lt; 3 &amp;amp; more</body><x/></message>",
        "\n <presence/>",
        "<iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>p0@localhost/r</jid></bind></iq>",
    ];

    #[test]
    fn a_stream_is_cut_into_its_stanzas_wherever_the_bytes_were_cut() {
        let stream = STANZAS.concat();
        for cut in 0..=stream.len() {
            let (mut held, mut heard) = (Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                held.extend_from_slice(part.as_bytes());
                while let Some(stanza) = element(&held).unwrap().map(str::to_owned) {
                    held.drain(..stanza.len());
                    heard.push(stanza);
                }
            }
            assert_eq!(heard, STANZAS, "cut at {cut}");
        }
    }

    #[test]
    fn the_end_of_the_stream_is_an_error_and_a_declaration_is_passed_over() {
        assert!(element(b"</stream:stream>").is_err());
        assert_eq!(element(b"<?xml version='1.0'?><a/><b/>").unwrap(), Some("<?xml version='1.0'?><a/>"));
        assert_eq!(element(b"<message><body>half").unwrap(), None);
    }

    #[test]
    fn tags_attributes_and_bodies_are_read() {
        let tag = tag(STANZAS[1]);
        assert_eq!(name(tag), "message");
        assert_eq!(attribute(tag, "from"), Some("p1@localhost/r"));
        assert_eq!(attribute(tag, "id"), Some("a>b"));
        assert_eq!(attribute(tag, "d"), None, "the end of a name is not the name");
        assert_eq!(body(STANZAS[1]).unwrap(), "2 < 3 &amp; more");
        assert_eq!(body(STANZAS[0]), None);
        assert_eq!(name(super::tag(STANZAS[0])), "r");
        let mut written = Vec::new();
        write_text("2 < 3 &amp; more", &mut written);
        assert_eq!(written, b"2 &lt; 3 &amp;amp; more");
    }
}
