//! `.env` files: `NAME=value` lines, every value a string. No variable is replaced and no command run.

use std::collections::HashSet;

use crate::error::{ParseError, PrintError};
use crate::scanner::{Scanner, is_blank};
use crate::value::{Value, join_path, repeated};

pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    let mut scanner = Scanner::new(text);
    let (mut members, mut seen) = (Vec::new(), HashSet::new());
    loop {
        scanner.take_while(|c| is_blank(c) || c == '\n');
        match scanner.peek() {
            None => return Ok(Value::Object(members)),
            Some('#') => {
                scanner.take_while(|c| c != '\n');
                continue;
            }
            Some(_) => {}
        }
        let line = scanner.line();
        let mut name = scanner.take_while(is_name_char);
        if name == "export" && scanner.peek().is_some_and(is_blank) {
            scanner.take_while(is_blank);
            name = scanner.take_while(is_name_char);
        }
        if !is_name(name) || !scanner.eat("=") {
            return Err(scanner.error("expected NAME=value, with no blank before the ="));
        }
        if !seen.insert(name) {
            return Err(repeated(line, name));
        }
        members.push((name.to_owned(), Value::String(value(&mut scanner)?)));
        scanner.take_while(is_blank);
        if scanner.peek() == Some('#') {
            scanner.take_while(|c| c != '\n');
        }
        if !matches!(scanner.peek(), None | Some('\n')) {
            return Err(scanner.error("something follows the quoted value"));
        }
    }
}

fn value(scanner: &mut Scanner) -> Result<String, ParseError> {
    if scanner.eat("'") {
        let open = scanner.error("the ' is not closed");
        return Ok(scanner.take_until("'").ok_or(open)?.to_owned());
    }
    if scanner.eat("\"") {
        return double_quoted(scanner);
    }
    let mut text = scanner.take_while(|c| c != '\n');
    if let Some(comment) = text.find(" #").or_else(|| text.find("\t#")) {
        text = &text[..comment];
    }
    let text = text.trim_matches(is_blank);
    match text.find(['$', '`', '"', '\'', '\\']) {
        Some(_) => Err(scanner.error(
            "a value with $, `, \\ or quotes in it must be in single quotes: nothing is replaced in it here",
        )),
        None if text.starts_with('#') => Ok(String::new()),
        None => Ok(text.to_owned()),
    }
}

fn double_quoted(scanner: &mut Scanner) -> Result<String, ParseError> {
    let open = scanner.error("the \" is not closed");
    let mut text = String::new();
    loop {
        match scanner.next().ok_or_else(|| open.clone())? {
            '"' => return Ok(text),
            '\\' => match scanner.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(c @ ('"' | '\\' | '$' | '`')) => text.push(c),
                _ => {
                    return Err(
                        scanner.error("unknown escape: expected \\n, \\r, \\t, \\\", \\\\, \\$ or \\`")
                    );
                }
            },
            '$' | '`' => {
                return Err(scanner.error("nothing is replaced here: write \\$ or \\`, or use single quotes"));
            }
            c => text.push(c),
        }
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(is_name_char)
        && !name.starts_with(|c: char| c.is_ascii_digit() || c == '.')
}

pub(crate) fn print(value: &Value) -> Result<String, PrintError> {
    let Value::Object(members) = value else {
        return Err(PrintError::new(
            "",
            "a .env file holds names and strings, and this is no object; use another format",
        ));
    };
    let mut out = String::new();
    for (name, value) in members {
        let path = join_path("", name);
        if !is_name(name) {
            return Err(PrintError::new(
                path,
                "a name in a .env file has letters, digits, _ and . only, a letter or _ first",
            ));
        }
        let Value::String(text) = value else {
            return Err(PrintError::new(
                path,
                "a .env file holds strings only; use another format",
            ));
        };
        out.push_str(name);
        out.push('=');
        if !text.contains(|c: char| c == '\'' || c.is_control()) {
            out.extend(["'", text, "'"]);
        } else {
            out.push('"');
            for c in text.chars() {
                match c {
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    '"' | '\\' | '$' | '`' => out.extend(['\\', c]),
                    c if c.is_control() => {
                        return Err(PrintError::new(
                            path,
                            "a .env file can't hold a control character; use another format",
                        ));
                    }
                    c => out.push(c),
                }
            }
            out.push('"');
        }
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match parse(text) {
            Ok(value) => value.to_json(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn lines_are_names_and_strings() {
        assert_eq!(
            parsed("# comment\n\nA=1\r\nexport B = 'x'\n"),
            "line 4: expected NAME=value, with no blank before the ="
        );
        assert_eq!(
            parsed(
                "A=1\r\nexport B='a # $b' # comment\n_c.d=  x y  # c\nE=\nF=\"a\\n\\\"\\$b\nc\"\nG=#\nH=a#b"
            ),
            r##"{"A":"1","B":"a # $b","_c.d":"x y","E":"","F":"a\n\"$b\nc","G":"","H":"a#b"}"##
        );
        assert_eq!(parsed(""), "{}");
    }

    #[test]
    fn what_a_shell_would_replace_is_refused() {
        for (text, line) in [
            ("A=$HOME", 1),
            ("\nA=`id`", 2),
            ("A=\"${B}\"", 1),
            ("A=\"`id`\"", 1),
            ("A=a\\ b", 1),
            ("A='x'y", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
        for text in [
            "A='x",
            "A=\"x",
            "A=\"\\q\"",
            "1A=x",
            "=x",
            "A",
            "A-B=x",
            "A=1\nA=2",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_string_has_no_form() {
        for json in [
            "[]",
            "{\"a b\":\"\"}",
            "{\"A\":1}",
            "{\"A\":{}}",
            "{\"A\":\"\\u0000\"}",
            "{\"1\":\"\"}",
        ] {
            assert!(print(&crate::json::parse(json).unwrap()).is_err(), "{json}");
        }
    }
}
