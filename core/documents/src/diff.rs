//! What differs between two documents.

use std::collections::HashMap;

use crate::value::{Value, join_path};

/// One place at which two documents differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference<'a> {
    /// The path, with names joined by dots as PHP's extension reads them; empty: the document itself.
    pub path: String,
    /// What is there in the first; `None`: nothing.
    pub before: Option<&'a Value>,
    /// What is there in the second; `None`: nothing.
    pub after: Option<&'a Value>,
}

impl Difference<'_> {
    /// Whether it is only the order of members.
    pub fn is_order(&self) -> bool {
        match (self.before, self.after) {
            (Some(before @ Value::Object(_)), Some(after @ Value::Object(_))) => {
                !before.is_sealed() && !after.is_sealed()
            }
            _ => false,
        }
    }
}

/// The places at which two documents differ, none of them inside another; empty if and only if they are equal. A sealed value is one
/// place.
pub fn diff<'a>(before: &'a Value, after: &'a Value) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    compare(String::new(), before, after, &mut found);
    found
}

fn compare<'a>(path: String, before: &'a Value, after: &'a Value, found: &mut Vec<Difference<'a>>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Array(old), Value::Array(new)) => {
            for i in 0..old.len().max(new.len()) {
                both(join_path(&path, &i.to_string()), old.get(i), new.get(i), found);
            }
        }
        (Value::Object(old), Value::Object(new)) if !before.is_sealed() && !after.is_sealed() => {
            let known = found.len();
            let names = |members: &'a [(String, Value)]| -> HashMap<&'a str, &'a Value> {
                members
                    .iter()
                    .map(|(name, value)| (name.as_str(), value))
                    .collect()
            };
            let (old_names, new_names) = (names(old), names(new));
            for (name, value) in old {
                both(
                    join_path(&path, name),
                    Some(value),
                    new_names.get(name.as_str()).copied(),
                    found,
                );
            }
            for (name, value) in new
                .iter()
                .filter(|(name, _)| !old_names.contains_key(name.as_str()))
            {
                both(join_path(&path, name), None, Some(value), found);
            }
            if found.len() == known {
                found.push(Difference {
                    path,
                    before: Some(before),
                    after: Some(after),
                });
            }
        }
        _ => found.push(Difference {
            path,
            before: Some(before),
            after: Some(after),
        }),
    }
}

fn both<'a>(
    path: String,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    found: &mut Vec<Difference<'a>>,
) {
    match (before, after) {
        (Some(before), Some(after)) => compare(path, before, after, found),
        _ => found.push(Difference { path, before, after }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let [before, after] = [before, after].map(|text| crate::json::parse(text).unwrap());
        let text = |value: Option<&Value>| value.map_or("-".to_owned(), Value::to_json);
        diff(&before, &after)
            .iter()
            .map(|d| {
                format!(
                    "{}: {} {}{}",
                    d.path,
                    text(d.before),
                    text(d.after),
                    if d.is_order() { " order" } else { "" }
                )
            })
            .collect()
    }

    #[test]
    fn differences_are_told_path_by_path() {
        assert_eq!(shown("[1,{\"a\":2}]", " [1, {\"a\": 2}]"), [""; 0]);
        assert_eq!(
            shown(
                r#"{"a":1,"b":{"x.y":[1,2,3]},"gone":null}"#,
                r#"{"a":"1","b":{"x.y":[1,3]},"new":{}}"#
            ),
            [
                "a: 1 \"1\"",
                "b.x\\.y.1: 2 3",
                "b.x\\.y.2: 3 -",
                "gone: null -",
                "new: - {}"
            ]
        );
        assert_eq!(shown("1", "[1]"), [": 1 [1]"]);
        assert_eq!(shown("1.0", "1.00"), [": 1.0 1.00"]);
        assert_eq!(
            shown(r#"{"d":{"a":1,"b":2}}"#, r#"{"d":{"b":2,"a":1}}"#),
            [r#"d: {"a":1,"b":2} {"b":2,"a":1} order"#]
        );
        assert_eq!(
            shown(r#"{"p":{"$sealed":{"k":1}}}"#, r#"{"p":{"$sealed":{"k":2}}}"#),
            [r#"p: {"$sealed":{"k":1}} {"$sealed":{"k":2}}"#]
        );
    }
}
