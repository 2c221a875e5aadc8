//! The keywords of one subschema, each checked for what it may hold.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use crate::compile::{Compiler, dynamic_ref};
use crate::error::SchemaError;
use crate::json::{canonical, escape_token};
use crate::message::clip;
use crate::node::{Keyword, Node, NodeId, OneOf, Types};
use crate::number::{self, Decimal};

/// Compiles the subschema `value`, which stands at `pointer`.
pub(crate) fn compile<'s>(
    compiler: &mut Compiler<'s>,
    pointer: String,
    value: &'s Value,
) -> Result<Node, SchemaError> {
    let resource = compiler.index.resource_at(&pointer);
    let mut keywords = Vec::new();
    match value {
        Value::Bool(true) => {}
        Value::Bool(false) => keywords.push(Keyword::Never),
        Value::Object(object) => {
            let subschema = Subschema {
                object,
                pointer: &pointer,
            };
            for name in object.keys() {
                keywords.extend(subschema.assertion(compiler, name)?);
            }
            subschema.references(compiler, resource, &mut keywords)?;
            subschema.applicators(compiler, &mut keywords)?;
        }
        _ => {
            return Err(SchemaError::Keyword {
                at: pointer,
                expected: "a schema: an object, true or false",
            });
        }
    }
    let has_unevaluated = keywords.iter().any(|keyword| {
        matches!(
            keyword,
            Keyword::UnevaluatedItems(_) | Keyword::UnevaluatedProperties(_)
        )
    });
    Ok(Node {
        pointer: pointer.into(),
        resource,
        keywords,
        has_unevaluated,
    })
}

struct Subschema<'s, 'p> {
    object: &'s Map<String, Value>,
    pointer: &'p str,
}

