//! INI files, as PHP's `parse_ini_file($file, true, INI_SCANNER_TYPED)` reads them. What PHP would replace (constants,
//! variables, operators) must be quoted, for nothing is replaced here; a constant's bare name is a text.

use std::collections::{HashMap, HashSet};

use crate::error::{ParseError, PrintError};
use crate::number::Number;
use crate::scanner::{Scanner, is_blank};
use crate::value::{Value, as_index, join_path, repeated};

/// Words that PHP does not take as a name.
const RESERVED: [&str; 8] = ["null", "yes", "no", "true", "false", "on", "off", "none"];

type Pairs = Vec<(String, Value)>;

/// The names at one level.
#[derive(Default)]
struct Level {
    members: Vec<(String, Member)>,
    index: HashMap<String, usize>,
}

enum Member {
    Value(Value),
    Array(Items),
}

/// An array in the making: `name[] = …` and `name[index] = …`.
struct Items {
    pairs: Pairs,
    seen: HashSet<String>,
    /// The next index; `None`: PHP's versions differ.
    next: Option<i64>,
}

impl Level {
    fn add(&mut self, line: usize, name: &str, member: Member) -> Result<(), ParseError> {
        if self.index.insert(name.to_owned(), self.members.len()).is_some() {
            return Err(repeated(line, name));
        }
        self.members.push((name.to_owned(), member));
        Ok(())
    }

    /// No index: the next one.
    fn add_item(&mut self, line: usize, name: &str, index: &str, value: Value) -> Result<(), ParseError> {
        if !self.index.contains_key(name) {
            self.add(
                line,
                name,
                Member::Array(Items {
                    pairs: Vec::new(),
                    seen: HashSet::new(),
                    next: Some(0),
                }),
            )?;
        }
        let Some((_, Member::Array(items))) = self.index.get(name).and_then(|&at| self.members.get_mut(at))
        else {
            return Err(repeated(line, name));
        };
        let index = match (index, items.next) {
            ("", Some(next)) => next.to_string(),
            ("", None) => {
                return Err(ParseError::new(
                    line,
                    "give this item an index: there is a negative one before it",
                ));
            }
            _ => index.to_owned(),
        };
        if let Some(number) = as_index(&index) {
            let next = items.next.filter(|_| number >= 0);
            items.next = next.map(|next| next.max(number.saturating_add(1)));
        }
        if !items.seen.insert(index.clone()) {
            return Err(repeated(line, &format!("{name}[{index}]")));
        }
        items.pairs.push((index, value));
        Ok(())
    }

    fn into_value(self) -> Value {
        let members = self.members.into_iter().map(|(name, member)| match member {
            Member::Value(value) => (name, value),
            Member::Array(items) => (name, Value::of_pairs(items.pairs)),
        });
        let members: Pairs = members.collect();
        if members.is_empty() {
            Value::Object(members)
        } else {
            Value::of_pairs(members)
        }
    }
}

pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    let mut scanner = Scanner::new(text);
    let mut top = Level::default();
    let mut section: Option<(String, Level)> = None;
    loop {
        scanner.take_while(|c| is_blank(c) || c == '\n');
        let line = scanner.line();
        match scanner.peek() {
            None => break,
            Some(';') => {
                scanner.take_while(|c| c != '\n');
                continue;
            }
            Some('[') => {
                let name = section_name(&mut scanner)?;
                end_section(&mut top, section.take());
                if top.index.contains_key(&name) {
                    return Err(repeated(line, &name));
                }
                section = Some((name, Level::default()));
            }
            Some(_) => {
                let level = section.as_mut().map_or(&mut top, |(_, level)| level);
                let (name, index) = name(&mut scanner)?;
                let value = value(&mut scanner)?;
                match index {
                    Some(index) => level.add_item(line, &name, &index, value)?,
                    None => level.add(line, &name, Member::Value(value))?,
                }
            }
        }
        scanner.take_while(is_blank);
        if scanner.peek() == Some(';') {
            scanner.take_while(|c| c != '\n');
        }
        if !matches!(scanner.peek(), None | Some('\n')) {
            return Err(scanner.error("expected the end of the line, or a comment after ;"));
        }
    }
    end_section(&mut top, section);
    Ok(top.into_value())
}

