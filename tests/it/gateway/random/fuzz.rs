//! Whatever is sent, the gateway answers in the form of GraphQL, soon, and without a panic.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::draw::{Tape, operation};
use super::federations::federation;
use super::number;
use crate::gateway::federation::Front;

/// Nothing takes longer; it says that the gateway lives, not that it is quick.
const LONGEST: Duration = Duration::from_secs(60);

/// Pieces of operations that mean something somewhere.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "(",
    ")",
    "...",
    "... on ",
    "@include(if: $a)",
    "@skip(if: true)",
    "fragment F on Item ",
    "...F",
    "query($a: [[Int!]!] = [1]) ",
    "mutation ",
    "subscription ",
    "__typename",
    "__schema { types { name } }",
    "id",
    "\"\\u0000\"",
    "\"\"\"",
    "$",
    "99999999999999999999",
    "-1e400",
    "[[[[",
    "{a: {b: null}}",
    "\u{feff}#",
];

/// Something else in the place of a part of a text.
fn mutate(text: &str, tape: &mut Tape<'_>) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=tape.pick(4) {
        let at = (tape.pick(256) * 256 + tape.pick(256)) % (letters.len() + 1);
        let end = (at + tape.pick(12)).min(letters.len());
        let piece: Vec<char> = match tape.pick(4) {
            0 => Vec::new(),
            1 => letters[at..end].repeat(1 + tape.pick(40)),
            2 => PIECES[tape.pick(PIECES.len())].chars().collect(),
            _ => vec![char::from(u8::try_from(tape.pick(256)).unwrap())],
        };
        letters.splice(at..end, piece);
    }
    letters.into_iter().collect()
}

/// A value that may fit nothing.
fn value(tape: &mut Tape<'_>, depth: usize) -> Value {
    match tape.pick(if depth > 4 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(tape.once_in(2)),
        2 => json!([0.0, -0.0, 1e300, 2_147_483_648.0, 0.1][tape.pick(5)]),
        3 => json!([0, i64::MAX, i64::MIN, 2_147_483_647, -1][tape.pick(5)]),
        4 => json!(["", "\u{0}", "é", "NEW", "[]"][tape.pick(5)]),
        5 => json!(u64::MAX),
        6 => (0..tape.pick(4)).map(|_| value(tape, depth + 1)).collect(),
        _ => Value::Object(
            (0..tape.pick(4)).map(|number| (format!("v{number}"), value(tape, depth + 1))).collect(),
        ),
    }
}

/// The body of a request.
fn body(front: &Front, tape: &[u8]) -> Vec<u8> {
    let mut tape = Tape(tape);
    let drawn = operation(&front.federation.types, &mut tape);
    match tape.pick(6) {
        0 => tape.0.to_vec(),
        1 => {
            let query = String::from_utf8_lossy(tape.0).into_owned();
            json!({ "query": query }).to_string().into_bytes()
        }
        2 => {
            let whole = json!({ "query": drawn.query, "variables": drawn.variables }).to_string();
            mutate(&whole, &mut tape).into_bytes()
        }
        3 => {
            let variables = match drawn.variables.as_object() {
                Some(given) => given.keys().map(|name| (name.clone(), value(&mut tape, 0))).collect(),
                None => Value::Null,
            };
            json!({ "query": drawn.query, "variables": variables }).to_string().into_bytes()
        }
        4 => {
            let extensions = value(&mut tape, 0);
            let name = value(&mut tape, 5);
            json!({ "query": drawn.query, "variables": value(&mut tape, 0), "operationName": name,
                "extensions": extensions })
            .to_string()
            .into_bytes()
        }
        _ => {
            let query = mutate(&drawn.query, &mut tape);
            json!({ "query": query, "variables": drawn.variables }).to_string().into_bytes()
        }
    }
}

/// What is wrong with how a body is answered.
async fn judge(front: &Front, body: Vec<u8>) -> Result<(), String> {
    let shown = String::from_utf8_lossy(&body).into_owned();
    let begin = Instant::now();
    let request = front.gateway.http.post(format!("{}/graphql", front.gateway.url));
    let sent = request.header("content-type", "application/json").body(body).timeout(LONGEST).send().await;
    let response = sent.map_err(|error| format!("{shown}: {error} after {:?}", begin.elapsed()))?;
    let status = response.status().as_u16();
    let text = response.text().await.map_err(|error| format!("{shown}: {error}"))?;
    let Ok(answer) = serde_json::from_str::<Value>(&text) else {
        return Err(format!("{shown}: {status} {text}"));
    };
    let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let codes: Vec<&str> = errors.iter().filter_map(|error| error["extensions"]["code"].as_str()).collect();
    let is_well = status < 500
        && (answer.get("data").is_some() || !errors.is_empty())
        && codes.len() == errors.len()
        && codes.iter().all(|code| !code.contains("INTERNAL") && *code != "NO_SUCH_FIELD");
    if is_well { Ok(()) } else { Err(format!("{shown}: {status} {text}")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_is_answered() {
    let (requests, seed) = (number("FEDERATION_OPERATIONS", 60) * 10, number("FEDERATION_SEED", 1));
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let federation = federation("split", &mut Tape(&bytes.repeat(40))).await;
    let mut command = federation.command(&[]);
    command.stderr(std::process::Stdio::piped());
    let (front, stderr) = federation.behind(command).await;
    let mut stderr = stderr.unwrap();
    let log = tokio::spawn(async move {
        let mut log = String::new();
        stderr.read_to_string(&mut log).await.unwrap();
        log
    });
    let config = Config {
        cases: u32::try_from(requests).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let handle = tokio::runtime::Handle::current();
    let run = tokio::task::block_in_place(|| {
        runner.run(&vec(any::<u8>(), 8..300), |tape| {
            handle.block_on(judge(&front, body(&front, &tape))).map_err(TestCaseError::fail)
        })
    });
    run.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(front.gateway.query("{ __typename }").await["data"]["__typename"], "Query", "it lives");
    drop(front);
    let log = log.await.unwrap();
    let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}
