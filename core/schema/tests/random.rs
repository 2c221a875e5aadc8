//! Random schemas on random values: whatever they are, there is a judgement, twice the same, and no panic.

use cfgstore_schema::{Schema, Steps};
use proptest::prelude::*;
use serde_json::{Value, json};

fn values() -> impl Strategy<Value = Value> {
    let scalars = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3..4_i64).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[ab]{0,3}|\\PC{0,4}".prop_map(Value::from),
    ];
    scalars.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[ab]{1,2}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn schemas() -> impl Strategy<Value = Value> {
    let scalars = prop_oneof![
        any::<bool>().prop_map(Value::from),
        "null|boolean|integer|number|string|array|object|none".prop_map(|name| json!({"type": name})),
        values().prop_map(|value| json!({"const": value})),
        (-2..3_i64).prop_map(|limit| json!({"minimum": limit, "maxLength": limit, "maxItems": limit})),
        "[ab+*(){}^$|.?\\[\\]\\\\-]{0,6}".prop_map(|source| json!({"pattern": source})),
        (1..4_u64).prop_map(|divisor| json!({"multipleOf": divisor as f64 / 4.0, "uniqueItems": true})),
        Just(json!({"$ref": "#"})),
        Just(json!({"$ref": "#/items"})),
        Just(json!({"$dynamicRef": "#a"})),
        // Not a schema at all.
        values(),
    ];
    scalars.prop_recursive(4, 24, 3, |inner| {
        let one = |keyword: &'static str| {
            inner
                .clone()
                .prop_map(move |schema| json!({ keyword: schema, "$dynamicAnchor": "a" }))
        };
        let list = prop::collection::vec(inner.clone(), 1..3);
        let map = prop::collection::hash_map("[ab]{1,2}", inner.clone(), 0..3);
        prop_oneof![
            one("not"),
            one("items"),
            one("contains"),
            one("additionalProperties"),
            one("unevaluatedItems"),
            one("propertyNames"),
            list.clone().prop_map(|list| json!({"allOf": list})),
            list.clone()
                .prop_map(|list| json!({"anyOf": list, "unevaluatedProperties": false})),
            list.clone()
                .prop_map(|list| json!({"oneOf": list, "unevaluatedItems": false})),
            list.prop_map(|list| json!({"prefixItems": list})),
            map.clone()
                .prop_map(|map| json!({"properties": map, "unevaluatedProperties": {"type": "integer"}})),
            map.clone().prop_map(|map| json!({"patternProperties": map})),
            map.prop_map(|map| json!({"dependentSchemas": map})),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(first, second, third)| json!({"if": first, "then": second, "else": third})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn there_is_a_judgement(schema in schemas(), value in values()) {
        if let Ok(schema) = Schema::compile(schema.to_string().as_bytes()) {
            let mut steps = Steps::new(100_000);
            let violations = schema.judge(&value, &mut steps);
            let again = schema.judge_bytes(value.to_string().as_bytes(), &mut Steps::new(100_000));
            prop_assert_eq!(violations, again);
        }
    }

    #[test]
    fn any_bytes_are_a_schema_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = Schema::compile(&bytes);
    }
}
