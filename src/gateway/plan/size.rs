//! How large an operation is once its fragments are spread, found out without spreading them: some that are small to write
//! are more than any memory holds, or take for ever to compare.

use std::collections::{HashMap, HashSet};

use graphql_tools::parser::query::{
    Definition, Document, OperationDefinition as OperationAst, Selection, SelectionSet,
};

use super::Refusal;

/// Everybody who goes through an operation recurses.
const DEEPEST: usize = 100;

/// Whoever validates compares all fields of one response key with each other.
const MOST_PAIRS: usize = 250_000;

type Text = Document<'static, String>;
type Set = SelectionSet<'static, String>;

/// Refuses a document that is too large to be gone through.
///
/// # Errors
/// OPERATION_TOO_LARGE.
pub fn require_size(document: &Text, most: usize) -> Result<(), Refusal> {
    let mut sizes = Sizes::of(document);
    let sets = || document.definitions.iter().map(set_of);
    let whole = sets().map(|set| sizes.measure(set)).fold(Size::default(), Size::beside);
    let mut fit = sets().map(|set| Pairs { fragments: &sizes.fragments, left: MOST_PAIRS }.fit(&[set], 0));
    let message = if whole.selections > most {
        format!("The document has more than {most} selections, fragments included; ask for less at once.")
    } else if whole.depth > DEEPEST {
        format!("The document is more than {DEEPEST} selections deep; ask for less at once.")
    } else if !fit.all(|fits| fits) {
        "The document selects the same fields too often; once is enough.".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::new("OPERATION_TOO_LARGE", message))
}

fn set_of<'a>(definition: &'a Definition<'static, String>) -> &'a Set {
    match definition {
        Definition::Operation(OperationAst::SelectionSet(set)) => set,
        Definition::Operation(OperationAst::Query(query)) => &query.selection_set,
        Definition::Operation(OperationAst::Mutation(mutation)) => &mutation.selection_set,
        Definition::Operation(OperationAst::Subscription(subscription)) => &subscription.selection_set,
        Definition::Fragment(fragment) => &fragment.selection_set,
    }
}

/// How much there is in a selection set once its fragments are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    selections: usize,
    depth: usize,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            depth: self.depth.max(other.depth),
        }
    }
}

/// Measures each fragment once.
struct Sizes<'a> {
    fragments: HashMap<&'a str, &'a Set>,
    /// Absent while it is measured, so that one that spreads itself ends; it is refused later.
    known: HashMap<&'a str, Option<Size>>,
    /// Fragments that are being measured, one within the other.
    nested: usize,
}

impl<'a> Sizes<'a> {
    fn of(document: &'a Text) -> Self {
        let fragments = document.definitions.iter().filter_map(|definition| match definition {
            Definition::Fragment(fragment) => Some((fragment.name.as_str(), &fragment.selection_set)),
            Definition::Operation(_) => None,
        });
        Self { fragments: fragments.collect(), known: HashMap::new(), nested: 0 }
    }

    fn measure(&mut self, set: &'a Set) -> Size {
        let sizes = set.items.iter().map(|selection| {
            let below = match selection {
                Selection::Field(field) => self.measure(&field.selection_set),
                Selection::InlineFragment(fragment) => self.measure(&fragment.selection_set),
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name),
            };
            Size { selections: below.selections.saturating_add(1), depth: below.depth.saturating_add(1) }
        });
        sizes.fold(Size::default(), Size::beside)
    }

    fn fragment(&mut self, name: &'a str) -> Size {
        if let Some(known) = self.known.get(name) {
            return known.unwrap_or_default();
        }
        let Some(set) = self.fragments.get(name).copied() else { return Size::default() };
        if self.nested == DEEPEST {
            // Deeper than anything may be: no need to know by how much.
            return Size { selections: 0, depth: DEEPEST };
        }
        self.known.insert(name, None);
        self.nested += 1;
        let size = self.measure(set);
        self.nested -= 1;
        self.known.insert(name, Some(size));
        size
    }
}

/// Counts the pairs of fields that have one response key in an answer.
struct Pairs<'a> {
    fragments: &'a HashMap<&'a str, &'a Set>,
    left: usize,
}

