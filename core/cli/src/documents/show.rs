//! What differs, for people: a line for each key, and below it one for each path.

use std::io::{self, IsTerminal};

use cfgstore_client::KeyDifference;
use cfgstore_documents::{Value, diff};

use crate::output::Output;
use crate::value::to_line;

/// Longer values are cut.
const MAX_SHOWN: usize = 120;

/// Colours, on a terminal.
pub struct Style {
    colours: bool,
}

impl Style {
    pub fn of_stdout() -> Style {
        Style {
            colours: io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    fn line(&self, output: &mut Output, indent: &str, mark: char, text: &str) -> io::Result<()> {
        let colour = match mark {
            '+' => 32,
            '-' => 31,
            _ => 33,
        };
        if self.colours {
            output.line(&format!("{indent}\x1b[{colour}m{mark} {text}\x1b[0m"))
        } else {
            output.line(&format!("{indent}{mark} {text}"))
        }
    }

    /// One key.
    pub fn change(&self, output: &mut Output, difference: &KeyDifference) -> io::Result<()> {
        let key = to_line(&difference.key);
        match (&difference.before, &difference.after) {
            (None, Some(after)) => self.line(output, "", '+', &format!("{key}: {}", shown_bytes(after))),
            (Some(before), None) => self.line(output, "", '-', &format!("{key}: {}", shown_bytes(before))),
            (Some(before), Some(after)) => match difference.documents() {
                Some((old, new)) => self.paths(output, &key, &old, &new),
                None => self.line(
                    output,
                    "",
                    '~',
                    &format!("{key}: {} → {}", shown_bytes(before), shown_bytes(after)),
                ),
            },
            (None, None) => Ok(()),
        }
    }

    /// One key whose value before is not known.
    pub fn replaced(&self, output: &mut Output, key: &[u8], after: &[u8]) -> io::Result<()> {
        let text = format!("{}: (no longer kept) → {}", to_line(key), shown_bytes(after));
        self.line(output, "", '~', &text)
    }

    fn paths(&self, output: &mut Output, key: &str, old: &Value, new: &Value) -> io::Result<()> {
        let differences = diff(old, new);
        if let [only] = &differences[..]
            && only.path.is_empty()
            && !only.is_order()
        {
            return self.line(
                output,
                "",
                '~',
                &format!("{key}: {} → {}", shown(old), shown(new)),
            );
        }
        self.line(output, "", '~', key)?;
        for difference in differences {
            let path = printable(&difference.path);
            let (mark, text) = match (difference.before, difference.after) {
                _ if difference.is_order() => (
                    '~',
                    format!(
                        "{path}{}members in another order",
                        if path.is_empty() { "" } else { ": " }
                    ),
                ),
                (Some(before), Some(after)) => ('~', format!("{path}: {} → {}", shown(before), shown(after))),
                (None, Some(after)) => ('+', format!("{path}: {}", shown(after))),
                (Some(before), None) => ('-', format!("{path}: {}", shown(before))),
                (None, None) => continue,
            };
            self.line(output, "    ", mark, &text)?;
        }
        Ok(())
    }
}

fn shown_bytes(bytes: &[u8]) -> String {
    Value::of_stored(bytes).map_or_else(|_| cut(&to_line(bytes)), |value| shown(&value))
}

/// One line of a value; what is sealed is not shown.
pub fn shown(value: &Value) -> String {
    if value.is_sealed() {
        "<sealed>".to_owned()
    } else {
        cut(&value.to_json())
    }
}

fn cut(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Nothing in it moves the cursor.
fn printable(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}
