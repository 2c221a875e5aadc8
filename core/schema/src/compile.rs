//! From a schema's JSON to its nodes.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::error::SchemaError;
use crate::index::Index;
use crate::json::escape_token;
use crate::keywords;
use crate::node::{Keyword, Node, NodeId, ResourceId};
use crate::regex::{MAX_REGEX_KIB, Regex, RegexError};
use crate::schema::{MAX_CHAIN, MAX_UNROLLED};

/// A schema as it is judged by. Node 0 is its root.
pub(crate) struct Compiled {
    pub nodes: Vec<Node>,
    /// The nodes that dynamic references may lead to, by resource and anchor.
    pub dynamic: HashMap<(ResourceId, String), NodeId>,
}

/// Compiles the schema `root`.
pub(crate) fn compile(root: &Value) -> Result<Compiled, SchemaError> {
    let index = Index::new(root)?;
    let mut compiler = Compiler {
        index,
        ids: HashMap::new(),
        pending: VecDeque::new(),
        regex_kib_left: MAX_REGEX_KIB,
    };
    compiler.node_at(String::new(), root);
    let mut dynamic = HashMap::new();
    let anchors: Vec<_> = compiler
        .index
        .dynamic_anchors()
        .map(|(resource, name, pointer)| (resource, name.to_owned(), pointer.to_owned()))
        .collect();
    for (resource, name, pointer) in anchors {
        if let Some(value) = compiler.index.value_at(&pointer) {
            dynamic.insert((resource, name), compiler.node_at(pointer, value));
        }
    }
    // What a keyword names for the first time goes to the end of the queue, in the order of the numbers.
    let mut nodes = Vec::new();
    while let Some((pointer, value)) = compiler.pending.pop_front() {
        nodes.push(keywords::compile(&mut compiler, pointer, value)?);
    }
    let compiled = Compiled { nodes, dynamic };
    check_cost(&compiled)?;
    Ok(compiled)
}

/// What compiling a keyword needs.
pub(crate) struct Compiler<'s> {
    pub index: Index<'s>,
    ids: HashMap<String, NodeId>,
    pending: VecDeque<(String, &'s Value)>,
    regex_kib_left: u64,
}

impl<'s> Compiler<'s> {
    /// The node of the subschema `value`, which stands at `pointer`.
    pub fn node_at(&mut self, pointer: String, value: &'s Value) -> NodeId {
        let next = self.ids.len();
        if let Some(id) = self.ids.get(&pointer) {
            return *id;
        }
        self.ids.insert(pointer.clone(), next);
        self.pending.push_back((pointer, value));
        next
    }

    /// The nodes of a list of subschemas, which stands at `pointer` and must not be empty.
    pub fn nodes_in_list(&mut self, pointer: &str, value: &'s Value) -> Result<Vec<NodeId>, SchemaError> {
        let list = value.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| SchemaError::Keyword {
            at: pointer.to_owned(),
            expected: "a list of at least one schema",
        })?;
        let nodes = list.iter().enumerate();
        Ok(nodes
            .map(|(at, value)| self.node_at(format!("{pointer}/{at}"), value))
            .collect())
    }

    /// The nodes of an object whose members are subschemas, and which stands at `pointer`.
    pub fn nodes_in_map(
        &mut self,
        pointer: &str,
        value: &'s Value,
    ) -> Result<Vec<(&'s str, NodeId)>, SchemaError> {
        let map = value.as_object().ok_or_else(|| SchemaError::Keyword {
            at: pointer.to_owned(),
            expected: "an object whose members are schemas",
        })?;
        Ok(map
            .iter()
            .map(|(name, value)| {
                let pointer = format!("{pointer}/{}", escape_token(name));
                (name.as_str(), self.node_at(pointer, value))
            })
            .collect())
    }

    /// The node that a reference which stands at `pointer` in `resource` leads to, and the dynamic anchor it names.
    pub fn target(
        &mut self,
        pointer: &str,
        resource: ResourceId,
        value: &Value,
    ) -> Result<(NodeId, Option<String>), SchemaError> {
        let reference = value.as_str().ok_or_else(|| SchemaError::Keyword {
            at: pointer.to_owned(),
            expected: "a URI reference",
        })?;
        let target = self.index.target(resource, reference);
        let target = target.ok_or_else(|| SchemaError::Reference {
            at: pointer.to_owned(),
            reference: reference.to_owned(),
        })?;
        Ok((self.node_at(target.pointer, target.value), target.dynamic))
    }

    /// Compiles a regular expression, which stands at `pointer`.
    pub fn regex(&mut self, pointer: &str, source: &str) -> Result<Regex, SchemaError> {
        let at = || pointer.to_owned();
        let regex = Regex::compile(source, self.regex_kib_left).map_err(|error| match error {
            RegexError::TooLarge => SchemaError::RegexTooLarge { at: at() },
            RegexError::Fault(fault) => SchemaError::Regex { at: at(), fault },
        })?;
        self.regex_kib_left = self.regex_kib_left.saturating_sub(regex.kib);
        Ok(regex)
    }
}

