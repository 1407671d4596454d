//! What an answer shows, in the order in which the client has asked for it (GraphQL specification, section 6.3.2).
//!
//! The planner's normal form asks for the same, in an order of its own: it has interfaces type by type, and brings the
//! fields of an object together.

use std::collections::HashMap;

use graphql_tools::parser::query::{
    Definition, Document, Field, InlineFragment, OperationDefinition as OperationAst, Selection,
    SelectionSet as SetAst, TypeCondition,
};
use hive_router_query_planner::ast::normalization::context::NormalizationContext;
use hive_router_query_planner::ast::normalization::error::NormalizationError;
use hive_router_query_planner::ast::normalization::pipeline;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::utils::ast::equal_directives_arr;

use crate::gateway::schema::{ApiSchema, TypeId};
use crate::gateway::supergraph::Supergraph;

type Set = SetAst<'static, String>;

/// What is selected of the root of an operation in a valid document: without spreads, without fragments that say nothing,
/// and with each field of an object once where that is the same.
///
/// # Errors
/// What the planner's normalising has: a fragment that spreads itself.
pub fn of(
    supergraph: &Supergraph,
    mut document: Document<'static, String>,
    name: Option<&str>,
) -> Result<SelectionSet, NormalizationError> {
    let state = &supergraph.planner.supergraph;
    let root_types = state.into();
    let mut context = NormalizationContext {
        operation_name: name,
        document: &mut document,
        supergraph: state,
        root_types,
        subgraph_name: None,
    };
    pipeline::drop_unused_operations(&mut context)?;
    pipeline::drop_skipped_fields(&mut context)?;
    pipeline::normalize_fields(&mut context)?;
    pipeline::inline_fragment_spreads(&mut context)?;
    pipeline::drop_fragment_definitions(&mut context)?;
    let operation = document.definitions.iter_mut().find_map(|definition| match definition {
        Definition::Operation(operation) => Some(operation),
        Definition::Fragment(_) => None,
    });
    let schema = &supergraph.schema;
    let (root, set) = match operation.ok_or(NormalizationError::ExpectedTransformedOperationNotFound)? {
        OperationAst::SelectionSet(set) => (schema.query, set),
        OperationAst::Query(query) => (schema.query, &mut query.selection_set),
        OperationAst::Mutation(mutation) => (schema.mutation, &mut mutation.selection_set),
        OperationAst::Subscription(subscription) => (schema.subscription, &mut subscription.selection_set),
    };
    settle(schema, root, set)?;
    Ok(std::mem::replace(set, Set { span: set.span, items: Vec::new() }).into())
}

/// Brings the selections of one type into their form. `None` is a type of the introspection, which the schema does not
/// have.
fn settle(schema: &ApiSchema, parent: Option<TypeId>, set: &mut Set) -> Result<(), NormalizationError> {
    let mut kept = Kept::default();
    kept.take(schema, parent, std::mem::take(&mut set.items));
    for item in &mut kept.items {
        match item {
            Selection::Field(field) => {
                let below = match parent {
                    Some(parent) if field.name.starts_with("__") => {
                        schema.field(parent, &field.name).map(|field| field.named)
                    }
                    Some(parent) => Some(named(schema, parent, &field.name)?),
                    None => None,
                };
                settle(schema, below, &mut field.selection_set)?;
            }
            Selection::InlineFragment(fragment) => {
                let on = type_of(schema, parent, fragment);
                settle(schema, on, &mut fragment.selection_set)?;
                // Whoever writes the introspection takes no heed of it: there are no interfaces among its types.
                let name = on.map_or("", |on| &schema.get(on).name);
                fragment.type_condition = Some(TypeCondition::On(name.to_owned()));
            }
            Selection::FragmentSpread(_) => {}
        }
    }
    set.items = kept.items;
    Ok(())
}

/// The type of a field that whoever has validated the document has seen.
fn named(schema: &ApiSchema, parent: TypeId, field: &str) -> Result<TypeId, NormalizationError> {
    schema.field(parent, field).map(|field| field.named).ok_or_else(|| {
        let (field_name, type_name) = (field.to_owned(), schema.get(parent).name.to_string());
        NormalizationError::FieldNotFoundInType { field_name, type_name }
    })
}

fn type_of(
    schema: &ApiSchema,
    parent: Option<TypeId>,
    fragment: &InlineFragment<'static, String>,
) -> Option<TypeId> {
    match &fragment.type_condition {
        Some(TypeCondition::On(name)) => schema.id(name),
        None => parent,
    }
}

/// The selections of one object, so far.
#[derive(Default)]
struct Kept {
    items: Vec<Selection<'static, String>>,
    /// Where the fields of each response key are.
    places: HashMap<String, Vec<usize>>,
    /// Behind the last fragment.
    open: usize,
}

impl Kept {
    fn take(&mut self, schema: &ApiSchema, parent: Option<TypeId>, items: Vec<Selection<'static, String>>) {
        for item in items {
            match item {
                Selection::Field(field) => self.field(field),
                Selection::InlineFragment(fragment)
                    if fragment.directives.is_empty()
                        && says_nothing(schema, parent, type_of(schema, parent, &fragment))
                        && has_fields(schema, parent, &fragment.selection_set) =>
                {
                    self.take(schema, parent, fragment.selection_set.items);
                }
                other => {
                    self.items.push(other);
                    self.open = self.items.len();
                }
            }
        }
    }

