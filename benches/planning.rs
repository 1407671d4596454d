//! What it costs to find the plan of the heavy query of `load federation`: parsed alone as the measure, planned anew, and
//! known already.
#![allow(missing_docs, reason = "criterion's macros make what has none")]

use std::hint::black_box;
use std::sync::Arc;

use accounts_center::config::Config;
use accounts_center::gateway::overrides::Overrides;
use accounts_center::gateway::plan::conditions::Choice;
use accounts_center::gateway::plan::make;
use accounts_center::gateway::plan::normal::normalize;
use accounts_center::gateway::plan::planners::{Planners, Question};
use accounts_center::gateway::supergraph::Supergraph;
use accounts_center_allocator::Allocator;
use criterion::{Criterion, criterion_group, criterion_main};
use hive_router_query_planner::utils::cancellation::CancellationToken;
use hive_router_query_planner::utils::parsing::safe_parse_operation;

/// The program's own: planning is half allocations.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const SUPERGRAPH: &str = include_str!("../tests/federation/store.graphql");
const HEAVY: &str = include_str!("../load/src/federation/store/heavy.graphql");
const MOST: usize = 10_000;

fn planning(criterion: &mut Criterion) {
    let supergraph = Arc::new(Supergraph::parse(SUPERGRAPH).expect("a supergraph"));
    let mut group = criterion.benchmark_group("planning");
    group.bench_function("parsed", |bench| {
        bench.iter(|| safe_parse_operation(black_box(HEAVY)).expect("an operation"));
    });
    group.bench_function("new", |bench| {
        bench.iter(|| {
            let unhurried = CancellationToken::new();
            let normal = normalize(&supergraph, (black_box(HEAVY), None, &[]), MOST, &unhurried);
            let normal = normal.expect("an operation");
            make(&supergraph, normal, Overrides::default().context(), &unhurried).expect("a plan")
        });
    });
    let settings = Config::from_pairs([]).expect("the defaults").gateway.plans;
    let planners = Planners::new(&settings, Arc::default()).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let question = Question {
        supergraph: supergraph.id,
        operation: HEAVY.into(),
        name: None,
        overrides: Overrides::default(),
        choice: Choice::default(),
        refused: None,
    };
    group.bench_function("known", |bench| {
        bench.iter(|| {
            runtime.block_on(planners.plan(&supergraph, black_box(question.clone()))).expect("a plan")
        });
    });
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);
