//! Every keyword of JSON Schema 2020-12 that refuses something, on values it refuses and values it does not.

use cfgstore_schema::{Schema, Steps, Violations};

fn judge(schema: &str, value: &str) -> Violations {
    let schema = Schema::compile(schema.as_bytes()).unwrap_or_else(|error| panic!("{schema}: {error}"));
    schema.judge_bytes(value.as_bytes(), &mut Steps::new(Steps::PER_WRITE))
}

/// A schema, values that are valid, and values that are not.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn check(table: &[Row<'_>]) {
    for (schema, valid, invalid) in table {
        for value in *valid {
            let violations = judge(schema, value);
            assert!(violations.is_empty(), "{schema} refuses {value}: {violations:?}");
        }
        for value in *invalid {
            assert!(!judge(schema, value).is_empty(), "{schema} accepts {value}");
        }
    }
}

#[test]
fn scalars() {
    check(&[
        ("true", &["1", "{}"], &[]),
        ("false", &[], &["1", "null"]),
        ("{}", &["1", "null"], &[]),
        (
            r#"{"type": "integer"}"#,
            &["1", "1.0", "1e300"],
            &["1.5", "\"1\"", "null"],
        ),
        (r#"{"type": "number"}"#, &["1", "1.5"], &["\"1\"", "true"]),
        (
            r#"{"type": ["string", "null"]}"#,
            &["\"\"", "null"],
            &["0", "false", "[]"],
        ),
        (
            r#"{"enum": [1, "a", {"b": [2]}]}"#,
            &["1.0", "\"a\"", r#"{"b": [2.0]}"#],
            &["\"1\"", "2", "{}"],
        ),
        (r#"{"enum": []}"#, &[], &["1"]),
        (r#"{"const": false}"#, &["false"], &["0", "[]", "null"]),
        (
            r#"{"const": {"a": 1, "b": 2}}"#,
            &[r#"{"b": 2, "a": 1}"#],
            &[r#"{"a": 1}"#],
        ),
        (r#"{"multipleOf": 0.01}"#, &["4.02", "0", "\"x\""], &["0.001"]),
        (
            r#"{"minimum": 1, "exclusiveMaximum": 3}"#,
            &["1", "2.9", "\"9\""],
            &["0.9", "3"],
        ),
        (
            r#"{"maximum": 1, "exclusiveMinimum": -3}"#,
            &["1", "-2.9"],
            &["1.1", "-3"],
        ),
        (
            r#"{"minLength": 2, "maxLength": 3}"#,
            &["\"äö\"", "\"abc\"", "7"],
            &["\"a\"", "\"abcd\""],
        ),
        (r#"{"maxLength": 2.0}"#, &["\"ab\""], &["\"abc\""]),
        (
            r#"{"pattern": "^[a-z]+$"}"#,
            &["\"abc\"", "1"],
            &["\"aBc\"", "\"\""],
        ),
        // Annotations refuse nothing.
        (
            r#"{"format": "email", "contentEncoding": "base64", "x-unknown": 1}"#,
            &["\"no mail\""],
            &[],
        ),
    ]);
}

#[test]
fn arrays() {
    check(&[
        (
            r#"{"items": {"type": "integer"}}"#,
            &["[]", "[1, 2]", "{}"],
            &["[1, \"2\"]"],
        ),
        (
            r#"{"prefixItems": [{"type": "string"}], "items": false}"#,
            &["[]", "[\"a\"]"],
            &["[1]", "[\"a\", 1]"],
        ),
        (
            r#"{"minItems": 1, "maxItems": 2}"#,
            &["[1]", "[1, 2]", "\"\""],
            &["[]", "[1, 2, 3]"],
        ),
        (
            r#"{"uniqueItems": true}"#,
            &["[]", "[1, \"1\", true, [1], {\"a\": 1}]", "[0, false]"],
            &["[1, 1.0]", r#"[{"a": 1, "b": 2}, {"b": 2, "a": 1}]"#],
        ),
        (r#"{"uniqueItems": false}"#, &["[1, 1]"], &[]),
        (r#"{"contains": {"const": 1}}"#, &["[2, 1]", "{}"], &["[]", "[2]"]),
        (
            r#"{"contains": {"const": 1}, "minContains": 2, "maxContains": 3}"#,
            &["[1, 1]", "[1, 1, 1, 2]"],
            &["[1]", "[1, 1, 1, 1]"],
        ),
        (
            r#"{"contains": {"const": 1}, "minContains": 0}"#,
            &["[]", "[2]"],
            &[],
        ),
        (
            r#"{"allOf": [{"prefixItems": [true]}, {"contains": {"type": "string"}}], "unevaluatedItems": false}"#,
            &["[1, \"a\"]", "[1, \"a\", \"b\"]"],
            &["[1, \"a\", 2]"],
        ),
    ]);
}

#[test]
fn objects() {
    check(&[
        (
            r#"{"properties": {"a": {"type": "integer"}}, "required": ["a"]}"#,
            &[r#"{"a": 1, "b": 2}"#, "[]"],
            &["{}", r#"{"a": "1"}"#],
        ),
        (
            r#"{"properties": {"a": true}, "patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false}"#,
            &[r#"{"a": 1, "x-b": ""}"#, "{}"],
            &[r#"{"b": 1}"#, r#"{"x-b": 1}"#],
        ),
        (
            r#"{"minProperties": 1, "maxProperties": 1}"#,
            &[r#"{"a": 1}"#],
            &["{}", r#"{"a": 1, "b": 2}"#],
        ),
        (
            r#"{"propertyNames": {"maxLength": 2}}"#,
            &[r#"{"ab": 1}"#],
            &[r#"{"abc": 1}"#],
        ),
        (
            r#"{"dependentRequired": {"user": ["password"]}}"#,
            &["{}", r#"{"password": 1}"#, r#"{"user": 1, "password": 1}"#],
            &[r#"{"user": 1}"#],
        ),
        (
            r#"{"dependentSchemas": {"tls": {"required": ["port"]}}}"#,
            &["{}", r#"{"tls": 1, "port": 2}"#],
            &[r#"{"tls": 1}"#],
        ),
        (
            r##"{"$ref": "#/$defs/base", "properties": {"b": true}, "unevaluatedProperties": false,
                "$defs": {"base": {"properties": {"a": true}}}}"##,
            &[r#"{"a": 1, "b": 2}"#],
            &[r#"{"a": 1, "c": 2}"#],
        ),
        (
            r#"{"anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": true}}],
                "unevaluatedProperties": {"type": "string"}}"#,
            &[r#"{"a": 1, "b": 2, "c": ""}"#, r#"{"b": 2, "a": ""}"#],
            &[r#"{"a": 2}"#, r#"{"a": 1, "c": 2}"#],
        ),
        (
            r#"{"if": {"properties": {"kind": {"const": "tcp"}}, "required": ["kind"]},
                "then": {"properties": {"port": true}}, "else": {"properties": {"path": true}},
                "unevaluatedProperties": false}"#,
            &[r#"{"kind": "tcp", "port": 1}"#, r#"{"path": 1}"#],
            &[r#"{"kind": "tcp", "path": 1}"#, r#"{"port": 1}"#],
        ),
        // What "not" has looked at does not count.
        (
            r#"{"not": {"required": ["a"], "properties": {"a": true}}, "unevaluatedProperties": false}"#,
            &["{}"],
            &[r#"{"b": 1}"#, r#"{"a": 1}"#],
        ),
    ]);
}

#[test]
fn combinations() {
    check(&[
        (
            r#"{"allOf": [{"minimum": 1}, {"maximum": 2}]}"#,
            &["1", "2"],
            &["0", "3"],
        ),
        (
            r#"{"anyOf": [{"type": "string"}, {"minimum": 2}]}"#,
            &["\"\"", "2", "null"],
            &["1"],
        ),
        (
            r#"{"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}"#,
            &["3", "5"],
            &["15", "1"],
        ),
        (r#"{"not": {"type": "null"}}"#, &["1"], &["null"]),
        (
            r#"{"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"minimum": 1}}"#,
            &["\"a\"", "1", "null"],
            &["\"\"", "0"],
        ),
        (r#"{"then": false, "else": false}"#, &["1"], &[]),
    ]);
}

#[test]
fn references() {
    check(&[
        (
            r##"{"$defs": {"a/b%": {"type": "null"}}, "$ref": "#/$defs/a~1b%25"}"##,
            &["null"],
            &["1"],
        ),
        (
            r##"{"properties": {"child": {"$ref": "#"}}, "additionalProperties": false}"##,
            &[r#"{"child": {"child": {}}}"#],
            &[r#"{"child": {"kid": {}}}"#],
        ),
        (
            r##"{"$id": "http://x/root", "$ref": "item#name", "$defs": {"i": {"$id": "item",
                "$defs": {"n": {"$anchor": "name", "$ref": "#/$defs/t"}, "t": {"type": "null"}}}}}"##,
            &["null"],
            &["1"],
        ),
        // A list whose items whoever extends it decides.
        (
            r##"{"$id": "strings", "$ref": "list", "$defs": {
                "of": {"$dynamicAnchor": "item", "type": "string"},
                "list": {"$id": "list", "items": {"$dynamicRef": "#item"},
                    "$defs": {"any": {"$dynamicAnchor": "item"}}}}}"##,
            &["[\"a\"]"],
            &["[1]"],
        ),
        // Without an extension, its own anchor.
        (
            r##"{"$id": "list", "items": {"$dynamicRef": "#item"},
                "$defs": {"any": {"$dynamicAnchor": "item", "type": "integer"}}}"##,
            &["[1]"],
            &["[\"a\"]"],
        ),
        // A tree that is strict all the way down.
        (
            r##"{"$id": "strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false,
                "$defs": {"tree": {"$id": "tree", "$dynamicAnchor": "node",
                    "properties": {"data": true, "children": {"items": {"$dynamicRef": "#node"}}}}}}"##,
            &[r#"{"children": [{"data": 1}]}"#],
            &[r#"{"children": [{"daat": 1}]}"#],
        ),
    ]);
}

#[test]
fn a_violation_says_where_and_what_and_never_quotes_the_value() {
    let schema = r##"{
        "type": "object", "required": ["host", "password"], "additionalProperties": false,
        "properties": {
            "host": {"type": "string", "pattern": "^[a-z.]+$", "maxLength": 4}, "port": {"type": "integer", "minimum": 1},
            "password": {"type": "string", "minLength": 8}, "mode": {"enum": ["ro", "rw"]},
            "a/b": {"items": {"const": 1}}, "pool": {"$ref": "#/$defs/pool"}, "tags": {"uniqueItems": true},
            "any": {"anyOf": [{"type": "null"}, {"type": "array"}]},
            "one": {"oneOf": [{"type": "string"}, {"minLength": 1}]}, "not": {"not": {"type": "string"}},
            "names": {"propertyNames": {"maxLength": 1}}, "has": {"contains": {"type": "null"}}
        },
        "$defs": {"pool": {"multipleOf": 5, "exclusiveMaximum": 100}}}"##;
    let value = r#"{"host": "SECRET", "port": 0.5, "mode": "SECRET", "a/b": [1, "SECRET"], "pool": 987654321,
        "tags": ["SECRET", "SECRET"], "any": "SECRET", "one": "SECRET", "not": "SECRET", "names": {"ab": 1},
        "has": ["SECRET"], "other": "SECRET"}"#;
    let violations = judge(schema, value);
    let told: Vec<String> = violations
        .list
        .iter()
        .map(|violation| {
            format!(
                "{} {} [{}]",
                violation.path, violation.message, violation.schema_path
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "/password is required [/required]",
            "/host must match the regular expression ^[a-z.]+$ [/properties/host/pattern]",
            "/host must have at most 4 characters [/properties/host/maxLength]",
            "/port must be an integer, but has a fraction [/properties/port/type]",
            "/port must be at least 1 [/properties/port/minimum]",
            "/mode must be one of \"ro\", \"rw\" [/properties/mode/enum]",
            "/a~1b/1 must be 1 [/properties/a~1b/items/const]",
            "/pool must be a multiple of 5 [/$defs/pool/multipleOf]",
            "/pool must be less than 100 [/$defs/pool/exclusiveMaximum]",
            "/tags must have no two equal items, but 0 and 1 are [/properties/tags/uniqueItems]",
            "/any matches none of the 2 alternatives [/properties/any/anyOf]",
            "/one must match exactly one alternative, but matches 0 and 1 [/properties/one/oneOf]",
            "/not must not match this schema [/properties/not/not]",
            "/names/ab has a name that is not allowed [/properties/names/propertyNames]",
            "/has must have at least 1 item that matches [/properties/has/contains]",
            "/other is not allowed [/additionalProperties]",
        ]
    );
    assert_eq!(violations.count, 16);
    assert!(
        !format!("{violations:?}").contains("SECRET") && !format!("{violations:?}").contains("987654321")
    );
}

#[test]
fn what_is_no_json_violates_every_schema() {
    for value in [
        "SECRET",
        "{\"a\": \"SECRET",
        "{\"a\": 1, \"a\": 2}",
        "\u{feff}1",
        "",
    ] {
        let violations = judge("true", value);
        assert_eq!(violations.count, 1, "{value:?}");
        assert_eq!(violations.list[0].path, "");
        assert!(!violations.list[0].message.contains("SECRET"), "{violations:?}");
    }
}

#[test]
fn a_mistake_in_a_schema_is_found_when_it_is_compiled_and_says_where() {
    for (schema, at, what) in [
        ("[]", "at \"\"", "an object, true or false"),
        (r#"{"type": "strng"}"#, "at \"/type\"", "\"string\""),
        (
            r#"{"properties": {"a": {"minimum": "1"}}}"#,
            "at \"/properties/a/minimum\"",
            "a number",
        ),
        (r#"{"properties": {"a": 1}}"#, "at \"/properties/a\"", "a schema"),
        (r#"{"properties": []}"#, "at \"/properties\"", "an object"),
        (r#"{"maxLength": -1}"#, "at \"/maxLength\"", "whole number"),
        (r#"{"maxLength": 1.5}"#, "at \"/maxLength\"", "whole number"),
        (r#"{"multipleOf": 0}"#, "at \"/multipleOf\"", "above zero"),
        (r#"{"required": "a"}"#, "at \"/required\"", "a list of names"),
        (r#"{"allOf": []}"#, "at \"/allOf\"", "at least one"),
        (r#"{"minContains": "x"}"#, "at \"/minContains\"", "whole number"),
        (r#"{"uniqueItems": 1}"#, "at \"/uniqueItems\"", "true or false"),
        (r#"{"enum": 1}"#, "at \"/enum\"", "a list of values"),
        (
            r#"{"dependentRequired": {"a": 1}}"#,
            "at \"/dependentRequired\"",
            "list of names",
        ),
        (r#"{"pattern": "("}"#, "at \"/pattern\"", "unclosed group"),
        (
            r#"{"patternProperties": {"(?=a)": {}}}"#,
            "at \"/patternProperties/(?=a)\"",
            "exponential",
        ),
        (
            r#"{"$defs": {"a": {"type": 1}}}"#,
            "at \"/$defs/a/type\"",
            "must be",
        ),
        (r#"{"$ref": "https://x/y"}"#, "at \"/$ref\"", "nothing is fetched"),
        (
            r##"{"$ref": "#/$defs/a"}"##,
            "at \"/$ref\"",
            "nothing that is called",
        ),
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema#"}"#,
            "at \"/$schema\"",
            "2020-12",
        ),
        (r#"{"$id": "a#b"}"#, "at \"/$id\"", "without a fragment"),
        (
            r#"{"allOf": [{"$anchor": "a"}, {"$anchor": "a"}]}"#,
            "/$anchor\"",
            "names another part",
        ),
        (r#"{"type": "null", "type": "null"}"#, "line 1", "two members"),
        ("{", "line 1", "EOF"),
    ] {
        let error = Schema::compile(schema.as_bytes()).expect_err(schema).to_string();
        assert!(error.contains(at) && error.contains(what), "{schema}: {error}");
    }
    let dialect = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema"}"#;
    assert!(Schema::compile(dialect.as_bytes()).is_ok());
}