fn end_section(top: &mut Level, section: Option<(String, Level)>) {
    if let Some((name, level)) = section {
        top.index.insert(name.clone(), top.members.len());
        top.members.push((name, Member::Value(level.into_value())));
    }
}

fn section_name(scanner: &mut Scanner) -> Result<String, ParseError> {
    let bad = scanner.error("expected [section], of letters, digits and - _ . : / or blanks between them");
    scanner.eat("[");
    let name = scanner.take_while(|c| c != ']' && c != '\n');
    if scanner.eat("]") && is_text(name) {
        Ok(name.to_owned())
    } else {
        Err(bad)
    }
}

/// The name up to the `=`, and what is in brackets after it.
fn name(scanner: &mut Scanner) -> Result<(String, Option<String>), ParseError> {
    let bad = scanner.error(
        "expected name = value, the name of letters, digits and - _ . : / or blanks between them, and no word like yes, on or null; \
         comments begin with ;",
    );
    let text = scanner
        .take_while(|c| c != '=' && c != '\n')
        .trim_end_matches(is_blank);
    if !scanner.eat("=") {
        return Err(bad);
    }
    let (name, index) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((name, index)) => (name, Some(index)),
        None => (text, None),
    };
    if !is_name(name) || index.is_some_and(|index| !index.is_empty() && !is_text(index)) {
        return Err(bad);
    }
    Ok((name.to_owned(), index.map(str::to_owned)))
}

fn is_text(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | ' ');
    !text.is_empty() && text.trim() == text && text.chars().all(allowed)
}

fn is_name(name: &str) -> bool {
    is_text(name) && !RESERVED.contains(&name.to_ascii_lowercase().as_str())
}

fn value(scanner: &mut Scanner) -> Result<Value, ParseError> {
    scanner.take_while(is_blank);
    if scanner.eat("'") {
        let open = scanner.error("the ' is not closed");
        return Ok(Value::String(scanner.take_until("'").ok_or(open)?.to_owned()));
    }
    if scanner.eat("\"") {
        return Ok(Value::String(double_quoted(scanner)?));
    }
    let text = scanner
        .take_while(|c| c != '\n' && c != ';')
        .trim_end_matches(is_blank);
    if text.contains(['"', '\'', '=', '&', '|', '^', '~', '!', '(', ')', '{', '}', '$']) {
        return Err(scanner.error(
            "a value with quotes or any of = & | ^ ~ ! ( ) { } $ must be in quotes: nothing is replaced here",
        ));
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => return Ok(Value::Bool(true)),
        "false" | "off" | "no" | "none" => return Ok(Value::Bool(false)),
        "null" => return Ok(Value::Null),
        _ => {}
    }
    if !is_number(text) {
        return Ok(Value::String(text.to_owned()));
    }
    match Number::of_decimal(text) {
        Some(number) if text.contains('.') => Ok(Value::Number(number)),
        // As in PHP.
        Some(number) if number.as_integer().is_none() => Ok(Value::String(text.to_owned())),
        Some(number) => Ok(Value::Number(number)),
        None => Err(scanner.error(format!(
            "a number may not begin with a zero: quote {text}, or leave out its zeros"
        ))),
    }
}

/// What PHP takes for one: a sign only with an integer, no exponent, and not as many digits before the point as overflow an integer.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, fraction)) => {
            digits(whole) && digits(fraction) && whole.len() < 20 && whole.len() + fraction.len() > 0
        }
        None => {
            let unsigned = text.strip_prefix('-').unwrap_or(text);
            !unsigned.is_empty() && digits(unsigned)
        }
    }
}

