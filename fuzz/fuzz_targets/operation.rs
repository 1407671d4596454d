//! Operations and their variables, parted by a zero byte: whatever they are, the gateway answers in the form of GraphQL.
//!
//! The subgraphs are away, so a plan is made and executed without anything to merge. The planner's library panics now and
//! then, and is guarded; a panic of our own code ends the run.
#![no_main]

use std::sync::LazyLock;

use accounts_center::config::Config;
use accounts_center::gateway::{Asked, Gateway, Request};
use accounts_center::ids::Ids;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::Runtime;

const SUPERGRAPH: &str = include_str!("../../tests/federation/abstracts.graphql");

static SERVED: LazyLock<(Runtime, Gateway)> = LazyLock::new(|| {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut settings = Config::from_pairs([]).expect("the defaults").gateway;
    settings.subgraph.retries = 0;
    // Nobody listens there.
    let supergraph = SUPERGRAPH.lines().map(|line| match line.split_once("url: \"http://") {
        Some((before, _)) if line.contains("@join__graph(name:") => {
            format!("{before}url: \"http://127.0.0.1:1/\")\n")
        }
        _ => format!("{line}\n"),
    });
    let gateway = {
        let _within = runtime.enter();
        Gateway::new(&supergraph.collect::<String>(), settings, Ids::seeded(1)).expect("a gateway")
    };
    (runtime, gateway)
});

fuzz_target!(
    init: {
        // libFuzzer's own would end the run at panics that are caught.
        std::panic::set_hook(Box::new(|_| {}));
    },
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let (query, variables) = text.split_once('\0').unwrap_or((text, ""));
        let variables = match serde_json::from_str(variables) {
            Ok(Value::Object(variables)) => Some(variables),
            _ => None,
        };
        let request = Request { query: Some(query.to_owned()), variables, ..Default::default() };
        let (runtime, gateway) = &*SERVED;
        let answer = runtime.block_on(gateway.answer(request, Asked::default()));
        let body: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
        assert!(body.get("data").is_some() || body["errors"].is_array(), "{body}");
    }
);
