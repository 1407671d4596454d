//! Values that have one place and are not the same: a plan that asks for two such is refused, because whoever reads the
//! place would get one of them for the other.
//!
//! The planner's library makes such plans where a client asks for a field that a subgraph requires with other arguments,
//! under a condition or below a fragment. Elsewhere it gives one of them a name of its own, and forgets to say where that
//! is needed.

use std::collections::HashMap;

use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};

use super::layout::{Layout, PositionId, Slot};
use crate::gateway::plant;
use crate::gateway::schema::{ApiSchema, TypeId};

/// What has been asked for so far, by the slot that it goes to.
#[derive(Default)]
pub struct Asked {
    slots: HashMap<(PositionId, Slot), Vec<Field>>,
    /// The key of a slot that would have to hold two values.
    collision: Option<String>,
}

/// What begins the names that the planner makes up.
const MADE_UP: &str = "_internal_qp_alias_";

struct Field {
    on: Option<TypeId>,
    /// Without what is selected of it.
    field: FieldSelection,
}

impl Field {
    fn is(&self, other: &FieldSelection) -> bool {
        let has_none = |field: &FieldSelection| {
            field.arguments.as_ref().is_none_or(|given| given.into_iter().next().is_none())
        };
        let same = self.field.arguments == other.arguments;
        self.field.name == other.name && (same || (has_none(&self.field) && has_none(other)))
    }
}

impl Asked {
    /// Notes that `field` of objects of type `on`, or of any type, goes to a slot.
    pub fn note(
        &mut self,
        schema: &ApiSchema,
        place: (PositionId, Slot),
        (on, field): (Option<TypeId>, &FieldSelection),
    ) {
        let known = self.slots.entry(place).or_default();
        if known.iter().any(|known| !known.is(field) && overlap(schema, known.on, on)) {
            self.collision.get_or_insert_with(|| field.selection_identifier().to_owned());
        } else if !known.iter().any(|known| known.on == on) {
            let field = field.with_new_selections(SelectionSet::default());
            known.push(Field { on, field });
        }
    }

    /// Whether anything that has been asked for goes to a slot.
    pub fn is_brought(&self, position: PositionId, slot: Slot) -> bool {
        self.slots.contains_key(&(position, slot))
    }

    /// The name of a field that the plan has asked for twice and cannot tell apart. `is_clients` says whether a client has
    /// asked for a key itself.
    pub fn collision(&self, layout: &Layout, is_clients: impl Fn(&str) -> bool) -> Option<&str> {
        if self.collision.is_some() {
            return self.collision.as_deref();
        }
        // Whoever compares an engine without its renamings wants the answer, and not a refusal.
        if plant::is_out("gateway::output-rewrite") || plant::is_out("gateway::input-rewrite") {
            return None;
        }
        let is_told = |(position, slot): &(PositionId, Slot)| layout.is_told(*position, *slot);
        let forgotten = self.slots.iter().find(|(place, known)| {
            let key = layout.key(place.0, place.1);
            let is_same =
                |other: &[Field]| known.iter().any(|field| other.iter().any(|o| o.is(&field.field)));
            let mut beside = self.slots.iter().filter(|(other, _)| other.0 == place.0 && is_told(other));
            key.starts_with(MADE_UP)
                && !is_told(place)
                && !is_clients(key)
                && !beside
                    .any(|(other, known)| layout.key(other.0, other.1).starts_with(MADE_UP) && is_same(known))
        });
        forgotten.and_then(|(_, known)| known.first()).map(|known| known.field.name.as_str())
    }
}

/// Whether an object can be of both types.
fn overlap(schema: &ApiSchema, one: Option<TypeId>, other: Option<TypeId>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    let is_either = |id: TypeId, of: TypeId| id == of || schema.possible(of).binary_search(&id).is_ok();
    is_either(one, other)
        || is_either(other, one)
        || schema.possible(one).iter().any(|id| schema.possible(other).binary_search(id).is_ok())
}

#[cfg(test)]
mod tests {
    use hive_router_query_planner::ast::selection_item::SelectionItem;
    use hive_router_query_planner::utils::cancellation::CancellationToken;

    use super::*;
    use crate::gateway::overrides::Overrides;
    use crate::gateway::plan::normal::normalize;
    use crate::gateway::plan::{UNANSWERABLE, make};
    use crate::gateway::supergraph::Supergraph;
    use crate::gateway::testing::{ZOO, document};

    /// One value of each object in one place: the same field, or other types.
    #[test]
    fn other_arguments_collide_where_types_meet() {
        let zoo = Supergraph::parse(ZOO).unwrap();
        let schema = &zoo.schema;
        let collides = |fields: &[(Option<&str>, &str)]| {
            let (mut asked, mut layout) = (Asked::default(), Layout::default());
            let place = (Layout::ROOT, layout.slot(Layout::ROOT, "key"));
            for (on, text) in fields {
                let document = document(text);
                let Some(SelectionItem::Field(field)) = document.operation.selection_set.items.first() else {
                    panic!("{text} is no field")
                };
                asked.note(schema, place, (on.and_then(|name| schema.id(name)), field));
            }
            asked.collision(&layout, |_| false).map(str::to_owned)
        };
        let (plain, pounds) = ("{ price }", "{ price(currency: \"GBP\") }");
        assert_eq!(collides(&[(None, plain), (None, plain), (Some("Cat"), plain)]), None);
        assert_eq!(collides(&[(None, pounds), (None, pounds)]), None);
        assert_eq!(collides(&[(Some("Cat"), plain), (Some("Dog"), pounds)]), None);
        for (one, other) in [
            (None, None),
            (None, Some("Cat")),
            (Some("Animal"), Some("Cat")),
            (Some("Cat"), Some("Animal")),
            (Some("Animal"), Some("Kept")),
        ] {
            let collision = collides(&[(one, plain), (Some("Ghost"), plain), (other, pounds)]);
            assert_eq!(collision.as_deref(), Some("price"), "{one:?} {other:?}");
        }
        let renamed = collides(&[(None, "{ key: cost }"), (None, "{ key: price }")]);
        assert_eq!(renamed.as_deref(), Some("key"));
    }

    /// What the planner's library is known to make of operations whose conditions are left to it, and of a way through
    /// `@interfaceObject`. If one of these has a plan, it makes that better now: look what comes of it.
    #[test]
    fn a_plan_that_cannot_be_right_is_refused() {
        let requires = include_str!("../../../tests/federation/requires.graphql");
        let interface_object = include_str!("../../../tests/federation/interfaceobject.graphql");
        let other = "`other: price`";
        for (supergraph, operation, said) in [
            (requires, "query($v: Boolean!) { products { price @skip(if: $v) cost } }", other),
            (
                requires,
                "query($v: Boolean!, $w: Boolean!) { products { weight ... on Product @skip(if: $v) { \
                 volume @include(if: $w) cost price } } products { price } }",
                other,
            ),
            (interface_object, "{ media { id reviews { about { ... on Book { score } } } } }", UNANSWERABLE),
        ] {
            let (supergraph, token) = (Supergraph::parse(supergraph).unwrap(), CancellationToken::new());
            let normal = normalize(&supergraph, (operation, None, &[]), 1000, &token).unwrap();
            let made = make(&supergraph, normal, Overrides::default().context(), &token);
            let refusal = made.err().unwrap_or_else(|| panic!("{operation} has a plan"));
            assert!(refusal.0[0].message.contains(said), "{operation}: {}", refusal.0[0].message);
        }
    }
}
