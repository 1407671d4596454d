//! The normal form of an operation: valid, of a bounded size, and without what two texts may differ in and still mean the
//! same, as names, spaces, fragments and the order of arguments.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use graphql_tools::parser::query::{Definition, Document, OperationDefinition as OperationAst};
use graphql_tools::validation::validate::validate;
use hive_router_query_planner::ast::normalization::error::NormalizationError;
use hive_router_query_planner::ast::normalization::normalize_operation;
use hive_router_query_planner::ast::operation::OperationDefinition;
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::state::supergraph_state::OperationKind;
use hive_router_query_planner::utils::cancellation::CancellationToken;
use hive_router_query_planner::utils::parsing::safe_parse_operation;
use sha2::{Digest, Sha256};

use super::conditions::Chosen;
use super::introspected::{forget_introspection, require_depth};
use super::size::require_size;
use super::{Refusal, conditions, guarding, shown};
use crate::gateway::execute::errors::{GraphqlError, Location, at_most};
use crate::gateway::guard::{self, GuardId, Refused};
use crate::gateway::schema::TypeId;
use crate::gateway::supergraph::Supergraph;

/// Errors of one operation that are remembered.
const MOST_ERRORS: usize = 100;

/// An operation that can be planned.
#[derive(Debug)]
pub struct Normal {
    /// Two operations with the same one have the same plan over the same supergraph.
    pub digest: [u8; 32],
    pub operation: OperationDefinition,
    /// What is shown of its root, in the client's order.
    pub shown: SelectionSet,
    /// Of what is shown, as JSON: how large it is, next to others.
    pub bytes: usize,
    /// The variables that conditions in it depend on.
    pub conditions: Vec<Arc<str>>,
    /// The guards that it meets.
    pub guards: Vec<GuardId>,
    /// The object types that its caller is refused as a whole, and the code of the errors that say so.
    pub refused: (Vec<TypeId>, &'static str),
}

/// What is to be brought into its normal form, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub operation: &'a str,
    pub name: Option<&'a str>,
    pub choice: &'a [Chosen],
    /// What its caller is refused; `None` as long as that is not known.
    pub refused: Option<&'a Refused>,
}

/// Brings an operation of at most `most` selections into its normal form; [`super::size`] says how they are counted. Its
/// conditions are settled as far as `choice` goes.
///
/// # Errors
/// GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED, OPERATION_TOO_LARGE, QUERY_PLANNING_FAILED, QUERY_PLANNING_TIMEOUT,
/// BAD_USER_INPUT for an operation that is not there.
pub fn normalize(
    supergraph: &Supergraph,
    (operation, name, choice): (&str, Option<&str>, &[Chosen]),
    most: usize,
    cancellation: &CancellationToken,
) -> Result<Normal, Refusal> {
    let asked = Asked { operation, name, choice, refused: None };
    normalize_for(supergraph, asked, most, cancellation)
}

/// The same for a caller who is refused some of it: that is shown, and not planned.
///
/// # Errors
/// As of [`normalize`]; UNAUTHENTICATED and FORBIDDEN for a subscription of which nothing is left.
pub fn normalize_for(
    supergraph: &Supergraph,
    Asked { operation, name, choice, refused }: Asked<'_>,
    most: usize,
    cancellation: &CancellationToken,
) -> Result<Normal, Refusal> {
    // Between the steps, which are the libraries' own and do not look at the time themselves.
    let in_time = || cancellation.bail_if_cancelled().map_err(|_| Refusal::timed_out());
    let mut document = safe_parse_operation(operation)
        .map_err(|error| Refusal::new("GRAPHQL_PARSE_FAILED", error.to_string()))?;
    require_operation(&document, name)?;
    // Before anybody goes through it: a few fragments that spread each other twice are more than any memory holds.
    require_size(supergraph, &document, most)?;
    in_time()?;
    let errors = validate(&supergraph.planner.consumer_schema.document, &document, &supergraph.rules);
    if !errors.is_empty() {
        let told = errors.into_iter().map(|error| {
            let locations = error.locations.iter().map(|at| Location { line: at.line, column: at.column });
            let locations = locations.collect();
            GraphqlError { locations, ..GraphqlError::new("GRAPHQL_VALIDATION_FAILED", error.message) }
        });
        return Err(Refusal::of(at_most(MOST_ERRORS, told)));
    }
    in_time()?;
    conditions::settle(&mut document, choice);
    let conditions = conditions::variables(&mut document);
    let guards = guarding::met(supergraph, &mut document);
    let refused = refused.filter(|refused| !refused.is_empty());
    if let Some(refused) = refused {
        guarding::mark(supergraph, refused, &mut document);
    }
    let shown = shown::of(supergraph, document.clone(), name).map_err(|error| unnormalized(&error))?;
    require_depth(&shown)?;
    if refused.is_some() {
        guarding::take_out(&mut document);
    }
    // The planner has nothing to do with it, and its library does not take all of it.
    forget_introspection(&mut document);
    let normalized = normalize_operation(&supergraph.planner.supergraph, &document, name)
        .map_err(|error| unnormalized(&error))?;
    // What it is called is in no plan.
    let mut operation = OperationDefinition { name: None, ..normalized.operation };
    if operation.operation_kind == Some(OperationKind::Mutation) {
        put_in_order(&mut operation.selection_set, &shown);
    }
    let code = refused.map_or("", Refused::code);
    if operation.operation_kind == Some(OperationKind::Subscription) && guarding::has_marked_root(&shown) {
        return Err(Refusal::new(code, guard::message(code)));
    }
    let refused = (refused.map(|refused| supergraph.guards.refused_types(refused)).unwrap_or_default(), code);
    let (digest, bytes) =
        digest(&operation, &shown).map_err(|error| Refusal::new("QUERY_PLANNING_FAILED", error))?;
    Ok(Normal { digest, operation, shown, bytes, conditions, guards, refused })
}

