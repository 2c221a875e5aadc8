//! PHP files that return a literal: `<?php return ['host' => 'db1'];`. No code is run; whatever would have to be is refused.

use std::collections::HashSet;

use crate::error::ParseError;
use crate::number::Number;
use crate::scanner::Scanner;
use crate::value::{MAX_DEPTH, Value, as_index, repeated, too_deep};

const EXPECTED: &str = "expected a string, a number, true, false, null or an array: no code is run";

pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    let mut parser = Parser(Scanner::new(text));
    let opens = parser.0.eat("<?php") && parser.0.peek().is_none_or(char::is_whitespace);
    if !opens {
        return Err(parser.0.error("expected <?php at the beginning of the file"));
    }
    parser.skip()?;
    while parser.word_is("declare") {
        let declared = parser
            .0
            .take_until(";")
            .map(|text| text.split_whitespace().collect::<String>());
        if declared.as_deref() != Some("declare(strict_types=1)") {
            return Err(parser.0.error(EXPECTED));
        }
        parser.skip()?;
    }
    if !parser.word_is("return") {
        return Err(parser.0.error("expected one statement: return […];"));
    }
    parser.0.take_while(is_word);
    let value = parser.value(0)?;
    parser.skip()?;
    if !parser.0.eat(";") {
        return Err(parser
            .0
            .error("expected ; after the value: no code is run, operators included"));
    }
    parser.skip()?;
    parser.0.eat("?>");
    parser.0.take_while(char::is_whitespace);
    match parser.0.peek() {
        None => Ok(value),
        Some(_) => Err(parser.0.error("something follows the return statement")),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Parser<'a>(Scanner<'a>);

