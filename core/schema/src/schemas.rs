//! What a store has bound to its keys.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::error::SchemaError;
use crate::json;
use crate::schema::Schema;
use crate::steps::Steps;
use crate::violation::Violations;

/// What is bound to a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'r> {
    /// The pattern's text.
    pub pattern: &'r [u8],
    /// The schema's text; empty: any value.
    pub schema: &'r [u8],
    /// Only sealed values may be put: objects whose only member is `"$sealed"`, a string that begins with `v1.`. The schema
    /// is not looked at then.
    pub sealed: bool,
}

/// Why a put is refused: what of the rule bound to `pattern` its value violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The pattern.
    pub pattern: String,
    /// What is wrong.
    pub violations: Violations,
}

/// The rules of a store, made to be looked up by key. All rules whose pattern matches a key hold for it.
///
/// A schema is compiled when it is first needed, and a text that several rules share only once.
#[derive(Debug, Default)]
pub struct Schemas {
    keys: HashMap<Box<[u8]>, Arc<Bound>>,
    prefixes: HashMap<Box<[u8]>, Arc<Bound>>,
    /// The lengths that prefixes have, ascending.
    prefix_lengths: Vec<usize>,
}

#[derive(Debug)]
struct Bound {
    pattern: String,
    demand: Demand,
}

#[derive(Debug)]
enum Demand {
    Sealed,
    Schema(Arc<Text>),
}

#[derive(Debug)]
struct Text {
    text: Box<[u8]>,
    compiled: OnceLock<Result<Schema, SchemaError>>,
}

impl Text {
    fn schema(&self) -> &Result<Schema, SchemaError> {
        self.compiled.get_or_init(|| Schema::compile(&self.text))
    }
}

impl Schemas {
    /// The set of `rules`. What of it is in `known` too, compiled perhaps, is taken from there.
    ///
    /// A pattern or a schema that is none, as could only come from another version of this program, refuses every put that
    /// it might be meant for.
    pub fn new<'r>(rules: impl Iterator<Item = Rule<'r>>, known: &Schemas) -> Schemas {
        let mut texts: HashMap<&[u8], Arc<Text>> = HashMap::new();
        for bound in known.keys.values().chain(known.prefixes.values()) {
            if let Demand::Schema(text) = &bound.demand {
                texts.insert(&text.text, Arc::clone(text));
            }
        }
        let mut schemas = Schemas::default();
        for rule in rules {
            if rule.schema.is_empty() && !rule.sealed {
                continue;
            }
            let demand = match rule.sealed {
                true => Demand::Sealed,
                false => {
                    let new = || {
                        Arc::new(Text {
                            text: rule.schema.into(),
                            compiled: OnceLock::new(),
                        })
                    };
                    Demand::Schema(Arc::clone(texts.entry(rule.schema).or_insert_with(new)))
                }
            };
            let bound = Arc::new(Bound {
                pattern: String::from_utf8_lossy(rule.pattern).into_owned(),
                demand,
            });
            match rule.pattern.strip_suffix(b"*") {
                Some(prefix) => schemas.prefixes.insert(prefix.into(), bound),
                None => schemas.keys.insert(rule.pattern.into(), bound),
            };
        }
        schemas.prefix_lengths = schemas.prefixes.keys().map(|prefix| prefix.len()).collect();
        schemas.prefix_lengths.sort_unstable();
        schemas.prefix_lengths.dedup();
        schemas
    }

    /// Whether a rule holds for `key`.
    pub fn apply_to(&self, key: &[u8]) -> bool {
        self.of(key).next().is_some()
    }

    /// Whether the rules that hold for `key` are compiled; else judging does that too, and takes its time.
    pub fn are_compiled_for(&self, key: &[u8]) -> bool {
        self.of(key).all(|bound| match &bound.demand {
            Demand::Sealed => true,
            Demand::Schema(text) => text.compiled.get().is_some(),
        })
    }

    /// Why a put of `value` is refused, by each rule that refuses it; empty: it is not.
    pub fn judge(&self, key: &[u8], value: &[u8], steps: &mut Steps) -> Vec<Refusal> {
        let mut parsed = None;
        self.of(key)
            .filter_map(|bound| {
                let value = parsed.get_or_insert_with(|| json::parse(value));
                let violations = bound.judge(value, steps);
                (!violations.is_empty()).then(|| Refusal {
                    pattern: bound.pattern.clone(),
                    violations,
                })
            })
            .collect()
    }

    /// The rules that hold for `key`: shorter prefixes first, its own last.
    fn of<'k>(&'k self, key: &'k [u8]) -> impl Iterator<Item = &'k Bound> {
        let lengths = self
            .prefix_lengths
            .iter()
            .take_while(|length| **length <= key.len());
        let prefixes = lengths.filter_map(|length| self.prefixes.get(&key[..*length]));
        prefixes.chain(self.keys.get(key)).map(Arc::as_ref)
    }
}

impl Bound {
    fn judge(&self, value: &Result<serde_json::Value, String>, steps: &mut Steps) -> Violations {
        match &self.demand {
            Demand::Sealed => match value {
                Ok(value) if is_sealed(value) => Violations::default(),
                _ => Violations::of_whole(
                    "must be sealed: give the client the key it is to seal with".to_owned(),
                ),
            },
            Demand::Schema(text) => match (text.schema(), value) {
                (Ok(schema), Ok(value)) => schema.judge(value, steps),
                (Ok(_), Err(fault)) => Violations::of_whole(format!("can't be read as JSON: {fault}")),
                (Err(error), _) => {
                    Violations::of_whole(format!("can't be judged, as its schema can't be used: {error}"))
                }
            },
        }
    }
}

fn is_sealed(value: &serde_json::Value) -> bool {
    let Some(members) = value.as_object().filter(|members| members.len() == 1) else {
        return false;
    };
    let sealed = members.get("$sealed").and_then(serde_json::Value::as_str);
    sealed.is_some_and(|text| text.len() > 3 && text.starts_with("v1."))
}
