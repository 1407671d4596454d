//! Where plans are made: on threads of their own, with a bounded queue, a limit of time, and a guard against panics, so
//! that no operation holds up another one that has its plan.
//!
//! A plan is found by the text of its operation first, which need not even be read then, and else by its normal form,
//! which texts share that mean the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use hive_router_query_planner::utils::cancellation::CancellationToken;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::normal::normalize;
use super::{Plan, Refusal, make};
use crate::gateway::metrics::{Metrics, Planned};
use crate::gateway::overrides::Overrides;
use crate::gateway::settings::Plans;
use crate::gateway::supergraph::Supergraph;

/// Deeply nested operations need it: the planner recurses.
const STACK: usize = 16 * 1024 * 1024;

/// Bytes of text, with what is asked of the subgraphs, for which a plan counts as one more.
const UNIT: usize = 1024;

type Outcome = Result<Arc<Plan>, Arc<Refusal>>;
type Task = Box<dyn FnOnce() + Send>;

/// What is planned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub supergraph: u64,
    pub operation: Arc<str>,
    pub name: Option<String>,
    pub overrides: Overrides,
}

/// The same, whatever its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Operation {
    supergraph: u64,
    digest: [u8; 32],
    overrides: Overrides,
}

/// Makes plans, and remembers them.
pub struct Planners {
    texts: Cache<Question, Outcome, BySize>,
    plans: Cache<Operation, Outcome, BySize>,
    tasks: mpsc::SyncSender<Task>,
    time: Duration,
    /// Selections that an operation may have.
    selections: usize,
    metrics: Arc<Metrics>,
}

impl Planners {
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(settings: &Plans, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::sync_channel(settings.queue);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..settings.threads {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name(format!("planner-{number}")).stack_size(STACK);
            thread.spawn(move || work(&queue))?;
        }
        let (items, weight) = (settings.kept, settings.kept as u64);
        Ok(Self {
            texts: Cache::with_weighter(items, weight, BySize),
            plans: Cache::with_weighter(items, weight, BySize),
            tasks,
            time: Duration::from_millis(settings.milliseconds),
            selections: settings.selections,
            metrics,
        })
    }

    /// The plan of an operation. Who asks for the same at the same time waits for the same.
    pub async fn plan(&self, supergraph: &Arc<Supergraph>, question: Question) -> Outcome {
        let mut how = Planned::Known;
        let outcome = match self.texts.get(&question) {
            Some(known) => known,
            None => {
                let read = async { remembered(self.plan_text(supergraph, &question, &mut how).await) };
                self.texts.get_or_insert_async(&question, read).await.unwrap_or_else(Err)
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
            normalize(&of, (&asked.operation, asked.name.as_deref()), selections, cancellation)
        };
        let normal = self.ask(read).await?;
        let Question { supergraph: id, overrides, .. } = question.clone();
        let operation = Operation { supergraph: id, digest: normal.digest, overrides };
        *how = Planned::SameOperation;
        let (of, context) = (supergraph.clone(), operation.overrides.context());
        let making = async {
            let made = self.ask(move |cancellation| {
                fail::fail_point!("gateway::plan");
                make(&of, normal, context, cancellation)
            });
            let outcome = made.await.map(Arc::new);
            *how = if outcome.is_ok() { Planned::Made } else { Planned::Refused };
            remembered(outcome)
        };
        self.plans.get_or_insert_async(&operation, making).await.unwrap_or_else(Err)
    }

    /// Has something done by a thread, within the time.
    async fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&CancellationToken) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Arc<Refusal>> {
        let (begins, begun) = oneshot::channel();
        let (answer, outcome) = oneshot::channel();
        let (time, span) = (self.time, tracing::Span::current());
        let task = move || {
            // It cannot be sent where nobody waits any more.
            if begins.send(()).is_err() {
                return;
            }
            let done = span.in_scope(|| {
                catch_unwind(AssertUnwindSafe(|| task(&CancellationToken::with_timeout(time))))
                    .unwrap_or_else(|_| {
                        tracing::error!("the planner panicked");
                        Err(Refusal::panicked())
                    })
            });
            let _ = answer.send(done);
        };
        if self.tasks.try_send(Box::new(task)).is_err() {
            return Err(Arc::new(Refusal::overloaded()));
        }
        // What waits because of others is not to blame, and may come again.
        if !matches!(timeout(time, begun).await, Ok(Ok(()))) {
            return Err(Arc::new(Refusal::overloaded()));
        }
        // A little more than the planner itself has, for what of it does not look at the time.
        match timeout(time * 2, outcome).await {
            Ok(Ok(outcome)) => outcome.map_err(Arc::new),
            Ok(Err(_)) => Err(Arc::new(Refusal::panicked())),
            Err(_) => Err(Arc::new(Refusal::timed_out())),
        }
    }
}

