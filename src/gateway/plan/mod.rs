//! Plans: how an operation is answered over the subgraphs, prepared for execution once and executed often.

pub mod collisions;
pub mod conditions;
mod guarding;
pub mod input;
mod introspected;
pub mod keys;
pub mod layout;
pub mod normal;
mod plannable;
pub mod planners;
pub mod projection;
mod reserved;
pub mod shape;
mod shown;
pub mod size;
pub mod steps;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hive_router_query_planner::ast::operation::{OperationDefinition, VariableDefinition};
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::graph::PlannerOverrideContext;
use hive_router_query_planner::planner::PlannerError;
use hive_router_query_planner::planner::plan_nodes::QueryPlan;
use hive_router_query_planner::state::supergraph_state::OperationKind;
use hive_router_query_planner::utils::cancellation::CancellationToken;

use serde_json::{Map, Value};

use super::execute::errors::{GraphqlError, cut};
use super::guard::GuardId;
use super::schema::TypeId;
use super::supergraph::Supergraph;
use collisions::Asked;
use introspected::introspects;
use layout::Layout;
use normal::Normal;
use plannable::Plannable;
use projection::Selection;
use steps::{Step, StepId, Stepping, Target};

/// An operation that can be executed any number of times.
pub struct Plan {
    pub kind: Kind,
    /// As the client has defined them.
    pub variables: Vec<VariableDefinition>,
    /// What the client's `$representations` is called here.
    representations: Option<String>,
    pub steps: Vec<Step>,
    /// For each step those that wait for it.
    pub after: Vec<Vec<StepId>>,
    pub layout: Layout,
    pub selection: Selection,
    /// The variables whose values have to be known first: there is a plan for each choice of them, and this is none.
    pub undecided: Vec<Arc<str>>,
    /// The guards that it meets, as long as it is not known which of them its caller passes: there is a plan for each
    /// outcome, and this is none.
    pub guards: Vec<GuardId>,
    /// Whether it asks for the schema itself.
    pub introspects: bool,
    /// As the planner made it, for people.
    pub tree: QueryPlan,
    /// Bytes of what it asks the subgraphs: how large it is, next to others.
    pub bytes: usize,
    /// Bytes of the data of its last answer: the next one is made room for at once.
    pub last_answer: AtomicUsize,
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
    /// Bytes of a message. Names are repeated in it, which may be as long as whole documents.
    const LONGEST: usize = 1000;

    fn new(code: &str, message: impl Into<String>) -> Self {
        Self::of(vec![GraphqlError::new(code, message)])
    }

    fn of(mut errors: Vec<GraphqlError>) -> Self {
        errors.iter_mut().for_each(|error| cut(&mut error.message, Self::LONGEST));
        Self(errors)
    }

    /// How large it is, next to others.
    fn bytes(&self) -> usize {
        self.0.iter().map(|error| size_of_val(error) + error.message.len()).sum()
    }

    /// How long it is believed; absent for ever.
    fn holds_for(&self) -> Option<Duration> {
        // Who was refused and asks again at once is not planned for again; who comes later may find more time.
        const TIMED_OUT: Duration = Duration::from_secs(5);
        if self.is_passing() {
            return Some(Duration::ZERO);
        }
        self.has_code(Self::TIMED_OUT).then_some(TIMED_OUT)
    }

    fn has_code(&self, code: &str) -> bool {
        self.0.iter().any(|error| error.extensions.get("code").is_some_and(|own| own == code))
    }
}

/// Makes a plan. It takes as long as it takes, and may panic: [`planners`] is where that is bounded.
///
/// # Errors
/// QUERY_PLANNING_FAILED, QUERY_PLANNING_TIMEOUT.
pub fn make(
    supergraph: &Supergraph,
    normal: Normal,
    overrides: PlannerOverrideContext,
    cancellation: &CancellationToken,
) -> Result<Plan, Refusal> {
    let (mut operation, mut shown) = (normal.operation, normal.shown);
    let variables = operation.variable_definitions.clone().unwrap_or_default();
    let representations = reserved::rename(&mut operation);
    if let Some(name) = &representations {
        reserved::in_set(&mut shown, name);
    }
    let downstream = downstream(&operation.selection_set);
    let tree = if downstream.items.is_empty() {
        QueryPlan { kind: "QueryPlan", node: None }
    } else {
        let schema = &supergraph.schema;
        let root = match operation.operation_kind {
            Some(OperationKind::Mutation) => schema.mutation,
            Some(OperationKind::Subscription) => schema.subscription,
            None | Some(OperationKind::Query) => schema.query,
        };
        let plannable = Plannable { schema, cancellation };
        let selection_set = plannable.set(root, &downstream).map_err(|_| Refusal::timed_out())?;
        let asked = OperationDefinition { selection_set, ..operation.clone() };
        let planned = supergraph.planner.plan_from_normalized_operation(&asked, overrides, cancellation);
        planned.map_err(|error| match cancellation.bail_if_cancelled() {
            // Whichever part of the planner noticed it.
            Err(_) => Refusal::timed_out(),
            Ok(()) => unplanned(&error),
        })?
    };
    let plan = prepare(supergraph, (operation.operation_kind, shown, normal.refused), tree)?;
    // What is kept of an operation takes several times its text.
    let bytes = plan.bytes + 4 * normal.bytes;
    Ok(Plan { variables, representations, bytes, ..plan })
}

