//! Executing a plan: one loop that starts each fetch as soon as what it waits for is there, and merges what comes.
//!
//! Nothing is locked across a fetch: the data belongs to the loop, and a fetch is nothing but its bytes.

pub mod data;
mod depth;
pub mod entities;
pub mod errors;
mod escapes;
pub mod failures;
mod incomplete;
mod placing;
pub mod project;
pub mod read;
pub mod represent;
mod representations;
pub mod told;
mod values;
mod walk;

use std::sync::atomic::Ordering;

use async_graphql::Response;
use axum::body::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::de::DeserializeSeed;
use serde_json::{Map, Value as Json};

use data::{Data, Object};
use depth::is_shallow;
use entities::ReadEntities;
use errors::GraphqlError;
use failures::Errors;
use project::Projector;
use read::{Had, ReadAnswer, ReadRoot, Reader};
use represent::Writer;
use representations::Representations;
use told::{ReadErrors, Told};
use walk::objects_at;

use super::plan::Plan;
use super::plan::layout::Layout;
use super::plan::steps::{Entities, Step, StepId, Target};
use super::subgraph::{Brought, Failure, Fetched, Subgraphs};
use super::supergraph::Supergraph;

/// Bytes that an answer is made room for beside what is known of it.
const ROOM: usize = 256;

/// One operation under way.
pub struct Execution<'a> {
    supergraph: &'a Supergraph,
    plan: &'a Plan,
    variables: &'a Map<String, Json>,
    subgraphs: &'a Subgraphs<'a>,
    data: Data,
    root: Object,
    errors: Errors,
    /// For each step how many of those before it are not done.
    missing: Vec<usize>,
}

/// How large an answer to a client may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Errors that are told.
    pub errors: usize,
    /// Bytes of its data.
    pub answer_bytes: usize,
}

impl Limits {
    /// How much is held for it: for each slot so many bytes of what may be answered. Little text can be many slots.
    fn slots(self) -> usize {
        const BYTES: usize = 8;
        const LEAST: usize = 100_000;
        (self.answer_bytes / BYTES).max(LEAST)
    }
}

/// Executes a plan. Gives the body of the answer.
pub async fn execute(
    supergraph: &Supergraph,
    plan: &Plan,
    variables: &Map<String, Json>,
    subgraphs: &Subgraphs<'_>,
) -> Executed {
    let mut execution = Execution::new(supergraph, (plan, variables), subgraphs);
    let ready = (0..execution.missing.len()).filter(|step| execution.missing[*step] == 0).collect();
    execution.run(ready).await;
    execution.finish()
}

/// Executes the rest of a subscription's plan behind an event.
pub async fn complete(
    supergraph: &Supergraph,
    planned: (&Plan, &Map<String, Json>),
    subgraphs: &Subgraphs<'_>,
    event: Brought,
) -> Executed {
    let mut execution = Execution::new(supergraph, planned, subgraphs);
    let mut ready = Vec::new();
    if let Some(source) = planned.0.steps.iter().position(|step| step.is_subscription) {
        execution.take(source, &[], &Fetched::at_once(event));
        execution.done(source, &mut ready);
    }
    execution.run(ready).await;
    execution.finish()
}

impl<'a> Execution<'a> {
    fn new(
        supergraph: &'a Supergraph,
        (plan, variables): (&'a Plan, &'a Map<String, Json>),
        subgraphs: &'a Subgraphs<'a>,
    ) -> Self {
        let mut data = Data::within(subgraphs.limits().slots());
        let root = data.object(plan.layout.width(Layout::ROOT));
        let missing = plan.steps.iter().map(|step| step.waits_for.len()).collect();
        let errors = Errors::new(subgraphs.limits().errors);
        Self { supergraph, plan, variables, subgraphs, data, root, errors, missing }
    }
}

/// The parts of an answer.
pub struct Executed {
    /// The beginning of the body: `{"data":…`, to be gone on with.
    pub data: Vec<u8>,
    pub errors: Vec<GraphqlError>,
}

