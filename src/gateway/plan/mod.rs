//! Plans: how an operation is answered over the subgraphs, prepared for execution once and executed often.

pub mod input;
pub mod layout;
pub mod planners;
pub mod projection;
pub mod shape;
pub mod steps;

use graphql_tools::parser::query::{Definition, Document, OperationDefinition as OperationAst};
use graphql_tools::validation::validate::validate;
use hive_router_query_planner::ast::normalization::error::NormalizationError;
use hive_router_query_planner::ast::normalization::normalize_operation;
use hive_router_query_planner::ast::operation::{OperationDefinition, VariableDefinition};
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::graph::PlannerOverrideContext;
use hive_router_query_planner::planner::PlannerError;
use hive_router_query_planner::planner::plan_nodes::QueryPlan;
use hive_router_query_planner::state::supergraph_state::OperationKind;
use hive_router_query_planner::utils::cancellation::CancellationToken;
use hive_router_query_planner::utils::parsing::safe_parse_operation;

use super::execute::errors::{GraphqlError, Location};
use super::supergraph::Supergraph;
use layout::Layout;
use projection::Selection;
use steps::{Step, StepId, Stepping, Target};

/// An operation that can be executed any number of times.
pub struct Plan {
    pub kind: Kind,
    pub variables: Vec<VariableDefinition>,
    pub steps: Vec<Step>,
    /// For each step those that wait for it.
    pub after: Vec<Vec<StepId>>,
    pub layout: Layout,
    pub selection: Selection,
    /// Whether it asks for the schema itself.
    pub introspects: bool,
    /// As the planner made it, for people.
    pub tree: QueryPlan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// Why an operation has no plan: what the client is told.
#[derive(Clone, Debug)]
pub struct Refusal(pub Vec<GraphqlError>);

impl Refusal {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self(vec![GraphqlError::new(code, message)])
    }
}

