//! A gateway that composes its supergraph of the accounts graph and other subgraphs, as they come, change and go.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use accounts_center::gateway::supergraph::Supergraph;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use super::shop::GatewayProcess;
use crate::support::{ended, eventually};

const LINK: &str = r#"extend schema @link(url: "https://specs.apollo.dev/federation/v2.7",
  import: ["@key", "@external", "@override", "@shareable", "@provides", "@inaccessible", "@tag", "@interfaceObject"])
"#;

/// Posts of profiles, by one of the accounts graph's keys.
const POSTS: &str = r#"
type Query { posts: [Post!]! }
type Post { text: String by: LinkedProfile }
type LinkedProfile @key(fields: "platformKey externalId") { platformKey: PlatformKey! externalId: String! posts: [Post!]! }
scalar PlatformKey
"#;

/// A subgraph over HTTP that says what its schema is, and knows one post.
struct Posts {
    address: SocketAddr,
    sdl: Arc<Mutex<String>>,
    serving: Option<AbortOnDropHandle<()>>,
}

impl Posts {
    async fn new(sdl: &str) -> Self {
        let mut posts = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            sdl: Arc::new(Mutex::new(format!("{LINK}{sdl}"))),
            serving: None,
        };
        posts.come().await;
        posts
    }

    /// Serves, where it did before.
    async fn come(&mut self) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener: TcpListener = socket.listen(16).unwrap();
        self.address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(answer)).with_state(self.sdl.clone());
        let serving = async move { axum::serve(listener, router).await.unwrap() };
        self.serving = Some(AbortOnDropHandle::new(tokio::spawn(serving)));
    }

    /// Nobody is there any more, on connections either.
    async fn go(&mut self) {
        drop(self.serving.take());
        let address = self.address;
        eventually("the subgraph is away", async || tokio::net::TcpStream::connect(address).await.err())
            .await;
    }

    fn says(&self, sdl: &str) {
        *self.sdl.lock().unwrap() = format!("{LINK}{sdl}");
    }
}

async fn answer(State(sdl): State<Arc<Mutex<String>>>, Json(request): Json<Value>) -> Json<Value> {
    let is_schema = request["query"].as_str().unwrap().contains("_service");
    let data = match is_schema {
        true => json!({ "_service": { "sdl": *sdl.lock().unwrap() } }),
        false => json!({ "posts": [{ "text": "hello", "likes": 3 }] }),
    };
    Json(json!({ "data": data }))
}

