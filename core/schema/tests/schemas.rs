//! Rules by key.

use cfgstore_schema::{Refusal, Rule, Schemas, Steps};

fn rule<'r>(pattern: &'r str, schema: &'r str) -> Rule<'r> {
    Rule {
        pattern: pattern.as_bytes(),
        schema: schema.as_bytes(),
        sealed: false,
    }
}

fn schemas(rules: &[Rule<'_>]) -> Schemas {
    Schemas::new(rules.iter().copied(), &Schemas::default())
}

fn judge(schemas: &Schemas, key: &str, value: &str) -> Vec<Refusal> {
    schemas.judge(
        key.as_bytes(),
        value.as_bytes(),
        &mut Steps::new(Steps::PER_WRITE),
    )
}

fn refused_by(schemas: &Schemas, key: &str, value: &str) -> Vec<String> {
    let refusals = judge(schemas, key, value);
    refusals.into_iter().map(|refusal| refusal.pattern).collect()
}

#[test]
fn all_rules_that_match_a_key_hold_for_it() {
    let schemas = schemas(&[
        rule("*", r#"{"type": "object"}"#),
        rule("/shop/*", r#"{"required": ["owner"]}"#),
        rule("/shop/db", r#"{"required": ["password"]}"#),
        rule("/shop/d*", r#"{"maxProperties": 2}"#),
    ]);
    assert_eq!(
        refused_by(&schemas, "/shop/db", r#"{"a": 1, "b": 1, "c": 1}"#),
        ["/shop/*", "/shop/d*", "/shop/db"]
    );
    assert_eq!(
        refused_by(&schemas, "/shop/db", r#"{"owner": 1, "password": 1}"#),
        Vec::<String>::new()
    );
    assert_eq!(refused_by(&schemas, "/shop/x", "{}"), ["/shop/*"]);
    assert_eq!(refused_by(&schemas, "/shop", "{}"), Vec::<String>::new());
    assert_eq!(refused_by(&schemas, "x", "1"), ["*"]);
    assert_eq!(refused_by(&schemas, "x", "no JSON"), ["*"]);
    assert!(schemas.apply_to(b"x"));
}

#[test]
fn without_a_rule_anything_may_be_put() {
    let schemas = schemas(&[rule("/a/*", ""), rule("/b", "false")]);
    assert!(!schemas.apply_to(b"/a/x") && !schemas.apply_to(b"/b/") && schemas.apply_to(b"/b"));
    assert!(judge(&schemas, "/a/x", "\u{0}").is_empty());
}

#[test]
fn under_a_sealed_rule_only_sealed_values_may_be_put() {
    let schemas = schemas(&[Rule {
        pattern: b"/secret/*",
        schema: b"",
        sealed: true,
    }]);
    assert!(judge(&schemas, "/secret/a", r#"{"$sealed": "v1.k.abc"}"#).is_empty());
    for value in [
        "1",
        "\"v1.k.abc\"",
        r#"{"$sealed": "v1."}"#,
        r#"{"$sealed": "plain"}"#,
        r#"{"$sealed": 1}"#,
        r#"{"$sealed": "v1.k.abc", "password": "x"}"#,
        r#"{"$sealed": "v1.k.abc", "$sealed": "x"}"#,
        "{",
    ] {
        assert_eq!(refused_by(&schemas, "/secret/a", value), ["/secret/*"], "{value}");
    }
}

#[test]
fn a_schema_that_can_not_be_used_lets_nothing_in() {
    let schemas = schemas(&[rule("/a", r#"{"type": "new-in-some-later-version"}"#)]);
    let refusals = judge(&schemas, "/a", "1");
    assert!(
        refusals[0].violations.list[0].message.contains("can't be used"),
        "{refusals:?}"
    );
}

#[test]
fn a_new_set_keeps_what_the_old_one_has_compiled_and_drops_what_is_gone() {
    let old = schemas(&[rule("/a", "false"), rule("/b", "false")]);
    let new = Schemas::new([rule("/a", "true"), rule("/c*", "false")].into_iter(), &old);
    assert!(judge(&new, "/a", "1").is_empty() && judge(&new, "/b", "1").is_empty());
    assert_eq!(refused_by(&new, "/c1", "1"), ["/c*"]);
}

#[test]
fn ten_thousand_rules_are_as_quick_as_one() {
    let texts: Vec<(String, String)> = (0..10_000)
        .map(|at| {
            (
                format!("/app/{at}/*"),
                format!(r#"{{"type": "integer", "minimum": {at}}}"#),
            )
        })
        .collect();
    let rules: Vec<Rule<'_>> = texts
        .iter()
        .map(|(pattern, schema)| rule(pattern, schema))
        .collect();
    let schemas = schemas(&rules);
    let mut steps = Steps::new(Steps::PER_WRITE);
    for at in (0..10_000).step_by(97) {
        let key = format!("/app/{at}/x");
        assert!(
            schemas
                .judge(key.as_bytes(), at.to_string().as_bytes(), &mut steps)
                .is_empty()
        );
        assert_eq!(schemas.judge(key.as_bytes(), b"-1", &mut steps).len(), 1);
    }
    // What a judgement takes doesn't depend on how many rules there are.
    let of_one = Schemas::new([rules[0]].into_iter(), &Schemas::default());
    let spent = |schemas: &Schemas| {
        let mut steps = Steps::new(1000);
        schemas.judge(b"/app/0/x", b"1", &mut steps);
        1000 - steps.left()
    };
    assert_eq!(spent(&schemas), spent(&of_one));
}