/// Makes a plan. It takes as long as it takes, and may panic: [`planners`] is where that is bounded.
///
/// # Errors
/// GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED, BAD_USER_INPUT for an operation that is not there,
/// QUERY_PLANNING_FAILED, QUERY_PLANNING_TIMEOUT.
pub fn make(
    supergraph: &Supergraph,
    (operation, name): (&str, Option<&str>),
    overrides: PlannerOverrideContext,
    cancellation: &CancellationToken,
) -> Result<Plan, Refusal> {
    let document = safe_parse_operation(operation)
        .map_err(|error| Refusal::new("GRAPHQL_PARSE_FAILED", error.to_string()))?;
    require_operation(&document, name)?;
    let errors = validate(&supergraph.planner.consumer_schema.document, &document, &supergraph.rules);
    if !errors.is_empty() {
        let told = errors.into_iter().map(|error| {
            let locations = error.locations.iter().map(|at| Location { line: at.line, column: at.column });
            let locations = locations.collect();
            GraphqlError { locations, ..GraphqlError::new("GRAPHQL_VALIDATION_FAILED", error.message) }
        });
        return Err(Refusal(told.collect()));
    }
    let normalized = normalize_operation(&supergraph.planner.supergraph, &document, name)
        .map_err(|error| unnormalized(&error))?;
    let operation = normalized.operation;
    let downstream = downstream(&operation.selection_set);
    let tree = if downstream.items.is_empty() {
        QueryPlan { kind: "QueryPlan", node: None }
    } else {
        let asked = OperationDefinition { selection_set: downstream, ..operation.clone() };
        let planned = supergraph.planner.plan_from_normalized_operation(&asked, overrides, cancellation);
        planned.map_err(|error| unplanned(&error))?
    };
    prepare(supergraph, operation, tree)
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

/// What is left of a root selection for the subgraphs: not what the schema itself answers.
fn downstream(set: &SelectionSet) -> SelectionSet {
    let items = set.items.iter().filter_map(|item| match item {
        SelectionItem::Field(field)
            if matches!(field.name.as_str(), "__schema" | "__type" | "__typename") =>
        {
            None
        }
        SelectionItem::InlineFragment(fragment) => {
            let within = downstream(&fragment.selections);
            (!within.items.is_empty())
                .then(|| SelectionItem::InlineFragment(fragment.with_new_selections(within)))
        }
        other => Some(other.clone()),
    });
    SelectionSet { items: items.collect() }
}

fn prepare(
    supergraph: &Supergraph,
    operation: OperationDefinition,
    tree: QueryPlan,
) -> Result<Plan, Refusal> {
    let schema = &supergraph.schema;
    let (kind, root) = match operation.operation_kind {
        None | Some(OperationKind::Query) => (Kind::Query, schema.query),
        Some(OperationKind::Mutation) => (Kind::Mutation, schema.mutation),
        Some(OperationKind::Subscription) => (Kind::Subscription, schema.subscription),
    };
    let root =
        root.ok_or_else(|| Refusal::new("QUERY_PLANNING_FAILED", "The schema has no such root type."))?;
    let mut stepping = Stepping { schema, layout: Layout::default(), steps: Vec::new() };
    if let Some(node) = &tree.node {
        stepping.add(node, &[], &[]);
    }
    let Stepping { layout, mut steps, .. } = stepping;
    let mut after = vec![Vec::new(); steps.len()];
    for (id, step) in steps.iter_mut().enumerate() {
        for &before in &step.waits_for {
            after[before].push(id);
        }
        match &mut step.target {
            Target::Root { shape, .. } => shape.settle(&layout),
            Target::Entities(lists) => {
                lists
                    .iter_mut()
                    .flat_map(|list| &mut list.places)
                    .for_each(|place| place.shape.settle(&layout));
            }
        }
    }
    let introspects = introspects(&operation.selection_set);
    let selection = Selection::root(schema, root, operation.selection_set);
    let variables = operation.variable_definitions.unwrap_or_default();
    Ok(Plan { kind, variables, steps, after, layout, selection, introspects, tree })
}

fn introspects(set: &SelectionSet) -> bool {
    set.items.iter().any(|item| match item {
        SelectionItem::Field(field) => matches!(field.name.as_str(), "__schema" | "__type"),
        SelectionItem::InlineFragment(fragment) => introspects(&fragment.selections),
        SelectionItem::FragmentSpread(_) => false,
    })
}

fn unnormalized(error: &NormalizationError) -> Refusal {
    match error {
        NormalizationError::TypeForOperationNotFound { kind } => {
            Refusal::new("GRAPHQL_VALIDATION_FAILED", format!("The schema has no {kind} type."))
        }
        other => Refusal::new("QUERY_PLANNING_FAILED", other.to_string()),
    }
}

fn unplanned(error: &PlannerError) -> Refusal {
    match error {
        PlannerError::CancellationError(_) => Refusal::timed_out(),
        error => {
            // It may name types and fields that clients must not learn of.
            tracing::warn!(%error, "an operation cannot be planned");
            Refusal::new("QUERY_PLANNING_FAILED", "The operation cannot be answered by the subgraphs.")
        }
    }
}

impl Refusal {
    pub fn timed_out() -> Self {
        Self::new("QUERY_PLANNING_TIMEOUT", "The operation takes too long to plan; ask for less at once.")
    }

    pub fn panicked() -> Self {
        Self::new("QUERY_PLANNING_FAILED", "The operation cannot be planned.")
    }

    /// Whether the same operation may fare better another time.
    pub fn is_passing(&self) -> bool {
        self.0
            .iter()
            .any(|error| error.extensions.get("code").is_some_and(|code| code == "SERVICE_UNAVAILABLE"))
    }

    pub fn overloaded() -> Self {
        Self::new("SERVICE_UNAVAILABLE", "Too many new operations at once; try again in a moment.")
    }
}
