//! Operations as the planner can take them: it has no plan where nothing is left of a selection, nor where a condition
//! stands at a fragment of a union or an interface.

use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, InlineFragmentSelection, SelectionSet};
use hive_router_query_planner::utils::cancellation::{CancellationError, CancellationToken};

use crate::gateway::schema::{ApiSchema, TypeId};

/// Rewrites selections, as long as there is time.
#[derive(Clone, Copy)]
pub struct Plannable<'a> {
    pub schema: &'a ApiSchema,
    pub cancellation: &'a CancellationToken,
}

impl Plannable<'_> {
    /// The same selection of objects of type `parent`, in another form where there is need of one.
    ///
    /// # Errors
    /// The time is over.
    pub fn set(self, parent: Option<TypeId>, set: &SelectionSet) -> Result<SelectionSet, CancellationError> {
        self.cancellation.bail_if_cancelled()?;
        let schema = self.schema;
        let mut items = Vec::with_capacity(set.items.len());
        for item in &set.items {
            match item {
                SelectionItem::Field(field) => {
                    let below = parent.and_then(|parent| schema.field(parent, &field.name));
                    let below = below.map(|field| field.named).filter(|named| schema.is_composite(*named));
                    if below.is_none() {
                        items.push(item.clone());
                        continue;
                    }
                    let selections = named(present(self.set(below, &field.selections)?));
                    items.push(SelectionItem::Field(FieldSelection { selections, ..field.clone() }));
                }
                SelectionItem::InlineFragment(fragment) => {
                    let on = schema.id(&fragment.type_condition);
                    let is_conditional = fragment.skip_if.is_some() || fragment.include_if.is_some();
                    match on.filter(|on| is_conditional && !schema.is_object(*on)) {
                        Some(on) => items.extend(self.for_each_type((parent, on), fragment)?),
                        None => {
                            let within = present(self.set(on, &fragment.selections)?);
                            items.push(SelectionItem::InlineFragment(fragment.with_new_selections(within)));
                        }
                    }
                }
                SelectionItem::FragmentSpread(_) => items.push(item.clone()),
            }
        }
        Ok(SelectionSet { items })
    }

    /// A fragment for each object type instead of one for all of them.
    fn for_each_type(
        self,
        (parent, on): (Option<TypeId>, TypeId),
        fragment: &InlineFragmentSelection,
    ) -> Result<Vec<SelectionItem>, CancellationError> {
        let schema = self.schema;
        let may_be = |ty: &TypeId| parent.is_none_or(|parent| schema.satisfies(*ty, parent));
        let types = schema.possible(on).iter().filter(|ty| schema.is_object(**ty) && may_be(ty));
        let fragments = types.map(|ty| {
            let own = of_type(schema, *ty, &fragment.selections);
            let within = present(self.set(Some(*ty), &own)?);
            let type_condition = schema.get(*ty).name.to_string();
            Ok(SelectionItem::InlineFragment(InlineFragmentSelection {
                type_condition,
                ..fragment.with_new_selections(within)
            }))
        });
        fragments.collect()
    }
}

/// With `__typename` where nothing is left because literal conditions have taken it away: objects are shown as `{}` then,
/// so somebody has to say whether they are there.
fn present(mut set: SelectionSet) -> SelectionSet {
    if set.items.is_empty() {
        set.items.push(SelectionItem::Field(FieldSelection::new_typename()));
    }
    set
}

/// With `__typename` under its own name where it is asked for under another one only: by that alone nobody would know of an
/// interface's object what it is.
fn named(mut set: SelectionSet) -> SelectionSet {
    fn asks(set: &SelectionSet, is_renamed: bool) -> bool {
        set.items.iter().any(|item| match item {
            SelectionItem::Field(field) => field.name == "__typename" && field.alias.is_some() == is_renamed,
            SelectionItem::InlineFragment(fragment) => is_renamed && asks(&fragment.selections, true),
            SelectionItem::FragmentSpread(_) => false,
        })
    }
    if asks(&set, true) && !asks(&set, false) {
        set.items.push(SelectionItem::Field(FieldSelection::new_typename()));
    }
    set
}

/// What of a selection is for objects of one type.
fn of_type(schema: &ApiSchema, ty: TypeId, set: &SelectionSet) -> SelectionSet {
    let mut items = Vec::new();
    for item in &set.items {
        match item {
            SelectionItem::InlineFragment(fragment) => {
                let fits = schema.id(&fragment.type_condition).is_some_and(|on| schema.satisfies(ty, on));
                let within = of_type(schema, ty, &fragment.selections);
                if fits && fragment.skip_if.is_none() && fragment.include_if.is_none() {
                    items.extend(within.items);
                } else if fits {
                    let type_condition = schema.get(ty).name.to_string();
                    let own =
                        InlineFragmentSelection { type_condition, ..fragment.with_new_selections(within) };
                    items.push(SelectionItem::InlineFragment(own));
                }
            }
            other => items.push(other.clone()),
        }
    }
    SelectionSet { items }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gateway::testing::{document, zoo};

    /// There may be a fragment for each of hundreds of types, and in each of them again.
    #[test]
    fn what_has_no_time_left_is_not_written() {
        let (zoo, set) = (zoo(), document("{ animal { ... on Animal @skip(if: $a) { id } } }"));
        for (time, is_written) in [(Duration::from_secs(60), true), (Duration::ZERO, false)] {
            let cancellation = &CancellationToken::with_timeout(time);
            let plannable = Plannable { schema: &zoo.schema, cancellation };
            let written = plannable.set(zoo.schema.query, &set.operation.selection_set);
            assert_eq!(written.is_ok(), is_written, "{time:?}");
        }
    }
}
