//! What a format writes it reads as the same value, and nothing makes a parser panic.

use cfgstore_documents::{Format, Number, Value, diff};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        any::<String>(),
        "[ -~]{0,12}",
        "[\\x00-\\x1f\\\\'\"$`{}#;:\\[\\]=&<>|!%@,?*\u{85}\u{a0}\u{2028}\u{2029}\u{feff}\u{1f600} -]{0,6}",
        prop::sample::select(vec![
            "",
            "~",
            "null",
            "True",
            "yes",
            "No",
            "on",
            "1",
            "-5",
            "010",
            "1.5",
            "1e5",
            "0x1F",
            ".inf",
            "<<",
            "=",
            "-",
            "- a",
            "a: b",
            "? a",
            "---",
            "...",
            "#",
            "a #b",
            "{}",
            "[]",
            "!!str",
            "&a",
            "*a",
            "|",
            ">",
            "%",
            "@",
            "`",
            "0",
            "-0",
            "$x",
            "${x}",
            "{$x}",
            "\\",
            "'",
            "\"",
            "\\'",
            " a",
            "a ",
            "\n",
            "\r\n",
            "a\n\nb",
            "?>",
            "*/",
            "\u{feff}",
            "12:30",
            "2024-01-01",
        ])
        .prop_map(str::to_owned),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
    ]
    .prop_map(|text| Value::Number(Number::of_json(&text).unwrap()))
}

fn object(members: Vec<(String, Value)>) -> Value {
    let mut seen = std::collections::HashSet::new();
    Value::Object(
        members
            .into_iter()
            .filter(|(name, _)| seen.insert(name.clone()))
            .collect(),
    )
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number(),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let name = prop_oneof![3 => text(), 1 => "[0-3]"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((name, inner.clone()), 0..6).prop_map(object),
            // What PHP would take for a list.
            prop::collection::vec(inner, 0..4).prop_map(|items| Value::Object(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(i, item)| (i.to_string(), item))
                    .collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn json_yaml_and_php_hold_every_value(value in value()) {
        for format in [Format::Json, Format::Yaml, Format::Php] {
            let file = format.print(&value).unwrap();
            let read = format.parse(file.as_bytes());
            prop_assert_eq!(read.as_ref(), Ok(&value), "{:?}: {}", format, file);
        }
        let stored = value.to_json();
        prop_assert_eq!(Value::of_stored(stored.as_bytes()), Ok(value));
    }

    #[test]
    fn ini_and_env_read_what_they_write(value in value(), names in prop::collection::vec("[a-z.]{1,3}", 1..5), values in prop::collection::vec(value(), 1..5)) {
        let flat = object(names.into_iter().zip(values).collect());
        for format in [Format::Ini, Format::Env] {
            for value in [&value, &flat] {
                if let Ok(file) = format.print(value) {
                    let read = format.parse(file.as_bytes());
                    prop_assert_eq!(read.as_ref(), Ok(value), "{:?}: {}", format, file);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(json in "([\\[\\]{}:,]|\"a?\"|null|true|[ \n\t]|-?[0-9.]{1,3}(e5)?|\"\\\\[nux\"]){0,8}", bytes in prop::collection::vec(any::<u8>(), 0..60), text in any::<String>(), marks in "[\\[\\]{}:,\"'\\\\\n -=#&*!|>%?$<;()0-9a-c.]{0,40}") {
        // What is JSON is told by the library that all else uses.
        let theirs = serde_json::from_str::<serde_json::Value>(&json);
        match Format::Json.parse(json.as_bytes()) {
            Ok(_) => prop_assert!(theirs.is_ok(), "{}", json),
            Err(error) => prop_assert!(theirs.is_err() || error.message.contains("twice"), "{}: {}", json, error),
        }
        for format in Format::ALL {
            let _ = format.parse(&bytes);
            let _ = format.parse(text.as_bytes());
            let _ = format.parse(marks.as_bytes());
            let _ = format.parse(format!("<?php return {marks};").as_bytes());
        }
    }

    #[test]
    fn only_equal_documents_do_not_differ(a in value(), b in value()) {
        prop_assert_eq!(diff(&a, &a), []);
        prop_assert_eq!(diff(&a, &b).is_empty(), a == b);
    }
}

#[test]
fn documents_are_bounded() {
    let large = vec![b' '; cfgstore_documents::MAX_DOCUMENT_BYTES + 1];
    for format in Format::ALL {
        assert!(
            format.parse(&large).unwrap_err().message.contains("at most"),
            "{format:?}"
        );
    }
    for (format, before, after) in [
        (Format::Json, "[", "]"),
        (Format::Yaml, "- ", ""),
        (Format::Php, "[", "]"),
    ] {
        let of = |depth: usize| {
            let nested = format!("{}[]{}", before.repeat(depth - 1), after.repeat(depth - 1));
            let file = if format == Format::Php {
                format!("<?php return {nested};")
            } else {
                nested
            };
            format.parse(file.as_bytes())
        };
        let deepest = of(cfgstore_documents::MAX_DEPTH).unwrap();
        assert_eq!(
            format.parse(format.print(&deepest).unwrap().as_bytes()).unwrap(),
            deepest
        );
        assert!(
            of(cfgstore_documents::MAX_DEPTH + 1)
                .unwrap_err()
                .message
                .contains("deeper")
        );
    }
}

#[test]
fn what_is_no_json_is_a_text_as_in_php() {
    assert_eq!(
        Value::of_stored(b"not JSON"),
        Ok(Value::String("not JSON".into()))
    );
    assert_eq!(Value::of_stored(b" [1.10] ").unwrap().to_json(), "[1.10]");
    assert!(Value::of_stored(b"\xff").is_err());
    assert!(Value::of_stored(br#"{"a":1,"a":2}"#).is_err());
    assert_eq!(Format::Json.parse(b"\xef\xbb\xbf{}"), Ok(Value::Object(vec![])));
    assert_eq!(Format::Json.parse(b"{\n\"a\": 1,\n}").unwrap_err().line, 3);
    assert_eq!(Format::Json.parse(b"1\n\xff").unwrap_err().line, 2);
    for bad in ["", "{\"a\":1,\"a\":2}", "[1,]", "1e999", "[1] x", "\"\\ud800\""] {
        assert!(Format::Json.parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
