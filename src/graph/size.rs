//! How large a document is once its fragments are spread. The library goes through a fragment wherever it is spread, in
//! each of its own checks: some that are small to write, and spread each other, it would never be done with.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use crate::config::Graph;

/// Selections of one document, those of a fragment counted wherever it is spread.
const MOST: usize = 10_000;

/// Whether a document is too large to be gone through.
pub fn is_too_large(document: &ExecutableDocument) -> bool {
    let mut sizes = Sizes { document, known: HashMap::new() };
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    let all: Vec<&SelectionSet> = operations.chain(fragments).collect();
    all.into_iter().map(|selections| sizes.of(selections)).fold(0, usize::saturating_add) > MOST
}

/// Which of our limits a document is over, in words. Where our graph executes one itself, the library sees to them.
pub fn excess(document: &ExecutableDocument, limits: &Graph) -> Option<String> {
    let mut extent = Extent { document, path: Vec::new(), aliases: 0, directives: 0, depth: 0 };
    let mut sizes = Sizes { document, known: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        let set = &operation.node.selection_set.node;
        extent.add(set, 1);
        if sizes.of(set) > limits.max_complexity {
            return Some(format!("The operation selects over {} fields.", limits.max_complexity));
        }
    }
    if extent.depth > limits.max_depth {
        return Some(format!("The operation is nested over {} deep.", limits.max_depth));
    }
    if extent.aliases > limits.max_aliases {
        return Some(format!("The operation has over {} aliases.", limits.max_aliases));
    }
    (extent.directives > limits.max_directives)
        .then(|| format!("A field has over {} directives.", limits.max_directives))
}

/// How far a document goes that is [not too large](is_too_large) to be gone through.
struct Extent<'a> {
    document: &'a ExecutableDocument,
    /// Fragments that are being gone through: circles end.
    path: Vec<&'a Name>,
    aliases: usize,
    /// The most of one selection.
    directives: usize,
    depth: usize,
}

impl<'a> Extent<'a> {
    fn add(&mut self, set: &'a SelectionSet, depth: usize) {
        for selection in &set.items {
            self.directives = self.directives.max(selection.node.directives().len());
            match &selection.node {
                Selection::Field(field) => {
                    self.depth = self.depth.max(depth);
                    self.aliases += usize::from(field.node.alias.is_some());
                    self.add(&field.node.selection_set.node, depth + 1);
                }
                Selection::InlineFragment(fragment) => self.add(&fragment.node.selection_set.node, depth),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    if !self.path.contains(&name) {
                        self.path.push(name);
                        self.add(&fragment.node.selection_set.node, depth);
                        self.path.pop();
                    }
                }
            }
        }
    }
}

/// Measures each fragment once.
struct Sizes<'a> {
    document: &'a ExecutableDocument,
    /// 0 while it is measured, so that one which spreads itself ends; the library refuses it.
    known: HashMap<&'a Name, usize>,
}

impl<'a> Sizes<'a> {
    fn of(&mut self, selections: &'a SelectionSet) -> usize {
        let sizes = selections.items.iter().map(|selection| {
            let within = match &selection.node {
                Selection::Field(field) => self.of(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => self.of(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => self.of_fragment(&spread.node.fragment_name.node),
            };
            within.saturating_add(1)
        });
        sizes.fold(0, usize::saturating_add)
    }

    fn of_fragment(&mut self, name: &'a Name) -> usize {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let Some(fragment) = self.document.fragments.get(name) else { return 0 };
        self.known.insert(name, 0);
        let size = self.of(&fragment.node.selection_set.node);
        self.known.insert(name, size);
        size
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    /// `levels` fragments, each of which spreads the next one three times.
    fn tripling(levels: usize) -> String {
        let spreads = |n: usize| format!("...f{n} ").repeat(3);
        let fragments = (0..levels).map(|n| format!("fragment f{n} on Query {{ {} }} ", spreads(n + 1)));
        format!(
            "{{ {} }} {}fragment f{levels} on Query {{ __typename }}",
            spreads(0),
            fragments.collect::<String>()
        )
    }

    #[test]
    fn fragments_count_wherever_they_are_spread() {
        let large = |text: &str| is_too_large(&parse_query(text).unwrap());
        assert!(!large(&tripling(5)));
        assert!(large(&tripling(8)));
        assert!(large(&tripling(300)), "more than any number can say");
        assert!(!large("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"));
        assert!(!large("{ ...nobody }"));
    }
}
