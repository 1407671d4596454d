use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hive_router_query_planner::state::supergraph_state::ProgressiveOverrides;
use hive_router_query_planner::utils::cancellation::CancellationToken;

use super::kept::UNIT;
use super::*;
use crate::gateway::plan::normal::normalize;

const SHOP: &str = include_str!("../../../../tests/federation/shop.graphql");

struct Bench {
    planners: Planners,
    metrics: Arc<Metrics>,
    shop: Arc<Supergraph>,
}

impl Bench {
    fn new(kept: usize) -> Self {
        let metrics = Arc::<Metrics>::default();
        // Programs of tests are not optimised.
        Self::with(Plans { threads: 2, queue: 100, milliseconds: 60_000, kept, selections: 100 }, metrics)
    }

    fn with(settings: Plans, metrics: Arc<Metrics>) -> Self {
        let planners = Planners::new(&settings, metrics.clone()).unwrap();
        Self { planners, metrics, shop: Arc::new(Supergraph::parse(SHOP).unwrap()) }
    }

    fn question(&self, operation: &str) -> Question {
        let overrides = Overrides::default();
        Question {
            supergraph: self.shop.id,
            operation: operation.into(),
            name: None,
            overrides,
            choice: Choice::default(),
            refused: None,
        }
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
    // Each counts for its text, for what it asks of the subgraph, and for what is kept of what it shows: over 50.
    let bench = Bench::new(1000);
    let long = |n: usize| (0..90).map(|m| format!("{}{n}_{m}: id ", "x".repeat(80))).collect::<String>();
    for n in 0..100 {
        bench.plan(&format!("{{ me {{ {} }} }}", long(n))).await.unwrap();
    }
    let kept = bench.planners.texts.len();
    assert!((1..=1000 / 50).contains(&kept), "{kept}");
}

/// The planner looks at the time, and says so with a code.
#[test]
fn a_plan_whose_time_is_over_is_given_up() {
    let shop = Supergraph::parse(SHOP).unwrap();
    let normal = normalize(&shop, ("{ me { id } }", None, &[]), 100, &CancellationToken::new()).unwrap();
    let over = CancellationToken::with_timeout(Duration::ZERO);
    let Err(refusal) = make(&shop, normal, Overrides::default().context(), &over) else {
        panic!("a plan in no time")
    };
    assert_eq!(refusal.0[0].extensions["code"], "QUERY_PLANNING_TIMEOUT");
}

/// A refusal for want of time may be another one's fault: it is kept for as long as who was refused asks again at once.
#[tokio::test]
async fn a_refusal_for_want_of_time_lapses() {
    let bench = Bench::new(100);
    let question = bench.question("{ me { id } }");
    let kept = |refusal: Refusal| Known::new(Err(Arc::new(refusal)));
    assert!(kept(Refusal::timed_out()).holds() && !kept(Refusal::overloaded()).holds());
    assert!(kept(Refusal::timed_out()).until.unwrap() <= Instant::now() + Duration::from_secs(5));
    assert_eq!(kept(Refusal::panicked()).until, None);
    bench.planners.texts.insert(question.clone(), kept(Refusal::timed_out()));
    assert!(bench.plan("{ me { id } }").await.is_err());
    let lapsed = Known { until: Some(Instant::now()), ..kept(Refusal::timed_out()) };
    bench.planners.texts.insert(question, lapsed);
    assert!(bench.plan("{ me { id } }").await.is_ok());
}

/// Who waits for the same is refused at the same time, and not one behind the other; that is forgotten at once.
#[tokio::test]
async fn all_who_wait_for_the_same_are_refused_together() {
    let settings = Plans { threads: 1, queue: 2, milliseconds: 300, kept: 100, selections: 100 };
    let bench = Bench::with(settings, Arc::default());
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let busy = move || {
        let _ = wait.recv();
    };
    bench.planners.threads.tasks.send(Box::new(busy)).unwrap();
    let begin = Instant::now();
    let answers = join_all((0..100).map(|_| bench.plan("{ me { id } }"))).await;
    // One by one it would be half a minute.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|refusal| refusal.is_passing())));
    assert_eq!((bench.planners.texts.len(), bench.planners.plans.len()), (0, 0));
    drop(done);
    let mut tries = 0;
    while bench.plan("{ me { id } }").await.is_err() {
        tries += 1;
        assert!(tries < 100, "it passes");
    }
}

/// Everybody who goes through an operation recurses, and a stack that is too small would end the process.
#[tokio::test]
async fn the_deepest_operation_has_stack() {
    let (open, close) = ("author { reviews { ".repeat(9), "} } ".repeat(9));
    let deep = |chains: usize| {
        let chains = (0..chains)
            .map(|n| format!("fragment F{n} on Review {{ {open} ...F{} {close} }} ", n + 1))
            .chain([format!("fragment F{chains} on Review {{ id product {{ inStock }} }}")]);
        format!("{{ latest {{ ...F0 }} }} {}", chains.collect::<String>())
    };
    let settings = Plans { threads: 1, queue: 2, milliseconds: 60_000, kept: 100, selections: 1000 };
    let bench = Bench::with(settings, Arc::default());
    // 97 levels; 100 are the most.
    assert!(bench.plan(&deep(5)).await.is_ok());
    let refused = bench.plan(&deep(6)).await.err().unwrap();
    assert_eq!(refused.0[0].extensions["code"], "OPERATION_TOO_LARGE");
}

/// A task that looks at the time ends with it, and its thread is there for the next one.
#[tokio::test]
async fn a_task_is_told_when_its_time_is_over() {
    let settings = Plans { threads: 1, queue: 2, milliseconds: 500, kept: 100, selections: 100 };
    let bench = Bench::with(settings, Arc::default());
    let for_ever = |cancellation: &CancellationToken| -> Result<(), Refusal> {
        loop {
            cancellation.bail_if_cancelled().map_err(|_| Refusal::timed_out())?;
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let refused = bench.planners.threads.ask(for_ever).await.unwrap_err();
    assert_eq!(refused.0[0].extensions["code"], Refusal::TIMED_OUT);
    assert!(bench.planners.threads.ask(|_| Ok(())).await.is_ok());
}

/// As many wait as may, and who comes beside them is refused at once, not when the time is over.
#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let settings = Plans { threads: 1, queue: 2, milliseconds: 60_000, kept: 100, selections: 100 };
    let bench = Bench::with(settings, Arc::default());
    let (begins, begun) = std::sync::mpsc::channel();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let busy = move || {
        let _ = begins.send(());
        let _ = wait.recv();
    };
    bench.planners.threads.tasks.send(Box::new(busy)).unwrap();
    begun.recv().unwrap();
    let texts: Vec<String> = (0..5).map(|n| format!("{{ me {{ a{n}: id }} }}")).collect();
    let mut answers: FuturesUnordered<_> = texts.iter().map(|text| bench.plan(text)).collect();
    let begin = Instant::now();
    for _ in 0..3 {
        let refused = answers.next().await.unwrap();
        assert!(refused.is_err_and(|refusal| refusal.is_passing()));
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(done);
    assert!(answers.all(async |answer| answer.is_ok()).await, "who waits is planned");
}

/// What is told of a text is no longer than is useful, and counts.
#[tokio::test]
async fn a_refusal_is_small_and_counts() {
    let bench = Bench::new(1000);
    let long = "x".repeat(40_000);
    for (text, name) in [("{ me { id } }", Some(long.clone())), (&format!("{{ {long} }}"), None)] {
        let question = Question { name, ..bench.question(text) };
        let Err(refusal) = bench.planners.plan(&bench.shop, question).await else { panic!("a plan") };
        assert!(refusal.0[0].message.len() < 2000, "{}", refusal.0[0].message.len());
    }
    let many = (0..90).map(|n| format!("x{n}{} ", "x".repeat(50))).collect::<String>();
    let before = bench.planners.texts.weight();
    assert!(bench.plan(&format!("{{ {many} }}")).await.is_err());
    let weight = bench.planners.texts.weight() - before;
    assert!(weight as usize > many.len() / UNIT + 5, "{weight}");
}
