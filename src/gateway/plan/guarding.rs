//! Guards in an operation: which it meets, and what is left of it for whoever does not pass them.
//!
//! What is refused is marked in the document, so that it is shown as null with an error wherever it would have been, and
//! is taken out of what is planned, so that nothing is fetched for it. It is found by the type that it is asked of in the
//! client's own text: the normal form asks of each implementation what was asked of an interface.

use std::collections::BTreeSet;

use graphql_tools::parser::query::{
    Definition, Document, Field, OperationDefinition as OperationAst, Selection, SelectionSet, TypeCondition,
    Value,
};
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet as Shown};

use crate::gateway::guard::{GuardId, Refused};
use crate::gateway::plant;
use crate::gateway::schema::{ApiSchema, TypeId};
use crate::gateway::supergraph::Supergraph;

type Text = Document<'static, String>;
type Set = SelectionSet<'static, String>;

/// An argument that marks a field. No valid document has one of such a name.
const MARK: &str = "__refused";

/// The guards that a valid document meets, in their order.
pub fn met(supergraph: &Supergraph, document: &mut Text) -> Vec<GuardId> {
    let (schema, guards) = (&supergraph.schema, &supergraph.guards);
    if guards.is_empty() || plant::is_out("gateway::guard") {
        return Vec::new();
    }
    let mut met = BTreeSet::new();
    walk(schema, document, &mut |parent, field| {
        met.extend(guards.of_field(parent, &field.name));
        if let Some(field) = schema.field(parent, &field.name) {
            met.extend(guards.behind(field.named));
        }
    });
    met.into_iter().collect()
}

/// Marks what is refused.
pub fn mark(supergraph: &Supergraph, refused: &Refused, document: &mut Text) {
    walk(&supergraph.schema, document, &mut |parent, field| {
        if refused.any(supergraph.guards.of_field(parent, &field.name)) {
            field.arguments = vec![(MARK.to_owned(), Value::Boolean(true))];
            field.selection_set.items.clear();
        }
    });
}

/// Takes out what is marked. Where nothing is left, whether there is an object is still asked for.
pub fn take_out(document: &mut Text) {
    sets(document, &mut |_, set| take_out_of(set));
}

fn take_out_of(set: &mut Set) {
    let is_empty = set.items.is_empty();
    set.items.retain(|item| !matches!(item, Selection::Field(field) if has_mark(field)));
    for item in &mut set.items {
        match item {
            Selection::Field(field) => take_out_of(&mut field.selection_set),
            Selection::InlineFragment(fragment) => take_out_of(&mut fragment.selection_set),
            Selection::FragmentSpread(_) => {}
        }
    }
    if set.items.is_empty() && !is_empty {
        let (position, below) = (set.span.0, Set { span: set.span, items: Vec::new() });
        set.items.push(Selection::Field(Field {
            position,
            alias: None,
            name: "__typename".to_owned(),
            arguments: Vec::new(),
            directives: Vec::new(),
            selection_set: below,
        }));
    }
}

fn has_mark(field: &Field<'static, String>) -> bool {
    field.arguments.first().is_some_and(|(name, _)| name == MARK)
}

/// Whether what is shown is marked.
pub fn is_marked(field: &FieldSelection) -> bool {
    let mut names = field.arguments.iter().flatten().map(|(name, _)| name);
    names.any(|name| name == MARK)
}

/// Whether a field of the root is marked.
pub fn has_marked_root(shown: &Shown) -> bool {
    shown.items.iter().any(|item| match item {
        SelectionItem::Field(field) => is_marked(field),
        SelectionItem::InlineFragment(fragment) => has_marked_root(&fragment.selections),
        SelectionItem::FragmentSpread(_) => false,
    })
}

