//! Regular expressions: ECMA-262's, as far as they can be matched in linear time.

use std::fmt::Write;

/// The most memory that the regular expressions of one schema take when compiled, in KiB.
pub(crate) const MAX_REGEX_KIB: u64 = 1024;

/// A compiled regular expression.
pub(crate) struct Regex {
    regex: regex::Regex,
    /// About how many KiB its program has; a character takes at most time in proportion.
    pub kib: u64,
    /// As it was written.
    pub source: Box<str>,
}

/// Why one can't be used.
pub(crate) enum RegexError {
    TooLarge,
    Fault(String),
}

impl Regex {
    /// Compiles `source` if its program takes at most `limit_kib`.
    pub fn compile(source: &str, limit_kib: u64) -> Result<Regex, RegexError> {
        let translated = translate(source).map_err(|fault| RegexError::Fault(fault.to_owned()))?;
        // The library tells no sizes: the smallest power of two that it gets by with is close enough.
        let mut kib = 1;
        while kib < 2 * limit_kib {
            let compiled = regex::RegexBuilder::new(&translated)
                .size_limit(kib.min(limit_kib) as usize * 1024)
                .dfa_size_limit(256 * 1024)
                .nest_limit(64)
                .build();
            match compiled {
                Ok(regex) => {
                    return Ok(Regex {
                        regex,
                        kib,
                        source: source.into(),
                    });
                }
                Err(regex::Error::CompiledTooBig(_)) => kib *= 2,
                Err(error) => return Err(RegexError::Fault(one_line(&error))),
            }
        }
        Err(RegexError::TooLarge)
    }

    /// Whether it matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The steps that takes at most.
    pub fn steps(&self, text: &str) -> u64 {
        1 + text.len() as u64 * self.kib
    }
}

/// The library draws a picture of the fault over several lines; the last one says what it is.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let fault = last.trim().trim_start_matches("error: ");
    if fault.contains("look-around") || fault.contains("backreferences") {
        format!("{fault}, as they can take exponential time")
    } else {
        fault.to_owned()
    }
}

const SPACE: &str = r"\t\n\x0B\x0C\r\x20\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF";
const DOT: &str = r"[^\n\r\u2028\u2029]";

/// Writes what ECMA-262 means in the syntax of the library, where the two differ.
fn translate(source: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(source.len() + 16);
    let mut chars = source.chars().peekable();
    let mut in_class = false;
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let escaped = chars.next().ok_or("it ends with a \"\\\"")?;
                match (escaped, in_class) {
                    ('d', false) => out.push_str("[0-9]"),
                    ('d', true) => out.push_str("0-9"),
                    ('D', _) => out.push_str("[^0-9]"),
                    ('w', false) => out.push_str("[0-9A-Za-z_]"),
                    ('w', true) => out.push_str("0-9A-Za-z_"),
                    ('W', _) => out.push_str("[^0-9A-Za-z_]"),
                    ('s', false) => out.extend(["[", SPACE, "]"]),
                    ('s', true) => out.push_str(SPACE),
                    ('S', _) => out.extend(["[^", SPACE, "]"]),
                    ('b', false) => out.push_str(r"(?-u:\b)"),
                    ('b', true) => out.push_str(r"\x08"),
                    ('0', _) => out.push_str(r"\x00"),
                    ('c', _) => {
                        let letter = chars.next().filter(char::is_ascii_alphabetic);
                        let letter = letter.ok_or("a letter must follow \"\\c\"")?;
                        // Writing to a string can't fail.
                        let _ = write!(out, r"\x{:02x}", letter as u32 % 32);
                    }
                    // The library's own; ECMA-262 has them for the letters, or for nothing.
                    ('A' | 'z' | 'Z' | 'a' | 'x' | 'U' | '<' | '>', _)
                        if escaped != 'x' || !hex_follows(&chars) =>
                    {
                        return Err("it has an escape that ECMA-262 doesn't know");
                    }
                    _ => out.extend(['\\', escaped]),
                }
            }
            '[' if in_class => out.push_str(r"\["),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.peek() == Some(&']') {
                    return Err("it has an empty class");
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', char]),
            '-' if in_class && chars.peek() == Some(&'-') => {
                return Err("it has \"--\" in a class; write \"\\-\" for a hyphen");
            }
            '.' if !in_class => out.push_str(DOT),
            char => out.push(char),
        }
    }
    Ok(out)
}

fn hex_follows(chars: &std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut ahead = chars.clone();
    let mut hex = || ahead.next().is_some_and(|char| char.is_ascii_hexdigit());
    hex() && hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(source: &str) -> Regex {
        match Regex::compile(source, MAX_REGEX_KIB) {
            Ok(regex) => regex,
            Err(RegexError::Fault(fault)) => panic!("{source}: {fault}"),
            Err(RegexError::TooLarge) => panic!("{source}: too large"),
        }
    }

    #[test]
    fn it_matches_what_ecma_262_does() {
        for (source, text, expected) in [
            ("^a", "ba", false),
            ("a", "bab", true),
            (r"^\d+$", "12", true),
            (r"^\d+$", "\u{0663}", false),
            (r"^\w$", "é", false),
            (r"^[\w.-]+$", "a.b-c_1", true),
            (r"^\s$", "\u{FEFF}", true),
            (r"^[^\s]$", "\u{00A0}", false),
            (r"^\S+$", "ab", true),
            (r"^[\D]$", "a", true),
            ("^.$", "\u{2028}", false),
            ("^.$", "é", true),
            (r"^a\/b$", "a/b", true),
            (r"^\cA\x41\u0042$", "\u{1}AB", true),
            ("^[[&&~~]+$", "[&~", true),
            (r"^[\b]$", "\u{8}", true),
            (r"\bfoo\b", "a foo b", true),
            (r"^\p{L}+$", "été", true),
            ("a$", "a\n", false),
            (
                "^(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)(?:\\.\\d{1,3}){3}$",
                "10.0.0.1",
                true,
            ),
        ] {
            assert_eq!(regex(source).is_match(text), expected, "{source} on {text:?}");
        }
    }

    #[test]
    fn what_it_does_not_match_is_refused() {
        for source in [
            "(", "a{2,1}", "(?=a)", "(?<!a)b", r"(a)\1", r"\Z", "[]", "[^]", "[!--]", "a\\", r"\x4", r"\c1",
        ] {
            let refused = matches!(Regex::compile(source, MAX_REGEX_KIB), Err(RegexError::Fault(_)));
            assert!(refused, "{source}");
        }
        let Err(RegexError::Fault(fault)) = Regex::compile("(?=a)", MAX_REGEX_KIB) else {
            panic!("a look-ahead was accepted");
        };
        assert!(fault.contains("exponential time"), "{fault}");
    }

    #[test]
    fn its_size_is_bounded_and_known() {
        assert!(matches!(
            Regex::compile("((a{100}){100}){100}", MAX_REGEX_KIB),
            Err(RegexError::TooLarge)
        ));
        assert!(regex("^[a-z]+$").kib <= 2);
        assert!(regex("^.{1,255}$").kib > 16);
    }
}
