//! How large an operation is once its fragments are spread and its interfaces are asked for type by type, found out without
//! doing either: some that are small to write are more than any memory holds, or take for ever to compare.

use std::collections::{HashMap, HashSet};

use graphql_tools::parser::query::{
    Definition, Directive, Document, Field, FragmentDefinition, OperationDefinition as OperationAst,
    Selection, SelectionSet, TypeCondition, Value,
};
use hive_router_query_planner::state::supergraph_state::SupergraphDefinition;

use super::Refusal;
use crate::gateway::schema::TypeId;
use crate::gateway::supergraph::Supergraph;

/// Everybody who goes through an operation recurses.
const DEEPEST: usize = 100;

/// A field of so many bytes counts as two, of twice as many as three, and so on.
const LONG: usize = 100;

/// Whoever validates compares all fields of one response key with each other.
const MOST_PAIRS: usize = 250_000;

type Text = Document<'static, String>;
type Set = SelectionSet<'static, String>;
type Fragments<'a> = HashMap<&'a str, &'a FragmentDefinition<'static, String>>;

/// Refuses a document that is too large to be gone through.
///
/// # Errors
/// OPERATION_TOO_LARGE.
pub fn require_size(supergraph: &Supergraph, document: &Text, most: usize) -> Result<(), Refusal> {
    let fragments: Fragments<'_> = document.definitions.iter().filter_map(fragment_in).collect();
    let mut count = Count { supergraph, fragments: &fragments, under_way: Vec::new(), left: most };
    let counted = document.definitions.iter().try_for_each(|definition| {
        let (set, ty) = set_of(supergraph, definition);
        count.set(set, ty, 1)
    });
    let mut fit = document.definitions.iter().map(|definition| {
        let (set, _) = set_of(supergraph, definition);
        Pairs { fragments: &fragments, left: MOST_PAIRS }.fit(&[set], 0)
    });
    let message = match counted {
        Err(TooLarge::Selections) => format!(
            "The document has more than {most} selections, those of fragments and of each type of an interface \
             included, and a long one counted as several; ask for less at once."
        ),
        Err(TooLarge::Depth) => {
            format!("The document is more than {DEEPEST} selections deep; ask for less at once.")
        }
        Ok(()) if !fit.all(|fits| fits) => {
            "The document selects the same fields too often; once is enough.".to_owned()
        }
        Ok(()) => return Ok(()),
    };
    Err(Refusal::new("OPERATION_TOO_LARGE", message))
}

fn fragment_in<'a>(
    definition: &'a Definition<'static, String>,
) -> Option<(&'a str, &'a FragmentDefinition<'static, String>)> {
    match definition {
        Definition::Fragment(fragment) => Some((&fragment.name, fragment)),
        Definition::Operation(_) => None,
    }
}

/// What a definition selects, and of which type.
fn set_of<'a>(
    supergraph: &Supergraph,
    definition: &'a Definition<'static, String>,
) -> (&'a Set, Option<TypeId>) {
    let schema = &supergraph.schema;
    match definition {
        Definition::Operation(OperationAst::SelectionSet(set)) => (set, schema.query),
        Definition::Operation(OperationAst::Query(query)) => (&query.selection_set, schema.query),
        Definition::Operation(OperationAst::Mutation(mutation)) => (&mutation.selection_set, schema.mutation),
        Definition::Operation(OperationAst::Subscription(subscription)) => {
            (&subscription.selection_set, schema.subscription)
        }
        Definition::Fragment(fragment) => {
            let TypeCondition::On(name) = &fragment.type_condition;
            (&fragment.selection_set, schema.id(name))
        }
    }
}

enum TooLarge {
    Selections,
    Depth,
}

/// Counts the selections that the planner's normal form will have, each one that it writes for several types as often as
/// that; it ends once there are too many, so it takes no longer than so many steps. What is not valid counts as written.
struct Count<'a> {
    supergraph: &'a Supergraph,
    fragments: &'a Fragments<'a>,
    /// Fragments that are gone through, one within the other: one that spreads itself is refused later.
    under_way: Vec<&'a str>,
    left: usize,
}

