//! What a fetch brings, as it is read: for each key of the subgraph's answer the slot that it goes to.

use std::collections::{BTreeSet, HashMap};

use hive_router_query_planner::ast::document::Document;
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};
use hive_router_query_planner::planner::plan_nodes::{FetchNodePathSegment, FetchRewrite};

use super::collisions::Asked;
use super::layout::{Layout, PositionId, Slot};
use crate::gateway::plant;
use crate::gateway::schema::{ApiSchema, TypeId};

/// The objects that a fetch brings for one position.
#[derive(Debug)]
pub struct Shape {
    pub position: PositionId,
    pub fields: Vec<ShapeField>,
    /// By key, where there are too many fields to look through.
    index: Option<HashMap<Box<str>, usize>>,
    /// What the type of an object is called instead, once it is read.
    pub retyped: Vec<Retyped>,
    /// Several fetches bring objects for one of these slots: whoever shares them must not.
    pub is_contended: bool,
}

#[derive(Debug)]
pub struct ShapeField {
    pub key: Box<str>,
    pub slot: Slot,
    pub kind: FieldKind,
}

#[derive(Debug)]
pub enum FieldKind {
    Leaf,
    /// The name of the object's type, under its own key.
    Typename,
    Composite(Shape),
}

/// An object of one of `types`, or of any, is of type `to` for everybody but its subgraph: an interface there is an
/// object type (`@interfaceObject`).
#[derive(Debug)]
pub struct Retyped {
    pub types: Option<Vec<TypeId>>,
    pub to: TypeId,
}

/// Fields with this many siblings are found by hash.
const MANY: usize = 12;

impl Shape {
    /// Of a root operation, whose objects are at `position`.
    pub fn of_root(making: &mut Making<'_>, fetch: Fetched<'_>, position: PositionId) -> Self {
        let Fetched { document, rewrites } = fetch;
        making.shape(document, &[&document.operation.selection_set], position, &rewrites_at_top(rewrites))
    }

    /// Of the entities under `key`.
    pub fn of_entities(making: &mut Making<'_>, fetch: Fetched<'_>, key: &str, position: PositionId) -> Self {
        let Fetched { document, rewrites } = fetch;
        let entities = document.operation.selection_set.items.iter().filter_map(|item| match item {
            SelectionItem::Field(field) if field.selection_identifier() == key => Some(&field.selections),
            _ => None,
        });
        let sets: Vec<&SelectionSet> = entities.collect();
        making.shape(document, &sets, position, &rewrites_at_top(rewrites))
    }

    /// The field of a key; `expected` is the one that comes next if the subgraph keeps the order.
    pub fn field(&self, key: &str, expected: usize) -> Option<usize> {
        if self.fields.get(expected).is_some_and(|field| *field.key == *key) {
            return Some(expected);
        }
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.fields.iter().position(|field| *field.key == *key),
        }
    }

    /// Finds out which of its objects must not be shared, once all fetches have noted what they write.
    pub fn settle(&mut self, layout: &Layout) {
        for field in &mut self.fields {
            if let FieldKind::Composite(shape) = &mut field.kind {
                self.is_contended |= layout.is_contended(self.position, field.slot);
                shape.settle(layout);
            }
        }
    }
}

/// The types that are one of those named.
pub fn types_named(schema: &ApiSchema, names: &BTreeSet<String>) -> Vec<TypeId> {
    let mut types: Vec<TypeId> = names
        .iter()
        .filter_map(|name| schema.id(name))
        .flat_map(|id| schema.possible(id).iter().copied().chain([id]))
        .collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// What a fetch asks for, and what is to be changed in what it brings.
#[derive(Clone, Copy)]
pub struct Fetched<'a> {
    pub document: &'a Document,
    pub rewrites: &'a [FetchRewrite],
}

/// A rewrite that is on its way to its place: what is left of its path, below the types that it is for.
struct Pending<'a> {
    types: Option<&'a BTreeSet<String>>,
    path: &'a [FetchNodePathSegment],
    rewrite: &'a FetchRewrite,
}

impl<'a> Pending<'a> {
    fn new(path: &'a [FetchNodePathSegment], rewrite: &'a FetchRewrite) -> Self {
        match path {
            [FetchNodePathSegment::TypenameEquals(types), path @ ..] => {
                Self { types: Some(types), path, rewrite }
            }
            path => Self { types: None, path, rewrite },
        }
    }

    /// The key that it is for, if that is in this object itself.
    fn own_key(&self) -> Option<&'a str> {
        match self.path {
            [FetchNodePathSegment::Key(key)] => Some(key),
            _ => None,
        }
    }
}

