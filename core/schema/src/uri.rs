//! References as RFC 3986 resolves them: as much of it as names need that are never fetched.

/// `reference` against `base`, which has no fragment (section 5.2.2).
pub(crate) fn resolve(base: &str, reference: &str) -> String {
    let (without_fragment, fragment) = split_fragment(reference);
    let resolved = resolve_without_fragment(base, without_fragment);
    match fragment {
        Some(fragment) => format!("{resolved}#{fragment}"),
        None => resolved,
    }
}

/// The part before the first `#`, and the part after it.
pub(crate) fn split_fragment(uri: &str) -> (&str, Option<&str>) {
    match uri.split_once('#') {
        Some((uri, fragment)) => (uri, Some(fragment)),
        None => (uri, None),
    }
}

fn resolve_without_fragment(base: &str, reference: &str) -> String {
    if scheme_end(reference).is_some() {
        return reference.to_owned();
    }
    if reference.is_empty() {
        return base.to_owned();
    }
    let scheme = &base[..scheme_end(base).unwrap_or(0)];
    let rest = &base[scheme.len()..];
    if reference.starts_with("//") {
        return format!("{scheme}{reference}");
    }
    let authority_end = match rest.strip_prefix("//") {
        Some(after) => 2 + after.find(['/', '?']).unwrap_or(after.len()),
        None => 0,
    };
    let (authority, path_and_query) = rest.split_at(authority_end);
    let path = path_and_query.split('?').next().unwrap_or("");
    if reference.starts_with('?') {
        return format!("{scheme}{authority}{path}{reference}");
    }
    let (reference_path, query) = match reference.find('?') {
        Some(at) => reference.split_at(at),
        None => (reference, ""),
    };
    let merged = if reference_path.starts_with('/') {
        reference_path.to_owned()
    } else {
        let folder = path.rfind('/').map_or("", |at| &path[..=at]);
        let root = if folder.is_empty() && !authority.is_empty() {
            "/"
        } else {
            folder
        };
        format!("{root}{reference_path}")
    };
    format!("{scheme}{authority}{}{query}", remove_dots(&merged))
}

/// Where the scheme ends, its colon included.
fn scheme_end(uri: &str) -> Option<usize> {
    let colon = uri.find(':')?;
    let mut scheme = uri[..colon].bytes();
    let starts = scheme.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let goes_on = scheme.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (starts && goes_on).then_some(colon + 1)
}

/// Section 5.2.4.
fn remove_dots(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("{}{}", if absolute { "/" } else { "" }, kept.join("/"))
}

/// Undoes percent-encoding; `None` if what comes out is no text.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_as_in_the_specification() {
        // RFC 3986, section 5.4.
        for (reference, expected) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q#s"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
        ] {
            assert_eq!(resolve("http://a/b/c/d;p?q", reference), expected, "{reference}");
        }
        assert_eq!(resolve("urn:x:root", "#/$defs/a"), "urn:x:root#/$defs/a");
        assert_eq!(resolve("", "item.json"), "item.json");
        assert_eq!(resolve("root.json", "#a"), "root.json#a");
        assert_eq!(resolve("http://a", "b"), "http://a/b");
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(percent_decode("a%25b%7Ec").as_deref(), Some("a%b~c"));
        assert_eq!(percent_decode("100%").as_deref(), Some("100%"));
        assert_eq!(percent_decode("%ff"), None);
    }
}