/// A gateway in front of the accounts graph, where nobody is, and of `others`.
fn command(folder: &Path, others: &[(&str, &Posts)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
    command.args(["gateway", "--listen", "127.0.0.1:0", "--data"]).arg(folder);
    command.env("ACCOUNTS__GATEWAY__POLL_SECONDS", "1");
    command.env("ACCOUNTS__GATEWAY__PLANS__MILLISECONDS", "20000");
    command.env("ACCOUNTS__GATEWAY__SUBGRAPHS__ACCOUNTS__URL", "http://127.0.0.1:1/graphql");
    for (name, posts) in others {
        let variable = format!("ACCOUNTS__GATEWAY__SUBGRAPHS__{}__URL", name.to_uppercase());
        command.env(variable, format!("http://{}/", posts.address));
    }
    command.stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// What a gateway says that does not start.
async fn refused(mut command: Command) -> String {
    let ended = command.stderr(Stdio::piped()).output();
    let ended =
        tokio::time::timeout(std::time::Duration::from_secs(60), ended).await.expect("it ends").unwrap();
    assert!(!ended.status.success(), "it does not start");
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(!told.contains("panicked"), "{told}");
    told
}

/// Whether a client may ask for it.
async fn knows(gateway: &GatewayProcess, query: &str) -> bool {
    let answer = gateway.query(query).await;
    answer["errors"][0]["extensions"]["code"] != "GRAPHQL_VALIDATION_FAILED"
}

async fn until_ready(gateway: &GatewayProcess, state: &str) {
    let what = format!("it is {state}");
    eventually(&what, async || gateway.get("/ready").await.1.starts_with(state).then_some(())).await;
}

const LIKES: &str = "{ posts { text likes } }";

/// POSTS with what there was not before.
fn with_likes() -> String {
    POSTS.replace("text: String", "text: String likes: Int")
}

#[tokio::test]
async fn s44_what_the_accounts_graph_owns_is_refused_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let profile = "type LinkedProfile @key(fields: \"id\") { id: ID! ";
    for (sdl, told) in [
        ("type Query { viewer: Int }".to_owned(), "hostile: Query.viewer: shadows"),
        ("schema { query: Mine } type Mine { viewer: Int }".to_owned(), "hostile: Query.viewer: shadows"),
        (
            format!("{profile} handle: String! @override(from: \"accounts\") }}"),
            "hostile: LinkedProfile.handle: overrides",
        ),
        (format!("{profile} handle: String! @shareable }}"), "hostile: LinkedProfile.handle: shares"),
        (format!("{profile} handle: String! }}"), "hostile: LinkedProfile.handle: redefines"),
        (
            format!(
                "{profile} handle: String! @external }} type Query {{ a: LinkedProfile @provides(fields: \"handle\") }}"
            ),
            "hostile: Query.a: provides `LinkedProfile.handle`",
        ),
        (
            "type LinkedProfile @key(fields: \"id\") { id: ID! @inaccessible x: Int }".to_owned(),
            "hostile: LinkedProfile.id: bears `@inaccessible`",
        ),
        (
            "type LinkedProfile @key(fields: \"id\") @tag(name: \"x\") { id: ID! x: Int }".to_owned(),
            "hostile: LinkedProfile: bears `@tag`",
        ),
        (
            "type Node @key(fields: \"id\") @interfaceObject { id: ID! x: Int }".to_owned(),
            "hostile: Node: is this interface",
        ),
    ] {
        let hostile = Posts::new(&sdl).await;
        let line = refused(command(folder.path(), &[("hostile", &hostile)])).await;
        assert!(line.contains(told), "{sdl}: {line}");
    }
    // Where nobody looks at what it says, there is who looks at what comes of it.
    let hostile = Posts::new(&format!("{profile} handle: String! @override(from: \"accounts\") }}")).await;
    let mut unprotected = command(folder.path(), &[("hostile", &hostile)]);
    unprotected.env("FAILPOINTS", "gateway::protection=return");
    let line = refused(unprotected).await;
    assert!(line.contains("hostile: LinkedProfile.handle: overrides"), "{line}");
    // And later on what was good stays.
    let posts = Posts::new(POSTS).await;
    let gateway = GatewayProcess::start(command(folder.path(), &[("posts", &posts)])).await;
    posts.says(&format!("{} extend type Query {{ viewer: Int }}", with_likes()));
    until_ready(&gateway, "degraded").await;
    assert!(knows(&gateway, "{ viewer { id } }").await, "the accounts graph's own");
    assert!(!knows(&gateway, LIKES).await, "nothing of what is refused is served");
}

/// A schema that changes is composed anew; one that is bad is refused and said so; one that is away is not missed.
#[tokio::test]
async fn the_last_good_schema_of_a_subgraph_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut posts = Posts::new(POSTS).await;
    let gateway = GatewayProcess::start(command(folder.path(), &[("posts", &posts)])).await;
    let hello = json!({ "data": { "posts": [{ "text": "hello" }] } });
    assert_eq!(gateway.query("{ posts { text } }").await, hello);
    assert!(knows(&gateway, "{ viewer { profiles { posts { text } } } }").await);
    assert!(!knows(&gateway, LIKES).await);
    posts.says(&with_likes());
    eventually("the new schema is served", async || knows(&gateway, LIKES).await.then_some(())).await;
    assert_eq!(gateway.get("/ready").await.1, "ready");

    posts.says("type Query { posts: [Post!]! }");
    until_ready(&gateway, "degraded").await;
    let (_, metrics) = gateway.get("/metrics").await;
    assert!(metrics.contains("accounts_center_gateway_supergraph_refused 1"), "{metrics}");
    assert!(metrics.contains("supergraph_loads_total{outcome=\"refused\"} 1"), "said once: {metrics}");
    assert!(knows(&gateway, LIKES).await, "what was good stays");
    posts.says(&with_likes());
    until_ready(&gateway, "ready").await;

    posts.go().await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(knows(&gateway, LIKES).await, "who is away is known");
    let code = &gateway.query(LIKES).await["errors"][0]["extensions"]["code"];
    assert_eq!(code, "SUBGRAPH_UNREACHABLE");
    drop(gateway);
    let gateway = GatewayProcess::start(command(folder.path(), &[("posts", &posts)])).await;
    assert!(knows(&gateway, LIKES).await, "also to the next process");
    posts.says("type Query {");
    posts.come().await;
    until_ready(&gateway, "degraded").await;
    assert!(knows(&gateway, LIKES).await);
    drop(gateway);
    let gateway = GatewayProcess::start(command(folder.path(), &[("posts", &posts)])).await;
    assert!(knows(&gateway, LIKES).await, "a bad schema is no reason not to start where a good one is kept");
    until_ready(&gateway, "degraded").await;
}