    /// Puts a field to one that is the same, if there is one: it comes where that comes. What is selected of it must not
    /// come before what others select of it, under the same key in between.
    fn field(&mut self, field: Field<'static, String>) {
        let key = field.alias.as_ref().unwrap_or(&field.name);
        let places = self.places.entry(key.clone()).or_default();
        let (last, is_leaf) = (places.last().copied(), field.selection_set.items.is_empty());
        for &place in places.iter() {
            if let Selection::Field(known) = &mut self.items[place]
                && (is_leaf || (Some(place) == last && place >= self.open))
                && known.name == field.name
                && known.arguments == field.arguments
                && equal_directives_arr(&known.directives, &field.directives)
            {
                known.selection_set.items.extend(field.selection_set.items);
                return;
            }
        }
        places.push(self.items.len());
        self.items.push(Selection::Field(field));
    }
}

/// Whether the fields may stand by themselves where objects of the type are selected from: a union has none, though all
/// its types may have them by an interface.
fn has_fields(schema: &ApiSchema, parent: Option<TypeId>, set: &Set) -> bool {
    let Some(parent) = parent else { return true };
    set.items.iter().all(|item| match item {
        Selection::Field(field) => {
            field.name.starts_with("__") || schema.field(parent, &field.name).is_some()
        }
        _ => true,
    })
}

/// Whether each object of the type is one of the condition.
fn says_nothing(schema: &ApiSchema, parent: Option<TypeId>, condition: Option<TypeId>) -> bool {
    let (Some(parent), Some(condition)) = (parent, condition) else { return parent == condition };
    parent == condition || {
        let possible = schema.possible(parent);
        let is_within = possible.iter().all(|ty| schema.satisfies(*ty, condition));
        if possible.is_empty() { schema.satisfies(parent, condition) } else { is_within }
    }
}

#[cfg(test)]
mod tests {
    use hive_router_query_planner::utils::parsing::safe_parse_operation;

    use super::*;
    use crate::gateway::testing::zoo;

    fn kept(text: &str) -> String {
        of(&zoo(), safe_parse_operation(text).unwrap(), None).unwrap().to_string()
    }

    /// Fragments that say nothing are not there, and the same field is there once, where it comes first; whatever has a
    /// condition stays where it is.
    #[test]
    fn the_order_is_the_clients() {
        for (asked, shown) in [
            ("{ animal { ... on Cat { lives } id } }", "{animal{...on Cat{lives} id}}"),
            ("{ animal { ... on Animal { id } ... { name } id } }", "{animal{id name}}"),
            (
                "{ animal { ...F name } } fragment F on Animal { id ... on Cat { id } }",
                "{animal{id ...on Cat{id} name}}",
            ),
            ("{ animal { ... on Cat { ... on Animal { id } } } }", "{animal{...on Cat{id}}}"),
            ("{ box { id } boxes { id } box { text id } }", "{box{id text} boxes{id}}"),
            ("{ box { inner { id } ... on Box { inner { text } } } }", "{box{inner{id text}}}"),
            ("{ box { id: text text } }", "{box{id: text text}}"),
            ("{ box { id @skip(if: true) text } }", "{box{text}}"),
        ] {
            assert_eq!(kept(asked), shown, "{asked}");
        }
        let asked = "query($a: Boolean!) { box { id @include(if: $a) text id } }";
        assert_eq!(kept(asked), "{box{id @include(if: $a) text id}}");
        let asked = "query($a: Boolean!) { box { inner { id } inner @include(if: $a) { flag } inner { text } id id @skip(if: $a) id } }";
        let shown = "{box{inner{id} inner @include(if: $a){flag} inner{text} id id @skip(if: $a)}}";
        assert_eq!(kept(asked), shown);
        // All animals are kept, but not by their interface.
        let asked = "query($a: Boolean!) { animal { ... on Kept { home { ... @include(if: $a) { id } } } } }";
        assert_eq!(kept(asked), "{animal{...on Kept{home{...on Box @include(if: $a){id}}}}}");
        let asked = "{ animal { friend { id } ... on Cat { friend { lives: id } } friend { name } } }";
        assert_eq!(kept(asked), "{animal{friend{id} ...on Cat{friend{lives: id}} friend{name}}}");
        let asked = "query($a: Boolean!) { animal { ... @include(if: $a) { id } } }";
        assert_eq!(kept(asked), "{animal{...on Animal @include(if: $a){id}}}");
    }

    /// What is asked of the schema may stand in fragments as well.
    #[test]
    fn introspection_has_fragments_too() {
        let asked = "query($a: Boolean!) { __schema { ... { queryType { name } } ... @skip(if: $a) { types { name } } } }";
        assert_eq!(kept(asked), "{__schema{queryType{name} ...on __Schema @skip(if: $a){types{name}}}}");
    }
}