impl Parser<'_> {
    /// Reads white space and comments.
    fn skip(&mut self) -> Result<(), ParseError> {
        loop {
            self.0.take_while(char::is_whitespace);
            if self.0.rest().starts_with("#[") {
                return Err(self.0.error(EXPECTED));
            } else if self.0.eat("//") || self.0.eat("#") {
                let comment = self.0.take_while(|c| c != '\n');
                if comment.contains("?>") {
                    return Err(self.0.error("?> ends PHP also in a comment"));
                }
            } else if self.0.eat("/*") {
                let open = self.0.error("the comment is not closed");
                self.0.take_until("*/").ok_or(open)?;
            } else {
                return Ok(());
            }
        }
    }

    fn word(&self) -> String {
        self.0
            .rest()
            .chars()
            .take_while(|&c| is_word(c))
            .take(40)
            .collect::<String>()
            .to_ascii_lowercase()
    }

    fn word_is(&self, word: &str) -> bool {
        self.word() == word
    }

    /// Kept small, as it nests: what nests not is in functions of its own.
    fn value(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.skip()?;
        let is_object = self.eat_object_cast()?;
        match self.eat_array_open()? {
            Some(close) if is_object => self.pairs(depth, close).map(Value::Object),
            Some(close) => self.pairs(depth, close).map(Value::of_pairs),
            None if is_object => Err(self.0.error("expected an array after (object)")),
            None => self.scalar(),
        }
    }

    /// `(object)`; any other parenthesis is an error.
    fn eat_object_cast(&mut self) -> Result<bool, ParseError> {
        if !self.0.eat("(") {
            return Ok(false);
        }
        let blank = |c| c == ' ' || c == '\t';
        self.0.take_while(blank);
        let is_object = self.0.take_while(is_word).eq_ignore_ascii_case("object");
        self.0.take_while(blank);
        if !is_object || !self.0.eat(")") {
            return Err(self.0.error(EXPECTED));
        }
        self.skip()?;
        Ok(true)
    }

    /// The opening of an array, and how it will close; `None`: something else begins here.
    fn eat_array_open(&mut self) -> Result<Option<&'static str>, ParseError> {
        if self.0.eat("[") {
            return Ok(Some("]"));
        }
        if !self.word_is("array") {
            return Ok(None);
        }
        self.0.take_while(is_word);
        self.skip()?;
        if self.0.eat("(") {
            Ok(Some(")"))
        } else {
            Err(self.0.error(EXPECTED))
        }
    }

    fn scalar(&mut self) -> Result<Value, ParseError> {
        match self.0.peek() {
            Some('\'' | '"') => self.string().map(Value::String),
            Some('-' | '+' | '.' | '0'..='9') => self.number().map(Value::Number),
            Some('<') if self.0.rest().starts_with("<<<") => Err(self
                .0
                .error("heredoc and nowdoc are not read here: write a quoted string")),
            Some(c) if is_word(c) || c == '\\' => match self.word().as_str() {
                "true" => self.constant(Value::Bool(true)),
                "false" => self.constant(Value::Bool(false)),
                "null" => self.constant(Value::Null),
                _ => {
                    let name: String = self
                        .0
                        .rest()
                        .chars()
                        .take_while(|&c| is_word(c) || c == '\\')
                        .take(80)
                        .collect();
                    Err(self
                        .0
                        .error(format!("{name} would have to be executed: {EXPECTED}")))
                }
            },
            _ => Err(self.0.error(EXPECTED)),
        }
    }

    fn constant(&mut self, value: Value) -> Result<Value, ParseError> {
        self.0.take_while(is_word);
        Ok(value)
    }

    fn pairs(&mut self, depth: usize, close: &str) -> Result<Vec<(String, Value)>, ParseError> {
        if depth >= MAX_DEPTH {
            return Err(too_deep(self.0.line()));
        }
        let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
        // The key of the next item without one; `None`: PHP's versions differ.
        let mut next = Some(0i64);
        loop {
            self.skip()?;
            if self.0.eat(close) {
                return Ok(pairs);
            }
            let line = self.0.line();
            let first = self.value(depth + 1)?;
            self.skip()?;
            let (name, value) = if self.0.eat("=>") {
                let name = self.key(&first)?;
                if let Some(index) = as_index(&name) {
                    next = match next {
                        Some(next) if index >= 0 => Some(next.max(index.saturating_add(1))),
                        _ => None,
                    };
                }
                (name, self.value(depth + 1)?)
            } else {
                let index = next.ok_or_else(|| {
                    self.0
                        .error("give this item a key: there is a negative one before it")
                })?;
                next = Some(index.saturating_add(1));
                (index.to_string(), first)
            };
            if !seen.insert(name.clone()) {
                return Err(repeated(line, &name));
            }
            pairs.push((name, value));
            self.skip()?;
            if !self.0.eat(",") && !self.0.rest().starts_with(close) {
                return Err(self.0.error(format!(
                    "expected , or {close} after the value: no code is run, operators included"
                )));
            }
        }
    }

    fn key(&self, value: &Value) -> Result<String, ParseError> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number)
                if number
                    .as_integer()
                    .is_some_and(|integer| integer.to_string() == number.as_str()) =>
            {
                Ok(number.as_str().to_owned())
            }
            _ => Err(self.0.error("expected a string or an integer as a key")),
        }
    }

    fn number(&mut self) -> Result<Number, ParseError> {
        let bad = self
            .0
            .error("no number that can be kept: expected an integer of 64 bits, or a decimal number");
        let negative = self.0.eat("-");
        if !negative {
            self.0.eat("+");
        }
        let mut text = self
            .0
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
            .to_owned();
        if text.ends_with(['e', 'E']) && !text.starts_with("0x") && !text.starts_with("0X") {
            let sign = self.0.take_while(|c| matches!(c, '+' | '-'));
            text = format!("{text}{sign}{}", self.0.take_while(|c| c.is_ascii_digit()));
        }
        if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
            return Err(bad);
        }
        let text = text.replace('_', "");
        let prefix = text.get(..2).unwrap_or("").to_ascii_lowercase();
        let strip = |wanted: &str| (prefix == wanted).then(|| &text[2..]);
        let of_base = |digits: &str, base| Number::of_digits(negative, digits, base);
        let number = if let Some(digits) = strip("0x") {
            of_base(digits, 16)
        } else if let Some(digits) = strip("0b") {
            of_base(digits, 2)
        } else if let Some(digits) = strip("0o") {
            of_base(digits, 8)
        } else if text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()) {
            of_base(&text, 8)
        } else {
            Number::of_decimal(&format!("{}{text}", if negative { "-" } else { "" }))
        };
        number.ok_or(bad)
    }

    fn string(&mut self) -> Result<String, ParseError> {
        let open = self.0.error("the string is not closed");
        let mut text = Vec::new();
        let mut push = |c: char| text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        if self.0.eat("'") {
            loop {
                match self.0.next().ok_or_else(|| open.clone())? {
                    '\'' => break,
                    '\\' if matches!(self.0.peek(), Some('\'' | '\\')) => {
                        self.0.next().into_iter().for_each(&mut push)
                    }
                    c => push(c),
                }
            }
        } else {
            self.0.next();
            loop {
                match self.0.next().ok_or_else(|| open.clone())? {
                    '"' => break,
                    '\\' => self.escape(&mut text)?,
                    '$' if self
                        .0
                        .peek()
                        .is_some_and(|c| is_word(c) && !c.is_ascii_digit() || c == '{') =>
                    {
                        return Err(self
                            .0
                            .error("a variable would have to be replaced: write \\$, or use single quotes"));
                    }
                    '{' if self.0.peek() == Some('$') => {
                        return Err(self
                            .0
                            .error("a variable would have to be replaced: write \\$, or use single quotes"));
                    }
                    c => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
        }
        String::from_utf8(text).map_err(|_| self.0.error("the string is not UTF-8"))
    }

    /// What follows a backslash in double quotes.
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), ParseError> {
        let Some(c) = self.0.peek() else { return Ok(()) };
        let plain = match c {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            'v' => 0x0b,
            'e' => 0x1b,
            'f' => 0x0c,
            '\\' | '$' | '"' => c as u8,
            'u' if self.0.rest().starts_with("u{") => return self.code_point(text),
            'x' if self.0.rest()[1..].starts_with(|c: char| c.is_ascii_hexdigit()) => {
                return self.byte(1, 2, 16, text);
            }
            '0'..='7' => return self.byte(0, 3, 8, text),
            // Any other backslash stands for itself.
            _ => {
                text.push(b'\\');
                return Ok(());
            }
        };
        self.0.next();
        text.push(plain);
        Ok(())
    }

    fn code_point(&mut self, text: &mut Vec<u8>) -> Result<(), ParseError> {
        let bad = self.0.error("expected \\u{…} with the number of a character");
        self.0.eat("u{");
        let digits = self.0.take_until("}").ok_or_else(|| bad.clone())?;
        let c = u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32)
            .ok_or(bad)?;
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn byte(&mut self, skip: usize, most: usize, base: u32, text: &mut Vec<u8>) -> Result<(), ParseError> {
        for _ in 0..skip {
            self.0.next();
        }
        let mut value = 0u32;
        for _ in 0..most {
            let Some(digit) = self.0.peek().and_then(|c| c.to_digit(base)) else {
                break;
            };
            value = value * base + digit;
            self.0.next();
        }
        let byte = u8::try_from(value).map_err(|_| self.0.error("an octal escape goes to \\377"))?;
        text.push(byte);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(code: &str) -> String {
        match parse(&format!("<?php return {code};")) {
            Ok(value) => value.to_json(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn literals_are_read() {
        for (code, json) in [
            ("[]", "[]"),
            ("array ( )", "[]"),
            ("(object) []", "{}"),
            ("['a', 'b',]", r#"["a","b"]"#),
            ("[0 => 1, 1 => 2]", "[1,2]"),
            ("['0' => 1]", "[1]"),
            ("[1 => 1]", r#"{"1":1}"#),
            ("['x' => 1, 2, 7 => 3, 4]", r#"{"x":1,"0":2,"7":3,"8":4}"#),
            ("(object)['a', 'b']", r#"{"0":"a","1":"b"}"#),
            (
                "Array(TRUE, False, NULL, array('a'=>[]))",
                r#"[true,false,null,{"a":[]}]"#,
            ),
            (
                "[-5, +5, 1_000, 0x1F, 0b11, 017, 0o17, 1.50, .5, 6., 1e3, 1.5E-3]",
                "[-5,5,1000,31,3,15,15,1.50,0.5,6.0,1e3,1.5E-3]",
            ),
            (r"'it\'s \\ \n'", r#""it's \\ \\n""#),
            (
                r#""a\n\t\"\$x \x41\101\u{e9} \q $5 {x""#,
                r#""a\n\t\"$x AAé \\q $5 {x""#,
            ),
            ("/* c */ [ // c\n 1, # c\n 2 ]", "[1,2]"),
            ("\"\\xc3\\xa9\"", "\"é\""),
        ] {
            assert_eq!(parsed(code), json, "{code}");
        }
        assert_eq!(
            parse("<?php\ndeclare(strict_types = 1);\n/** doc */\nreturn 1;\n?>\n")
                .unwrap()
                .to_json(),
            "1"
        );
    }

    #[test]
    fn nothing_is_executed() {
        for code in [
            "PHP_INT_MAX",
            "\\PHP_EOL",
            "getenv('X')",
            "Foo::BAR",
            "['a' => X]",
            "'a' . 'b'",
            "1 + 1",
            "[1, ...[2]]",
            "\"$x\"",
            "\"{$x}\"",
            "\"${x}\"",
            "`id`",
            "fn () => 1",
            "<<<X\na\nX",
            "new stdClass",
            "(int) 5",
            "[] + []",
            "!true",
            "-X",
            "__DIR__",
            "true ? 1 : 2",
            "include 'x'",
            "(object) 5",
            "[1][0]",
            "(1)",
            "",
        ] {
            let error = parse(&format!("<?php return {code};")).unwrap_err();
            assert!(error.line > 0, "{code}: {error}");
        }
        for file in [
            "",
            "x",
            "<?php",
            "<?php $x = 1; return $x;",
            "<?php return 1",
            "<?php return 1; echo 2;",
            "<?php return 1; ?> x",
            "<?= 1",
            "<?php echo 1; return 1;",
            "<?php return 1; // ?> x",
            "<?php declare(ticks=1); return 1;",
            "<?php return; ",
            "<?phpreturn 1;",
            "<?php return 'x",
            "<?php return 1; /* x",
        ] {
            assert!(parse(file).is_err(), "{file}");
        }
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        for code in [
            "['a' => 1, 'a' => 2]",
            "[0 => 1, '0' => 2]",
            "[-5 => 1, 2]",
            "[1.5 => 1]",
            "[true => 1]",
            "[null => 1]",
            "0x8000000000000000",
            "1e999",
            "1__0",
            "1_",
            "\"\\xff\"",
            "\"\\400\"",
            "09",
            "0x",
            "1.2.3",
            "\"\\u{110000}\"",
            "\"\\u{\"",
        ] {
            assert!(parse(&format!("<?php return {code};")).is_err(), "{code}");
        }
    }
}
