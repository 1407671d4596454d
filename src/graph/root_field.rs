//! The one root field of a subscription (GraphQL specification, section 5.2.3.1).
//!
//! The library runs as many fields as stand there, one beside the other, and passes over fragments. So it is
//! asked only for a document in which the one field stands as itself.

use std::collections::HashSet;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

use crate::error::{Code, Error};

/// Checks that `subscription` has one root field, and gives its operation with that field in the place of fragments
/// and repetitions. `None` where it stands there already, or where nothing does: that is not valid for another
/// reason.
///
/// # Errors
/// GRAPHQL_VALIDATION_FAILED if there are several, or one that is not there always, or one of introspection.
pub fn flatten(
    document: &ExecutableDocument,
    subscription: &OperationDefinition,
) -> Result<Option<ExecutableDocument>, Error> {
    let mut collected = Collected { document, seen: HashSet::new(), fields: Vec::new(), conditional: false };
    collected.add(&subscription.selection_set.node);
    let Some((first, rest)) = collected.fields.split_first() else { return Ok(None) };
    let key = &first.node.response_key().node;
    if rest.iter().any(|field| field.node.response_key().node != *key) {
        return Err(invalid("A subscription has one root field; send an operation for each."));
    }
    if collected.conditional {
        return Err(invalid("The root field of a subscription bears neither `@skip` nor `@include`."));
    }
    if first.node.name.node.starts_with("__") {
        return Err(invalid("The root field of a subscription is none of introspection."));
    }
    if let [Positioned { node: Selection::Field(_), .. }] = subscription.selection_set.node.items.as_slice() {
        return Ok(None);
    }
    Ok(Some(with_root(document, subscription, first, rest)))
}

/// The document with nothing but `subscription`, whose root is `first` with the selections of all of its kind.
fn with_root(
    document: &ExecutableDocument,
    subscription: &OperationDefinition,
    first: &Positioned<Field>,
    rest: &[&Positioned<Field>],
) -> ExecutableDocument {
    let mut root = first.clone();
    for field in rest {
        root.node.selection_set.node.items.extend(field.node.selection_set.node.items.iter().cloned());
    }
    let position = root.pos;
    let mut flat = subscription.clone();
    flat.selection_set.node.items = vec![Positioned::new(Selection::Field(root), position)];
    // A fragment that stood at the root only is not used any more, which would not be valid.
    let mut used = HashSet::new();
    note_used(document, &flat.selection_set.node, &mut used);
    let mut fragments = document.fragments.clone();
    fragments.retain(|name, _| used.contains(name));
    let operations = match &document.operations {
        DocumentOperations::Single(operation) => {
            DocumentOperations::Single(Positioned::new(flat, operation.pos))
        }
        DocumentOperations::Multiple(operations) => {
            let chosen =
                operations.iter().filter(|(_, operation)| std::ptr::eq(&operation.node, subscription));
            let named = chosen
                .map(|(name, operation)| (name.clone(), Positioned::new(flat.clone(), operation.pos)))
                .collect();
            DocumentOperations::Multiple(named)
        }
    };
    ExecutableDocument { operations, fragments }
}

struct Collected<'a> {
    document: &'a ExecutableDocument,
    /// Fragments that were looked at: once is enough, and circles end.
    seen: HashSet<&'a Name>,
    fields: Vec<&'a Positioned<Field>>,
    conditional: bool,
}

impl<'a> Collected<'a> {
    fn add(&mut self, selections: &'a SelectionSet) {
        for selection in &selections.items {
            let names = selection.node.directives().iter().map(|directive| directive.node.name.node.as_str());
            self.conditional |= names.into_iter().any(|name| matches!(name, "skip" | "include"));
            match &selection.node {
                Selection::Field(field) => self.fields.push(field),
                Selection::InlineFragment(fragment) => self.add(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if self.seen.insert(name)
                        && let Some(fragment) = self.document.fragments.get(name)
                    {
                        self.add(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }
}

fn note_used<'a>(document: &'a ExecutableDocument, selections: &SelectionSet, used: &mut HashSet<&'a Name>) {
    for selection in &selections.items {
        match &selection.node {
            Selection::Field(field) => note_used(document, &field.node.selection_set.node, used),
            Selection::InlineFragment(fragment) => {
                note_used(document, &fragment.node.selection_set.node, used);
            }
            Selection::FragmentSpread(spread) => {
                let known = document.fragments.get_key_value(&spread.node.fragment_name.node);
                if let Some((name, fragment)) = known
                    && used.insert(name)
                {
                    note_used(document, &fragment.node.selection_set.node, used);
                }
            }
        }
    }
}

fn invalid(message: &str) -> Error {
    Error::client(Code::ValidationFailed, message)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    /// The fields below the root of the flat document; or "as it is"; or the refusal.
    fn flat(query: &str) -> String {
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        match flatten(&document, &operation.node) {
            Err(error) => error.to_string(),
            Ok(None) => "as it is".to_owned(),
            Ok(Some(flat)) => {
                let (_, operation) = flat.operations.iter().next().unwrap();
                let [Positioned { node: Selection::Field(root), .. }] =
                    operation.node.selection_set.node.items.as_slice()
                else {
                    panic!("the root is no field")
                };
                let below =
                    root.node.selection_set.node.items.iter().map(|selection| match &selection.node {
                        Selection::Field(field) => field.node.name.node.to_string(),
                        _ => "…".to_owned(),
                    });
                let mut fragments: Vec<_> = flat.fragments.keys().map(ToString::to_string).collect();
                fragments.sort();
                format!(
                    "{}: {} [{}]",
                    root.node.response_key().node,
                    below.collect::<Vec<_>>().join(" "),
                    fragments.join(" ")
                )
            }
        }
    }

    #[test]
    fn one_root_field_however_it_is_written() {
        for (query, expected) in [
            ("subscription { a { x } }", "as it is"),
            ("subscription { b: a(after: 1) { x } }", "as it is"),
            ("subscription { ...nope }", "as it is"),
            ("subscription { ...f } fragment f on Subscription { ...f }", "as it is"),
            ("subscription S { ...f } fragment f on Subscription { a { x } }", "a: x []"),
            ("subscription { ... on Subscription { ... { b: a { x } } } }", "b: x []"),
            (
                "subscription { a { x } ...f } fragment f on Subscription { a { y ...g } } fragment g on A { z }",
                "a: x y … [g]",
            ),
            ("subscription { a { x } a { y } }", "a: x y []"),
        ] {
            assert_eq!(flat(query), expected, "{query}");
        }
    }

    #[test]
    fn what_is_not_one_root_field_is_refused() {
        for (query, part) in [
            ("subscription { a { x } b { x } }", "one root field"),
            ("subscription { a { x } other: a { x } }", "one root field"),
            ("subscription { a { x } __typename }", "one root field"),
            ("subscription { a { x } ...f } fragment f on Subscription { b { x } }", "one root field"),
            ("subscription { ... { a { x } } ... { b { x } } }", "one root field"),
            ("subscription { __typename }", "introspection"),
            ("subscription { a @skip(if: true) { x } }", "@skip"),
            (
                "subscription($on: Boolean!) { ...f @include(if: $on) } fragment f on Subscription { a { x } }",
                "@skip",
            ),
        ] {
            assert!(flat(query).contains(part), "{query}: {}", flat(query));
        }
    }
}