/// Visits each field with the type that it is asked of.
fn walk(
    schema: &ApiSchema,
    document: &mut Text,
    visit: &mut impl FnMut(TypeId, &mut Field<'static, String>),
) {
    sets(document, &mut |root, set| {
        let parent = match root {
            Root::Query => schema.query,
            Root::Mutation => schema.mutation,
            Root::Subscription => schema.subscription,
            Root::Type(name) => schema.id(name),
        };
        walk_set(schema, parent, set, visit);
    });
}

fn walk_set(
    schema: &ApiSchema,
    parent: Option<TypeId>,
    set: &mut Set,
    visit: &mut impl FnMut(TypeId, &mut Field<'static, String>),
) {
    // What the schema itself answers has no type of ours.
    let Some(parent) = parent else { return };
    for item in &mut set.items {
        match item {
            Selection::Field(field) => {
                visit(parent, field);
                let below = schema.field(parent, &field.name).map(|field| field.named);
                walk_set(schema, below, &mut field.selection_set, visit);
            }
            Selection::InlineFragment(fragment) => {
                let on = match &fragment.type_condition {
                    Some(TypeCondition::On(name)) => schema.id(name),
                    None => Some(parent),
                };
                walk_set(schema, on, &mut fragment.selection_set, visit);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

enum Root<'a> {
    Query,
    Mutation,
    Subscription,
    Type(&'a str),
}

/// Visits the selections of all operations and fragments.
fn sets(document: &mut Text, visit: &mut impl FnMut(Root<'_>, &mut Set)) {
    for definition in &mut document.definitions {
        match definition {
            Definition::Operation(OperationAst::SelectionSet(set)) => visit(Root::Query, set),
            Definition::Operation(OperationAst::Query(query)) => visit(Root::Query, &mut query.selection_set),
            Definition::Operation(OperationAst::Mutation(mutation)) => {
                visit(Root::Mutation, &mut mutation.selection_set);
            }
            Definition::Operation(OperationAst::Subscription(subscription)) => {
                visit(Root::Subscription, &mut subscription.selection_set);
            }
            Definition::Fragment(fragment) => {
                let TypeCondition::On(name) = &fragment.type_condition;
                visit(Root::Type(name), &mut fragment.selection_set);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hive_router_query_planner::utils::parsing::safe_parse_operation;

    use super::*;
    use crate::gateway::guard::{Policies, Rights};
    use crate::gateway::testing::ZOO;

    fn zoo() -> Supergraph {
        let text = ZOO
            .replace("text: String", "text: String @requiresScopes(scopes: [[\"a\"]])")
            .replace("must: String!", "must: String! @requiresScopes(scopes: [[\"b\"]])")
            .replace("type Box @join__type(graph: A)", "type Box @join__type(graph: A, key: \"id\")")
            .replace("int: Int ", "int: Int @join__field(graph: A, requires: \"must\") ")
            .replace("lives: Int!", "lives: Int! @authenticated")
            .replace("home: Box bark", "home: Box @policy(policies: [[\"p\"]]) bark");
        Supergraph::parse(&text).unwrap()
    }

    /// What is planned and how many guards are met, where somebody with scope `a` asks.
    fn planned(operation: &str) -> (String, usize) {
        let zoo = zoo();
        let mut document = safe_parse_operation(operation).unwrap();
        let met = met(&zoo, &mut document);
        let rights = Rights { is_signed_in: true, scopes: ["a".to_owned()].into(), part: None };
        let refused = zoo.guards.refused(&met, &rights, &Policies::default());
        mark(&zoo, &refused, &mut document);
        take_out(&mut document);
        (document.to_string().split_whitespace().collect::<Vec<_>>().join(" "), met.len())
    }

    #[test]
    fn what_is_refused_is_not_planned() {
        for (asked, left, count) in [
            ("{ box { id } }", "{ box { id } }", 0),
            ("{ box { id text must } }", "{ box { id text } }", 2),
            // What is made of what is refused.
            ("{ box { id int } }", "{ box { id } }", 1),
            ("{ box { x: must } }", "{ box { __typename } }", 1),
            ("{ box { ... { must } id } }", "{ box { ... { __typename } id } }", 1),
            (
                "{ animal { ...F } } fragment F on Dog { home { id } bark }",
                "{ animal { ...F } } fragment F on Dog { bark }",
                1,
            ),
            // Through the interface: one of its implementations is refused.
            ("{ animal { ... on Kept { home { id } } } }", "{ animal { ... on Kept { __typename } } }", 1),
            (
                "{ animal { ... on Cat { home { id } lives } } }",
                "{ animal { ... on Cat { home { id } lives } } }",
                1,
            ),
            ("{ __schema { types { name } } __typename }", "{ __schema { types { name } } __typename }", 0),
        ] {
            assert_eq!(planned(asked), (left.to_owned(), count), "{asked}");
        }
    }
}