impl<'s> Subschema<'s, '_> {
    fn at(&self, keyword: &str) -> String {
        format!("{}/{}", self.pointer, escape_token(keyword))
    }

    fn fault(&self, keyword: &str, expected: &'static str) -> SchemaError {
        SchemaError::Keyword {
            at: self.at(keyword),
            expected,
        }
    }

    /// The keyword `name`, if it is one that looks at the value itself. What is unknown asserts nothing.
    fn assertion(&self, compiler: &mut Compiler<'s>, name: &str) -> Result<Option<Keyword>, SchemaError> {
        let value = &self.object[name];
        let keyword = match name {
            "type" => Keyword::Type(self.types(value)?),
            "enum" => Keyword::Enum(self.one_of(value)?),
            "const" => Keyword::Const(OneOf {
                allowed: [canonical(value)].into(),
                told: clip(&value.to_string()),
            }),
            "multipleOf" => {
                let number = self.number(name)?;
                let divisor = Decimal::of(&number);
                if divisor.is_zero() || number.as_f64().is_some_and(|value| value < 0.0) {
                    return Err(self.fault(name, "a number above zero"));
                }
                Keyword::MultipleOf(divisor, number)
            }
            "maximum" => Keyword::Maximum(self.number(name)?),
            "exclusiveMaximum" => Keyword::ExclusiveMaximum(self.number(name)?),
            "minimum" => Keyword::Minimum(self.number(name)?),
            "exclusiveMinimum" => Keyword::ExclusiveMinimum(self.number(name)?),
            "maxLength" => Keyword::MaxLength(self.count(name)?),
            "minLength" => Keyword::MinLength(self.count(name)?),
            "maxItems" => Keyword::MaxItems(self.count(name)?),
            "minItems" => Keyword::MinItems(self.count(name)?),
            "maxProperties" => Keyword::MaxProperties(self.count(name)?),
            "minProperties" => Keyword::MinProperties(self.count(name)?),
            "pattern" => {
                let source = value.as_str();
                let source = source.ok_or_else(|| self.fault(name, "a regular expression"))?;
                Keyword::Pattern(compiler.regex(&self.at(name), source)?)
            }
            "uniqueItems" => match value.as_bool() {
                Some(true) => Keyword::UniqueItems,
                Some(false) => return Ok(None),
                None => return Err(self.fault(name, "true or false")),
            },
            "required" => Keyword::Required(self.names(name, value)?),
            "dependentRequired" => {
                let map = value.as_object();
                let map =
                    map.ok_or_else(|| self.fault(name, "an object whose members are lists of names"))?;
                let lists = map.iter().map(|(member, names)| {
                    let names = self.names(name, names)?;
                    Ok((member.clone(), names))
                });
                Keyword::DependentRequired(lists.collect::<Result<_, SchemaError>>()?)
            }
            "minContains" | "maxContains" => {
                self.count(name)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        Ok(Some(keyword))
    }

    fn references(
        &self,
        compiler: &mut Compiler<'s>,
        resource: usize,
        keywords: &mut Vec<Keyword>,
    ) -> Result<(), SchemaError> {
        if let Some(value) = self.object.get("$ref") {
            let (node, _) = compiler.target(&self.at("$ref"), resource, value)?;
            keywords.push(Keyword::Ref(node));
        }
        if let Some(value) = self.object.get("$dynamicRef") {
            let target = compiler.target(&self.at("$dynamicRef"), resource, value)?;
            keywords.push(dynamic_ref(target));
        }
        // Definitions are compiled although nothing may refer to them, so that a mistake is found when it is made.
        for keyword in ["$defs", "definitions"] {
            if let Some(value) = self.object.get(keyword) {
                compiler.nodes_in_map(&self.at(keyword), value)?;
            }
        }
        Ok(())
    }

    fn applicators(
        &self,
        compiler: &mut Compiler<'s>,
        keywords: &mut Vec<Keyword>,
    ) -> Result<(), SchemaError> {
        type MakeKeyword = fn(Vec<NodeId>) -> Keyword;
        for (name, make) in [
            ("allOf", Keyword::AllOf as MakeKeyword),
            ("anyOf", Keyword::AnyOf),
            ("oneOf", Keyword::OneOf),
        ] {
            if let Some(value) = self.object.get(name) {
                keywords.push(make(compiler.nodes_in_list(&self.at(name), value)?));
            }
        }
        keywords.extend(self.one(compiler, "not").map(Keyword::Not));
        // Without "if", the others are compiled, for their mistakes, and ignored.
        let (condition, then, otherwise) = (
            self.one(compiler, "if"),
            self.one(compiler, "then"),
            self.one(compiler, "else"),
        );
        if let Some(condition) = condition {
            keywords.push(Keyword::If {
                condition,
                then,
                otherwise,
            });
        }
        let dependent = self.map(compiler, "dependentSchemas")?;
        if !dependent.is_empty() {
            keywords.push(Keyword::DependentSchemas(owned(dependent).collect()));
        }
        self.members(compiler, keywords)?;
        keywords.extend(self.one(compiler, "propertyNames").map(Keyword::PropertyNames));
        self.items(compiler, keywords)?;
        keywords.extend(
            self.one(compiler, "unevaluatedItems")
                .map(Keyword::UnevaluatedItems),
        );
        let properties = self.one(compiler, "unevaluatedProperties");
        keywords.extend(properties.map(Keyword::UnevaluatedProperties));
        Ok(())
    }

    fn members(&self, compiler: &mut Compiler<'s>, keywords: &mut Vec<Keyword>) -> Result<(), SchemaError> {
        let named: HashMap<String, NodeId> = owned(self.map(compiler, "properties")?).collect();
        let mut matching = Vec::new();
        for (source, node) in self.map(compiler, "patternProperties")? {
            let at = format!("{}/{}", self.at("patternProperties"), escape_token(source));
            matching.push((compiler.regex(&at, source)?, node));
        }
        let others = self.one(compiler, "additionalProperties");
        if !named.is_empty() || !matching.is_empty() || others.is_some() {
            keywords.push(Keyword::Members {
                named,
                matching,
                others,
            });
        }
        Ok(())
    }

    fn items(&self, compiler: &mut Compiler<'s>, keywords: &mut Vec<Keyword>) -> Result<(), SchemaError> {
        let prefix = match self.object.get("prefixItems") {
            Some(value) => compiler.nodes_in_list(&self.at("prefixItems"), value)?,
            None => Vec::new(),
        };
        let rest = self.one(compiler, "items");
        if !prefix.is_empty() || rest.is_some() {
            keywords.push(Keyword::Items { prefix, rest });
        }
        if let Some(node) = self.one(compiler, "contains") {
            let bound = |name: &str| match self.object.contains_key(name) {
                true => self.count(name).map(Some),
                false => Ok(None),
            };
            keywords.push(Keyword::Contains {
                node,
                min: bound("minContains")?.unwrap_or(1),
                max: bound("maxContains")?,
            });
        }
        Ok(())
    }

    /// The node of a keyword that holds one subschema.
    fn one(&self, compiler: &mut Compiler<'s>, keyword: &str) -> Option<NodeId> {
        let value = self.object.get(keyword)?;
        Some(compiler.node_at(self.at(keyword), value))
    }

    /// The nodes of a keyword that holds subschemas by name.
    fn map(&self, compiler: &mut Compiler<'s>, keyword: &str) -> Result<Vec<(&'s str, NodeId)>, SchemaError> {
        match self.object.get(keyword) {
            Some(value) => compiler.nodes_in_map(&self.at(keyword), value),
            None => Ok(Vec::new()),
        }
    }

    fn number(&self, keyword: &str) -> Result<Number, SchemaError> {
        match &self.object[keyword] {
            Value::Number(number) => Ok(number.clone()),
            _ => Err(self.fault(keyword, "a number")),
        }
    }

    fn count(&self, keyword: &str) -> Result<u64, SchemaError> {
        let number = self.number(keyword).ok();
        let count = number.and_then(|number| number::integer(&number));
        count
            .and_then(|count| u64::try_from(count).ok())
            .ok_or_else(|| self.fault(keyword, "a whole number of at least zero"))
    }

    fn types(&self, value: &Value) -> Result<Types, SchemaError> {
        const EXPECTED: &str = "\"null\", \"boolean\", \"integer\", \"number\", \"string\", \"array\" or \"object\", or a list of these";
        let named = |value: &Value| value.as_str().and_then(Types::named);
        let types = match value {
            Value::Array(list) if !list.is_empty() => {
                let each = list.iter().map(named);
                each.collect::<Option<Vec<Types>>>()
                    .map(|list| list.into_iter().fold(Types::default(), Types::with))
            }
            value => named(value),
        };
        types.ok_or_else(|| self.fault("type", EXPECTED))
    }

    fn one_of(&self, value: &Value) -> Result<OneOf, SchemaError> {
        let list = value.as_array();
        let list = list.ok_or_else(|| self.fault("enum", "a list of values"))?;
        let told: Vec<String> = list.iter().map(Value::to_string).collect();
        Ok(OneOf {
            allowed: list.iter().map(canonical).collect(),
            told: clip(&told.join(", ")),
        })
    }

    fn names(&self, keyword: &str, value: &Value) -> Result<Vec<String>, SchemaError> {
        let list = value.as_array().and_then(|list| {
            let names = list.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect::<Option<Vec<String>>>()
        });
        list.ok_or_else(|| self.fault(keyword, "a list of names"))
    }
}

fn owned(nodes: Vec<(&str, NodeId)>) -> impl Iterator<Item = (String, NodeId)> {
    nodes.into_iter().map(|(name, node)| (name.to_owned(), node))
}
