//! A compiled schema: nodes that name each other by number.

use std::collections::{HashMap, HashSet};

use serde_json::Number;

use crate::number::Decimal;
use crate::regex::Regex;

/// The number of a node.
pub(crate) type NodeId = usize;
/// The number of a schema resource: what an `$id` begins.
pub(crate) type ResourceId = usize;

/// One subschema.
pub(crate) struct Node {
    /// Where it stands in the schema: a JSON Pointer.
    pub pointer: Box<str>,
    pub resource: ResourceId,
    /// What it demands; those that need to know what the others have looked at come last.
    pub keywords: Vec<Keyword>,
    /// Whether one of them does.
    pub has_unevaluated: bool,
}

/// One demand of a subschema, or several keywords that work together.
pub(crate) enum Keyword {
    /// The schema `false`.
    Never,
    Type(Types),
    Enum(OneOf),
    Const(OneOf),
    MultipleOf(Decimal, Number),
    Maximum(Number),
    ExclusiveMaximum(Number),
    Minimum(Number),
    ExclusiveMinimum(Number),
    MaxLength(u64),
    MinLength(u64),
    Pattern(Regex),
    MaxItems(u64),
    MinItems(u64),
    UniqueItems,
    MaxProperties(u64),
    MinProperties(u64),
    Required(Vec<String>),
    DependentRequired(Vec<(String, Vec<String>)>),
    AllOf(Vec<NodeId>),
    AnyOf(Vec<NodeId>),
    OneOf(Vec<NodeId>),
    Not(NodeId),
    If {
        condition: NodeId,
        then: Option<NodeId>,
        otherwise: Option<NodeId>,
    },
    DependentSchemas(Vec<(String, NodeId)>),
    Ref(NodeId),
    DynamicRef {
        /// Where it leads if no resource on the way has the anchor.
        fallback: NodeId,
        anchor: String,
    },
    /// `properties`, `patternProperties` and `additionalProperties`.
    Members {
        named: HashMap<String, NodeId>,
        matching: Vec<(Regex, NodeId)>,
        others: Option<NodeId>,
    },
    PropertyNames(NodeId),
    /// `prefixItems` and `items`.
    Items {
        prefix: Vec<NodeId>,
        rest: Option<NodeId>,
    },
    Contains {
        node: NodeId,
        min: u64,
        max: Option<u64>,
    },
    UnevaluatedItems(NodeId),
    UnevaluatedProperties(NodeId),
}

/// The values that `enum` or `const` allows.
pub(crate) struct OneOf {
    /// Canonical texts (`json::canonical`).
    pub allowed: HashSet<String>,
    /// The list as it is told.
    pub told: String,
}

/// A set of JSON's types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    pub const NAMES: [&str; 7] = [
        "null", "boolean", "integer", "number", "string", "array", "object",
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Types> {
        let at = Types::NAMES.iter().position(|known| *known == name)?;
        Some(Types(1 << at))
    }

    pub fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    pub fn meets(self, other: Types) -> bool {
        self.0 & other.0 != 0
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..Types::NAMES.len())
            .filter(move |at| self.0 >> at & 1 == 1)
            .map(|at| Types::NAMES[at])
    }
}

impl Keyword {
    /// The subschemas it applies to the same value, which a cycle of would never end. A dynamic reference may lead to
    /// any of `dynamic`, the nodes that have its anchor.
    pub fn in_place(&self, dynamic: &dyn Fn(&str) -> Vec<NodeId>) -> Vec<NodeId> {
        match self {
            Keyword::AllOf(nodes) | Keyword::AnyOf(nodes) | Keyword::OneOf(nodes) => nodes.clone(),
            Keyword::Not(node) | Keyword::Ref(node) => vec![*node],
            Keyword::If {
                condition,
                then,
                otherwise,
            } => [Some(*condition), *then, *otherwise]
                .into_iter()
                .flatten()
                .collect(),
            Keyword::DependentSchemas(nodes) => nodes.iter().map(|(_, node)| *node).collect(),
            Keyword::DynamicRef { fallback, anchor } => {
                let mut nodes = dynamic(anchor);
                nodes.push(*fallback);
                nodes.sort_unstable();
                nodes.dedup();
                nodes
            }
            _ => Vec::new(),
        }
    }
}
