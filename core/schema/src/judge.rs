//! Judges a value by a compiled schema.

mod arrays;
mod objects;
mod scalars;

use serde_json::Value;

use crate::compile::Compiled;
use crate::json::escape_token;
use crate::message::clip_to;
use crate::node::{Keyword, NodeId, ResourceId};
use crate::seen::Seen;
use crate::steps::{Steps, UsedUp};
use crate::violation::{Violation, Violations};

const MAX_PATH_BYTES: usize = 1024;
/// How deep subschemas may apply one another, to a value and its parts. A level takes about two kilobytes of stack.
const MAX_DEPTH: usize = 512;
/// Steps for noting that a member or an item has been looked at.
const NOTE: u64 = 8;

/// What of the schema `value` violates.
pub(crate) fn judge(compiled: &Compiled, value: &Value, steps: &mut Steps) -> Violations {
    let mut judge = Judge {
        compiled,
        steps,
        scope: Vec::new(),
        depth: 0,
        silent: 0,
        violations: Violations::default(),
    };
    match judge.apply(0, value, &Path::Root, None) {
        Ok(valid) => {
            assert_eq!(valid, judge.violations.is_empty(), "each refusal is told");
            judge.violations
        }
        Err(Stop::UsedUp) => Violations::of_whole(
            "takes too many steps to judge by the schema; make the value smaller, or the schema simpler"
                .to_owned(),
        ),
        Err(Stop::TooDeep) => Violations::of_whole(format!(
            "is nested too deeply for the schema, whose subschemas would apply one another {MAX_DEPTH} times in a row"
        )),
    }
}

/// Why there is no judgement.
enum Stop {
    UsedUp,
    TooDeep,
}

impl From<UsedUp> for Stop {
    fn from(_: UsedUp) -> Stop {
        Stop::UsedUp
    }
}

/// Where in the value, from the innermost token outwards.
enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn pointer(&self) -> String {
        let mut tokens = Vec::new();
        let mut path = self;
        loop {
            path = match path {
                Path::Root => break,
                Path::Member(outer, name) => {
                    tokens.push(escape_token(&clip_to(name, MAX_PATH_BYTES)));
                    outer
                }
                Path::Item(outer, at) => {
                    tokens.push(at.to_string());
                    outer
                }
            };
        }
        let pointer: String = tokens.iter().rev().flat_map(|token| ["/", token]).collect();
        clip_to(&pointer, MAX_PATH_BYTES)
    }
}

struct Judge<'s, 't> {
    compiled: &'s Compiled,
    steps: &'t mut Steps,
    /// The resources that have been entered and not left, for dynamic references.
    scope: Vec<ResourceId>,
    depth: usize,
    /// Above 0, what fails is no violation by itself: it is judged for another's sake.
    silent: usize,
    violations: Violations,
}

type Judgement = Result<bool, Stop>;

