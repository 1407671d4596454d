//! A plan as it is executed: fetches, each with those that it waits for.
//!
//! The planner's tree of sequences and parallels becomes a list of fetches with dependencies, so that executing is one
//! loop without recursion.

use std::collections::BTreeSet;
use std::sync::Arc;

use hive_router_query_planner::ast::operation::SubgraphFetchOperation;
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::planner::plan_nodes::{
    BatchFetchNode, FetchNode, FetchRewrite, FlattenNodePath, FlattenNodePathSegment, PlanNode,
};
use hive_router_query_planner::state::supergraph_state::OperationKind;

use super::collisions::Asked;
use super::input::Input;
use super::keys::Key;
use super::layout::{Layout, PositionId, Slot};
use super::shape::{Fetched, Making, Shape, types_named};
use crate::gateway::schema::{ApiSchema, TypeId};
use crate::gateway::supergraph::Supergraph;

/// A step's number in its plan.
pub type StepId = usize;

/// A call of a subgraph.
#[derive(Debug)]
pub struct Step {
    pub subgraph: String,
    pub is_mutation: bool,
    /// Whether it is followed, and what comes is an event for all other steps.
    pub is_subscription: bool,
    /// What it asks for, as text.
    pub operation: Arc<str>,
    /// The request's body up to its variables: `{"query":"…","variables":{`.
    pub head: Box<[u8]>,
    /// The variables of the client that it uses.
    pub variables: Vec<String>,
    /// Variables of the client and what they have to be, or the step is left out.
    pub conditions: Vec<(String, bool)>,
    /// What of the root it asks for, each with such conditions: with none of it shown the step is left out. Empty if some
    /// of it always is.
    pub shown_if: Vec<Vec<(String, bool)>>,
    pub waits_for: Vec<StepId>,
    pub target: Target,
}

/// What a step asks for, and where that goes.
#[derive(Debug)]
pub enum Target {
    /// Fields of the root type, for the objects at a path: mostly the root itself.
    Root {
        at: Path,
        shape: Shape,
    },
    Entities(Vec<Entities>),
}

/// A list of entities under one key of the answer.
#[derive(Debug)]
pub struct Entities {
    /// `_entities`, or an alias of it.
    pub key: String,
    /// `"representations":`, as it is written.
    pub variable: Box<str>,
    /// The objects to complete: at one path mostly.
    pub places: Vec<Place>,
}

#[derive(Debug)]
pub struct Place {
    pub at: Path,
    pub input: Input,
    /// One of them has to be there whole.
    pub keys: Vec<Key>,
    pub shape: Shape,
}

/// The way from the root to the objects of a position, through all lists.
#[derive(Debug)]
pub struct Path {
    pub segments: Vec<PathSegment>,
    pub position: PositionId,
    /// The keys alone.
    pub keys: Vec<Box<str>>,
}

#[derive(Debug)]
pub enum PathSegment {
    Slot(Slot),
    /// Only objects of these types, and those that do not say theirs.
    Types(Vec<TypeId>),
}

/// Turns the planner's tree into steps.
pub struct Stepping<'a> {
    pub supergraph: &'a Supergraph,
    pub schema: &'a ApiSchema,
    pub layout: Layout,
    pub steps: Vec<Step>,
    pub asked: Asked,
    /// A subgraph is told nothing of an object that any fetch before it brings.
    pub is_groundless: bool,
}

