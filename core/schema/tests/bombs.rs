//! Schemas and values that are made to cost too much: each has a clear outcome, within the steps that were given.

use std::fmt::Write;

use cfgstore_schema::{MAX_SCHEMA_BYTES, MAX_VIOLATIONS, Schema, SchemaError, Steps, Violations};

/// Fewer than servers give, so that a build for tests is quick.
const STEPS: u64 = Steps::PER_WRITE / 20;

fn compile(schema: &str) -> Result<Schema, SchemaError> {
    Schema::compile(schema.as_bytes())
}

fn judge(schema: &str, value: &str) -> Violations {
    let schema = compile(schema).unwrap();
    schema.judge_bytes(value.as_bytes(), &mut Steps::new(STEPS))
}

/// The message of the only violation, which is of the value as a whole.
fn refusal(violations: &Violations) -> &str {
    assert_eq!(violations.count, 1, "{violations:?}");
    assert_eq!(violations.list[0].path, "");
    &violations.list[0].message
}

#[test]
fn a_large_or_deep_schema_is_refused() {
    let large = format!(r#"{{"description": "{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES));
    assert!(matches!(compile(&large), Err(SchemaError::TooLarge { .. })));
    for depth in [33, 1000, 20_000] {
        let deep = format!("{}true{}", r#"{"not":"#.repeat(depth), "}".repeat(depth));
        assert_eq!(compile(&deep).is_ok(), depth <= 63, "{depth}");
    }
    assert!(matches!(
        compile(&format!("{}true{}", r#"{"not":"#.repeat(65), "}".repeat(65))),
        Err(SchemaError::NotJson { .. })
    ));
}

#[test]
fn what_applies_itself_to_the_same_value_is_refused() {
    for (schema, on_circle) in [
        (r##"{"$ref": "#"}"##, vec![""]),
        (
            r##"{"anyOf": [{"type": "null"}, {"$ref": "#"}]}"##,
            vec!["", "/anyOf/1"],
        ),
        (
            r##"{"$dynamicAnchor": "a", "not": {"$dynamicRef": "#a"}}"##,
            vec!["", "/not"],
        ),
        (
            r##"{"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"if": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}"##,
            vec!["/$defs/a", "/$defs/a/if", "/$defs/b"],
        ),
    ] {
        match compile(schema) {
            Err(SchemaError::Endless { at }) => assert!(on_circle.contains(&at.as_str()), "{schema}: {at}"),
            other => panic!("{schema}: {other:?}"),
        }
    }
}

#[test]
fn what_doubles_with_every_reference_is_refused() {
    let mut schema = String::from(r##"{"$ref": "#/$defs/d0", "$defs": {"d40": {}"##);
    for level in 0..40 {
        let next = level + 1;
        let _ = write!(
            schema,
            r##", "d{level}": {{"allOf": [{{"$ref": "#/$defs/d{next}"}}, {{"$ref": "#/$defs/d{next}"}}]}}"##
        );
    }
    schema.push_str("}}");
    match compile(&schema) {
        Err(SchemaError::TooComplex { at, count }) => assert!(at.starts_with("/$defs/d") && count > 10_000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_long_chain_of_references_is_refused() {
    let chain = |length: usize| {
        let mut schema = String::from(r##"{"$ref": "#/$defs/d0", "$defs": {"##);
        for at in 0..length {
            let _ = write!(schema, r##""d{at}": {{"$ref": "#/$defs/d{}"}}, "##, at + 1);
        }
        let _ = write!(schema, r##""d{length}": {{"type": "null"}}}}}}"##);
        compile(&schema)
    };
    assert!(chain(62).is_ok());
    assert!(matches!(chain(63), Err(SchemaError::LongChain { .. })));
    assert!(matches!(chain(1000), Err(SchemaError::LongChain { .. })));
}

#[test]
fn what_doubles_with_every_level_of_the_value_runs_out_of_steps() {
    let schema = r##"{"anyOf": [{"items": {"$ref": "#"}, "type": "array"}, {"items": {"$ref": "#"}, "minItems": 1}]}"##;
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(judge(schema, &deep(3)).is_empty());
    let doubling = r##"{"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}"##;
    assert!(judge(doubling, &deep(10)).is_empty());
    assert!(refusal(&judge(doubling, &deep(100))).contains("too many steps"));
    // Nor does a "not" make it valid.
    let not = r##"{"not": {"$ref": "#/$defs/d"}, "$defs": {"d": {"allOf": [
        {"items": {"$ref": "#/$defs/d"}}, {"items": {"$ref": "#/$defs/d"}}]}}}"##;
    assert!(refusal(&judge(not, &deep(100))).contains("too many steps"));
}

#[test]
fn a_deep_value_is_judged_to_the_limit_and_refused_beyond() {
    let schema = r##"{"items": {"$ref": "#"}, "type": ["array", "integer"]}"##;
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(judge(schema, &deep(127)).is_empty());
    assert!(refusal(&judge(schema, &deep(128))).contains("recursion limit"));
    assert!(refusal(&judge(schema, &deep(1_000_000))).contains("recursion limit"));
    // A long chain of references on each level: the stack is bounded too.
    let mut chained = String::from(r##"{"$ref": "#/$defs/d0", "$defs": {"##);
    for at in 0..60 {
        let _ = write!(chained, r##""d{at}": {{"$ref": "#/$defs/d{}"}}, "##, at + 1);
    }
    chained.push_str(r##""d60": {"items": {"$ref": "#"}, "unevaluatedItems": false}}}"##);
    assert!(judge(&chained, &deep(5)).is_empty());
    assert!(refusal(&judge(&chained, &deep(127))).contains("nested too deeply"));
}

#[test]
fn a_regex_bomb_takes_linear_time_or_is_refused() {
    let long = format!("\"{}!\"", "a".repeat(400_000));
    let violations = judge(r#"{"pattern": "^(a+)+$"}"#, &long);
    assert_eq!(violations.list[0].schema_path, "/pattern");
    // What is large when compiled counts more for each character.
    let large = r#"{"pattern": "[01]*1[01]{500}$"}"#;
    let digits = format!("\"{}\"", "10".repeat(50_000));
    assert!(refusal(&judge(large, &digits)).contains("too many steps"));
    assert!(judge(large, &format!("\"{}\"", "1".repeat(600))).is_empty());

    let too_large = r#"{"properties": {"a": {"pattern": "((a{100}){100}){100}"}}}"#;
    match compile(too_large) {
        Err(SchemaError::RegexTooLarge { at }) => assert_eq!(at, "/properties/a/pattern"),
        other => panic!("{other:?}"),
    }
    let many: Vec<String> = (0..1000)
        .map(|at| format!(r#""p{at}": {{"pattern": "^.{{1,200}}{at}$"}}"#))
        .collect();
    let many = format!(r#"{{"properties": {{{}}}}}"#, many.join(","));
    assert!(matches!(compile(&many), Err(SchemaError::RegexTooLarge { .. })));
}

#[test]
fn large_arrays_are_compared_in_bounded_time() {
    let numbers: Vec<String> = (0..20_000).map(|number: u32| number.to_string()).collect();
    let array = format!("[{}]", numbers.join(","));
    assert!(judge(r#"{"uniqueItems": true}"#, &array).is_empty());
    let nested = format!("[{}]", [array.as_str(); 6].join(","));
    assert!(
        refusal(&judge(
            r#"{"uniqueItems": true, "items": {"uniqueItems": true}}"#,
            &nested
        ))
        .contains("too many")
    );
}

#[test]
fn a_wide_schema_on_a_large_value_runs_out_of_steps() {
    let many = vec![r#"{"items":{"type":"integer"}}"#; 2000].join(",");
    let schema = format!(r#"{{"allOf":[{many}]}}"#);
    let array = format!("[{}]", vec!["1"; 10_000].join(","));
    assert!(refusal(&judge(&schema, &array)).contains("too many steps"));
    assert!(judge(&schema, "[1,2,3]").is_empty());
}

#[test]
fn violations_are_counted_but_only_the_first_are_listed() {
    let array = format!("[{}]", vec!["1"; 5000].join(","));
    let violations = judge(r#"{"items": {"type": "string"}}"#, &array);
    assert_eq!(violations.count, 5000);
    assert_eq!(violations.list.len(), MAX_VIOLATIONS);
    assert_eq!(violations.list[99].path, "/99");
}

#[test]
fn what_is_told_is_cut() {
    let name = "n".repeat(100_000);
    let options: Vec<String> = (0..2000).map(|at| format!("\"option{at}\"")).collect();
    let schema = format!(
        r#"{{"additionalProperties": {{"enum": [{}]}}}}"#,
        options.join(",")
    );
    let violations = judge(&schema, &format!(r#"{{"{name}": {{}}}}"#));
    let violation = &violations.list[0];
    assert!(
        violation.path.len() < 1100 && violation.message.len() < 300,
        "{violation:?}"
    );
}

#[test]
fn steps_are_shared_by_what_is_judged_with_them() {
    let schema = compile(r#"{"items": {"type": "integer"}}"#).unwrap();
    let mut steps = Steps::new(1000);
    let array = format!("[{}]", vec!["1"; 200].join(","));
    let mut judged = 0;
    while schema.judge_bytes(array.as_bytes(), &mut steps).is_empty() {
        judged += 1;
    }
    assert!((1..5).contains(&judged), "{judged}");
    assert_eq!(steps.left(), 0);
}