/// Of all that a plan depends on, with the number of its bytes.
fn digest(operation: &OperationDefinition, shown: &SelectionSet) -> Result<([u8; 32], usize), String> {
    let kind = operation.operation_kind.as_ref().unwrap_or(&OperationKind::Query);
    let variables = operation.variable_definitions.as_deref().unwrap_or_default();
    // Not the text, which does not say all. What is asked of the subgraphs follows from what is shown.
    let mut hashing = Hashing { hash: Sha256::new(), bytes: 0 };
    let written = serde_json::to_writer(&mut hashing, &(kind, variables, shown));
    written.map_err(|error| error.to_string())?;
    Ok((hashing.hash.finalize().into(), hashing.bytes))
}

struct Hashing {
    hash: Sha256,
    bytes: usize,
}

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hash.update(bytes);
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Puts the fields of a mutation into the order of the client, in which they are executed: the normal form brings fragments
/// of one condition together, past what stands between.
fn put_in_order(set: &mut SelectionSet, shown: &SelectionSet) {
    let mut keys = Vec::new();
    keys_of(shown, &mut keys);
    // The fields of one key under several conditions are in the same order here and there.
    let mut places: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (place, key) in keys.into_iter().enumerate() {
        places.entry(key.to_owned()).or_default().push_back(place);
    }
    let mut items = Vec::new();
    apart(std::mem::take(&mut set.items), &mut |item| {
        let mut own = Vec::new();
        keys_of_item(&item, &mut own);
        let places = own.first().and_then(|key| places.get_mut(*key));
        let place = places
            .and_then(|places| if places.len() > 1 { places.pop_front() } else { places.front().copied() });
        items.push((place, item));
    });
    items.sort_by_key(|(place, _)| *place);
    set.items = items.into_iter().map(|(_, item)| item).collect();
}

fn keys_of<'a>(set: &'a SelectionSet, keys: &mut Vec<&'a str>) {
    set.items.iter().for_each(|item| keys_of_item(item, keys));
}

fn keys_of_item<'a>(item: &'a SelectionItem, keys: &mut Vec<&'a str>) {
    match item {
        SelectionItem::Field(field) => keys.push(field.selection_identifier()),
        SelectionItem::InlineFragment(fragment) => keys_of(&fragment.selections, keys),
        SelectionItem::FragmentSpread(_) => {}
    }
}

/// Each field by itself, in fragments of its own.
fn apart(items: Vec<SelectionItem>, each: &mut dyn FnMut(SelectionItem)) {
    for item in items {
        match item {
            SelectionItem::InlineFragment(fragment) => {
                let within = fragment.selections.items.clone();
                apart(within, &mut |item| {
                    let alone = fragment.with_new_selections(SelectionSet { items: vec![item] });
                    each(SelectionItem::InlineFragment(alone));
                });
            }
            other => each(other),
        }
    }
}

/// The planner takes the only operation of a document also by another name.
fn require_operation(document: &Document<'static, String>, name: Option<&str>) -> Result<(), Refusal> {
    let operations = document.definitions.iter().filter_map(|definition| match definition {
        Definition::Operation(operation) => Some(match operation {
            OperationAst::Query(query) => query.name.as_deref(),
            OperationAst::Mutation(mutation) => mutation.name.as_deref(),
            OperationAst::Subscription(subscription) => subscription.name.as_deref(),
            OperationAst::SelectionSet(_) => None,
        }),
        Definition::Fragment(_) => None,
    });
    let names: Vec<Option<&str>> = operations.collect();
    let message = match name {
        Some(name) if !names.contains(&Some(name)) => format!("The document has no operation `{name}`."),
        None if names.len() > 1 => {
            "The document has several operations; say which one in `operationName`.".to_owned()
        }
        _ if names.is_empty() => "The document has no operation.".to_owned(),
        _ => return Ok(()),
    };
    Err(Refusal::new("BAD_USER_INPUT", message))
}

