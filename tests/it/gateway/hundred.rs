//! A supergraph of a hundred subgraphs.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::rows::Rows;
use super::shop::{GatewayProcess, Shop};

const COUNT: usize = 100;

const HEAD: &str = r#"schema @link(url: "https://specs.apollo.dev/link/v1.0")
  @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION) { query: Query }
directive @join__enumValue(graph: join__Graph!) repeatable on ENUM_VALUE
directive @join__graph(name: String!, url: String!) on ENUM_VALUE
directive @join__field(graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet, type: String,
  external: Boolean, override: String, usedOverridden: Boolean) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
directive @join__implements(graph: join__Graph!, interface: String!) repeatable on OBJECT | INTERFACE
directive @join__type(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false,
  resolvable: Boolean! = true, isInterfaceObject: Boolean! = false)
  repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR
directive @join__unionMember(graph: join__Graph!, member: String!) repeatable on UNION
scalar join__FieldSet
directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
scalar link__Import
enum link__Purpose { SECURITY EXECUTION }
"#;

/// Each subgraph `s7` has a field `f7` of every thing, and `Query.root7`; the first one knows all things.
fn supergraph(address: SocketAddr) -> String {
    let each = |line: fn(usize) -> String| (0..COUNT).map(line).collect::<String>();
    let graphs: String = (0..COUNT)
        .map(|n| format!("  S{n} @join__graph(name: \"s{n}\", url: \"http://{address}/s{n}\")\n"))
        .collect();
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "enum join__Graph {{\n{graphs}}}");
    let keys = each(|n| format!(" @join__type(graph: S{n}, key: \"id\")"));
    let fields = each(|n| format!("  f{n}: Int @join__field(graph: S{n})\n"));
    let _ = writeln!(text, "type Thing{keys} {{\n  id: ID!\n{fields}}}");
    let of = each(|n| format!(" @join__type(graph: S{n})"));
    let roots = each(|n| format!("  root{n}: Int @join__field(graph: S{n})\n"));
    let _ = writeln!(text, "type Query{of} {{\n  things: [Thing!]! @join__field(graph: S0)\n{roots}}}");
    text
}

/// The operations that each subgraph got.
type Calls = Arc<Mutex<HashMap<String, Vec<Value>>>>;

/// All subgraphs, at one address.
struct Subgraphs {
    address: SocketAddr,
    calls: Calls,
    _serving: AbortOnDropHandle<()>,
}

impl Subgraphs {
    async fn start() -> Self {
        let things = [1, 2, 1].map(|id| json!({ "__typename": "Thing", "id": id.to_string() }));
        let mut rows = vec![json!({ "__typename": "Query", "things": things })];
        for id in [1, 2] {
            rows.push(json!({ "__typename": "Thing", "id": id.to_string() }));
        }
        for n in 0..COUNT {
            rows[0][format!("root{n}")] = json!(n);
            for id in [1, 2] {
                rows[id][format!("f{n}")] = json!(n * 10 + id);
            }
        }
        let (rows, calls) = (Rows::new(Value::Array(rows)), Calls::default());
        let state = (Arc::new(Mutex::new(rows)), calls.clone());
        let router = Router::new().route("/{name}", post(answer)).with_state(state);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        }));
        Self { address, calls, _serving: serving }
    }

    /// The calls since this was asked the last time.
    fn calls(&self) -> HashMap<String, Vec<Value>> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

async fn answer(
    State((rows, calls)): State<(Arc<Mutex<Rows>>, Calls)>,
    Path(name): Path<String>,
    Json(request): Json<Value>,
) -> Json<Value> {
    let answer = rows.lock().unwrap().answer(request["query"].as_str().unwrap(), &request["variables"]);
    calls.lock().unwrap().entry(name).or_default().push(request);
    Json(answer)
}

/// Each one is called once, for what it has and for every thing once; one that is not needed is not called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_subgraphs_are_one_graph() {
    let subgraphs = Subgraphs::start().await;
    let shop = Shop::new().await;
    shop.publish(&supergraph(subgraphs.address));
    // Programs of tests are not optimised, and this is a large plan.
    let command = shop.command(&[("PLANS__MILLISECONDS", "60000")]);
    let gateway = GatewayProcess::start(command).await;

    let fields = (0..COUNT).map(|n| format!("f{n} ")).collect::<String>();
    let answer = gateway.query(&format!("{{ things {{ id {fields} }} }}")).await;
    let thing = |id: usize| {
        let mut thing = json!({ "id": id.to_string() });
        (0..COUNT).for_each(|n| thing[format!("f{n}")] = json!(n * 10 + id));
        thing
    };
    assert_eq!(answer, json!({ "data": { "things": [thing(1), thing(2), thing(1)] } }));
    let calls = subgraphs.calls();
    assert_eq!(calls.len(), COUNT);
    for (name, calls) in &calls {
        assert_eq!(calls.len(), 1, "{name} is called once");
        let (number, query) = (&name[1..], calls[0]["query"].as_str().unwrap());
        let asked = query.split(|byte: char| !byte.is_ascii_alphanumeric());
        let asked: Vec<&str> = asked
            .filter(|word| word.strip_prefix('f').is_some_and(|rest| rest.parse::<usize>().is_ok()))
            .collect();
        assert_eq!(asked, [format!("f{number}")], "{name} is asked for its own: {query}");
        if number != "0" {
            let sent = calls[0]["variables"]["representations"].as_array().unwrap();
            assert_eq!(sent.len(), 2, "{name} is asked for each thing once");
        }
    }

    let answer = gateway.query("{ root73 }").await;
    assert_eq!(answer, json!({ "data": { "root73": 73 } }));
    let called: Vec<String> = subgraphs.calls().into_keys().collect();
    assert_eq!(called, ["s73"]);

    let answer = gateway.query("{ things { f42 } root99 }").await;
    let things = [421, 422, 421].map(|f42| json!({ "f42": f42 }));
    assert_eq!(answer, json!({ "data": { "things": things, "root99": 99 } }));
    let mut called: Vec<(String, usize)> =
        subgraphs.calls().into_iter().map(|(name, calls)| (name, calls.len())).collect();
    called.sort_unstable();
    let wanted = ["s0", "s42", "s99"].map(|name| (name.to_owned(), 1));
    assert_eq!(called, wanted);
}