/// Refuses what would never end, and what grows out of bounds by being referred to again and again: both among the
/// subschemas that are applied to one and the same value. That the parts of a value are bounded is left to
/// [`Steps`](crate::Steps).
fn check_cost(compiled: &Compiled) -> Result<(), SchemaError> {
    let named = |anchor: &str| -> Vec<NodeId> {
        let named = compiled.dynamic.iter().filter(|((_, name), _)| name == anchor);
        named.map(|(_, node)| *node).collect()
    };
    let edges: Vec<Vec<NodeId>> = compiled
        .nodes
        .iter()
        .map(|node| {
            let keywords = node.keywords.iter();
            keywords.flat_map(|keyword| keyword.in_place(&named)).collect()
        })
        .collect();
    let at = |node: NodeId| compiled.nodes[node].pointer.to_string();

    let order = topological(&edges).map_err(|node| SchemaError::Endless { at: at(node) })?;
    let mut unrolled = vec![1_u64; edges.len()];
    let mut chain = vec![1_u64; edges.len()];
    for node in order.into_iter().rev() {
        for &applied in &edges[node] {
            unrolled[node] = unrolled[node].saturating_add(unrolled[applied]);
            chain[node] = chain[node].max(1 + chain[applied]);
        }
        if unrolled[node] > MAX_UNROLLED {
            return Err(SchemaError::TooComplex {
                at: at(node),
                count: unrolled[node],
            });
        }
        if chain[node] > MAX_CHAIN {
            return Err(SchemaError::LongChain {
                at: at(node),
                length: chain[node],
            });
        }
    }
    Ok(())
}

/// The nodes in an order in which every edge leads forward, or a node on a circle.
fn topological(edges: &[Vec<NodeId>]) -> Result<Vec<NodeId>, NodeId> {
    let mut entering = vec![0_usize; edges.len()];
    for &to in edges.iter().flatten() {
        entering[to] += 1;
    }
    let mut order: Vec<NodeId> = (0..edges.len()).filter(|node| entering[*node] == 0).collect();
    let mut at = 0;
    while let Some(&node) = order.get(at) {
        at += 1;
        for &to in &edges[node] {
            entering[to] -= 1;
            if entering[to] == 0 {
                order.push(to);
            }
        }
    }
    match (0..edges.len()).find(|node| entering[*node] > 0) {
        None => Ok(order),
        Some(node) => Err(on_circle(edges, &entering, node)),
    }
}

/// Each node that is left has one that is left before it: going back so often leads onto a circle.
fn on_circle(edges: &[Vec<NodeId>], entering: &[usize], mut node: NodeId) -> NodeId {
    let mut before = vec![None; edges.len()];
    for (from, to) in edges.iter().enumerate() {
        if entering[from] > 0 {
            for &to in to {
                before[to] = Some(from);
            }
        }
    }
    for _ in 0..edges.len() {
        node = before[node].unwrap_or(node);
    }
    node
}

/// A dynamic reference leads to its anchor only if it names one.
pub(crate) fn dynamic_ref((node, anchor): (NodeId, Option<String>)) -> Keyword {
    match anchor {
        Some(anchor) => Keyword::DynamicRef {
            fallback: node,
            anchor,
        },
        None => Keyword::Ref(node),
    }
}
