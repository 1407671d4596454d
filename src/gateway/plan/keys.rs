//! Keys of entities: what has to stand in a representation, or its subgraph cannot know which entity is meant.

use std::collections::HashMap;

use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::state::supergraph_state::{SupergraphDefinition, SupergraphState};

use super::input::{Input, InputItem};
use super::layout::Slot;
use crate::gateway::compose::field_set::FieldSet;
use crate::gateway::schema::{ApiSchema, TypeId};

/// The keys of the types of each subgraph.
#[derive(Debug, Default)]
pub struct Keys(HashMap<String, HashMap<String, Vec<FieldSet>>>);

/// A key that a representation is to have.
#[derive(Debug)]
pub struct Key {
    /// Only objects of these types have it.
    pub types: Vec<TypeId>,
    pub parts: Vec<KeyPart>,
}

#[derive(Debug)]
pub struct KeyPart {
    /// What clients are told of it: its path, or nothing where they do not see it.
    pub shown: Option<Box<str>>,
    /// Where the value may stand, the first place that has one counts.
    pub slots: Vec<Slot>,
    /// For objects, what of them.
    pub below: Vec<KeyPart>,
    /// Its subgraphs may say null.
    pub may_be_null: bool,
}

impl Keys {
    pub fn new(supergraph: &SupergraphState) -> Self {
        let mut keys = Self::default();
        for (ty, definition) in &supergraph.definitions {
            for join in definition.join_types() {
                let set = join.key.as_deref().and_then(FieldSet::parse);
                let name = supergraph.resolve_graph_id(&join.graph_id).ok();
                if let (Some(set), Some(name)) = (set, name) {
                    keys.0.entry(name.0).or_default().entry(ty.clone()).or_default().push(set);
                }
            }
        }
        keys
    }

    /// Those of a subgraph that stand whole in what a step `requires`, which is `input`.
    pub fn within(
        &self,
        (schema, supergraph): (&ApiSchema, &SupergraphState),
        subgraph: &str,
        (requires, input): (&SelectionSet, &Input),
    ) -> Vec<Key> {
        let Some(own) = self.0.get(subgraph) else { return Vec::new() };
        let fragments = requires.items.iter().filter_map(|item| match item {
            SelectionItem::InlineFragment(fragment) => Some(fragment.type_condition.as_str()),
            SelectionItem::Field(_) | SelectionItem::FragmentSpread(_) => None,
        });
        let items = input.items.iter().filter_map(|item| match item {
            InputItem::Fragment { types, items } => Some((types, items)),
            InputItem::Field { .. } => None,
        });
        let mut keys = Vec::new();
        for (name, (types, items)) in fragments.zip(items) {
            // Where the subgraph knows the type as `@interfaceObject`, the keys are the interface's.
            let abstracts = schema.id(name).into_iter().flat_map(|id| schema.abstract_of(id));
            let names = std::iter::once(name).chain(abstracts.map(|id| &*schema.get(id).name));
            let Some((name, sets)) = names.into_iter().find_map(|name| Some((name, own.get(name)?))) else {
                continue;
            };
            let definition = supergraph.definitions.get(name);
            let parts = sets.iter().filter_map(|set| parts((schema, supergraph), definition, items, set, ""));
            keys.extend(parts.map(|parts| Key { types: types.clone(), parts }));
        }
        keys
    }
}

/// `None` if a part of the key is not among `items`.
fn parts(
    (schema, supergraph): (&ApiSchema, &SupergraphState),
    parent: Option<&SupergraphDefinition>,
    items: &[InputItem],
    set: &FieldSet,
    above: &str,
) -> Option<Vec<KeyPart>> {
    let fields = set.0.iter().filter(|(name, _)| *name != "__typename");
    let parts = fields.map(|(name, below)| {
        let written = format!("\"{name}\":");
        let (slots, input) = items.iter().find_map(|item| match item {
            InputItem::Field { key, slots, below } if **key == *written => Some((slots, below)),
            InputItem::Field { .. } | InputItem::Fragment { .. } => None,
        })?;
        let field = parent.and_then(|parent| parent.fields().get(name));
        let path = format!("{above}{name}");
        let is_shown = parent.and_then(|parent| schema.field(schema.id(parent.name())?, name)).is_some();
        let below = match input {
            Some(input) => {
                let ty = field.and_then(|field| supergraph.definitions.get(field.field_type.inner_type()));
                parts((schema, supergraph), ty, &input.items, below, &format!("{path}."))?
            }
            None => Vec::new(),
        };
        Some(KeyPart {
            shown: is_shown.then(|| path.into()),
            slots: slots.clone(),
            below,
            may_be_null: field.is_none_or(|field| !field.field_type.is_non_null()),
        })
    });
    parts.collect()
}
