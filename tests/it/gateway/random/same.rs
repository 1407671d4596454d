//! The same answer as without a federation; and that a rule which is missing is missed.

use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::{Value, json};

use super::draw::{Operation, Tape, operation};
use super::federations::{NAMES, REQUIRING, federation};
use super::number;
use crate::gateway::federation::Front;

/// A tape of chance that is the same for the same seed.
fn chance(seed: u64, length: usize) -> Vec<u8> {
    use rand::{Rng, SeedableRng};
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

pub async fn front(name: &str, seed: u64, without: Option<&str>) -> Front {
    let tape = chance(seed, 2000);
    let federation = federation(name, &mut Tape(&tape)).await;
    // What is wrong shall be found once more, and not a circuit that it has opened.
    let mut command = federation.command(&[("SUBGRAPH__CIRCUIT_PERCENT", "0")]);
    if let Some(rule) = without {
        command.env("FAILPOINTS", format!("{rule}=return"));
    }
    federation.behind(command).await.0
}

/// What can be wrong with an answer.
const DATA: &str = "the data is";
const PATH: &str = "the path of an error";
const ORDER: &str = "the order of keys:";
const TWICE: &str = "the same was sent twice";

fn paths(answer: &Value) -> impl Iterator<Item = &Value> {
    let errors = answer["errors"].as_array().into_iter().flatten();
    errors.filter_map(|error| error.get("path"))
}

/// A path ends at a value or at a null on its way, and has no key that nobody asked for.
fn leads_somewhere(data: &Value, path: &Value) -> bool {
    let mut at = data;
    for segment in path.as_array().into_iter().flatten() {
        let below = match segment {
            Value::String(key) => at.get(key),
            index => index.as_u64().and_then(|index| at.get(usize::try_from(index).unwrap())),
        };
        match below {
            Some(below) => at = below,
            None => return at.is_null(),
        }
    }
    true
}

/// What is wrong with the answer to an operation; `None` where it was none that could be answered.
async fn judge(front: &Front, operation: &Operation) -> Result<Option<()>, String> {
    front.calls();
    let Operation { query, variables } = operation;
    let request = json!({ "query": query, "variables": variables });
    let text = front.gateway.send_for_text(&request, &[]).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    // There are operations that the planner has no plan for; the client is told so, and not a wrong answer.
    let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default();
    if ["GRAPHQL_VALIDATION_FAILED", "QUERY_PLANNING_FAILED"].contains(&code) {
        return Ok(None);
    }
    let (expected, orders) = front.unfederated_in_order(query, variables);
    let mut wrong = String::new();
    let (told, wanted) = (&answer["data"], &expected["data"]);
    if answer.get("data").is_none() || told != wanted {
        let _ = writeln!(wrong, "{DATA} {told}\n instead of {wanted}; {}", answer["errors"]);
    }
    let start = format!("{{\"data\":{}", orders.text(wanted));
    if told == wanted && !text.starts_with(&start) {
        let _ = writeln!(wrong, "{ORDER} {text} does not begin with {start}");
    }
    for path in paths(&answer).filter(|path| !leads_somewhere(&answer["data"], path)) {
        let _ = writeln!(wrong, "{PATH} {path} is not in {answer}");
    }
    if answer.get("errors").is_some() != expected.get("errors").is_some() {
        let _ = writeln!(wrong, "the errors are {} instead of {}", answer["errors"], expected["errors"]);
    }
    for (name, subgraph) in &front.federation.subgraphs {
        for call in subgraph.calls() {
            let lists = call.variables.as_object().into_iter().flatten();
            for (_, list) in lists.filter(|(variable, _)| variable.contains("rep")) {
                let items: Vec<String> = list.as_array().unwrap().iter().map(Value::to_string).collect();
                let mut apart = items.clone();
                apart.sort_unstable();
                apart.dedup();
                if apart.len() < items.len() {
                    let _ = writeln!(wrong, "{TWICE} to {name}: {items:?}");
                }
            }
        }
    }
    if wrong.is_empty() { Ok(Some(())) } else { Err(format!("{query}\n{variables}\n{wrong}")) }
}

/// Draws so many operations. Gives how many were answered, or the simplest that was not as it should be.
async fn compare(name: &str, seed: u64, (operations, without): (u64, Option<&str>)) -> Result<u64, String> {
    let front = front(name, seed, without).await;
    let config = Config {
        cases: u32::try_from(operations).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 3000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let handle = tokio::runtime::Handle::current();
    let counted = std::cell::Cell::new(0);
    let run = tokio::task::block_in_place(|| {
        runner.run(&vec(any::<u8>(), 8..160), |tape| {
            let drawn = operation(&front.federation.types, &mut Tape(&tape));
            match handle.block_on(judge(&front, &drawn)) {
                Ok(outcome) => {
                    counted.set(counted.get() + u64::from(outcome.is_some()));
                    Ok(())
                }
                Err(wrong) => Err(TestCaseError::fail(wrong)),
            }
        })
    });
    match run {
        Ok(()) => Ok(counted.get()),
        Err(TestError::Fail(reason, _)) => Err(format!("{name}, seed {seed}: {reason}")),
        Err(abort) => panic!("{abort}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federation_answers_as_one_server() {
    let (operations, seed) = (number("FEDERATION_OPERATIONS", 60), number("FEDERATION_SEED", 1));
    let mut too_few = Vec::new();
    for name in NAMES {
        let answered =
            compare(name, seed, (operations, None)).await.unwrap_or_else(|wrong| panic!("{wrong}"));
        // Some of what is drawn there names what clients do not see, and is not valid.
        let percent = if name == "inaccessible" { 55 } else { 90 };
        if answered * 100 < operations * percent {
            too_few.push((name, answered));
        }
    }
    assert!(too_few.is_empty(), "of {operations} operations so few were answered: {too_few:?}");
}

/// Composed here instead of by another tool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federation_that_is_composed_here_answers_as_one_server() {
    let (operations, seed) = (number("FEDERATION_OPERATIONS", 60), number("FEDERATION_SEED", 1));
    for name in NAMES.into_iter().chain([REQUIRING]) {
        // As above, of an operation more or less: types are drawn in another order.
        let percent = if ["inaccessible", REQUIRING].contains(&name) { 33 } else { 90 };
        let name = format!("composed {name}");
        let answered =
            compare(&name, seed, (operations, None)).await.unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(
            answered * 100 >= operations * percent,
            "of {operations} of {name} only {answered} were answered"
        );
    }
}

/// The client asks for what is required as well, by other arguments and under other names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_required_by_arguments_of_its_own_is_as_without_a_federation() {
    let (operations, seed) = (number("FEDERATION_OPERATIONS", 60), number("FEDERATION_SEED", 1));
    let answered =
        compare(REQUIRING, seed, (operations, None)).await.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(answered * 2 >= operations, "only {answered} of {operations} were answered");
}

/// One schema, dealt out anew every so many operations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_dealt_out_answers_as_one_server() {
    let (operations, seed) = (number("FEDERATION_OPERATIONS", 60), number("FEDERATION_SEED", 1));
    let rounds = 4;
    for seed in seed..seed + rounds {
        let answered =
            compare("split", seed, (operations, None)).await.unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(
            answered * 10 >= operations * 9,
            "seed {seed}: only {answered} of {operations} were answered"
        );
    }
}

/// Before so many operations a rule that is taken away is missed.
const OPERATIONS: u64 = 150;

/// Each of them, where nothing is amiss otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_missed() {
    for (rule, name, kind) in [
        ("gateway::input-rewrite", "interfaceobject", DATA),
        ("gateway::output-rewrite", "mismatches", DATA),
        ("gateway::same-representation", "split", TWICE),
        ("gateway::null", "split", DATA),
        ("gateway::hidden", "inaccessible", DATA),
    ] {
        assert!(accounts_center::gateway::plant::RULES.contains(&rule), "{rule}");
        let whole = compare(name, 1, (OPERATIONS, None)).await;
        assert!(whole.is_ok(), "nothing is missing: {whole:?}");
        let found = compare(name, 1, (OPERATIONS, Some(rule))).await;
        let Err(wrong) = found else { panic!("{name} is the same without {rule}") };
        assert!(wrong.contains(kind), "{rule} is missed for another reason than that {kind} …: {wrong}");
    }
}