/// In double quotes, PHP takes a `"` after a backslash for the end if and only if it ends the line, whatever is escaped.
fn double_quoted(scanner: &mut Scanner) -> Result<String, ParseError> {
    let open = scanner.error("the \" is not closed");
    let quirk = "PHP reads a \" after a backslash as the end of the value at the end of a line only: use single quotes";
    let mut text = String::new();
    let mut after_backslash = false;
    loop {
        let next = scanner.next().ok_or_else(|| open.clone())?;
        let ends_line = matches!(scanner.peek(), None | Some('\r' | '\n'));
        match next {
            '"' if after_backslash && !ends_line => return Err(scanner.error(quirk)),
            '"' => return Ok(text),
            '\\' if matches!(scanner.peek(), Some('"' | '\\' | '$')) => {
                let escaped = scanner.next();
                if escaped == Some('"') && matches!(scanner.peek(), None | Some('\r' | '\n')) {
                    return Err(scanner.error(quirk));
                }
                after_backslash = escaped == Some('\\');
                text.extend(escaped);
                continue;
            }
            '$' if scanner.peek() == Some('{') => {
                return Err(scanner.error("nothing is replaced here: write \\${, or use single quotes"));
            }
            c => text.push(c),
        }
        after_backslash = next == '\\';
    }
}

pub(crate) fn print(value: &Value) -> Result<String, PrintError> {
    let Value::Object(members) = value else {
        return Err(PrintError::new(
            "",
            "an INI file holds names and values, and this is no object; use another format",
        ));
    };
    check_names("", members)?;
    let is_section = |(_, value): &(String, Value)| matches!(value, Value::Object(_));
    let sections = members
        .iter()
        .rev()
        .take_while(|member| is_section(member))
        .count();
    let (plain, sections) = members.split_at(members.len() - sections);
    let mut out = String::new();
    print_members("", plain, &mut out)?;
    for (name, value) in sections {
        let Value::Object(members) = value else { continue };
        if !out.is_empty() {
            out.push('\n');
        }
        out.extend(["[", name, "]\n"]);
        let path = join_path("", name);
        check_names(&path, members)?;
        print_members(&path, members, &mut out)?;
    }
    Ok(out)
}

fn check_names(path: &str, members: &Pairs) -> Result<(), PrintError> {
    if !members.is_empty() && matches!(Value::of_pairs(members.clone()), Value::Array(_)) {
        return Err(PrintError::new(
            path,
            "names that count from 0 would come back as a list; use another format",
        ));
    }
    match members.iter().find(|(name, _)| !is_name(name)) {
        Some((name, _)) => Err(PrintError::new(
            join_path(path, name),
            "INI has no such name; use another format",
        )),
        None => Ok(()),
    }
}

fn print_members(path: &str, members: &[(String, Value)], out: &mut String) -> Result<(), PrintError> {
    for (name, value) in members {
        let path = join_path(path, name);
        match value {
            Value::Array(items) if !items.is_empty() => {
                for (i, item) in items.iter().enumerate() {
                    let item = scalar(&join_path(&path, &i.to_string()), item)?;
                    out.extend([name, "[] = ", &item, "\n"]);
                }
            }
            Value::Object(members) if !members.is_empty() => {
                if matches!(Value::of_pairs(members.clone()), Value::Array(_)) {
                    return Err(PrintError::new(
                        path,
                        "names that count from 0 would come back as a list; use another format",
                    ));
                }
                for (index, item) in members {
                    let path = join_path(&path, index);
                    if !is_text(index) {
                        return Err(PrintError::new(path, "INI has no such name; use another format"));
                    }
                    out.extend([name, "[", index, "] = ", &scalar(&path, item)?, "\n"]);
                }
            }
            value => out.extend([name, " = ", &scalar(&path, value)?, "\n"]),
        }
    }
    Ok(())
}

