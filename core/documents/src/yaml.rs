//! YAML 1.2 with its core schema. Only `true` and `false` are booleans: `yes`, `no`, `on` and `off` are texts.

use std::collections::{HashMap, HashSet};

use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{Marker, TScalarStyle};

use crate::error::ParseError;
use crate::number::Number;
use crate::value::{MAX_DEPTH, MAX_DOCUMENT_BYTES, Value, repeated, too_deep};

pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    loop {
        let (event, marker) = parser
            .next_token()
            .map_err(|error| ParseError::new(error.marker().line(), format!("not YAML: {}", error.info())))?;
        match event {
            Event::StreamEnd => {
                return builder
                    .document
                    .ok_or_else(|| ParseError::new(0, "the file holds no document"));
            }
            event => builder.take(event, &marker)?,
        }
    }
}

#[derive(Default)]
struct Builder {
    document: Option<Value>,
    open: Vec<Container>,
    anchors: HashMap<usize, Value>,
    /// Size of the document with its aliases written out: a few lines can stand for more than any memory holds.
    size_bytes: usize,
}

struct Container {
    anchor: usize,
    value: Value,
    /// Of an object: the name that waits for its value, and the names there are.
    name: Option<String>,
    seen: HashSet<String>,
}

impl Builder {
    fn take(&mut self, event: Event, marker: &Marker) -> Result<(), ParseError> {
        let line = marker.line();
        match event {
            Event::DocumentStart if self.document.is_some() => Err(ParseError::new(
                line,
                "a second document begins here; a file holds one",
            )),
            Event::Scalar(text, style, anchor, tag) => {
                if self.wants_name() {
                    return self.name(line, text, style, tag.as_ref());
                }
                let value = scalar(line, text, style, tag.as_ref())?;
                self.grow(line, value.size_bytes())?;
                self.complete(value, anchor);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(line, Value::Array(Vec::new()), anchor, tag.as_ref())
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(line, Value::Object(Vec::new()), anchor, tag.as_ref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(done) = self.open.pop() {
                    self.complete(done.value, done.anchor);
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                if self.wants_name() {
                    return Err(ParseError::new(
                        line,
                        "an alias can't be a name; write the name out",
                    ));
                }
                let Some(value) = self.anchors.get(&anchor) else {
                    return Err(ParseError::new(
                        line,
                        "the alias stands inside what it stands for",
                    ));
                };
                if self.open.len() + value.depth() > MAX_DEPTH {
                    return Err(too_deep(line));
                }
                let size_bytes = value.size_bytes();
                self.grow(line, size_bytes)?;
                let value = self.anchors[&anchor].clone();
                self.complete(value, 0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn wants_name(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| matches!(open.value, Value::Object(_)) && open.name.is_none())
    }

    fn grow(&mut self, line: usize, bytes: usize) -> Result<(), ParseError> {
        self.size_bytes = self.size_bytes.saturating_add(bytes);
        if self.size_bytes > MAX_DOCUMENT_BYTES {
            let message = format!(
                "with its aliases written out, the document has more than {MAX_DOCUMENT_BYTES} bytes"
            );
            return Err(ParseError::new(line, message));
        }
        Ok(())
    }

    fn name(
        &mut self,
        line: usize,
        text: String,
        style: TScalarStyle,
        tag: Option<&Tag>,
    ) -> Result<(), ParseError> {
        if text == "<<" && style == TScalarStyle::Plain {
            return Err(ParseError::new(
                line,
                "merging (<<) is no part of YAML 1.2; write the members out",
            ));
        }
        if tag.is_some_and(|tag| !is_string_tag(tag)) {
            return Err(unknown_tag(line));
        }
        self.grow(line, text.len() + 4)?;
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        if !open.seen.insert(text.clone()) {
            return Err(repeated(line, &text));
        }
        open.name = Some(text);
        Ok(())
    }

    fn begin(
        &mut self,
        line: usize,
        empty: Value,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), ParseError> {
        if self.wants_name() {
            return Err(ParseError::new(line, "a list or mapping can't be a name"));
        }
        if tag.is_some() {
            return Err(unknown_tag(line));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.grow(line, empty.size_bytes())?;
        self.open.push(Container {
            anchor,
            value: empty,
            name: None,
            seen: HashSet::new(),
        });
        Ok(())
    }

    fn complete(&mut self, value: Value, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None => self.document = Some(value),
            Some(Container {
                value: Value::Object(members),
                name,
                ..
            }) => members.extend(name.take().map(|name| (name, value))),
            Some(Container {
                value: Value::Array(items),
                ..
            }) => items.push(value),
            Some(_) => {}
        }
    }
}

fn is_string_tag(tag: &Tag) -> bool {
    tag.handle == "tag:yaml.org,2002:" && tag.suffix == "str"
}

fn unknown_tag(line: usize) -> ParseError {
    ParseError::new(line, "a tag other than !!str has no meaning here; leave it out")
}

fn scalar(line: usize, text: String, style: TScalarStyle, tag: Option<&Tag>) -> Result<Value, ParseError> {
    match tag {
        Some(tag) if is_string_tag(tag) => return Ok(Value::String(text)),
        Some(_) => return Err(unknown_tag(line)),
        None => {}
    }
    if style != TScalarStyle::Plain {
        return Ok(Value::String(text));
    }
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    match number(&text) {
        Some(Ok(number)) => Ok(Value::Number(number)),
        Some(Err(why)) => Err(ParseError::new(line, format!("{text} {why}"))),
        None => Ok(Value::String(text)),
    }
}

/// What the core schema takes for a number, or why it can't be kept as one.
fn number(text: &str) -> Option<Result<Number, &'static str>> {
    let out_of_range = "is beyond the range of a number; quote it";
    for (prefix, base) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(base))
        {
            return Some(Number::of_digits(false, digits, base).ok_or(out_of_range));
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Err("has no JSON form; quote it"));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        });
    if !is_number {
        return None;
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return Some(Err(
            "begins with a zero, which versions of YAML read differently: quote it, or leave out the zeros",
        ));
    }
    Some(Number::of_decimal(text).ok_or(out_of_range))
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
    fn the_core_schema_decides_what_a_plain_text_is() {
        assert_eq!(
            parsed(
                "a: [1, -2, +3, 0x1F, 0o17, 1.50, .5, 6., 1e3, 1.5E-3]\nb: [~, null, TRUE, false]\nd:\nc: [yes, No, on, 1_000, 12:30, 2024-01-01, 1.2.3, 0x, e5, '5', \"true\", !!str 5]\n5: x"
            ),
            r#"{"a":[1,-2,3,31,15,1.50,0.5,6.0,1e3,1.5E-3],"b":[null,null,true,false],"d":null,"c":["yes","No","on","1_000","12:30","2024-01-01","1.2.3","0x","e5","5","true","5"],"5":"x"}"#
        );
        assert_eq!(
            parsed("a: |\n  x\n  y\nb: >-\n  x\n  y\n"),
            r#"{"a":"x\ny\n","b":"x y"}"#
        );
        assert_eq!(parsed("---\n- &x {a: 1}\n- *x\n...\n"), r#"[{"a":1},{"a":1}]"#);
    }

    #[test]
    fn what_is_ambiguous_or_unknown_is_refused() {
        for (text, line) in [
            ("a: 010", 1),
            ("\na: .inf", 2),
            ("a: -.INF", 1),
            ("a: .nan", 1),
            ("a: 1e999", 1),
            ("a: 0xFFFFFFFFFFFFFFFF", 1),
            ("a: !php/object x", 1),
            ("a: !!int 5", 1),
            ("a: 1\na: 2", 2),
            ("a: 1\n'a': 2", 2),
            ("--- 1\n--- 2", 2),
            ("a: &x 1\nb:\n  <<: *x", 3),
            ("? [a]\n: 1", 1),
            ("a: &x b\n*x : 1", 2),
            ("", 0),
            ("# c\n", 0),
            ("a: &x [*x]", 1),
            ("a: *x", 1),
            ("a: [1", 1),
            ("a: b: c", 1),
        ] {
            let error = parse(text).unwrap_err();
            assert!(line == 0 || error.line > 0, "{text}: {error}");
        }
        assert_eq!(
            parsed("x: 1\na: 010"),
            "line 2: 010 begins with a zero, which versions of YAML read differently: quote it, or leave out the zeros"
        );
    }

    #[test]
    fn a_billion_laughs_are_not_written_out() {
        let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for i in 1..40 {
            bomb += &format!(
                "a{i}: &a{i} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n",
                i - 1
            );
        }
        assert!(
            parsed(&bomb).contains("with its aliases written out"),
            "{}",
            parsed(&bomb)
        );
        let deep = (1..400).fold("a0: &a0 [[[]]]\n".to_owned(), |text, i| {
            text + &format!("a{i}: &a{i} [[[*a{}]]]\n", i - 1)
        });
        assert!(parsed(&deep).contains("nested deeper"));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "- ".repeat(depth - 1) + "[]";
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
    }
}