impl<'a> Execution<'a> {
    async fn run(&mut self, mut ready: Vec<StepId>) {
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(id) = ready.pop() {
                match self.begin(id) {
                    Some((variables, sent)) => {
                        let step = &self.plan.steps[id];
                        let fetch = self.subgraphs.fetch(step, &variables);
                        running.push(async move { (id, sent, fetch.await) });
                    }
                    None => self.done(id, &mut ready),
                }
            }
            let Some((id, sent, fetched)) = running.next().await else { break };
            self.take(id, &sent, &fetched);
            self.done(id, &mut ready);
        }
    }

    fn done(&mut self, id: StepId, ready: &mut Vec<StepId>) {
        for &next in &self.plan.after[id] {
            self.missing[next] -= 1;
            if self.missing[next] == 0 {
                ready.push(next);
            }
        }
    }

    /// The variables of a step's request without the braces around them, and the representations in them; `None` if there
    /// is nothing to ask for.
    fn begin(&mut self, id: StepId) -> Option<(Vec<u8>, Vec<Representations>)> {
        let plan = self.plan;
        let step = &plan.steps[id];
        let variables = self.variables;
        let is = |name: &String| variables.get(name) == Some(&Json::Bool(true));
        let hold = |all: &[(String, bool)]| all.iter().all(|(name, wanted)| is(name) == *wanted);
        let is_shown = step.shown_if.is_empty() || step.shown_if.iter().any(|all| hold(all));
        if !hold(&step.conditions) || !is_shown {
            return None;
        }
        let mut body = Vec::new();
        let mut sent = Vec::new();
        if let Target::Entities(lists) = &step.target {
            sent.extend(lists.iter().map(|list| self.represent(step, list, &mut body)));
            self.tell_incomplete(lists, &sent);
            if sent.iter().all(Representations::is_empty) {
                return None;
            }
        }
        for name in &step.variables {
            let Some(value) = self.variables.get(name) else { continue };
            separate(&mut body);
            // Names of variables have no characters to escape, and writing to memory does not fail.
            body.extend_from_slice(format!("\"{name}\":").as_bytes());
            let _ = serde_json::to_writer(&mut body, value);
        }
        Some((body, sent))
    }

    fn represent(&self, step: &Step, list: &Entities, body: &mut Vec<u8>) -> Representations {
        separate(body);
        body.extend_from_slice(list.variable.as_bytes());
        body.push(b'[');
        let mut representations = Representations::default();
        for (number, place) in list.places.iter().enumerate() {
            let (schema, confined) = (&self.supergraph.schema, self.subgraphs.confined(&step.subgraph));
            let (input, keys) = (&place.input, &place.keys);
            let writer = Writer { data: &self.data, schema, input, keys, confined };
            for object in objects_at(&self.data, self.root, &place.at) {
                representations.add(&writer, (number, object), body);
            }
        }
        body.push(b']');
        representations
    }

    /// Merges what a step has brought.
    fn take(&mut self, id: StepId, sent: &[Representations], fetched: &Fetched) {
        let step = &self.plan.steps[id];
        let taken = match &fetched.outcome {
            Ok(Brought::Text(unread)) => self.read(step, sent, unread.bytes.clone()),
            Ok(Brought::Values(response)) => self.read_values(step, sent, response),
            Err(failure) => Err(*failure),
        };
        self.subgraphs.judge(step, fetched, taken);
        if let Err(failure) = taken {
            self.fail(step, failure);
        }
    }

    fn read(&mut self, step: &Step, sent: &[Representations], bytes: Bytes) -> Result<(), Failure> {
        // In this order: where strings end depends on their escapes.
        let bytes = escapes::sound(bytes).ok_or(Failure::Malformed)?;
        // The reader takes it for granted, and clients get the bytes as they came.
        let text = simdutf8::basic::from_utf8(&bytes).map_err(|_| Failure::Malformed)?;
        if !is_shallow(&bytes) {
            return Err(Failure::Malformed);
        }
        let buffer = self.data.add(bytes.clone());
        let objects = match &step.target {
            Target::Root { at, .. } => objects_at(&self.data, self.root, at),
            Target::Entities(_) => Vec::new(),
        };
        let mut reader = Reader {
            data: &mut self.data,
            layout: &self.plan.layout,
            schema: &self.supergraph.schema,
            buffer,
        };
        let reader = &mut reader;
        let mut json = sonic_rs::Deserializer::from_str(text);
        let errors = ReadErrors { most: self.subgraphs.limits().errors };
        let read = match &step.target {
            Target::Root { shape, .. } => {
                let data = ReadRoot { reader, shape, objects };
                ReadAnswer { data, errors }.deserialize(&mut json)
            }
            Target::Entities(lists) => {
                let data = ReadEntities { reader, lists, sent };
                ReadAnswer { data, errors }.deserialize(&mut json).map(Had::with_object)
            }
        };
        if self.data.is_full() {
            return Err(Failure::TooLarge);
        }
        let Had { data, errors } = read.map_err(|_| Failure::Malformed)?;
        json.end().map_err(|_| Failure::Malformed)?;
        if data.is_none() && errors.is_none() {
            return Err(Failure::Malformed);
        }
        self.take_errors(step, sent, errors.unwrap_or_default());
        if data != Some(true) {
            self.cover(step);
        }
        Ok(())
    }

    fn read_values(
        &mut self,
        step: &Step,
        sent: &[Representations],
        response: &Response,
    ) -> Result<(), Failure> {
        let objects = match &step.target {
            Target::Root { at, .. } => objects_at(&self.data, self.root, at),
            Target::Entities(_) => Vec::new(),
        };
        let (layout, schema) = (&self.plan.layout, &self.supergraph.schema);
        // There is no text that it reads.
        let mut reader = Reader { data: &mut self.data, layout, schema, buffer: 0 };
        let read = match &step.target {
            Target::Root { shape, .. } => values::read_root(&mut reader, shape, &objects, response),
            Target::Entities(lists) => {
                values::read_entities(&mut reader, lists, sent, response).map(|()| true)
            }
        };
        let has_object = read.map_err(|_| Failure::TooLarge)?;
        if self.data.is_full() {
            return Err(Failure::TooLarge);
        }
        let told = Told::of_local(&response.errors, self.subgraphs.limits().errors);
        self.take_errors(step, sent, told);
        if !has_object {
            self.cover(step);
        }
        Ok(())
    }

    fn finish(mut self) -> Executed {
        self.errors.close();
        let last = self.plan.last_answer.load(Ordering::Relaxed);
        let volume = self.data.volume();
        // The answer before may have been another client's, and larger than all that has come for this one.
        let room = if last == 0 { volume } else { (last + last / 16).min(2 * volume) } + ROOM;
        let mut projector = Projector::new(
            (&self.supergraph.schema, &self.supergraph.introspection),
            (&self.plan.layout, &self.data),
            self.variables,
            (&mut self.errors, self.subgraphs.limits().answer_bytes, room),
        );
        projector.root(&self.plan.selection, self.root);
        let mut data = projector.out;
        if data.capacity() > 2 * data.len() + ROOM {
            data.shrink_to_fit();
        }
        self.plan.last_answer.store(data.len(), Ordering::Relaxed);
        Executed { data, errors: self.errors.into_list() }
    }
}

/// Puts a comma before what comes next, unless it is the first.
fn separate(body: &mut Vec<u8>) {
    if !body.is_empty() {
        body.push(b',');
    }
}
