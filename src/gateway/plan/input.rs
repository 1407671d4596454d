//! What a fetch of entities needs of the objects that it completes: a representation of each.

use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};
use hive_router_query_planner::planner::plan_nodes::{FetchNodePathSegment, FetchRewrite};

use super::layout::{Layout, PositionId, Slot};
use super::shape::types_named;
use crate::gateway::plant;
use crate::gateway::schema::{ApiSchema, TypeId};

/// The part of an object that goes into a representation.
#[derive(Debug, Default)]
pub struct Input {
    pub items: Vec<InputItem>,
    /// The type that the schema has for it, where it is a part of another object's.
    pub declared: Option<TypeId>,
    /// What the subgraph calls the object's type (`@interfaceObject`).
    pub retyped: Vec<(Option<Vec<TypeId>>, TypeId)>,
    /// Nothing but `__typename` is a key as well.
    pub is_typename_alone: bool,
}

#[derive(Debug)]
pub enum InputItem {
    Field {
        /// `"key":`, as it is written.
        key: Box<str>,
        /// Where the value may stand, the first place that has one counts.
        slots: Vec<Slot>,
        /// For objects, what of them.
        below: Option<Input>,
    },
    /// For objects of these types only.
    Fragment { types: Vec<TypeId>, items: Vec<InputItem> },
}

impl Input {
    /// For each field of the object itself the slots where its value may stand.
    pub fn fields(&self) -> impl Iterator<Item = &[Slot]> {
        let mut open: Vec<&[InputItem]> = vec![&self.items];
        std::iter::from_fn(move || {
            loop {
                let items = open.pop()?;
                let Some((first, rest)) = items.split_first() else { continue };
                open.push(rest);
                match first {
                    InputItem::Field { slots, .. } => return Some(&**slots),
                    InputItem::Fragment { items, .. } => open.push(items),
                }
            }
        })
    }

    /// Of objects at `position`.
    pub fn new(
        schema: &ApiSchema,
        layout: &mut Layout,
        (position, requires): (PositionId, &SelectionSet),
        rewrites: &[FetchRewrite],
    ) -> Self {
        Self::within(schema, layout, (position, None, requires), rewrites)
    }

    fn within(
        schema: &ApiSchema,
        layout: &mut Layout,
        (position, declared, requires): (PositionId, Option<TypeId>, &SelectionSet),
        rewrites: &[FetchRewrite],
    ) -> Self {
        let rewrites = if plant::is_out("gateway::input-rewrite") { &[] } else { rewrites };
        let mut items = Vec::new();
        collect(schema, layout, (position, declared, &requires.items), rewrites, &mut items);
        let retyped = rewrites.iter().filter_map(|rewrite| {
            let FetchRewrite::ValueSetter(setter) = rewrite else { return None };
            let to = schema.id(&setter.set_value_to)?;
            match setter.path.as_slice() {
                [FetchNodePathSegment::TypenameEquals(names), FetchNodePathSegment::Key(key)] => {
                    (key == "__typename").then(|| (Some(types_named(schema, names)), to))
                }
                [FetchNodePathSegment::Key(key)] => (key == "__typename").then_some((None, to)),
                _ => None,
            }
        });
        let is_typename_alone = matches!(requires.items.as_slice(),
            [SelectionItem::Field(field)] if field.name == "__typename")
            || requires.items.iter().all(|item| {
                matches!(item, SelectionItem::InlineFragment(fragment)
                    if matches!(fragment.selections.items.as_slice(),
                        [SelectionItem::Field(field)] if field.name == "__typename"))
            });
        Self { retyped: retyped.collect(), items, declared, is_typename_alone }
    }
}

fn collect(
    schema: &ApiSchema,
    layout: &mut Layout,
    (position, parent, selected): (PositionId, Option<TypeId>, &[SelectionItem]),
    rewrites: &[FetchRewrite],
    items: &mut Vec<InputItem>,
) {
    for item in selected {
        match item {
            SelectionItem::Field(field) if field.selection_identifier() == "__typename" => {}
            SelectionItem::Field(field) => {
                items.push(input_field(schema, layout, (position, parent, field), rewrites));
            }
            SelectionItem::InlineFragment(fragment) => {
                let mut within = Vec::new();
                let on = schema.id(&fragment.type_condition);
                let selected = (position, on.or(parent), fragment.selections.items.as_slice());
                collect(schema, layout, selected, rewrites, &mut within);
                let types = on.map(|condition| {
                    // An object of an interface's name is one of each of its types, and the other way round.
                    let mut types = schema.possible(condition).to_vec();
                    types.push(condition);
                    types.extend(schema.abstract_of(condition));
                    types
                });
                items.push(InputItem::Fragment { types: types.unwrap_or_default(), items: within });
            }
            SelectionItem::FragmentSpread(_) => {}
        }
    }
}

fn input_field(
    schema: &ApiSchema,
    layout: &mut Layout,
    (position, parent, field): (PositionId, Option<TypeId>, &FieldSelection),
    rewrites: &[FetchRewrite],
) -> InputItem {
    let key = field.selection_identifier();
    let renamed = rewrites.iter().filter_map(|rewrite| match rewrite {
        FetchRewrite::KeyRenamer(renamer) if renamer.rename_key_to == key => match renamer.path.as_slice() {
            [.., FetchNodePathSegment::Key(from)] => Some(from.as_str()),
            _ => None,
        },
        _ => None,
    });
    let names: Vec<&str> = renamed.chain([field.name.as_str(), key]).collect();
    let mut slots: Vec<Slot> = names.into_iter().filter_map(|name| layout.find(position, name)).collect();
    if slots.is_empty() {
        slots.push(layout.slot(position, key));
    }
    slots.iter().for_each(|slot| layout.note_told(position, *slot));
    let below = (!field.selections.items.is_empty()).then(|| {
        let child = slots.iter().find_map(|slot| layout.child(position, *slot));
        let child = child.unwrap_or_else(|| layout.descend(position, slots[0]));
        let declared = parent.and_then(|parent| schema.field(parent, &field.name)).map(|field| field.named);
        Input::within(schema, layout, (child, declared, &field.selections), &[])
    });
    InputItem::Field { key: format!("\"{key}\":").into(), slots, below }
}