/// As a cache takes it: what another time may be otherwise is not kept.
fn remembered(outcome: Outcome) -> Result<Outcome, Arc<Refusal>> {
    match outcome {
        Err(refusal) if refusal.is_passing() => Err(refusal),
        outcome => Ok(outcome),
    }
}

/// Does what is to be done until there is nobody who could ask.
fn work(queue: &Mutex<mpsc::Receiver<Task>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = next else { return };
        task();
    }
}

/// Large plans count as several, so that so many of them are no more memory than so many small ones.
#[derive(Clone)]
struct BySize;

impl BySize {
    fn weigh(text: usize, outcome: &Outcome) -> u64 {
        let asked = outcome.as_ref().map_or(0, |plan| plan.bytes);
        1 + ((text + asked) / UNIT) as u64
    }
}

impl Weighter<Question, Outcome> for BySize {
    fn weight(&self, question: &Question, outcome: &Outcome) -> u64 {
        Self::weigh(question.operation.len(), outcome)
    }
}

impl Weighter<Operation, Outcome> for BySize {
    fn weight(&self, _: &Operation, outcome: &Outcome) -> u64 {
        Self::weigh(0, outcome)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName};
    use futures_util::future::join_all;
    use hive_router_query_planner::state::supergraph_state::ProgressiveOverrides;

    use super::*;

    const SHOP: &str = include_str!("../../../tests/federation/shop.graphql");

    struct Bench {
        planners: Planners,
        metrics: Arc<Metrics>,
        shop: Arc<Supergraph>,
    }

    impl Bench {
        fn new(kept: usize) -> Self {
            let metrics = Arc::<Metrics>::default();
            // Programs of tests are not optimised.
            let settings = Plans { threads: 2, queue: 100, milliseconds: 60_000, kept, selections: 100 };
            let planners = Planners::new(&settings, metrics.clone()).unwrap();
            Self { planners, metrics, shop: Arc::new(Supergraph::parse(SHOP).unwrap()) }
        }

        fn question(&self, operation: &str) -> Question {
            let overrides = Overrides::default();
            Question { supergraph: self.shop.id, operation: operation.into(), name: None, overrides }
        }

        async fn plan(&self, operation: &str) -> Outcome {
            self.planners.plan(&self.shop, self.question(operation)).await
        }

        /// Plans that were known, of the same operation, made and refused.
        fn counted(&self) -> [usize; 4] {
            let text = self.metrics.text();
            ["known", "same_operation", "made", "refused"].map(|how| {
                let name = format!("plans_total{{outcome=\"{how}\"}} ");
                let found = text.lines().find_map(|line| line.split_once(&name));
                found.map_or(0, |(_, count)| count.parse().unwrap())
            })
        }
    }

