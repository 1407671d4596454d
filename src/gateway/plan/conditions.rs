//! `@skip` and `@include` with variables: settled before an operation is planned, so that there is a plan for each choice
//! of their values that comes.
//!
//! The planner's library can keep them in a plan, and loses some where it brings fetches together: then a client is shown
//! what it did not ask for, or is not shown what it did. A plan without conditions also asks for no more than it needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use graphql_tools::parser::query::{
    Definition, Directive, Document, OperationDefinition, Selection, SelectionSet, Value,
};

/// A variable that a condition depends on, and its value.
pub type Chosen = (Arc<str>, bool);

/// All that conditions of an operation depend on, in the order of names.
pub type Choice = Arc<[Chosen]>;

type Directives = Vec<Directive<'static, String>>;

/// The variables that conditions of a document depend on, by name.
pub fn variables(document: &mut Document<'static, String>) -> Vec<Arc<str>> {
    let mut names = BTreeSet::new();
    walk(document, &mut |condition| {
        if let Value::Variable(name) = condition {
            names.insert(Arc::from(name.as_str()));
        }
    });
    names.into_iter().collect()
}

/// Puts values in the place of variables; `choice` is in the order of names.
pub fn settle(document: &mut Document<'static, String>, choice: &[Chosen]) {
    walk(document, &mut |condition| {
        let Value::Variable(name) = condition else { return };
        if let Ok(place) = choice.binary_search_by(|(known, _)| (**known).cmp(name)) {
            *condition = Value::Boolean(choice[place].1);
        }
    });
}

/// Goes through what all conditions depend on.
fn walk(document: &mut Document<'static, String>, visit: &mut impl FnMut(&mut Value<'static, String>)) {
    for definition in &mut document.definitions {
        let set = match definition {
            Definition::Fragment(fragment) => &mut fragment.selection_set,
            Definition::Operation(operation) => match operation {
                OperationDefinition::SelectionSet(set) => set,
                OperationDefinition::Query(query) => &mut query.selection_set,
                OperationDefinition::Mutation(mutation) => &mut mutation.selection_set,
                OperationDefinition::Subscription(subscription) => &mut subscription.selection_set,
            },
        };
        walk_set(set, visit);
    }
}

fn walk_set(set: &mut SelectionSet<'static, String>, visit: &mut impl FnMut(&mut Value<'static, String>)) {
    for item in &mut set.items {
        match item {
            Selection::Field(field) => {
                walk_directives(&mut field.directives, visit);
                walk_set(&mut field.selection_set, visit);
            }
            Selection::InlineFragment(fragment) => {
                walk_directives(&mut fragment.directives, visit);
                walk_set(&mut fragment.selection_set, visit);
            }
            Selection::FragmentSpread(spread) => walk_directives(&mut spread.directives, visit),
        }
    }
}

fn walk_directives(directives: &mut Directives, visit: &mut impl FnMut(&mut Value<'static, String>)) {
    for directive in directives.iter_mut().filter(|directive| ["skip", "include"].contains(&&*directive.name))
    {
        directive.arguments.iter_mut().filter(|(name, _)| name == "if").for_each(|(_, value)| visit(value));
    }
}

#[cfg(test)]
mod tests {
    use hive_router_query_planner::utils::parsing::safe_parse_operation;

    use super::*;

    /// Wherever a condition stands; and no other variable is touched.
    #[test]
    fn conditions_are_found_and_settled() {
        let text = |a: &str, b: &str, c: &str| {
            format!(
                "query($a: Boolean!, $b: Boolean!, $c: Boolean!) {{ x(y: $a) @skip(if: {a}) {{ ...F @include(if: {b}) }} }} \
                 fragment F on T {{ ... on T @skip(if: {c}) @include(if: {a}) {{ z @skip(if: true) @other(if: $b) }} }}"
            )
        };
        let parse = |text: String| safe_parse_operation(&text).unwrap();
        let mut document = parse(text("$a", "$b", "$c"));
        assert_eq!(variables(&mut document), ["a", "b", "c"].map(Arc::from));
        settle(&mut document, &[("a".into(), true), ("c".into(), false)]);
        assert_eq!(document.to_string(), parse(text("true", "$b", "false")).to_string());
        assert_eq!(variables(&mut document), ["b"].map(Arc::from));
    }
}