fn scalar(path: &str, value: &Value) -> Result<String, PrintError> {
    match value {
        Value::Null => Ok("null".to_owned()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => {
            let text = number.as_str();
            let comes_back =
                is_number(text) && text != "-0" && (text.contains('.') || number.as_integer().is_some());
            if comes_back {
                Ok(text.to_owned())
            } else {
                Err(PrintError::new(
                    path,
                    format!("INI has no number like {text}; use another format"),
                ))
            }
        }
        Value::String(text) if text.contains('\0') => Err(PrintError::new(
            path,
            "an INI file can't hold a zero byte; use another format",
        )),
        Value::String(text) if !text.contains('\'') => Ok(format!("'{text}'")),
        Value::String(text) if text.contains("\"\n") || text.contains("\"\r") => Err(PrintError::new(
            path,
            "an INI file can't hold a text with a ' and with a \" at the end of a line; use another format",
        )),
        Value::String(text) => {
            let escaped = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('$', "\\$");
            Ok(format!("\"{escaped}\""))
        }
        Value::Array(_) | Value::Object(_) => Err(PrintError::new(
            path,
            "INI has sections of values and flat arrays, and nothing empty or deeper; use another format",
        )),
    }
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
    fn sections_arrays_and_types() {
        assert_eq!(
            parsed(
                "; c\na = 5 ; c\nb=-5\nc= 1.50\nd=.5\ne = Yes\nf=none\ng = NULL\nh =\ni = a b\nj='x;\ny'\nk=\"a\\\"\\\\ \\n \\$\"\nl=1e5\nm=+5"
            ),
            r#"{"a":5,"b":-5,"c":1.50,"d":0.5,"e":true,"f":false,"g":null,"h":"","i":"a b","j":"x;\ny","k":"a\"\\ \\n $","l":"1e5","m":"+5"}"#
        );
        assert_eq!(
            parsed("[s.t]\na[]=1\na[]=2\nb[x]=1\nb[5]=2\nb[]=3\n[u v]\n[w]\n0=a\n1=b"),
            r#"{"s.t":{"a":[1,2],"b":{"x":1,"5":2,"6":3}},"u v":{},"w":["a","b"]}"#
        );
        assert_eq!(
            parsed("a=99999999999999999999"),
            r#"{"a":"99999999999999999999"}"#
        );
    }

    #[test]
    fn what_is_ambiguous_or_replaced_is_refused() {
        for text in [
            "a = b=c",
            "a = x&y",
            "a=${HOME}",
            "a=\"${HOME}\"",
            "a=it's",
            "a='x' y",
            "a=\"x\\\\\" ; c",
            "a=\"x\\\"\ny\"",
            "a='x",
            "a=\"x",
            "a=010",
            "a=00.5",
            "# c",
            "a",
            "yes=1",
            "=1",
            "a[b][c]=1",
            "a=1\na=2",
            "a=1\na[]=2",
            "a[]=1\na=2",
            "a[x]=1\na[x]=2",
            "[s]\n[s]",
            "a=1\n[a]",
            "[s",
            "[]",
            "['s']",
            "[ s]",
            "[s] x",
            "a\"=1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("a=1\nb\n").unwrap_err().line, 2);
    }

    #[test]
    fn what_ini_can_not_say_has_no_form() {
        for json in [
            "1",
            "[]",
            r#"{"a":[]}"#,
            r#"{"a":[[1]]}"#,
            r#"{"s":{"t":{"u":{}}}}"#,
            r#"{"s":{"t":{"u":1}},"a":1}"#,
            r#"{"yes":1}"#,
            r#"{"a=b":1}"#,
            r#"{"a":1e5}"#,
            r#"{"a":-1.5}"#,
            r#"{"a":-0}"#,
            r#"{"a":99999999999999999999}"#,
            r#"{"0":"a"}"#,
            r#"{"s":{"0":"a"}}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"":1}"#,
        ] {
            assert!(print(&crate::json::parse(json).unwrap()).is_err(), "{json}");
        }
    }
}