    /// One plan for a text, and for all texts that mean the same, at the same time or one behind the other.
    #[tokio::test]
    async fn what_means_the_same_is_one_plan() {
        let bench = Bench::new(100);
        let texts = ["{ me { id name } }", "query A { me { ...F } } fragment F on User { id name }"];
        let plans = join_all((0..10).map(|n| bench.plan(texts[n % 2]))).await;
        let plans: Vec<_> = plans.into_iter().map(Result::unwrap).collect();
        assert!(plans.iter().all(|plan| Arc::ptr_eq(plan, &plans[0])));
        assert_eq!(bench.counted(), [8, 1, 1, 0]);
        let third = bench.plan("{me{id,name}}").await.unwrap();
        assert!(Arc::ptr_eq(&third, &plans[0]));
        assert!(!Arc::ptr_eq(&bench.plan("{ me { name id } }").await.unwrap(), &plans[0]));
        assert_eq!(bench.counted(), [8, 2, 2, 0]);
    }

    /// Another supergraph and other labels of `@override` have plans of their own.
    #[tokio::test]
    async fn what_changes_a_plan_is_another_question() {
        let bench = Bench::new(100);
        let text = "{ me { id } }";
        let plan = bench.plan(text).await.unwrap();
        let known = ProgressiveOverrides { flags: ["new".to_owned()].into(), percentages: [50].into() };
        let name = HeaderName::from_static("labels");
        let labelled = HeaderMap::from_iter([(name.clone(), "new".parse().unwrap())]);
        let headers = [(labelled, 0), (HeaderMap::new(), 60)];
        for (headers, chance) in headers {
            let overrides = Overrides::of(&known, Some(&name), &headers, chance);
            let other = Question { overrides, ..bench.question(text) };
            let other = bench.planners.plan(&bench.shop, other).await.unwrap();
            assert!(!Arc::ptr_eq(&plan, &other), "{headers:?} {chance}");
        }
        let other = Arc::new(Supergraph::parse(&format!("{SHOP}\n# another one")).unwrap());
        let question = Question { supergraph: other.id, ..bench.question(text) };
        assert!(!Arc::ptr_eq(&plan, &bench.planners.plan(&other, question).await.unwrap()));
        assert_eq!(bench.counted(), [0, 0, 4, 0]);
    }

    /// What is refused is refused at once the next time.
    #[tokio::test]
    async fn a_refusal_is_remembered() {
        let bench = Bench::new(100);
        for _ in 0..3 {
            let Err(refusal) = bench.plan("{ nobody }").await else { panic!("a plan for nobody") };
            assert_eq!(refusal.0[0].extensions["code"], "GRAPHQL_VALIDATION_FAILED");
        }
        assert_eq!(bench.counted(), [2, 0, 0, 1]);
    }

    /// Not more are kept than may be, and of large ones fewer.
    #[tokio::test]
    async fn so_many_are_kept_and_no_more() {
        let bench = Bench::new(32);
        for n in 0..100 {
            bench.plan(&format!("{{ me {{ a{n}: id }} }}")).await.unwrap();
        }
        assert!(bench.planners.texts.len() <= 32 && bench.planners.plans.len() <= 32);
        // Each counts for its text, and for what it asks of the subgraph: 21.
        let bench = Bench::new(1000);
        let long = "x".repeat(10 * UNIT);
        for n in 0..100 {
            bench.plan(&format!("{{ me {{ {long}{n}: id }} }}")).await.unwrap();
        }
        let kept = bench.planners.texts.len();
        assert!((1..=1000 / 21).contains(&kept), "{kept}");
    }

    /// The planner looks at the time, and says so with a code.
    #[test]
    fn a_plan_whose_time_is_over_is_given_up() {
        let shop = Supergraph::parse(SHOP).unwrap();
        let normal = normalize(&shop, ("{ me { id } }", None), 100, &CancellationToken::new()).unwrap();
        let over = CancellationToken::with_timeout(Duration::ZERO);
        let Err(refusal) = make(&shop, normal, Overrides::default().context(), &over) else {
            panic!("a plan in no time")
        };
        assert_eq!(refusal.0[0].extensions["code"], "QUERY_PLANNING_TIMEOUT");
    }
}
