//! What the accounts graph can answer alone goes there directly, and is answered as by a plan (S47).

use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{join, one_graph};
use crate::gateway::random::draw::{Operation, Tape, operation};
use crate::gateway::types::Types;
use crate::support::{Client, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const API: &str = include_str!("../../../schema/api.graphql");
/// What front-ends ask.
const HUBS: [&str; 2] = [
    "{ viewer { id displayName version profiles { id handle status signInEnabled platform { key displayName capabilities } }
        linkGraph { version profiles { id } } activity(first: 5) { totalCount nodes { id kind description } } } }",
    "query Two { platforms { ...p } all: platforms { key } viewer { profiles { ...l } } }
        fragment p on Platform { id key displayName verificationMethods } fragment l on LinkedProfile { id statusReason linkedAt }",
];
/// Operations that are drawn.
const COUNT: u64 = 150;

/// What came of an operation.
#[derive(Debug, PartialEq)]
struct Told {
    status: u16,
    kind: String,
    /// Without the places in the text, which a plan does not know.
    errors: Vec<Value>,
    extensions: Value,
    /// As text, for its order.
    data: String,
}

async fn ask(client: &Client, query: &str, variables: &Value) -> Told {
    let request = reqwest::Client::new().post(format!("{}/graphql", client.url));
    let request = request.json(&json!({ "query": query, "variables": variables }));
    let request = client.token.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let answer: Answer = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let mut errors = answer.errors;
    for error in &mut errors {
        error.as_object_mut().unwrap().remove("locations");
    }
    errors.sort_by_key(ToString::to_string);
    let data = answer.data.map(|data| data.get().to_owned()).unwrap_or_default();
    Told { status, kind, errors, extensions: answer.extensions, data }
}

#[derive(Deserialize)]
struct Answer {
    /// As it stands there, for its order.
    data: Option<Box<RawValue>>,
    #[serde(default)]
    errors: Vec<Value>,
    #[serde(default)]
    extensions: Value,
}

/// The same operation with something of the subgraph, so that it is planned.
fn planned(query: &str) -> String {
    query.replacen('{', "{ zz: greeting ", 1)
}

/// Asks both ways. Gives how many bytes of data there were.
async fn compare(client: &Client, query: &str, variables: &Value) -> usize {
    let direct = ask(client, query, variables).await;
    let mut other = ask(client, &planned(query), variables).await;
    other.data = other.data.replacen("\"zz\":\"hello\",", "", 1).replacen("{\"zz\":\"hello\"}", "{}", 1);
    assert_eq!(direct, other, "{query} {variables}");
    direct.data.len()
}

/// How many plans a server has asked for, whatever came of that.
async fn plans(app: &TestApp) -> u64 {
    let metrics = reqwest::get(format!("{}/metrics", app.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("accounts_center_gateway_supergraph_loads_total"), "{metrics}");
    let counts = metrics.lines().filter(|line| line.starts_with("accounts_center_gateway_plans_total{"));
    counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

on_both_stacks! {
    /// Also the second pass of all tests goes by that setting: without it, it would be the first one again.
    async fn what_goes_directly_is_planned_only_where_all_is(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let _subgraph = join(&mut place).await;
        for (seed, direct, planned) in [(1, true, 0), (2, false, 1)] {
            place.set("ACCOUNTS__GATEWAY__DIRECT", direct);
            let app = TestApp::start(&place, seed).await;
            let ada = app.client().sign_in(&place, ADA).await;
            let before = plans(&app).await;
            assert_eq!(ada.client.query("{ viewer { id } }").await.field()["id"], ada.account);
            assert_eq!(plans(&app).await - before, planned, "direct = {direct}");
            app.stop().await;
        }
    }

    async fn s47_the_direct_way_answers_as_a_plan_does(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        // Not the one that opened her session, which would end with it.
        let own = ada.client.profiles().await.remove(0);
        let second = ada.client.linked(&place, "+4917139200077").await;
        ada.client.unlink(&second).await;
        // What ids name: hers, another kind's, none.
        let node = "query N($id: ID!) { node(id: $id) { __typename id ... on LinkedProfile { handle status } } }";
        for id in [own.as_str(), second.as_str(), &ada.account, "nothing", ""] {
            compare(&ada.client, node, &json!({ "id": id })).await;
            compare(&app.client(), node, &json!({ "id": id })).await;
        }
        subgraph.calls();
        ada.client.query("{ viewer { id } }").await;
        assert!(subgraph.calls().is_empty(), "that goes directly");
        for hub in HUBS {
            assert!(compare(&ada.client, hub, &json!({})).await > 200, "{hub}");
            compare(&app.client(), hub, &json!({})).await;
        }
        let types = Types::of(API);
        let mut answered = 0;
        for seed in 0..COUNT {
            let mut bytes = vec![0; 400];
            rand_chacha::ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
            let Operation { query, variables } = operation(&types, &mut Tape(&bytes));
            answered += compare(&ada.client, &query, &variables).await;
            if seed % 5 == 0 {
                compare(&app.client(), &query, &variables).await;
            }
        }
        assert!(answered > 5_000, "of {COUNT} operations came {answered} bytes");
        ada.client.query("{ viewer { id } }").await.field();
    }
}
