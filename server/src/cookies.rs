//! Filters incoming cookies: a name counts only if it comes once, spelled as we spell it.
//!
//! A browser sends two of a name when a sibling subdomain or a page on another path planted one beside ours, and does
//! not say whose is whose (RFC 6265 8.6), so neither counts. Our parsers decode `%` in names and trim blanks, but a
//! browser does neither when it checks a name for the `__Host-` prefix, so a name with anything but plain ASCII in it
//! does not count either.

use std::collections::HashMap;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

/// Drops cookies that come twice or have a name that may be read as another, before any handler reads them.
pub(crate) async fn single(mut request: Request, next: Next) -> Response {
    keep_single(request.headers_mut());
    next.run(request).await
}

fn keep_single(headers: &mut HeaderMap) {
    let all: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let pairs: Vec<&[u8]> =
        all.iter().flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).collect();
    let mut times: HashMap<&[u8], usize> = HashMap::new();
    pairs.iter().for_each(|pair| *times.entry(name(pair)).or_default() += 1);
    let counts = |pair: &&[u8]| times[name(pair)] == 1 && is_plain(name(pair));
    if pairs.iter().all(counts) {
        return;
    }
    let kept: Vec<&[u8]> = pairs.iter().filter(|pair| counts(pair)).copied().collect();
    let kept = HeaderValue::from_bytes(&kept.join(&b"; "[..])).expect("parts of headers");
    headers.insert(header::COOKIE, kept);
}

fn name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// Whether every parser reads this name the same way.
fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_or_under_a_strange_name_is_not_there() {
        let kept = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            keep_single(&mut headers);
            let lines = headers.get_all(header::COOKIE).iter();
            lines.map(|line| line.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&["a=1; b=2"]), ["a=1; b=2"]);
        assert_eq!(kept(&["a=1", "b=2"]), ["a=1", "b=2"], "as it came");
        assert_eq!(kept(&["a=1; b=2; a=3"]), ["b=2"]);
        assert_eq!(kept(&["a=1; b=2", "a =1;c=3"]), ["b=2; c=3"]);
        assert_eq!(kept(&["a=1; a=1"]), [""]);
        assert_eq!(kept(&["a=1; __Host%2Da=2; %61=3"]), ["a=1"], "no other spelling of a name");
    }
}