impl<'a> Count<'a> {
    fn set(&mut self, set: &'a Set, ty: Option<TypeId>, depth: usize) -> Result<(), TooLarge> {
        let schema = &self.supergraph.schema;
        for selection in &set.items {
            if depth > DEEPEST {
                return Err(TooLarge::Depth);
            }
            match selection {
                Selection::Field(field) => {
                    let long = written(field) / LONG;
                    let below = ty.and_then(|ty| self.type_of(ty, &field.name));
                    let copies = ty.map_or(1, |ty| self.copies(ty, &field.name));
                    for _ in 0..copies {
                        if copies > 1 {
                            // The fragment that it stands in then.
                            self.take(1)?;
                        }
                        self.take(long)?;
                        self.one(&field.selection_set, below, depth)?;
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let on =
                        fragment.type_condition.as_ref().map_or(ty, |TypeCondition::On(on)| schema.id(on));
                    for ty in self.types(ty, on, &fragment.directives) {
                        self.one(&fragment.selection_set, ty, depth)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name.as_str();
                    let Some(fragment) = self.fragments.get(name).filter(|_| !self.under_way.contains(&name))
                    else {
                        self.take(1)?;
                        continue;
                    };
                    let TypeCondition::On(on) = &fragment.type_condition;
                    self.under_way.push(name);
                    for ty in self.types(ty, schema.id(on), &spread.directives) {
                        self.one(&fragment.selection_set, ty, depth)?;
                    }
                    self.under_way.pop();
                }
            }
        }
        Ok(())
    }

    /// One selection, with what is below it.
    fn one(&mut self, below: &'a Set, ty: Option<TypeId>, depth: usize) -> Result<(), TooLarge> {
        self.take(1)?;
        self.set(below, ty, depth + 1)
    }

    fn take(&mut self, count: usize) -> Result<(), TooLarge> {
        self.left = self.left.checked_sub(count).ok_or(TooLarge::Selections)?;
        Ok(())
    }

    /// The types that a fragment on `on` is written for where objects of type `ty` are selected from. An unconditional one
    /// on the same type is dissolved; others on an interface or a union become one for each type.
    fn types(
        &self,
        ty: Option<TypeId>,
        on: Option<TypeId>,
        directives: &[Directive<'static, String>],
    ) -> Vec<Option<TypeId>> {
        let schema = &self.supergraph.schema;
        let Some(abstracted) = on.filter(|_| ty != on || !directives.is_empty()) else { return vec![on] };
        let possible = schema.possible(abstracted).iter().copied();
        let types = possible.filter(|possible| ty.is_none_or(|ty| schema.satisfies(*possible, ty)));
        let types: Vec<_> = types.map(Some).collect();
        if types.is_empty() { vec![on] } else { types }
    }

    fn definition(&self, ty: TypeId) -> Option<&'a SupergraphDefinition> {
        let name = &*self.supergraph.schema.get(ty).name;
        self.supergraph.planner.supergraph.definitions.get(name)
    }

    /// The type of a field, in types that clients do not see as well: the planner writes those too.
    fn type_of(&self, ty: TypeId, field: &str) -> Option<TypeId> {
        let field = self.definition(ty)?.fields().get(field)?;
        self.supergraph.schema.id(field.field_type.inner_type())
    }

    /// How often a field of a type is written: of an interface once for each of its types if not all of them have it from
    /// the same subgraphs. The planner goes by the same rule (`normalization/pipeline/type_expand.rs`), but for some cases
    /// in which it does not.
    fn copies(&self, ty: TypeId, field: &str) -> usize {
        let Some(SupergraphDefinition::Interface(interface)) = self.definition(ty) else { return 1 };
        let Some(own) = interface.fields.get(field) else { return 1 };
        let possible = self.supergraph.schema.possible(ty);
        let are_alike = possible.iter().all(|ty| {
            let field = self.definition(*ty).and_then(|definition| definition.fields().get(field));
            field.is_some_and(|field| {
                let mut joins = field.join_field.iter();
                !joins.any(|join| join.external || join.used_overridden || join.override_value.is_some())
            })
        });
        let subgraphs = interface.join_type.iter().filter(|join| !join.is_interface_object).count();
        let resolving =
            own.join_field.iter().filter(|join| !join.external && join.graph_id.is_some()).count();
        let is_everywhere = subgraphs <= 1 || own.join_field.is_empty() || resolving >= subgraphs;
        if are_alike && is_everywhere { 1 } else { possible.len().max(1) }
    }
}

/// Bytes of a field's own, more or less: it is copied as often as the fragment that it stands in is spread.
fn written(field: &Field<'static, String>) -> usize {
    let arguments = field.arguments.iter().map(|(name, value)| name.len() + size(value));
    field.name.len() + field.alias.as_ref().map_or(0, String::len) + arguments.sum::<usize>()
}

fn size(value: &Value<'static, String>) -> usize {
    /// What the least of them takes.
    const LEAST: usize = 8;
    LEAST
        + match value {
            Value::Variable(text) | Value::String(text) | Value::Enum(text) => text.len(),
            Value::List(items) => items.iter().map(size).sum(),
            Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + size(value)).sum(),
            Value::Int(_) | Value::Float(_) | Value::Boolean(_) | Value::Null => 0,
        }
}

/// Counts the pairs of fields that have one response key in an answer.
struct Pairs<'a> {
    fragments: &'a Fragments<'a>,
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
                    if let Some(fragment) = fragment.filter(|_| spread.insert(&named.fragment_name)) {
                        self.collect(&fragment.selection_set, keys, spread);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use hive_router_query_planner::ast::selection_item::SelectionItem;
    use hive_router_query_planner::ast::selection_set::SelectionSet;
    use hive_router_query_planner::utils::cancellation::CancellationToken;

    use crate::gateway::plan::normal::normalize;
    use crate::gateway::plan::plannable::Plannable;
    use crate::gateway::supergraph::Supergraph;
    use crate::gateway::testing::{ZOO, zoo};

    const SHOP: &str = include_str!("../../../tests/federation/shop.graphql");

    fn code(supergraph: &Supergraph, operation: &str, most: usize) -> String {
        match normalize(supergraph, (operation, None, &[]), most, &CancellationToken::new()) {
            Ok(_) => "none".to_owned(),
            Err(refusal) => refusal.0[0].extensions["code"].as_str().unwrap().to_owned(),
        }
    }

    /// A long text is copied with the fragment that it stands in.
    #[test]
    fn long_arguments_count() {
        let text = "x".repeat(10_000);
        let once = format!("{{ __type(name: \"{text}\") {{ name }} }}");
        assert_eq!(code(&zoo(), &once, 110), "none");
        assert_eq!(code(&zoo(), &once, 100), "OPERATION_TOO_LARGE");
        let often: String = (0..20).map(|n| format!("a{n}: __typename ...F ")).collect();
        let often = format!("{{ {often} }} fragment F on Query {{ __type(name: \"{text}\") {{ name }} }}");
        assert_eq!(code(&zoo(), &often, 2000), "OPERATION_TOO_LARGE");
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

    /// The zoo, where the friend of a dog is known to somebody else than a cat's.
    fn spread_zoo() -> Supergraph {
        let dog = "type Dog implements Animal & Kept @join__implements(graph: A, interface: \"Animal\")
  @join__implements(graph: A, interface: \"Kept\") @join__type(graph: A, key: \"id\") {
  id: ID! name: String friend: Animal";
        assert!(ZOO.contains(dog));
        let moved = format!("{dog} @join__field(graph: A, usedOverridden: true)");
        Supergraph::parse(&ZOO.replace(dog, &moved)).unwrap()
    }

    /// `{ animal { … friend { … friend { … id` so many levels deep.
    fn nested(open: &str, close: &str, levels: usize) -> String {
        let (open, close) = (open.repeat(levels), close.repeat(levels));
        let variables = if open.contains("$c") { "query($c: Boolean!)" } else { "" };
        format!("{variables} {{ animal {{ {open} id {close} }} }}")
    }

    const CONDITIONAL: [&str; 2] = ["... @include(if: $c) { friend {", "} }"];
    const PLAIN: [&str; 2] = ["friend {", "}"];

    /// What is written once for each type of an interface counts as often, at every level; it is never written to be counted.
    #[test]
    fn what_is_multiplied_by_types_is_refused() {
        let (zoo, spread) = (zoo(), spread_zoo());
        let by_name = "... on Animal @include(if: $c) { friend {";
        for (supergraph, [open, close]) in [(&zoo, CONDITIONAL), (&zoo, [by_name, "} }"]), (&spread, PLAIN)] {
            let begin = Instant::now();
            assert_eq!(code(supergraph, &nested(open, close, 20), 10_000), "OPERATION_TOO_LARGE", "{open}");
            // Written, it would be more than three billion selections.
            assert!(begin.elapsed() < Duration::from_secs(5), "{open}");
            assert_eq!(code(supergraph, &nested(open, close, 4), 10_000), "none", "{open}");
        }
        // Nobody writes these for each type.
        assert_eq!(code(&zoo, &nested(PLAIN[0], PLAIN[1], 40), 50), "none");
        assert_eq!(code(&zoo, &nested("... on Animal { friend {", "} }", 20), 100), "none");
        assert_eq!(code(&zoo, &nested("... on Cat @include(if: $c) { friend {", "} }", 20), 100), "none");
    }

    fn selections(set: &SelectionSet) -> usize {
        let below = set.items.iter().map(|item| match item {
            SelectionItem::Field(field) => selections(&field.selections),
            SelectionItem::InlineFragment(fragment) => selections(&fragment.selections),
            SelectionItem::FragmentSpread(_) => 0,
        });
        below.map(|below| below + 1).sum()
    }

    /// Of no operation comes more than was counted.
    #[test]
    fn nothing_grows_beyond_what_was_counted() {
        let (zoo, spread) = (zoo(), spread_zoo());
        let written = [
            nested(CONDITIONAL[0], CONDITIONAL[1], 4),
            nested(PLAIN[0], PLAIN[1], 4),
            nested("... on Animal { friend {", "} }", 4),
            nested("... on Cat { ... on Animal @skip(if: $c) { friend {", "} } }", 3),
            nested("... @skip(if: $c) { ... @include(if: $c) { friend {", "} } }", 3),
            "query($c: Boolean!) { animals { ...F @skip(if: $c) } }
                fragment F on Animal { name friend { ...G } } fragment G on Animal { id friend { name } }"
                .to_owned(),
        ];
        for supergraph in [&zoo, &spread] {
            for operation in &written {
                let token = CancellationToken::new();
                let normal = normalize(supergraph, (operation, None, &[]), 10_000, &token).unwrap();
                let schema = &supergraph.schema;
                let set = &normal.operation.selection_set;
                let planned = Plannable { schema, cancellation: &token }.set(schema.query, set).unwrap();
                let grown = selections(set).max(selections(&planned));
                let refused = code(supergraph, operation, grown - 1);
                assert_eq!(refused, "OPERATION_TOO_LARGE", "{operation} comes to {grown}");
            }
        }
    }
}