impl Stepping<'_> {
    /// Adds the steps of `node`, which wait for `before`. Gives those that what comes next waits for.
    pub fn add(&mut self, node: &PlanNode, before: &[StepId], conditions: &[(String, bool)]) -> Vec<StepId> {
        match node {
            PlanNode::Sequence(sequence) => {
                let mut before = before.to_vec();
                for node in &sequence.nodes {
                    before = self.add(node, &before, conditions);
                }
                before
            }
            PlanNode::Parallel(parallel) => {
                let mut after = Vec::new();
                for node in &parallel.nodes {
                    after.extend(self.add(node, before, conditions));
                }
                after.sort_unstable();
                after.dedup();
                after
            }
            PlanNode::Condition(condition) => {
                let mut after = Vec::new();
                for (clause, is) in [(&condition.if_clause, true), (&condition.else_clause, false)] {
                    let Some(clause) = clause else { continue };
                    let conditions = [conditions, &[(condition.condition.clone(), is)]].concat();
                    after.extend(self.add(clause, before, &conditions));
                }
                after
            }
            PlanNode::Fetch(fetch) => self.fetch(fetch, None, (before, conditions)),
            PlanNode::Flatten(flatten) => match flatten.node.as_ref() {
                PlanNode::Fetch(fetch) => self.fetch(fetch, Some(&flatten.path), (before, conditions)),
                other => self.add(other, before, conditions),
            },
            PlanNode::BatchFetch(batch) => self.batch(batch, (before, conditions)),
            PlanNode::Subscription(subscription) => {
                self.fetch(&subscription.primary, None, (before, conditions))
            }
            // Nothing is ever deferred.
            PlanNode::Defer(_) => before.to_vec(),
        }
    }

    fn fetch(
        &mut self,
        fetch: &FetchNode,
        path: Option<&FlattenNodePath>,
        (before, conditions): (&[StepId], &[(String, bool)]),
    ) -> Vec<StepId> {
        let rewrites = fetch.output_rewrites.as_deref().unwrap_or_default();
        let fetched = Fetched { document: &fetch.operation.document, rewrites };
        let at = self.path(path);
        let target = match &fetch.requires {
            None => {
                let position = at.position;
                Target::Root { at, shape: Shape::of_root(&mut self.making(), fetched, position) }
            }
            Some(requires) => {
                let inputs = fetch.input_rewrites.as_deref().unwrap_or_default();
                let place = self.place((&fetch.service_name, at), (requires, inputs), fetched, "_entities");
                Target::Entities(vec![Entities {
                    key: "_entities".to_owned(),
                    variable: "\"representations\":".into(),
                    places: vec![place],
                }])
            }
        };
        let kind = fetch.operation_kind.clone().unwrap_or(OperationKind::Query);
        let call = (&fetch.operation, &fetch.variable_usages, kind);
        self.push(&fetch.service_name, call, target, (before, conditions))
    }

    fn batch(
        &mut self,
        batch: &BatchFetchNode,
        (before, conditions): (&[StepId], &[(String, bool)]),
    ) -> Vec<StepId> {
        let lists = batch.entity_batch.aliases.iter().map(|alias| {
            let rewrites = alias.output_rewrites.as_deref().unwrap_or_default();
            let inputs = alias.input_rewrites.as_deref().unwrap_or_default();
            let fetched = Fetched { document: &batch.operation.document, rewrites };
            let places = alias.merge_paths.iter().map(|path| {
                let at = self.path(Some(path));
                self.place((&batch.service_name, at), (&alias.requires, inputs), fetched, &alias.alias)
            });
            Entities {
                places: places.collect(),
                key: alias.alias.clone(),
                variable: format!("\"{}\":", alias.representations_variable_name).into(),
            }
        });
        let target = Target::Entities(lists.collect());
        let call = (&batch.operation, &batch.variable_usages, OperationKind::Query);
        self.push(&batch.service_name, call, target, (before, conditions))
    }

    fn place(
        &mut self,
        (subgraph, at): (&str, Path),
        (requires, inputs): (&SelectionSet, &[FetchRewrite]),
        fetched: Fetched<'_>,
        key: &str,
    ) -> Place {
        let position = at.position;
        let input = Input::new(self.schema, &mut self.layout, (position, requires), inputs);
        // What comes before it in the tree is here already.
        let is_brought = |slots: &[Slot]| slots.iter().any(|slot| self.asked.is_brought(position, *slot));
        self.is_groundless |= input.fields().next().is_some() && !input.fields().any(is_brought);
        let known = (self.schema, &self.supergraph.planner.supergraph);
        let keys = self.supergraph.keys.within(known, subgraph, (requires, &input));
        let shape = Shape::of_entities(&mut self.making(), fetched, key, position);
        Place { at, input, keys, shape }
    }

    fn making(&mut self) -> Making<'_> {
        Making { schema: self.schema, layout: &mut self.layout, asked: &mut self.asked }
    }

    fn path(&mut self, path: Option<&FlattenNodePath>) -> Path {
        let mut at = Path { segments: Vec::new(), position: Layout::ROOT, keys: Vec::new() };
        for segment in path.map(FlattenNodePath::as_slice).unwrap_or_default() {
            match segment {
                FlattenNodePathSegment::Field(key) => {
                    let slot = self.layout.slot(at.position, key);
                    at.position = self.layout.descend(at.position, slot);
                    at.segments.push(PathSegment::Slot(slot));
                    at.keys.push(key.as_str().into());
                }
                FlattenNodePathSegment::TypeCondition(names) => {
                    at.segments.push(PathSegment::Types(types_named(self.schema, names)));
                }
                // Lists are gone through wherever they are.
                FlattenNodePathSegment::List => {}
            }
        }
        at
    }

    fn push(
        &mut self,
        subgraph: &str,
        (operation, variables, kind): (&SubgraphFetchOperation, &Option<BTreeSet<String>>, OperationKind),
        target: Target,
        (before, conditions): (&[StepId], &[(String, bool)]),
    ) -> Vec<StepId> {
        // A string always has a form in JSON.
        let query = serde_json::to_string(&operation.document_str).unwrap_or_default();
        self.steps.push(Step {
            subgraph: subgraph.to_owned(),
            is_mutation: kind == OperationKind::Mutation,
            is_subscription: kind == OperationKind::Subscription,
            operation: operation.document_str.as_str().into(),
            head: format!("{{\"query\":{query},\"variables\":{{").into_bytes().into(),
            variables: variables.iter().flatten().cloned().collect(),
            conditions: conditions.to_vec(),
            shown_if: if matches!(target, Target::Root { .. }) { shown_if(operation) } else { Vec::new() },
            waits_for: before.to_vec(),
            target,
        });
        vec![self.steps.len() - 1]
    }
}