impl Plan {
    /// What stands for the plans of an operation with conditions until their values are known.
    ///
    /// # Errors
    /// QUERY_PLANNING_FAILED.
    pub fn undecided(supergraph: &Supergraph, normal: Normal) -> Result<Self, Refusal> {
        let Normal { operation, conditions, guards, bytes, .. } = normal;
        let nothing = (operation.operation_kind, SelectionSet::default(), (Vec::new(), ""));
        let plan = prepare(supergraph, nothing, QueryPlan { kind: "QueryPlan", node: None })?;
        let variables = operation.variable_definitions.unwrap_or_default();
        Ok(Self { variables, undecided: conditions, guards, bytes, ..plan })
    }

    /// Whether it only stands for others.
    pub fn is_undecided(&self) -> bool {
        !self.undecided.is_empty() || !self.guards.is_empty()
    }

    /// The variables of a request, as this plan calls them.
    pub fn own_names(&self, mut variables: Map<String, Value>) -> Map<String, Value> {
        if let Some(name) = &self.representations
            && let Some(value) = variables.remove(reserved::REPRESENTATIONS)
        {
            variables.insert(name.clone(), value);
        }
        variables
    }
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

/// Whether anything is shown under a key.
fn has_key(set: &SelectionSet, key: &str) -> bool {
    set.items.iter().any(|item| match item {
        SelectionItem::Field(field) => field.selection_identifier() == key || has_key(&field.selections, key),
        SelectionItem::InlineFragment(fragment) => has_key(&fragment.selections, key),
        SelectionItem::FragmentSpread(_) => false,
    })
}

fn prepare(
    supergraph: &Supergraph,
    (kind, shown, refused): (Option<OperationKind>, SelectionSet, (Vec<TypeId>, &'static str)),
    tree: QueryPlan,
) -> Result<Plan, Refusal> {
    let schema = &supergraph.schema;
    let (kind, root) = match kind {
        None | Some(OperationKind::Query) => (Kind::Query, schema.query),
        Some(OperationKind::Mutation) => (Kind::Mutation, schema.mutation),
        Some(OperationKind::Subscription) => (Kind::Subscription, schema.subscription),
    };
    let root =
        root.ok_or_else(|| Refusal::new("QUERY_PLANNING_FAILED", "The schema has no such root type."))?;
    let mut stepping = Stepping {
        supergraph,
        schema,
        layout: Layout::default(),
        steps: Vec::new(),
        asked: Asked::default(),
        is_groundless: false,
    };
    if let Some(node) = &tree.node {
        stepping.add(node, &[], &[]);
    }
    let Stepping { layout, mut steps, asked, is_groundless, .. } = stepping;
    if is_groundless {
        // The planner's library makes such plans for some ways through `@interfaceObject`: what comes of them is not all.
        tracing::warn!("a plan tells a subgraph of objects what it has not asked for");
        return Err(Refusal::new("QUERY_PLANNING_FAILED", UNANSWERABLE));
    }
    if let Some(key) = asked.collision(&layout, |key| has_key(&shown, key)) {
        return Err(Refusal::collision(key));
    }
    if kind == Kind::Mutation {
        steps::in_series(&mut steps);
    }
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
    let introspects = introspects(&shown);
    let selection = Selection::guarded(schema, root, shown, refused);
    let bytes = steps.iter().map(|step| step.head.len()).sum();
    Ok(Plan {
        kind,
        variables: Vec::new(),
        representations: None,
        steps,
        after,
        layout,
        selection,
        undecided: Vec::new(),
        guards: Vec::new(),
        introspects,
        tree,
        bytes,
        last_answer: AtomicUsize::default(),
    })
}

const UNANSWERABLE: &str = "The operation cannot be answered by the subgraphs.";

fn unplanned(error: &PlannerError) -> Refusal {
    // It may name types and fields that clients must not learn of.
    tracing::warn!(%error, "an operation cannot be planned");
    Refusal::new("QUERY_PLANNING_FAILED", UNANSWERABLE)
}

impl Refusal {
    const TIMED_OUT: &str = "QUERY_PLANNING_TIMEOUT";
    const OVERLOADED: &str = "SERVICE_UNAVAILABLE";

    pub fn timed_out() -> Self {
        Self::new(Self::TIMED_OUT, "The operation takes too long to plan; ask for less at once.")
    }

    pub fn panicked() -> Self {
        Self::new("QUERY_PLANNING_FAILED", "The operation cannot be planned.")
    }

    fn collision(key: &str) -> Self {
        let message = format!(
            "`{key}` is asked for with other arguments than a subgraph requires it with; ask for it under another name, \
             as `other: {key}`."
        );
        Self::new("QUERY_PLANNING_FAILED", message)
    }

    /// Whether the same operation may fare better another time.
    pub fn is_passing(&self) -> bool {
        self.has_code(Self::OVERLOADED)
    }

    pub fn overloaded() -> Self {
        Self::new(Self::OVERLOADED, "Too many new operations at once; try again in a moment.")
    }
}
