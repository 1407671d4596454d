//! Whether every field that clients see can be reached. The composition library does not ask, so the planner is asked, as
//! clients would: for all fields of what each field leads to, and, where there is no plan, for each of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use graphql_tools::parser::schema::{Definition, Field, Type, TypeDefinition};
use hive_router_query_planner::utils::cancellation::CancellationToken;
use tracing::subscriber::{NoSubscriber, with_default};

use super::Problem;
use super::complete::Supergraph as Text;
use super::joins::Joins;
use crate::gateway::overrides::Overrides;
use crate::gateway::plan::normal::normalize;
use crate::gateway::plan::{Refusal, make};
use crate::gateway::schema::name_of;
use crate::gateway::supergraph::Supergraph;

/// How long it may take.
#[derive(Clone, Copy)]
pub struct Looking {
    pub all: Duration,
    /// One plan.
    pub one: Duration,
}

/// What was found.
#[derive(Default)]
pub struct Reached {
    pub unreachable: BTreeSet<Problem>,
    pub hints: Vec<Problem>,
}

type TypeAst = TypeDefinition<'static, String>;
type FieldAst = Field<'static, String>;

/// One step from the root: a field of a type, which may be one of several.
#[derive(Clone, Copy)]
struct Step<'a> {
    on: &'a str,
    /// Whether `on` has to be said.
    is_narrowed: bool,
    field: &'a FieldAst,
}

/// A way to a type.
#[derive(Clone)]
struct Way<'a> {
    kind: &'static str,
    steps: Vec<Step<'a>>,
    to: &'a str,
}

struct Look<'a> {
    supergraph: &'a Supergraph,
    /// Those that clients see.
    types: BTreeMap<&'a str, &'a TypeAst>,
    until: Instant,
    one: Duration,
    unseen: usize,
}

/// Looks at every field of a supergraph; `document` is its text.
pub fn look(supergraph: &Supergraph, document: &Text, limits: Looking) -> Reached {
    let api = &supergraph.planner.consumer_schema.document;
    let types = api.definitions.iter().filter_map(|definition| match definition {
        Definition::TypeDefinition(ty) => Some((name_of(ty), ty)),
        _ => None,
    });
    let until = Instant::now() + limits.all;
    let mut look = Look { supergraph, types: types.collect(), until, one: limits.one, unseen: 0 };
    let roots = [
        ("query", api.query_type_name()),
        ("mutation", api.mutation_type_name()),
        ("subscription", api.subscription_type_name()),
    ];
    let roots = roots.into_iter().filter_map(|(kind, root)| Some((kind, root?.as_str()))).collect();
    let mut reached = Reached::default();
    let joins = Joins::of(document);
    for way in look.ways(roots) {
        for (ty, field) in look.unreachable(&way) {
            let subgraphs = joins.subgraphs(ty, field);
            let problem = |message: String| Problem { subgraphs, ..Problem::new(message) }.at(ty, field);
            let Some(Step { on, field: from, .. }) = way.steps.last() else {
                reached.unreachable.insert(problem("cannot be planned".to_owned()));
                continue;
            };
            let place = format!("`{on}.{}`", from.name);
            if joins.lead((on, &from.name), (ty, field)) {
                let message =
                    "there seems to be a way, but the planner here has none: operations that take it fail";
                reached.hints.push(problem(format!("cannot be reached from {place}: {message}")));
            } else {
                let message = "no @key leads from there to a subgraph that has it";
                reached.unreachable.insert(problem(format!("cannot be reached from {place}: {message}")));
            }
        }
    }
    if look.unseen > 0 {
        let message = format!("{} ways to fields were not looked at, for want of time", look.unseen);
        reached.hints.push(Problem::new(message));
    }
    reached
}