/// The conditions of what is selected of the root.
fn shown_if(operation: &SubgraphFetchOperation) -> Vec<Vec<(String, bool)>> {
    let mut alternatives = Vec::new();
    gather_conditions(&operation.document.operation.selection_set, &[], &mut alternatives);
    if alternatives.iter().any(Vec::is_empty) { Vec::new() } else { alternatives }
}

/// The conditions of each field of an object, with those of the fragments around it.
fn gather_conditions(
    set: &SelectionSet,
    around: &[(String, bool)],
    alternatives: &mut Vec<Vec<(String, bool)>>,
) {
    for item in &set.items {
        let (skip, include, below) = match item {
            SelectionItem::Field(field) => (&field.skip_if, &field.include_if, None),
            SelectionItem::InlineFragment(fragment) => {
                (&fragment.skip_if, &fragment.include_if, Some(&fragment.selections))
            }
            SelectionItem::FragmentSpread(_) => continue,
        };
        let mut all = around.to_vec();
        all.extend(skip.iter().map(|name| (name.clone(), false)));
        all.extend(include.iter().map(|name| (name.clone(), true)));
        match below {
            Some(below) => gather_conditions(below, &all, alternatives),
            None => alternatives.push(all),
        }
    }
}

/// Makes each mutation wait for all that completes those before it (GraphQL specification, section 6.2.2); the planner
/// lets that run beside the next one.
pub fn in_series(steps: &mut [Step]) {
    // For each step the last mutation that it comes after.
    let mut last: Vec<Option<StepId>> = Vec::with_capacity(steps.len());
    for step in steps.iter() {
        let before = step.waits_for.iter().filter_map(|&before| {
            if steps.get(before)?.is_mutation { Some(before) } else { last.get(before).copied()? }
        });
        last.push(before.max());
    }
    let completing: Vec<(StepId, StepId)> = (0..steps.len())
        .filter(|id| !steps[*id].is_mutation)
        .filter_map(|id| Some((id, last.get(id).copied()??)))
        .collect();
    for (id, step) in steps.iter_mut().enumerate().filter(|(_, step)| step.is_mutation) {
        let earlier =
            completing.iter().filter(|(_, mutation)| *mutation < id).map(|(completes, _)| *completes);
        step.waits_for.extend(earlier);
        step.waits_for.sort_unstable();
        step.waits_for.dedup();
    }
}