fn rewrites_at_top(rewrites: &[FetchRewrite]) -> Vec<Pending<'_>> {
    let rewrites = if plant::is_out("gateway::output-rewrite") { &[] } else { rewrites };
    let pending = rewrites.iter().map(|rewrite| match rewrite {
        FetchRewrite::ValueSetter(setter) => Pending::new(&setter.path, rewrite),
        FetchRewrite::KeyRenamer(renamer) => Pending::new(&renamer.path, rewrite),
    });
    pending.collect()
}

/// Those rewrites that are for what is below `key`.
fn rewrites_below<'a>(pending: &[Pending<'a>], key: &str) -> Vec<Pending<'a>> {
    let below = pending.iter().filter_map(|pending| match pending.path {
        [FetchNodePathSegment::Key(first), rest @ ..] if first == key && !rest.is_empty() => {
            Some(Pending::new(rest, pending.rewrite))
        }
        _ => None,
    });
    below.collect()
}

/// What shapes are made with.
pub struct Making<'a> {
    pub schema: &'a ApiSchema,
    pub layout: &'a mut Layout,
    pub asked: &'a mut Asked,
}

impl Making<'_> {
    fn shape(
        &mut self,
        document: &Document,
        sets: &[&SelectionSet],
        position: PositionId,
        rewrites: &[Pending<'_>],
    ) -> Shape {
        let mut keys: Vec<Selected<'_>> = Vec::new();
        for set in sets {
            self.collect(document, (None, set), &mut keys);
        }
        let fields: Vec<ShapeField> = keys
            .into_iter()
            .map(|Selected { key, fields }| {
                // Keys that are renamed are made up by the planner, for one type each.
                let slot = self.layout.slot(position, renamed(rewrites, key).unwrap_or(key));
                for field in &fields {
                    self.asked.note(self.schema, (position, slot), *field);
                }
                let is_typename = fields.iter().any(|(_, field)| field.name == "__typename");
                let sets: Vec<&SelectionSet> = fields.iter().map(|(_, field)| &field.selections).collect();
                let kind = if sets.iter().all(|set| set.items.is_empty()) {
                    if is_typename { FieldKind::Typename } else { FieldKind::Leaf }
                } else {
                    let child = self.layout.descend(position, slot);
                    self.layout.note_writer(position, slot);
                    FieldKind::Composite(self.shape(document, &sets, child, &rewrites_below(rewrites, key)))
                };
                ShapeField { key: key.into(), slot, kind }
            })
            .collect();
        let index = (fields.len() > MANY)
            .then(|| fields.iter().enumerate().map(|(number, field)| (field.key.clone(), number)).collect());
        let retyped = rewrites.iter().filter_map(|rewrite| self.retyped(rewrite)).collect();
        Shape { position, fields, index, retyped, is_contended: false }
    }

    /// The fields of a selection set whatever the type, by their response keys.
    fn collect<'a>(
        &self,
        document: &'a Document,
        (on, set): (Option<TypeId>, &'a SelectionSet),
        keys: &mut Vec<Selected<'a>>,
    ) {
        for item in &set.items {
            match item {
                SelectionItem::Field(field) => {
                    let key = field.selection_identifier();
                    match keys.iter_mut().find(|known| known.key == key) {
                        Some(known) => known.fields.push((on, field)),
                        None => keys.push(Selected { key, fields: vec![(on, field)] }),
                    }
                }
                SelectionItem::InlineFragment(fragment) => {
                    let on = self.schema.id(&fragment.type_condition).or(on);
                    self.collect(document, (on, &fragment.selections), keys);
                }
                SelectionItem::FragmentSpread(name) => {
                    let fragment = document.fragments.iter().find(|fragment| fragment.name == *name);
                    if let Some(fragment) = fragment {
                        let on = self.schema.id(&fragment.type_condition).or(on);
                        self.collect(document, (on, &fragment.selection_set), keys);
                    }
                }
            }
        }
    }

    fn retyped(&self, pending: &Pending<'_>) -> Option<Retyped> {
        let FetchRewrite::ValueSetter(setter) = pending.rewrite else { return None };
        (pending.own_key() == Some("__typename")).then_some(())?;
        let types = pending.types.map(|names| types_named(self.schema, names));
        Some(Retyped { types, to: self.schema.id(&setter.set_value_to)? })
    }
}

fn renamed<'a>(rewrites: &[Pending<'a>], key: &str) -> Option<&'a str> {
    rewrites.iter().find_map(|pending| match pending.rewrite {
        FetchRewrite::KeyRenamer(renamer) if pending.own_key() == Some(key) => {
            Some(renamer.rename_key_to.as_str())
        }
        _ => None,
    })
}

/// A key of an answer with what is selected under it, of objects of which types.
struct Selected<'a> {
    key: &'a str,
    fields: Vec<(Option<TypeId>, &'a FieldSelection)>,
}
