//! Where plans are made: on threads of their own, with a bounded queue, a limit of time, and a guard against panics, so
//! that no operation holds up another one that has its plan.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use hive_router_query_planner::utils::cancellation::CancellationToken;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

use super::{Plan, Refusal, make};
use crate::gateway::metrics::Metrics;
use crate::gateway::overrides::Overrides;
use crate::gateway::settings::Plans;
use crate::gateway::supergraph::Supergraph;

/// Deeply nested operations need it: the planner recurses.
const STACK: usize = 16 * 1024 * 1024;

type Outcome = Result<Arc<Plan>, Arc<Refusal>>;

/// What is planned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub supergraph: u64,
    pub operation: Arc<str>,
    pub name: Option<String>,
    pub overrides: Overrides,
}

struct Task {
    supergraph: Arc<Supergraph>,
    question: Question,
    answer: oneshot::Sender<Outcome>,
}

/// Makes plans, and remembers them.
pub struct Planners {
    known: Cache<Question, Outcome>,
    tasks: mpsc::SyncSender<Task>,
    time: Duration,
    metrics: Arc<Metrics>,
}

impl Planners {
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(settings: &Plans, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::sync_channel(settings.queue);
        let queue = Arc::new(Mutex::new(queue));
        let time = Duration::from_millis(settings.milliseconds);
        for number in 0..settings.threads {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name(format!("planner-{number}")).stack_size(STACK);
            thread.spawn(move || work(&queue, time))?;
        }
        Ok(Self { known: Cache::new(settings.kept), tasks, time, metrics })
    }

    /// The plan of an operation. Who asks for the same at the same time waits for the same.
    pub async fn plan(&self, supergraph: &Arc<Supergraph>, question: Question) -> Outcome {
        if let Some(known) = self.known.get(&question) {
            self.metrics.planned("known");
            return known;
        }
        let made = self.known.get_or_insert_async(&question, async {
            let outcome = self.ask(supergraph.clone(), question.clone()).await;
            self.metrics.planned(if outcome.is_ok() { "made" } else { "refused" });
            match outcome {
                // Another time it may not be so.
                Err(refusal) if refusal.is_passing() => Err(refusal),
                outcome => Ok(outcome),
            }
        });
        made.await.unwrap_or_else(Err)
    }

    async fn ask(&self, supergraph: Arc<Supergraph>, question: Question) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        if self.tasks.try_send(Task { supergraph, question, answer }).is_err() {
            return Err(Arc::new(Refusal::overloaded()));
        }
        // A little more than the planner itself has, for what of it does not look at the time.
        match tokio::time::timeout(self.time * 2, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Arc::new(Refusal::panicked())),
            Err(_) => Err(Arc::new(Refusal::timed_out())),
        }
    }
}

/// Plans until there is nobody who could ask.
fn work(queue: &Mutex<mpsc::Receiver<Task>>, time: Duration) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { supergraph, question, answer }) = next else { return };
        if answer.is_closed() {
            continue;
        }
        let asked = (&*question.operation, question.name.as_deref());
        let planned = catch_unwind(AssertUnwindSafe(|| {
            let cancellation = CancellationToken::with_timeout(time);
            make(&supergraph, asked, question.overrides.context(), &cancellation)
        }));
        let outcome = match planned {
            Ok(Ok(plan)) => Ok(Arc::new(plan)),
            Ok(Err(refusal)) => Err(Arc::new(refusal)),
            Err(_) => {
                tracing::error!("the planner panicked");
                Err(Arc::new(Refusal::panicked()))
            }
        };
        // Nobody may be waiting any more.
        let _ = answer.send(outcome);
    }
}
