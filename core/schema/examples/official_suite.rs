//! Judges the official JSON-Schema-Test-Suite: give it the files of its `tests/draft2020-12`.
//!
//! The groups that refer to schemas elsewhere, or to dialects of their own, are refused when they are compiled, as they must
//! be; all others must come out as the suite says.

use std::process::ExitCode;

use cfgstore_schema::{Schema, SchemaError, Steps};
use serde_json::Value;

fn main() -> ExitCode {
    let (mut right, mut wrong, mut refused) = (0, 0, 0);
    for file in std::env::args().skip(1) {
        let groups = std::fs::read(&file).expect("the file can be read");
        let groups: Vec<Value> = serde_json::from_slice(&groups).expect("the file holds a list of groups");
        for group in &groups {
            let schema = match Schema::compile(group["schema"].to_string().as_bytes()) {
                Ok(schema) => schema,
                Err(SchemaError::Reference { .. } | SchemaError::Dialect { .. }) => {
                    refused += 1;
                    continue;
                }
                Err(error) => {
                    wrong += 1;
                    println!("{file}: {}: {error}", group["description"]);
                    continue;
                }
            };
            for test in group["tests"].as_array().into_iter().flatten() {
                let violations = schema.judge(&test["data"], &mut Steps::new(Steps::PER_WRITE));
                if violations.is_empty() == (test["valid"] == Value::Bool(true)) {
                    right += 1;
                } else {
                    wrong += 1;
                    println!(
                        "{file}: {}: {}: {violations:?}",
                        group["description"], test["description"]
                    );
                }
            }
        }
    }
    println!("{right} right, {wrong} wrong, {refused} groups refused");
    ExitCode::from(u8::from(wrong > 0))
}
