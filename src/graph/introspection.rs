//! Introspection that asks for each type's fields' types' fields' … has an answer out of all proportion to its
//! text, and no limit on depth or complexity sees it coming.

use std::collections::HashSet;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// Fields that lead from a type to many others.
const FAN_OUT: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];
/// How often such a field may stand below another one: tools need one level, and ours two.
const MAX_DEPTH: usize = 2;

/// Whether a document nests those fields too deep.
pub fn is_too_deep(document: &ExecutableDocument) -> bool {
    let mut walk = Walk { document, seen: HashSet::new() };
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    operations.into_iter().any(|selections| walk.is_too_deep(selections, 0))
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    /// Fragments that were looked at, and at which depth: once is enough, and circles end.
    seen: HashSet<(&'a Name, usize)>,
}

impl<'a> Walk<'a> {
    fn is_too_deep(&mut self, selections: &'a SelectionSet, depth: usize) -> bool {
        selections.items.iter().any(|selection| match &selection.node {
            Selection::Field(field) => {
                let fans_out = FAN_OUT.contains(&field.node.name.node.as_str());
                let depth = depth + usize::from(fans_out);
                depth > MAX_DEPTH || self.is_too_deep(&field.node.selection_set.node, depth)
            }
            Selection::InlineFragment(fragment) => self.is_too_deep(&fragment.node.selection_set.node, depth),
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = self.document.fragments.get(name);
                self.seen.insert((name, depth))
                    && fragment
                        .is_some_and(|fragment| self.is_too_deep(&fragment.node.selection_set.node, depth))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn tools_may_and_bombs_may_not() {
        let deep = |query: &str| is_too_deep(&parse_query(query).unwrap());
        assert!(!deep(
            "{ __schema { types { fields { args { type { ofType { name } } } } interfaces { name } } } }"
        ));
        assert!(!deep("{ __type(name: \"X\") { fields { type { fields { name } } } } }"));
        assert!(deep("{ __type(name: \"X\") { fields { type { fields { type { fields { name } } } } } } }"));
        assert!(deep(
            "{ __schema { types { ...a } } } fragment a on __Type { interfaces { possibleTypes { ...b } } }
            fragment b on __Type { interfaces { name } }"
        ));
        assert!(!deep("{ ...a } fragment a on Query { ...a platforms { id } }"));
    }
}
