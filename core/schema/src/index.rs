//! The names in a schema: which part of it a reference means.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::error::SchemaError;
use crate::json::escape_token;
use crate::node::ResourceId;
use crate::uri;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What a keyword holds.
enum Holds {
    One,
    List,
    Map,
}

/// The keywords that hold subschemas.
fn subschemas_in(keyword: &str) -> Option<Holds> {
    match keyword {
        "additionalProperties"
        | "propertyNames"
        | "items"
        | "contains"
        | "not"
        | "if"
        | "then"
        | "else"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Some(Holds::One),
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Some(Holds::List),
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Some(Holds::Map),
        _ => None,
    }
}

/// All names of one schema.
pub(crate) struct Index<'s> {
    root: &'s Value,
    /// By URI; the root is 0.
    resources: HashMap<String, ResourceId>,
    uris: Vec<String>,
    pointers: Vec<String>,
    /// Where the anchors are.
    anchors: HashMap<(ResourceId, String), Anchor>,
    /// Which resource a subschema is in, by its pointer.
    places: BTreeMap<String, ResourceId>,
}

struct Anchor {
    pointer: String,
    dynamic: bool,
}

/// What a reference means.
pub(crate) struct Target<'s> {
    pub pointer: String,
    pub value: &'s Value,
    /// The dynamic anchor by which it was named.
    pub dynamic: Option<String>,
}

impl<'s> Index<'s> {
    /// Reads all names in `root`.
    pub fn new(root: &'s Value) -> Result<Index<'s>, SchemaError> {
        let mut index = Index {
            root,
            resources: HashMap::from([(String::new(), 0)]),
            uris: vec![String::new()],
            pointers: vec![String::new()],
            anchors: HashMap::new(),
            places: BTreeMap::new(),
        };
        index.walk(root, String::new(), 0)?;
        Ok(index)
    }

    fn walk(&mut self, schema: &'s Value, pointer: String, outer: ResourceId) -> Result<(), SchemaError> {
        let mut resource = outer;
        let Some(keywords) = schema.as_object() else {
            self.places.insert(pointer, resource);
            return Ok(());
        };
        if let Some(id) = keywords.get("$id") {
            let at = || format!("{pointer}/$id");
            let id = text(id, at, "a URI reference without a fragment")?;
            let (id, fragment) = uri::split_fragment(id);
            if fragment.is_some_and(|fragment| !fragment.is_empty()) {
                return Err(SchemaError::Keyword {
                    at: at(),
                    expected: "a URI reference without a fragment",
                });
            }
            resource = self.begin_resource(uri::resolve(&self.uris[outer], id), &pointer, at)?;
        }
        if let Some(dialect) = keywords.get("$schema") {
            let known = dialect
                .as_str()
                .is_some_and(|uri| uri.strip_suffix('#').unwrap_or(uri) == DIALECT);
            if !known {
                let at = format!("{pointer}/$schema");
                return Err(SchemaError::Dialect { at });
            }
        }
        for (keyword, dynamic) in [("$anchor", false), ("$dynamicAnchor", true)] {
            let Some(name) = keywords.get(keyword) else {
                continue;
            };
            let at = || format!("{pointer}/{keyword}");
            let name = text(name, at, "a name")?;
            let anchor = Anchor {
                pointer: pointer.clone(),
                dynamic,
            };
            let key = (resource, name.to_owned());
            match self.anchors.get_mut(&key) {
                Some(known) if known.pointer == pointer => known.dynamic |= dynamic,
                Some(_) => {
                    return Err(SchemaError::Name {
                        at: at(),
                        name: name.to_owned(),
                    });
                }
                None => {
                    self.anchors.insert(key, anchor);
                }
            }
        }
        for (keyword, value) in keywords {
            let pointer = || format!("{pointer}/{}", escape_token(keyword));
            match (subschemas_in(keyword), value) {
                (Some(Holds::One), value) => self.walk(value, pointer(), resource)?,
                (Some(Holds::List), Value::Array(list)) => {
                    for (at, value) in list.iter().enumerate() {
                        self.walk(value, format!("{}/{at}", pointer()), resource)?;
                    }
                }
                (Some(Holds::Map), Value::Object(map)) => {
                    for (name, value) in map {
                        self.walk(value, format!("{}/{}", pointer(), escape_token(name)), resource)?;
                    }
                }
                _ => {}
            }
        }
        self.places.insert(pointer, resource);
        Ok(())
    }

    fn begin_resource(
        &mut self,
        uri: String,
        pointer: &str,
        at: impl Fn() -> String,
    ) -> Result<ResourceId, SchemaError> {
        if pointer.is_empty() {
            // The root is named by its place already.
            self.uris[0].clone_from(&uri);
            self.resources.insert(uri, 0);
            return Ok(0);
        }
        let id = self.uris.len();
        if self.resources.insert(uri.clone(), id).is_some() {
            return Err(SchemaError::Name { at: at(), name: uri });
        }
        self.uris.push(uri);
        self.pointers.push(pointer.to_owned());
        Ok(id)
    }

    /// The resource that the part of the schema at `pointer` is in.
    pub fn resource_at(&self, pointer: &str) -> ResourceId {
        let mut place = pointer;
        loop {
            if let Some(resource) = self.places.get(place) {
                return *resource;
            }
            // Not where subschemas are: what encloses it decides.
            match place.rfind('/') {
                Some(end) => place = &place[..end],
                None => return 0,
            }
        }
    }

    /// What `reference` means in `resource`.
    pub fn target(&self, resource: ResourceId, reference: &str) -> Option<Target<'s>> {
        let absolute = uri::resolve(&self.uris[resource], reference);
        let (uri, fragment) = uri::split_fragment(&absolute);
        let resource = *self.resources.get(uri)?;
        let fragment = uri::percent_decode(fragment.unwrap_or(""))?;
        let mut dynamic = None;
        let pointer = if fragment.is_empty() || fragment.starts_with('/') {
            format!("{}{fragment}", self.pointers[resource])
        } else {
            let anchor = self.anchors.get(&(resource, fragment.clone()))?;
            dynamic = anchor.dynamic.then_some(fragment);
            anchor.pointer.clone()
        };
        let value = self.root.pointer(&pointer)?;
        Some(Target {
            pointer,
            value,
            dynamic,
        })
    }

    /// Where the dynamic anchors are.
    pub fn dynamic_anchors(&self) -> impl Iterator<Item = (ResourceId, &str, &str)> {
        self.anchors
            .iter()
            .filter(|(_, anchor)| anchor.dynamic)
            .map(|((resource, name), anchor)| (*resource, name.as_str(), anchor.pointer.as_str()))
    }

    /// The part of the schema at `pointer`.
    pub fn value_at(&self, pointer: &str) -> Option<&'s Value> {
        self.root.pointer(pointer)
    }
}

/// `value`, which must be a string.
fn text<'v>(
    value: &'v Value,
    at: impl Fn() -> String,
    expected: &'static str,
) -> Result<&'v str, SchemaError> {
    value
        .as_str()
        .ok_or_else(|| SchemaError::Keyword { at: at(), expected })
}
