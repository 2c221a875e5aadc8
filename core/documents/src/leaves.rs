//! The places of a document that hold a value of their own.

use crate::value::{Value, join_path};

/// The leaves of a document with their paths, in its order: everything but arrays and objects that have members. A sealed value is a
/// leaf. Paths are those of [`diff()`](crate::diff()).
pub fn leaves(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect(String::new(), document, &mut found);
    found
}

fn collect<'a>(path: String, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                collect(join_path(&path, &i.to_string()), item, found);
            }
        }
        Value::Object(members) if !members.is_empty() && !value.is_sealed() => {
            for (name, member) in members {
                collect(join_path(&path, name), member, found);
            }
        }
        _ => found.push((path, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_what_has_no_members() {
        let document =
            crate::json::parse(r#"{"a":[1,{"b.c":null}],"e":{},"f":[],"s":{"$sealed":{"k":1}}}"#).unwrap();
        let found: Vec<String> = leaves(&document)
            .iter()
            .map(|(path, value)| format!("{path}={}", value.to_json()))
            .collect();
        assert_eq!(
            found,
            [
                "a.0=1",
                "a.1.b\\.c=null",
                "e={}",
                "f=[]",
                r#"s={"$sealed":{"k":1}}"#
            ]
        );
        let scalar = crate::json::parse("1").unwrap();
        assert_eq!(leaves(&scalar), [(String::new(), &scalar)]);
    }
}