/// One that is away when nothing is known of it is left out, and taken in when it comes. One that is bad then is refused.
#[tokio::test]
async fn who_is_away_at_first_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut posts = Posts::new(POSTS).await;
    posts.go().await;
    let other = Posts::new("type Query { weather: Int }").await;
    let gateway =
        GatewayProcess::start(command(folder.path(), &[("posts", &posts), ("weather", &other)])).await;
    assert!(knows(&gateway, "{ weather }").await && !knows(&gateway, "{ posts { text } }").await);
    until_ready(&gateway, "degraded").await;
    // A bad one of two does not hold up the good one.
    posts.says("type Query { viewer: Int }");
    posts.come().await;
    other.says("type Query { weather: Int storm: Boolean }");
    eventually("what is good is taken", async || knows(&gateway, "{ storm }").await.then_some(())).await;
    assert!(
        gateway.get("/ready").await.1.starts_with("degraded") || {
            until_ready(&gateway, "degraded").await;
            true
        }
    );
    posts.says(POSTS);
    eventually("all of it is served", async || knows(&gateway, "{ posts { text } }").await.then_some(()))
        .await;
    assert_eq!(gateway.get("/ready").await.1, "ready");
}

/// A subgraph that answers with too much, with none of it, or never is away.
#[tokio::test]
async fn a_schema_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    for (sdl, settings) in [
        (format!("{POSTS} # {}", "x".repeat(9 * 1024 * 1024)), ("PATIENCE", "")),
        (format!("{POSTS} # {}", "x".repeat(2000)), ("ANSWER_BYTES", "1000")),
    ] {
        let posts = Posts::new(&sdl).await;
        let mut command = command(folder.path(), &[("posts", &posts)]);
        if !settings.1.is_empty() {
            command.env(format!("ACCOUNTS__GATEWAY__SUBGRAPHS__POSTS__{}", settings.0), settings.1);
        }
        let gateway = GatewayProcess::start(command).await;
        until_ready(&gateway, "degraded").await;
        assert!(!knows(&gateway, "{ posts { text } }").await);
    }
}

/// `schema compose` with these settings of subgraphs.
async fn composed(settings: &[(&str, &str)]) -> (Output, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut configuration = String::new();
    for (name, sdl) in settings {
        let path = folder.path().join(format!("{name}.graphql"));
        std::fs::write(&path, format!("{LINK}{sdl}")).unwrap();
        let url = format!("http://user:secret@{name}.test/graphql?key=secret");
        configuration.push_str(&format!("[gateway.subgraphs.{name}]\nurl = {url:?}\nsdl = {path:?}\n"));
    }
    let file = folder.path().join("config.toml");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
    let output = ended(command.args(["schema", "compose", "--config"]).arg(file)).await;
    (output, folder)
}

