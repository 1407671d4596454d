//! Where plans are made: on threads of their own, with a bounded queue, a limit of time, and a guard against panics, so
//! that no operation holds up another one that has its plan.
//!
//! A plan is found by the text of its operation first, which need not even be read then, and else by its normal form,
//! which texts share that mean the same.

mod kept;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::conditions::Choice;
use super::normal::{Asked, normalize_for};
use super::{Plan, Refusal, make};
use crate::gateway::guard::Refused;
use crate::gateway::metrics::{Metrics, Planned};
use crate::gateway::overrides::Overrides;
use crate::gateway::settings::Plans;
use crate::gateway::supergraph::Supergraph;
use kept::{BySize, Kept, Known, shared};
use threads::Threads;

type Outcome = Result<Arc<Plan>, Arc<Refusal>>;

/// What is planned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub supergraph: u64,
    pub operation: Arc<str>,
    pub name: Option<String>,
    pub overrides: Overrides,
    /// The values of the variables that conditions depend on, once it is known which ones do.
    pub choice: Choice,
    /// What the caller is refused of the guards that it meets, once it is known which ones those are.
    pub refused: Option<Refused>,
}

/// The same, whatever its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Operation {
    supergraph: u64,
    digest: [u8; 32],
    overrides: Overrides,
    refused: Option<Refused>,
}

/// Makes plans, and remembers them.
pub struct Planners {
    texts: Kept<Question>,
    plans: Kept<Operation>,
    threads: Threads,
    /// Selections that an operation may have.
    selections: usize,
    metrics: Arc<Metrics>,
}

impl Planners {
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(settings: &Plans, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (items, weight) = (settings.kept, settings.kept as u64);
        Ok(Self {
            texts: Cache::with_weighter(items, weight, BySize),
            plans: Cache::with_weighter(items, weight, BySize),
            threads: Threads::new(settings)?,
            selections: settings.selections,
            metrics,
        })
    }

    /// The plan of an operation, or [what stands for it](Plan::undecided) until there is a choice. Who asks for the same at the same time waits for the same.
    pub async fn plan(&self, supergraph: &Arc<Supergraph>, question: Question) -> Outcome {
        let mut how = Planned::Known;
        let outcome = match self.texts.get(&question).filter(Known::holds) {
            Some(known) => known.outcome,
            // Apart, so that what has its plan does not carry the room for planning with it.
            None => {
                let making = self.plan_text(supergraph, &question, &mut how);
                Box::pin(shared(&self.texts, &question, making)).await
            }
        };
        self.metrics.planned(how);
        outcome
    }

    async fn plan_text(
        &self,
        supergraph: &Arc<Supergraph>,
        question: &Question,
        how: &mut Planned,
    ) -> Outcome {
        *how = Planned::Refused;
        let (of, asked, selections) = (supergraph.clone(), question.clone(), self.selections);
        let read = move |cancellation: &_| {
            let text = Asked {
                operation: &asked.operation,
                name: asked.name.as_deref(),
                choice: &asked.choice,
                refused: asked.refused.as_ref(),
            };
            normalize_for(&of, text, selections, cancellation)
        };
        let normal = self.threads.ask(read).await?;
        if !normal.conditions.is_empty() || (!normal.guards.is_empty() && question.refused.is_none()) {
            *how = Planned::SameOperation;
            return Plan::undecided(supergraph, normal).map(Arc::new).map_err(Arc::new);
        }
        let Question { supergraph: id, overrides, refused, .. } = question.clone();
        // Where nothing is guarded nobody asks who is refused what.
        let refused = refused.filter(|_| !normal.guards.is_empty());
        let operation = Operation { supergraph: id, digest: normal.digest, overrides, refused };
        *how = Planned::SameOperation;
        let (of, context) = (supergraph.clone(), operation.overrides.context());
        let making = async {
            let made = self.threads.ask(move |cancellation| {
                fail::fail_point!("gateway::plan");
                make(&of, normal, context, cancellation)
            });
            let outcome = made.await.map(Arc::new);
            *how = if outcome.is_ok() { Planned::Made } else { Planned::Refused };
            outcome
        };
        shared(&self.plans, &operation, making).await
    }
}
