//! The fields of an object by their response keys, collected of all that is selected of it (GraphQL specification, section
//! 6.3.2): here for every outcome of conditions at once.

use std::collections::HashMap;
use std::sync::Arc;

use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};

use super::Condition;
use crate::gateway::plan::guarding::is_marked;
use crate::gateway::schema::{ApiSchema, TypeId};

/// What is selected of a thing, shared by all who select it.
pub type Asked = Arc<[Item]>;

#[derive(Debug)]
pub enum Item {
    Field(Arc<AskedField>),
    Fragment { on: Option<TypeId>, condition: Condition, items: Asked },
}

#[derive(Debug)]
pub struct AskedField {
    pub key: Box<str>,
    pub name: Box<str>,
    /// Whether the caller is refused it.
    pub is_refused: bool,
    pub condition: Condition,
    pub below: Asked,
    /// All of it, if it is `__schema` or `__type`.
    pub introspection: Option<FieldSelection>,
}

/// What is selected below a key.
pub fn select<'a>(set: &'a Asked, key: &str, below: &mut Vec<&'a Asked>) {
    for item in set.iter() {
        match item {
            Item::Field(field) if &*field.key == key => below.push(&field.below),
            Item::Fragment { items, .. } => select(items, key, below),
            Item::Field(_) => {}
        }
    }
}

pub fn asked(schema: &ApiSchema, set: SelectionSet) -> Asked {
    let items = set.items.into_iter().filter_map(|item| match item {
        SelectionItem::Field(field) if field.omit_from_response => None,
        SelectionItem::Field(mut field) => {
            let is_introspection = ["__schema", "__type"].contains(&field.name.as_str());
            let below = if is_introspection {
                SelectionSet::default()
            } else {
                std::mem::take(&mut field.selections)
            };
            Some(Item::Field(Arc::new(AskedField {
                key: field.selection_identifier().into(),
                name: field.name.as_str().into(),
                is_refused: is_marked(&field),
                condition: Condition::of(field.skip_if.as_ref(), field.include_if.as_ref()),
                below: asked(schema, below),
                introspection: is_introspection.then_some(field),
            })))
        }
        SelectionItem::InlineFragment(fragment) => Some(Item::Fragment {
            on: schema.id(&fragment.type_condition),
            condition: Condition::of(fragment.skip_if.as_ref(), fragment.include_if.as_ref()),
            items: asked(schema, fragment.selections),
        }),
        SelectionItem::FragmentSpread(_) => None,
    });
    items.collect()
}

/// Fields by their response keys.
#[derive(Default)]
pub struct Collected {
    pub fields: HashMap<String, Selected>,
    /// How many selections there were.
    count: usize,
}

/// All selections of one key.
#[derive(Default)]
pub struct Selected {
    pub fields: Vec<(Arc<AskedField>, Condition)>,
    pub places: Vec<Place>,
}

/// Where a key is shown if it is not shown further ahead.
pub struct Place {
    /// The number of its first selection.
    pub at: usize,
    last: usize,
    /// One of them holds; none if it is always shown.
    pub conditions: Vec<Condition>,
}

impl Selected {
    /// Whoever asks for a key under more conditions than anybody needs finds it at the last of so many places.
    const MOST: usize = 8;

    fn add(&mut self, at: usize, field: Arc<AskedField>, condition: Condition) {
        self.fields.push((field, condition.clone()));
        let count = self.places.len();
        let Some(last) = self.places.last_mut() else {
            let conditions = condition.into_alternatives();
            self.places.push(Place { at, last: at, conditions });
            return;
        };
        if last.conditions.is_empty() {
            return;
        }
        if last.last + 1 == at || count == Self::MOST {
            last.last = at;
            match condition.is_empty() {
                true => last.conditions.clear(),
                false => last.conditions.push(condition),
            }
            return;
        }
        self.places.push(Place { at, last: at, conditions: condition.into_alternatives() });
    }
}

impl Collected {
    pub fn collect(&mut self, schema: &ApiSchema, ty: TypeId, set: &Asked, condition: &Condition) {
        for item in set.iter() {
            match item {
                Item::Field(field) => {
                    let condition = condition.and(&field.condition);
                    let selected = self.fields.entry(field.key.to_string()).or_default();
                    selected.add(self.count, field.clone(), condition);
                    self.count += 1;
                }
                Item::Fragment { on, condition: own, items } => {
                    if on.is_some_and(|on| schema.satisfies(ty, on)) {
                        self.collect(schema, ty, items, &condition.and(own));
                    }
                }
            }
        }
    }
}