/// It prints a supergraph that can be served, and nothing secret; or a line for each problem.
#[tokio::test]
async fn the_command_prints_the_supergraph_or_what_is_in_the_way() {
    let (output, _folder) = composed(&[("posts", POSTS)]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let supergraph = Supergraph::parse(&text).unwrap();
    assert_eq!(supergraph.subgraphs.keys().collect::<Vec<_>>(), ["accounts", "posts"]);
    assert_eq!(supergraph.subgraphs["posts"].to_string(), "http://posts.test/graphql");
    assert!(!text.contains("key=secret") && !text.contains("user:"), "{text}");
    let again = composed(&[("posts", POSTS)]).await.0.stdout;
    assert_eq!(String::from_utf8(again).unwrap(), text, "the same each time");

    let lost = "type Query { a: Lost } type Lost { id: ID! @shareable x: Int }";
    let other = "type Query { b: Lost } type Lost { id: ID! @shareable y: Int }";
    let hostile = "type Query { viewer: Int node: Int }";
    let limit = ["type Query { a: [String!] @shareable }", "type Query { a: [String] @shareable }"];
    for (settings, lines) in [
        (vec![("posts", "type Query {")], vec!["posts: its schema does not parse: "]),
        (
            vec![("hostile", hostile)],
            vec![
                "hostile: Query.node: shadows `Query.node`",
                "hostile: Query.viewer: shadows `Query.viewer`",
            ],
        ),
        (
            vec![("one", lost), ("two", other)],
            vec![
                "one: Lost.x: cannot be reached from `Query.b`",
                "two: Lost.y: cannot be reached from `Query.a`",
            ],
        ),
        (vec![("one", limit[0]), ("two", limit[1])], vec!["one, two: Query.a: "]),
    ] {
        let (output, _folder) = composed(&settings).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let told = String::from_utf8(output.stderr).unwrap();
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(told.len(), lines.len(), "{told:#?}");
        for (told, line) in told.iter().zip(lines) {
            assert!(told.starts_with(line), "{told:#?}");
        }
    }
}

/// From a subgraph's schema to what a front-end team pins, and to what they are told of its next version.
#[tokio::test]
async fn what_is_tagged_is_in_no_contract_and_what_is_lost_is_seen() {
    let schema = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
        let output = ended(command.arg("schema").args(arguments)).await;
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let supergraph = async |sdl: &str| {
        let (output, folder) = composed(&[("posts", sdl)]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = folder.path().join("supergraph.graphql");
        std::fs::write(&file, output.stdout).unwrap();
        (file.display().to_string(), folder)
    };
    let tagged = POSTS.replace("{ text: String", "{ text: String draft: Int @tag(name: \"internal\")");
    let (file, folder) = supergraph(&tagged).await;
    let (_, whole) = schema(&["print", "--supergraph", &file]).await;
    assert!(whole.contains("draft: Int") && whole.contains("text: String"), "{whole}");
    let (_, contract) = schema(&["print", "--supergraph", &file, "--exclude-tag", "internal"]).await;
    assert!(!contract.contains("draft") && contract.contains("posts: [Post!]!"), "{contract}");
    let pinned = folder.path().join("pinned.graphql").display().to_string();
    std::fs::write(&pinned, contract).unwrap();
    let (passed, told) = schema(&["check", "--against", &pinned, "--supergraph", &file]).await;
    assert!(passed && told.contains("Post.draft"), "{told}");
    let (newer, _folder) = supergraph(&POSTS.replace("text: String ", "")).await;
    let (passed, told) = schema(&["check", "--against", &pinned, "--supergraph", &newer]).await;
    assert!(!passed && told.contains("BREAKING") && told.contains("Post.text"), "{told}");
    assert!(!told.contains("Account."), "{told}");
    // The accounts graph alone has nothing of it.
    let (passed, told) = schema(&["check", "--against", &pinned]).await;
    assert!(!passed && told.contains("Query.posts"), "{told}");
}

/// What the configuration says and cannot mean.
#[tokio::test]
async fn settings_that_mean_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let posts = Posts::new(POSTS).await;
    for (variable, value, told) in [
        ("SUBGRAPHS__NOWHERE__SDL", "posts.graphql", "gateway.subgraphs.nowhere has no `url`"),
        ("SUBGRAPHS__ACCOUNTS__SDL", "mine.graphql", "gateway.subgraphs.accounts has `sdl`"),
        ("SUBGRAPHS__ACCOUNTS__URL", "accounts", "gateway.subgraphs.accounts.url"),
    ] {
        let mut command = command(folder.path(), &[("posts", &posts)]);
        command.env(format!("ACCOUNTS__GATEWAY__{variable}"), value);
        let line = refused(command).await;
        assert!(line.contains(told), "{line} does not say {told}");
    }
    let mut without = command(folder.path(), &[("posts", &posts)]);
    without.env_remove("ACCOUNTS__GATEWAY__SUBGRAPHS__ACCOUNTS__URL");
    let line = refused(without).await;
    assert!(line.contains("gateway.subgraphs.accounts.url"), "{line}");
    let mut beside = command(folder.path(), &[("posts", &posts)]);
    beside.env("ACCOUNTS__GATEWAY__SUPERGRAPH", "supergraph.graphql");
    beside.env("ACCOUNTS__GATEWAY__SUBGRAPHS__POSTS__SDL", "posts.graphql");
    let line = refused(beside).await;
    assert!(line.contains("gateway.supergraph is composed already"), "{line}");
}