impl<'a> Look<'a> {
    /// A way to the fields of each root, and one by each field that leads to further fields.
    fn ways(&self, roots: Vec<(&'static str, &'a str)>) -> Vec<Way<'a>> {
        let (mut ways, mut known, mut queue) = (Vec::new(), BTreeSet::new(), VecDeque::new());
        for (kind, root) in roots {
            let way = Way { kind, steps: Vec::new(), to: root };
            known.insert(root);
            queue.push_back((root, way.clone()));
            ways.push(way);
        }
        while let Some((on, way)) = queue.pop_front() {
            let is_narrowed = way.to != on;
            for field in self.fields(on) {
                let Some(to) = self.composite(named(&field.field_type)) else { continue };
                let mut steps = way.steps.clone();
                steps.push(Step { on, is_narrowed, field });
                let further = Way { kind: way.kind, steps, to };
                for ty in std::iter::once(to).chain(self.possible(to)) {
                    if known.insert(ty) {
                        queue.push_back((ty, further.clone()));
                    }
                }
                ways.push(further);
            }
        }
        ways
    }

    fn fields(&self, ty: &str) -> &'a [FieldAst] {
        match self.types.get(ty) {
            Some(TypeDefinition::Object(object)) => &object.fields,
            Some(TypeDefinition::Interface(interface)) => &interface.fields,
            _ => &[],
        }
    }

    fn composite(&self, ty: &str) -> Option<&'a str> {
        let (name, ty) = self.types.get_key_value(ty)?;
        let is =
            matches!(ty, TypeDefinition::Object(_) | TypeDefinition::Interface(_) | TypeDefinition::Union(_));
        is.then_some(*name)
    }

    /// The objects that an interface or a union stands for.
    fn possible(&self, ty: &str) -> Vec<&'a str> {
        match self.types.get(ty) {
            Some(TypeDefinition::Union(union)) => {
                union.types.iter().filter_map(|member| self.composite(member)).collect()
            }
            Some(TypeDefinition::Interface(interface)) => {
                let objects = self.types.values().filter_map(|ty| match ty {
                    TypeDefinition::Object(object)
                        if object.implements_interfaces.contains(&interface.name) =>
                    {
                        Some(object.name.as_str())
                    }
                    _ => None,
                });
                objects.collect()
            }
            _ => Vec::new(),
        }
    }

    /// The fields at the end of a way that have no plan.
    fn unreachable(&mut self, way: &Way<'a>) -> Vec<(&'a str, &'a str)> {
        let possible = self.possible(way.to);
        let on = std::iter::once(way.to).chain(possible);
        let fields: Vec<Step<'a>> = on
            .flat_map(|on| {
                let is_narrowed = on != way.to;
                self.fields(on).iter().map(move |field| Step { on, is_narrowed, field })
            })
            .collect();
        if fields.is_empty() || self.has_plan(way, &fields) {
            return Vec::new();
        }
        // If it is the way that has none, that is told of where it ends.
        if !way.steps.is_empty() && !self.has_plan(way, &[]) {
            return Vec::new();
        }
        let lost = fields.iter().filter(|field| !self.has_plan(way, std::slice::from_ref(*field)));
        lost.map(|step| (step.on, step.field.name.as_str())).collect()
    }

    /// Whether the planner has a plan; it counts as one if there is no time to find out.
    fn has_plan(&mut self, way: &Way<'a>, fields: &[Step<'a>]) -> bool {
        let left = self.until.saturating_duration_since(Instant::now()).min(self.one);
        if left.is_zero() {
            self.unseen += 1;
            return true;
        }
        let (operation, supergraph) = (self.operation(way, fields), self.supergraph);
        let cancellation = CancellationToken::with_timeout(left);
        let plan = || {
            let normal = normalize(supergraph, (&operation, None, &[]), usize::MAX, &cancellation)?;
            let overrides = Overrides::default().context();
            if way.kind == "subscription" {
                // What the planner says: their plans are not prepared as others are.
                let planned = supergraph.planner.plan_from_normalized_operation(
                    &normal.operation,
                    overrides,
                    &cancellation,
                );
                return planned.map(drop).map_err(|_| Refusal::panicked());
            }
            make(supergraph, normal, overrides, &cancellation).map(drop)
        };
        // What it says is told as a problem, with its place.
        let silently = || with_default(NoSubscriber::new(), plan);
        let planned = catch_unwind(AssertUnwindSafe(silently));
        match planned.unwrap_or_else(|_| Err(Refusal::panicked())) {
            Ok(()) => true,
            Err(_) if cancellation.bail_if_cancelled().is_err() => {
                self.unseen += 1;
                true
            }
            Err(_) => false,
        }
    }

    /// What a client would ask. Arguments that have to be there are variables: their values make no difference.
    fn operation(&self, way: &Way<'a>, fields: &[Step<'a>]) -> String {
        let (mut variables, mut body, mut closing) = (Vec::new(), String::new(), String::new());
        for step in &way.steps {
            if step.is_narrowed {
                let _ = write!(body, "... on {} {{ ", step.on);
                closing.push_str(" }");
            }
            let _ = write!(body, "{}{} {{ ", step.field.name, arguments(step.field, &mut variables));
            closing.push_str(" }");
        }
        for (number, step) in fields.iter().enumerate() {
            let below =
                if self.composite(named(&step.field.field_type)).is_some() { " { __typename }" } else { "" };
            let asked =
                format!("f{number}: {}{}{below} ", step.field.name, arguments(step.field, &mut variables));
            match step.is_narrowed {
                true => drop(write!(body, "... on {} {{ {asked} }} ", step.on)),
                false => body.push_str(&asked),
            }
        }
        if fields.is_empty() {
            body.push_str("__typename");
        }
        let variables = match variables.is_empty() {
            true => String::new(),
            false => format!("({})", variables.join(", ")),
        };
        format!("{} Reach{variables} {{ {body}{closing} }}", way.kind)
    }
}

/// Those that have to be there.
fn arguments(field: &FieldAst, variables: &mut Vec<String>) -> String {
    let needed = field.arguments.iter().filter(|argument| {
        matches!(argument.value_type, Type::NonNullType(_)) && argument.default_value.is_none()
    });
    let given: Vec<String> = needed
        .map(|argument| {
            let variable = format!("$v{}", variables.len());
            variables.push(format!("{variable}: {}", argument.value_type));
            format!("{}: {variable}", argument.name)
        })
        .collect();
    if given.is_empty() { String::new() } else { format!("({})", given.join(", ")) }
}

fn named<'a>(ty: &'a Type<'static, String>) -> &'a str {
    match ty {
        Type::NamedType(name) => name,
        Type::ListType(inner) | Type::NonNullType(inner) => named(inner),
    }
}