impl<'s> Judge<'s, '_> {
    /// Whether `value` meets the subschema `node`. If it does, what has been looked at is added to `seen`.
    fn apply<'v>(
        &mut self,
        node: NodeId,
        value: &'v Value,
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        self.steps.take(1)?;
        let node = &self.compiled.nodes[node];
        if node.keywords.is_empty() {
            return Ok(true);
        }
        if self.depth == MAX_DEPTH {
            return Err(Stop::TooDeep);
        }
        self.depth += 1;
        let enters = self.scope.last() != Some(&node.resource);
        if enters {
            self.scope.push(node.resource);
        }
        let mut own = (seen.is_some() || node.has_unevaluated).then(Seen::default);
        let mut valid = true;
        for keyword in &node.keywords {
            valid &= self.keyword(keyword, &node.pointer, value, path, own.as_mut())?;
            if !valid && self.silent > 0 {
                break;
            }
        }
        if enters {
            self.scope.pop();
        }
        self.depth -= 1;
        if let (true, Some(seen), Some(own)) = (valid, seen, own) {
            self.steps.take(NOTE * own.len() as u64)?;
            seen.merge(own);
        }
        Ok(valid)
    }

    /// As [`apply`](Judge::apply), but what fails is no violation.
    fn test<'v>(
        &mut self,
        node: NodeId,
        value: &'v Value,
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        self.silent += 1;
        let judgement = self.apply(node, value, path, seen);
        self.silent -= 1;
        judgement
    }

    fn keyword<'v>(
        &mut self,
        keyword: &'s Keyword,
        pointer: &str,
        value: &'v Value,
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        self.steps.take(1)?;
        match keyword {
            Keyword::AllOf(nodes) => self.all_of(nodes, value, path, seen),
            Keyword::AnyOf(nodes) => self.any_of(nodes, pointer, value, path, seen),
            Keyword::OneOf(nodes) => self.one_of(nodes, pointer, value, path, seen),
            Keyword::Not(node) => {
                let valid = !self.test(*node, value, path, None)?;
                Ok(valid || self.violates(path, pointer, "not", || "must not match this schema".to_owned()))
            }
            Keyword::If {
                condition,
                then,
                otherwise,
            } => self.conditional(*condition, *then, *otherwise, value, path, seen),
            Keyword::DependentSchemas(nodes) => self.dependent_schemas(nodes, value, path, seen),
            Keyword::Ref(node) => self.apply(*node, value, path, seen),
            Keyword::DynamicRef { fallback, anchor } => {
                self.steps.take(self.scope.len() as u64)?;
                let dynamic = &self.compiled.dynamic;
                let mut scope = self.scope.iter();
                let outermost = scope.find_map(|resource| dynamic.get(&(*resource, anchor.clone())));
                self.apply(*outermost.unwrap_or(fallback), value, path, seen)
            }
            Keyword::Members { .. }
            | Keyword::PropertyNames(_)
            | Keyword::UnevaluatedProperties(_)
            | Keyword::Required(_)
            | Keyword::DependentRequired(_)
            | Keyword::MinProperties(_)
            | Keyword::MaxProperties(_) => match value {
                Value::Object(members) => self.object(keyword, pointer, members, path, seen),
                _ => Ok(true),
            },
            Keyword::Items { .. }
            | Keyword::Contains { .. }
            | Keyword::UnevaluatedItems(_)
            | Keyword::UniqueItems
            | Keyword::MinItems(_)
            | Keyword::MaxItems(_) => match value {
                Value::Array(items) => self.array(keyword, pointer, items, path, seen),
                _ => Ok(true),
            },
            _ => self.scalar(keyword, pointer, value, path),
        }
    }

    fn all_of<'v>(
        &mut self,
        nodes: &[NodeId],
        value: &'v Value,
        path: &Path<'_>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let mut valid = true;
        for node in nodes {
            valid &= self.apply(*node, value, path, seen.as_deref_mut())?;
            if !valid && self.silent > 0 {
                break;
            }
        }
        Ok(valid)
    }

    fn any_of<'v>(
        &mut self,
        nodes: &[NodeId],
        pointer: &str,
        value: &'v Value,
        path: &Path<'_>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let mut valid = false;
        for node in nodes {
            valid |= self.test(*node, value, path, seen.as_deref_mut())?;
            // All that match count for what has been seen.
            if valid && seen.is_none() {
                break;
            }
        }
        let told = || format!("matches none of the {} alternatives", nodes.len());
        Ok(valid || self.violates(path, pointer, "anyOf", told))
    }

    fn one_of<'v>(
        &mut self,
        nodes: &[NodeId],
        pointer: &str,
        value: &'v Value,
        path: &Path<'_>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let mut matched = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            if self.test(*node, value, path, seen.as_deref_mut())? {
                matched.push(at);
            }
            if matched.len() == 2 {
                break;
            }
        }
        let told = || match matched[..] {
            [first, second] => {
                format!("must match exactly one alternative, but matches {first} and {second}")
            }
            _ => format!("matches none of the {} alternatives", nodes.len()),
        };
        Ok(matched.len() == 1 || self.violates(path, pointer, "oneOf", told))
    }

    fn conditional<'v>(
        &mut self,
        condition: NodeId,
        then: Option<NodeId>,
        otherwise: Option<NodeId>,
        value: &'v Value,
        path: &Path<'_>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let branch = match self.test(condition, value, path, seen.as_deref_mut())? {
            true => then,
            false => otherwise,
        };
        match branch {
            Some(node) => self.apply(node, value, path, seen),
            None => Ok(true),
        }
    }

    fn dependent_schemas<'v>(
        &mut self,
        nodes: &[(String, NodeId)],
        value: &'v Value,
        path: &Path<'_>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let mut valid = true;
        for (name, node) in nodes {
            self.steps.take(1)?;
            if value.get(name.as_str()).is_some() {
                valid &= self.apply(*node, value, path, seen.as_deref_mut())?;
            }
        }
        Ok(valid)
    }

    /// Notes a violation, unless it is none by itself; always false. `keyword` may lead on to a part of it.
    fn violates(
        &mut self,
        path: &Path<'_>,
        pointer: &str,
        keyword: &str,
        message: impl FnOnce() -> String,
    ) -> bool {
        if self.silent == 0 {
            self.violations.add(|| Violation {
                path: path.pointer(),
                message: message(),
                schema_path: if keyword.is_empty() {
                    pointer.to_owned()
                } else {
                    format!("{pointer}/{keyword}")
                },
            });
        }
        false
    }
}