fn unnormalized(error: &NormalizationError) -> Refusal {
    match error {
        NormalizationError::TypeForOperationNotFound { kind } => {
            Refusal::new("GRAPHQL_VALIDATION_FAILED", format!("The schema has no {kind} type."))
        }
        // The validation does not see all of them.
        NormalizationError::CyclicFragmentSpread { fragment_name } => {
            let message = format!("The fragment `{fragment_name}` spreads itself.");
            Refusal::new("GRAPHQL_VALIDATION_FAILED", message)
        }
        other => Refusal::new("QUERY_PLANNING_FAILED", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = include_str!("../../../tests/federation/shop.graphql");

    /// Names, spaces, fragments, order of arguments: the same. Anything that a client could see: not the same.
    #[test]
    fn operations_that_mean_the_same_have_one_digest() {
        let supergraph = Supergraph::parse(SHOP).unwrap();
        let token = CancellationToken::new();
        let digest = |text: &str| normalize(&supergraph, (text, None, &[]), 100, &token).unwrap().digest;
        let same = [
            ["{ me { id name } }", "query Q { me { ...F } } fragment F on User { id name }"],
            ["{ me { id name } }", "query {\n me { ... on User { id } ... { name } id } }"],
            [
                "query($n: Int!) { products(first: $n, filter: {title: \"a\"}) { upc } }",
                "query A($n: Int!) { products(filter: {title: \"a\"}, first: $n) { upc } }",
            ],
            ["{ me { id nick @skip(if: true) } }", "{ me { id } }"],
        ];
        for [one, other] in same {
            assert_eq!(digest(one), digest(other), "{one} and {other}");
        }
        let different = [
            ["{ me { id name } }", "{ me { name id } }"],
            ["{ me { id } }", "{ me { a: id } }"],
            [
                "query($n: Int! = 1) { products(first: $n) { upc } }",
                "query($n: Int! = 2) { products(first: $n) { upc } }",
            ],
            [
                "query($n: Int!) { products(first: $n) { upc } }",
                "query($n: Int! = 1) { products(first: $n) { upc } }",
            ],
            [
                "query($a: Boolean!) { me { id name @skip(if: $a) } }",
                "query($a: Boolean!) { me { id name @include(if: $a) } }",
            ],
            // The planner puts `__typename` where nothing is left, and hides it: not what the client asked for here.
            ["{ me { id @skip(if: true) } }", "{ me { __typename } }"],
            ["{ products(filter: {title: \"1\"}) { upc } }", "{ products(filter: {title: \"2\"}) { upc } }"],
        ];
        for [one, other] in different {
            assert_ne!(digest(one), digest(other), "{one} and {other}");
        }
    }

    /// Mutations are executed in the client's order, whatever conditions they have.
    #[test]
    fn mutations_stay_in_order() {
        let supergraph =
            Supergraph::parse(include_str!("../../../tests/federation/mutations.graphql")).unwrap();
        let only = "put(item: 1) { id }";
        for (asked, keys) in [
            (
                format!(
                    "... @include(if: $x) {{ a: {only} }} pay(amount: 1) {{ id }} ... @include(if: $x) {{ b: {only} }}"
                ),
                vec!["a", "pay", "b"],
            ),
            (
                format!("b: {only} ... {{ a: {only} }} c: put(item: 1) @skip(if: $x) {{ id }}"),
                vec!["b", "a", "c"],
            ),
            (
                format!(
                    "... @skip(if: $x) {{ a: {only} b: {only} }} c: {only} ... @skip(if: $x) {{ d: {only} a: {only} }}"
                ),
                vec!["a", "b", "c", "d"],
            ),
        ] {
            let text = format!("mutation($x: Boolean!) {{ {asked} }}");
            let normal = normalize(&supergraph, (&text, None, &[]), 1000, &CancellationToken::new()).unwrap();
            let mut found = Vec::new();
            keys_of(&normal.operation.selection_set, &mut found);
            found.dedup();
            assert_eq!(found, keys, "{text}");
        }
    }

    /// A text full of mistakes is not a memory full of errors.
    #[test]
    fn so_many_mistakes_are_told_and_no_more() {
        let supergraph = Supergraph::parse(SHOP).unwrap();
        let text = (0..300).map(|n| format!("x{n} ")).collect::<String>();
        let text = format!("{{ {text} }}");
        let refusal =
            normalize(&supergraph, (&text, None, &[]), 1000, &CancellationToken::new()).unwrap_err();
        assert_eq!(refusal.0.len(), MOST_ERRORS + 1);
        assert_eq!(refusal.0[MOST_ERRORS].extensions["leftOut"], 200);
    }

    /// Who asked has long gone.
    #[test]
    fn what_has_no_time_left_is_given_up() {
        let supergraph = Supergraph::parse(SHOP).unwrap();
        let over = CancellationToken::with_timeout(std::time::Duration::ZERO);
        let refusal = normalize(&supergraph, ("{ me { id } }", None, &[]), 100, &over).unwrap_err();
        assert_eq!(refusal.0[0].extensions["code"], "QUERY_PLANNING_TIMEOUT");
    }
}
