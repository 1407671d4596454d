//! The normal form of an operation: valid, of a bounded size, and without what two texts may differ in and still mean the
//! same, as names, spaces, fragments and the order of arguments.

use graphql_tools::parser::query::{Definition, Document, OperationDefinition as OperationAst};
use graphql_tools::validation::validate::validate;
use hive_router_query_planner::ast::normalization::error::NormalizationError;
use hive_router_query_planner::ast::normalization::normalize_operation;
use hive_router_query_planner::ast::operation::OperationDefinition;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::state::supergraph_state::OperationKind;
use hive_router_query_planner::utils::cancellation::CancellationToken;
use hive_router_query_planner::utils::parsing::safe_parse_operation;
use sha2::{Digest, Sha256};

use super::introspected::{forget_introspection, require_depth};
use super::size::require_size;
use super::{Refusal, shown};
use crate::gateway::execute::errors::{GraphqlError, Location, at_most};
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
}

/// Brings an operation of at most `most` selections into its normal form; [`super::size`] says how they are counted.
///
/// # Errors
/// GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED, OPERATION_TOO_LARGE, QUERY_PLANNING_FAILED, QUERY_PLANNING_TIMEOUT,
/// BAD_USER_INPUT for an operation that is not there.
pub fn normalize(
    supergraph: &Supergraph,
    (operation, name): (&str, Option<&str>),
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
    let shown = shown::of(supergraph, document.clone(), name).map_err(|error| unnormalized(&error))?;
    require_depth(&shown)?;
    // The planner has nothing to do with it, and its library does not take all of it.
    forget_introspection(&mut document);
    let normalized = normalize_operation(&supergraph.planner.supergraph, &document, name)
        .map_err(|error| unnormalized(&error))?;
    // What it is called is in no plan.
    let operation = OperationDefinition { name: None, ..normalized.operation };
    let digest = digest(&operation, &shown).map_err(|error| Refusal::new("QUERY_PLANNING_FAILED", error))?;
    Ok(Normal { digest, operation, shown })
}

/// Of all that a plan depends on.
fn digest(operation: &OperationDefinition, shown: &SelectionSet) -> Result<[u8; 32], String> {
    let kind = operation.operation_kind.as_ref().unwrap_or(&OperationKind::Query);
    let variables = operation.variable_definitions.as_deref().unwrap_or_default();
    // Not the text, which does not say all. What is asked of the subgraphs follows from what is shown.
    let all = serde_json::to_vec(&(kind, variables, shown));
    all.map(|all| Sha256::digest(all).into()).map_err(|error| error.to_string())
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
        let digest = |text: &str| normalize(&supergraph, (text, None), 100, &token).unwrap().digest;
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

    /// A text full of mistakes is not a memory full of errors.
    #[test]
    fn so_many_mistakes_are_told_and_no_more() {
        let supergraph = Supergraph::parse(SHOP).unwrap();
        let text = (0..300).map(|n| format!("x{n} ")).collect::<String>();
        let text = format!("{{ {text} }}");
        let refusal = normalize(&supergraph, (&text, None), 1000, &CancellationToken::new()).unwrap_err();
        assert_eq!(refusal.0.len(), MOST_ERRORS + 1);
        assert_eq!(refusal.0[MOST_ERRORS].extensions["leftOut"], 200);
    }

    /// Who asked has long gone.
    #[test]
    fn what_has_no_time_left_is_given_up() {
        let supergraph = Supergraph::parse(SHOP).unwrap();
        let over = CancellationToken::with_timeout(std::time::Duration::ZERO);
        let refusal = normalize(&supergraph, ("{ me { id } }", None), 100, &over).unwrap_err();
        assert_eq!(refusal.0[0].extensions["code"], "QUERY_PLANNING_TIMEOUT");
    }
}
