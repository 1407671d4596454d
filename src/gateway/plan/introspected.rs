//! What an operation asks of the schema itself.

use graphql_tools::parser::query::{
    Definition, Document, OperationDefinition as OperationAst, Selection, SelectionSet as SetAst,
};
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};

use super::Refusal;

/// Fields that lead from a type to many others, and from those to it again.
const FAN_OUT: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// How many of those fields may stand one below the other: tools need one, and graphql-js (`MaxIntrospectionDepthRule`) and
/// our own graph allow two.
const MOST: usize = 2;

/// Whether an operation asks for `__schema` or `__type`.
pub fn introspects(operation: &SelectionSet) -> bool {
    any_field(operation, &mut |field| is_introspection(field))
}

/// Refuses what asks for types' fields' types' fields and so on: its answer is out of all proportion to its text.
///
/// # Errors
/// OPERATION_TOO_LARGE.
pub fn require_depth(operation: &SelectionSet) -> Result<(), Refusal> {
    if any_field(operation, &mut |field| is_introspection(field) && is_too_deep(&field.selections, 0)) {
        let message =
            format!("Of `{}` not more than {MOST} may stand one below the other.", FAN_OUT.join("`, `"));
        return Err(Refusal::new("OPERATION_TOO_LARGE", message));
    }
    Ok(())
}

/// Takes what is selected of the schema out of a document, and leaves the fields that it was selected by.
pub fn forget_introspection(document: &mut Document<'static, String>) {
    for definition in &mut document.definitions {
        forget_in(match definition {
            Definition::Operation(OperationAst::SelectionSet(set)) => set,
            Definition::Operation(OperationAst::Query(query)) => &mut query.selection_set,
            Definition::Operation(OperationAst::Mutation(mutation)) => &mut mutation.selection_set,
            Definition::Operation(OperationAst::Subscription(subscription)) => {
                &mut subscription.selection_set
            }
            Definition::Fragment(fragment) => &mut fragment.selection_set,
        });
    }
}

fn forget_in(set: &mut SetAst<'static, String>) {
    for item in &mut set.items {
        match item {
            Selection::Field(field) if ["__schema", "__type"].contains(&field.name.as_str()) => {
                field.selection_set.items.clear();
            }
            Selection::Field(field) => forget_in(&mut field.selection_set),
            Selection::InlineFragment(fragment) => forget_in(&mut fragment.selection_set),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn is_introspection(field: &FieldSelection) -> bool {
    matches!(field.name.as_str(), "__schema" | "__type")
}

fn is_too_deep(set: &SelectionSet, above: usize) -> bool {
    any_field(set, &mut |field| {
        let depth = above + usize::from(FAN_OUT.contains(&field.name.as_str()));
        depth > MOST || is_too_deep(&field.selections, depth)
    })
}

/// Whether any field of an object is so, in whichever fragment it stands.
fn any_field(set: &SelectionSet, is_so: &mut impl FnMut(&FieldSelection) -> bool) -> bool {
    set.items.iter().any(|item| match item {
        SelectionItem::Field(field) => is_so(field),
        SelectionItem::InlineFragment(fragment) => any_field(&fragment.selections, is_so),
        SelectionItem::FragmentSpread(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use hive_router_query_planner::utils::cancellation::CancellationToken;

    use crate::gateway::plan::normal::normalize;
    use crate::gateway::testing::zoo;

    #[test]
    fn tools_may_and_bombs_may_not() {
        let zoo = zoo();
        let code = |operation: &str| match normalize(
            &zoo,
            (operation, None, &[]),
            1000,
            &CancellationToken::new(),
        ) {
            Ok(_) => "none".to_owned(),
            Err(refusal) => refusal.0[0].extensions["code"].as_str().unwrap().to_owned(),
        };
        for fine in [
            "{ __schema { types { fields { args { type { ofType { name } } } } interfaces { name } } } }",
            "{ __type(name: \"Animal\") { possibleTypes { interfaces { name } } } }",
            "{ __schema { ... { types { ... { name } } } ... on __Schema { queryType { name } } } }",
            "query($c: Boolean!) { __schema { ... @skip(if: $c) { types { name } } } }",
            "{ animals { friend { friend { friend { id } } } } __type(name: \"Cat\") { fields { name } } }",
        ] {
            assert_eq!(code(fine), "none", "{fine}");
        }
        let fields = "fields { type { ofType { ";
        for bomb in [
            format!("{{ __schema {{ types {{ {} name {} }} }} }}", fields.repeat(3), "} } }".repeat(3)),
            "{ __type(name: \"Animal\") { possibleTypes { interfaces { possibleTypes { name } } } } }".to_owned(),
            "{ ... { ... on Query { __schema { types { ...A } } } } }
                fragment A on __Type { interfaces { ...B } }
                fragment B on __Type { ... on __Type { x: possibleTypes { fields { name } } } }"
                .to_owned(),
            "{ __schema { types { inputFields { type { inputFields { type { inputFields { name } } } } } } } }"
                .to_owned(),
        ] {
            assert_eq!(code(&bomb), "OPERATION_TOO_LARGE", "{bomb}");
        }
    }
}