impl<'a> Pairs<'a> {
    /// Whether there are not too many in an object of which `sets` are selected, and below it.
    fn fit(&mut self, sets: &[&'a Set], depth: usize) -> bool {
        let (mut keys, mut spread) = (HashMap::new(), HashSet::new());
        sets.iter().for_each(|set| self.collect(set, &mut keys, &mut spread));
        keys.values().all(|same: &Vec<&Set>| {
            let Some(left) = self.left.checked_sub(same.len() * same.len()) else { return false };
            self.left = left;
            // Only fragments that spread themselves are so deep, and they are refused later.
            depth == DEEPEST || self.fit(same, depth + 1)
        })
    }

    fn collect(
        &self,
        set: &'a Set,
        keys: &mut HashMap<&'a str, Vec<&'a Set>>,
        spread: &mut HashSet<&'a str>,
    ) {
        for selection in &set.items {
            match selection {
                Selection::Field(field) => {
                    let key = field.alias.as_ref().unwrap_or(&field.name);
                    keys.entry(key).or_default().push(&field.selection_set);
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.selection_set, keys, spread),
                Selection::FragmentSpread(named) => {
                    let fragment = self.fragments.get(named.fragment_name.as_str());
                    if let Some(set) = fragment.filter(|_| spread.insert(&named.fragment_name)) {
                        self.collect(set, keys, spread);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::gateway::plan::normal::normalize;
    use crate::gateway::supergraph::Supergraph;

    const SHOP: &str = include_str!("../../../tests/federation/shop.graphql");

    fn code(supergraph: &Supergraph, operation: &str, most: usize) -> String {
        match normalize(supergraph, (operation, None), most) {
            Ok(_) => "none".to_owned(),
            Err(refusal) => refusal.0[0].extensions["code"].as_str().unwrap().to_owned(),
        }
    }

    /// What fragments spread counts as often as it is spread, and is never written out to be counted.
    #[test]
    fn an_operation_of_any_form_is_measured_before_it_is_spread() {
        let supergraph = Supergraph::parse(SHOP).unwrap();
        let doubling = (0..60).map(|n| format!("fragment F{n} on User {{ ...F{} ...F{} }}", n + 1, n + 1));
        let laughs = doubling.collect::<String>();
        let laughs = format!("{{ me {{ ...F0 }} }} {laughs} fragment F60 on User {{ id }}");
        assert_eq!(code(&supergraph, &laughs, 10_000), "OPERATION_TOO_LARGE");
        let chain = (0..500)
            .map(|n| format!("fragment F{n} on Review {{ author {{ reviews {{ ...F{} }} }} }}", n + 1));
        let deep = format!(
            "{{ latest {{ ...F0 }} }} {} fragment F500 on Review {{ id }}",
            chain.collect::<String>()
        );
        assert_eq!(code(&supergraph, &deep, 1_000_000), "OPERATION_TOO_LARGE");
        let cycle = "{ me { ...A } } fragment A on User { ...B } fragment B on User { ...A id }";
        assert_eq!(code(&supergraph, cycle, 100), "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(code(&supergraph, "{ me { ...A } }", 100), "GRAPHQL_VALIDATION_FAILED");
        // Compared in pairs, at the root or where they come together below it.
        for often in ["id ".repeat(600), "reviews { id } ".repeat(500), "... on User { id } ".repeat(600)] {
            assert_eq!(code(&supergraph, &format!("{{ me {{ {often} }} }}"), 10_000), "OPERATION_TOO_LARGE");
        }
        let fitting = "id ".repeat(400);
        assert_eq!(code(&supergraph, &format!("{{ me {{ {fitting} }} }}"), 10_000), "none");
        let circle = "{ me { ...A } } fragment A on User { reviews { author { ...A } } }";
        assert_eq!(code(&supergraph, circle, 100), "GRAPHQL_VALIDATION_FAILED");
        // Five in the operation, and two in the fragment itself.
        let small = "{ me { ...A name } } fragment A on User { id nick }";
        assert_eq!(code(&supergraph, small, 6), "OPERATION_TOO_LARGE");
        assert_eq!(code(&supergraph, small, 7), "none");
    }
}
