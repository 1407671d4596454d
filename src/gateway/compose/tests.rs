//! Whole compositions.

use std::path::{Path, PathBuf};

use graphql_tools::parser::schema::Definition;
use hive_router_query_planner::utils::parsing::safe_parse_schema;

use super::testing::{compose, composed, other, refused, subgraph};
use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/federation")
}

/// The federations of the tests, with the schemas of their subgraphs.
fn federations() -> Vec<(String, Vec<(String, String)>)> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let folders =
        entries(&root()).into_iter().filter(|path| path.is_dir() && !path.ends_with("node_modules"));
    let read = folders.map(|folder| {
        let schemas =
            entries(&folder).into_iter().map(|path| (name(&path), std::fs::read_to_string(path).unwrap()));
        (name(&folder), schemas.collect())
    });
    read.collect()
}

/// All types of a supergraph in one order, a line each, but those of the specifications.
fn sorted(text: &str) -> Vec<String> {
    let mut document = safe_parse_schema(text).unwrap();
    order::sort(&mut document);
    let types = document.definitions.iter().filter_map(|definition| match definition {
        Definition::TypeDefinition(ty) => Some((crate::gateway::schema::name_of(ty), ty.to_string())),
        _ => None,
    });
    let built_in = ["Boolean", "Float", "ID", "Int", "String"];
    let is_own =
        |name: &str| !name.starts_with("link__") && !name.starts_with("__") && !built_in.contains(&name);
    let lines = types
        .filter(|(name, _)| is_own(name))
        .flat_map(|(_, ty)| ty.lines().map(str::to_owned).collect::<Vec<_>>());
    // Introspection is in every schema.
    lines.filter(|line| !line.trim().starts_with("__")).collect()
}

/// What two tools write in two ways, and means the same.
fn plain(line: &str) -> String {
    let spaceless: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    spaceless.replace(",extension:true", "")
}

/// Fields whose place is said by the one tool and left to the type by the other.
const SAID: [&str; 4] = [
    "  version: String @join__field(graph: ACCOUNTS) @join__field(graph: BILLING)",
    "  addReview(body: String!, product: ID!): Review @join__field(graph: REVIEWS)",
    "  clearReviews: Int! @join__field(graph: REVIEWS)",
    // One that is moved for all requests is not in the other subgraph any more.
    "  always: String @join__field(graph: NEW, override: \"old\", overrideLabel: \"percent(100)\")",
];

/// Another tool has composed the same, and everything is where it has it: so each operation has the same plan.
#[test]
fn what_is_composed_is_what_another_tool_composes() {
    let mut count = 0;
    for (name, schemas) in federations() {
        let theirs = std::fs::read_to_string(root().join(format!("{name}.graphql"))).unwrap();
        let subgraphs = schemas.iter().map(|(name, sdl)| other(name, &format!("{sdl}\n# @link")));
        let ours = compose(Composing { owner: None, others: subgraphs.collect() });
        let ours = ours.unwrap_or_else(|problems| panic!("{name}: {problems}")).supergraph;
        let api = |text: &str| {
            let document = Supergraph::parse(text).unwrap().planner.consumer_schema.document.to_string();
            sorted(&document)
        };
        assert_eq!(api(&ours), api(&theirs), "{name}: what clients see");
        let (ours, theirs) = (sorted(&ours), sorted(&theirs));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (our, their) in ours.iter().zip(&theirs) {
            assert!(plain(our) == plain(their) || SAID.contains(&our.as_str()), "{name}: {our}\n{their}");
        }
        count += 1;
    }
    assert_eq!(count, 15, "federations");
}

/// Clients of the supergraph see of the accounts graph what its own clients see.
#[test]
fn the_accounts_graph_is_whole_in_its_supergraph() {
    let owner =
        SubgraphSdl { name: "accounts".to_owned(), url: String::new(), sdl: crate::graph::subgraph_sdl() };
    let composed = compose(Composing { owner: Some(owner), others: Vec::new() }).unwrap();
    let api = Supergraph::parse(&composed.supergraph).unwrap().planner.consumer_schema.document.clone();
    let own = sorted(&crate::graph::api_sdl());
    let seen = sorted(&api.to_string());
    for (own, seen) in own.iter().zip(&seen) {
        assert_eq!(own, seen);
    }
    assert_eq!(own.len(), seen.len());
}

/// The accounts graph has a supergraph, in one order whatever the order of what it is composed of.
#[test]
fn a_supergraph_is_the_same_in_any_order() {
    let owner =
        SubgraphSdl { name: "accounts".to_owned(), url: String::new(), sdl: crate::graph::subgraph_sdl() };
    let extends = |field: &str| {
        format!(
            "type LinkedProfile @key(fields: \"id\") {{ id: ID! {field}: Int }} type Query {{ {field}: Int }}"
        )
    };
    let others = [other("photos", &extends("photos")), other("devices", &extends("devices"))];
    let composed = |others: Vec<Other>| compose(Composing { owner: Some(owner.clone()), others }).unwrap();
    let [photos, devices] = others;
    let one = composed(vec![photos.clone(), devices.clone()]);
    assert_eq!(one, composed(vec![devices, photos]));
    assert_eq!(one.hints, []);
    let lines: Vec<&str> = one.supergraph.lines().map(str::trim).collect();
    for line in [
        "devices: Int @join__field(graph: DEVICES)",
        "photos: Int @join__field(graph: PHOTOS)",
        "scalar DateTime @join__type(graph: ACCOUNTS) @specifiedBy(url: \"https://www.rfc-editor.org/rfc/rfc3339\")",
    ] {
        assert!(lines.contains(&line), "no {line}");
    }
}

/// What is valid and refused by the library: whoever meets it is told so, and what to do. What is wrong is just told.
#[test]
fn a_limit_of_the_library_is_called_one() {
    let queries = ("type Query { a: A }", "type Query { b: A }");
    let both = |one: &str, two: &str| {
        refused(&[("one", &format!("{}{one}", queries.0)), ("two", &format!("{}{two}", queries.1))])
    };
    let fields = |one: &str, two: &str| refused(&[("one", one), ("two", two)]);
    for (what, told, place) in [
        (
            "a key in one subgraph and none in another",
            both("type A @key(fields: \"id\") { id: ID! x: Int }", "type A { id: ID! @shareable }"),
            "one, two: A: ",
        ),
        (
            "shareable types with differing fields",
            both("type A @shareable { id: ID! x: Int }", "type A @shareable { id: ID! }"),
            "two: A: ",
        ),
        (
            "nested key fields",
            both(
                "type A @key(fields: \"c { id }\") { c: C! x: Int } type C { id: ID! }",
                "type A @key(fields: \"c { id }\") { c: C! y: Int } type C { id: ID! }",
            ),
            "one, two: C.id: ",
        ),
        (
            "values that nobody may see of an enum in and out",
            fields(
                "type Query { a(e: E): E } enum E { X Y @inaccessible }",
                "type Query { b(e: E): E } enum E { X }",
            ),
            "one, two: E: ",
        ),
        (
            "an object against a union",
            fields(
                "type Query { a: U @shareable } union U = B | C type B @shareable { x: Int } type C { y: Int }",
                "type Query { a: B @shareable } type B @shareable { x: Int }",
            ),
            "one, two: Query.a: ",
        ),
        (
            "an object against an interface",
            fields(
                "type Query { a: I @shareable } interface I { x: Int } type B implements I @shareable { x: Int }",
                "type Query { a: B @shareable } type B @shareable { x: Int }",
            ),
            "one, two: Query.a: ",
        ),
        (
            "lists of what may be null and of what may not",
            fields("type Query { a: [String!] @shareable }", "type Query { a: [String] @shareable }"),
            "one, two: Query.a: ",
        ),
    ] {
        assert!(
            told.iter().all(|line| line.contains("limit of the composition library")),
            "{what}: {told:#?}"
        );
        assert!(told.iter().all(|line| line.contains("`gateway.supergraph`")), "{what}: {told:#?}");
        assert!(told.iter().any(|line| line.starts_with(place)), "{what}: {told:#?}");
    }
    for (what, told, place) in [
        (
            "types that are not one",
            fields("type Query { a: Int @shareable }", "type Query { a: String @shareable }"),
            "one, two: Query.a: ",
        ),
        (
            "a list against none",
            fields("type Query { a: Int @shareable }", "type Query { a: [Int] @shareable }"),
            "one, two: Query.a: ",
        ),
        (
            "a list against none in an argument",
            fields("type Query { a(v: [Int]): Int @shareable }", "type Query { a(v: Int): Int @shareable }"),
            "one, two: Query.a: the argument `v` is [Int] in one and Int in two",
        ),
        ("a field of two", fields("type Query { a: Int }", "type Query { a: Int }"), "one, two: Query.a: "),
        (
            "a field of two that is a key in one",
            both(
                "type A @key(fields: \"c { id }\") { c: C! x: Int } type C { id: ID! }",
                "type A @key(fields: \"id\") { id: ID! c: C } type C { id: ID! }",
            ),
            "one, two: C.id: ",
        ),
        (
            "a type that is not there",
            fields("type Query { a: A }", "type Query { b: Int }"),
            "one: Query.a: names the type `A`",
        ),
        (
            "an input that is not there",
            fields("type Query { a(b: I): Int } input I { j: J }", "type Query { b: Int }"),
            "one: I.j: names the type `J`",
        ),
        (
            "a member that is not there",
            fields("type Query { a: U } union U = A", "type Query { b: Int }"),
            "one: U: names the type `A`",
        ),
        ("no GraphQL", fields("type Query {", "type Query { a: Int }"), "one: its schema does not parse"),
        (
            "a field that is not there",
            fields("type Query { a: A } type A @key(fields: \"x\") { id: ID! }", "type Query { b: Int }"),
            "one: A: ",
        ),
    ] {
        assert!(told.iter().any(|line| line.starts_with(place)), "{what}: {told:#?}");
        let is_own = |line: &String| line.starts_with(place) && line.contains("gateway.supergraph");
        assert!(!told.iter().any(is_own), "{what}: {told:#?}");
    }
}

/// The library leaves out that a subgraph has an interface as an object by a key which it does not resolve.
#[test]
fn an_interface_may_be_an_object_by_a_key_that_is_not_resolved() {
    let composed = composed(&[
        (
            "one",
            "type Query { a: I } interface I @key(fields: \"id\") { id: ID! x: Int } type B implements I @key(fields: \"id\") { id: ID! x: Int }",
        ),
        (
            "two",
            "type Query { b: I } type I @interfaceObject @key(fields: \"id\", resolvable: false) { id: ID! }",
        ),
    ]);
    let text = composed.unwrap().supergraph;
    let join = "@join__type(graph: TWO, key: \"id\", resolvable: false, isInterfaceObject: true)";
    assert!(text.contains(join), "{text}");
}

/// A field that some way leads to its type, and no key from there to it.
#[test]
fn what_cannot_be_reached_is_named() {
    let told = refused(&[
        ("one", "type Query { a: A } type A { id: ID! @shareable x: Int }"),
        (
            "two",
            "type Query { b: [A!]! } type Mutation { c(v: In!): A } input In { v: Int! } type A { id: ID! @shareable y: Int }",
        ),
    ]);
    let lines = [
        "one: A.x: cannot be reached from `Mutation.c`: ",
        "one: A.x: cannot be reached from `Query.b`: ",
        "two: A.y: cannot be reached from `Query.a`: ",
    ];
    assert_eq!(told.len(), lines.len(), "{told:#?}");
    for (told, line) in told.iter().zip(lines) {
        assert!(told.starts_with(line), "{told}");
    }
    // By an interface and a union, to one of the types that they stand for.
    let told = refused(&[
        (
            "one",
            "type Query { i: I } interface I { u: U } type J implements I { u: U } union U = A | B type A { id: ID! @shareable } type B { x: Int }",
        ),
        ("two", "type Query { a: A } type A { id: ID! @shareable y: Int }"),
    ]);
    assert!(
        told.iter().any(|line| line.starts_with("two: A.y: cannot be reached from `I.u`: ")),
        "{told:#?}"
    );
}

/// What keys lead to has a way; that the planner does not find it is a hint, and no reason to serve nothing.
#[test]
fn a_way_that_the_planner_does_not_find_is_a_hint() {
    let schemas = federations().into_iter().find(|(name, _)| name == "federation1").unwrap().1;
    let subgraphs = schemas.iter().map(|(name, sdl)| other(name, &format!("{sdl}\n# @link")));
    let composed = compose(Composing { owner: None, others: subgraphs.collect() }).unwrap();
    let hints: Vec<String> = composed.hints.iter().map(ToString::to_string).collect();
    assert_eq!(hints.len(), 1, "{hints:#?}");
    assert!(
        hints[0].starts_with("inventory: Product.cheap: cannot be reached from `Review.product`: "),
        "{hints:#?}"
    );
}

#[test]
fn a_time_that_is_over_is_said() {
    let text = std::fs::read_to_string(root().join("shop.graphql")).unwrap();
    let (served, document) = (Supergraph::parse(&text).unwrap(), safe_parse_schema(&text).unwrap());
    let over = Looking { all: Duration::ZERO, one: Duration::ZERO };
    let reached = reach::look(&served, &document, over);
    assert!(reached.unreachable.is_empty());
    assert!(reached.hints[0].message.contains("for want of time"), "{:?}", reached.hints);
}

/// Whatever a subgraph says is composed or refused: what the libraries take for granted is not.
#[test]
fn any_text_is_composed_or_refused() {
    use proptest::prelude::*;
    let schemas: Vec<String> =
        federations().into_iter().flat_map(|(_, schemas)| schemas).map(|(_, sdl)| sdl).collect();
    let pieces = [
        "@key(fields: \"id {\")",
        "@key(fields: \"\")",
        "@key(fields: 1)",
        "@key",
        "@override(from: \"accounts\")",
        "@provides(fields: \"a { b\")",
        "@requires(fields: \"...\")",
        "@link(url: \"\")",
        "@link(url: \"x\", import: [\"@\", {}])",
        "extend ",
        "type Query { a: Missing }",
        "union U",
        "enum join__Graph { A }",
        "\"\"\"",
        "@interfaceObject",
        "}",
        "{",
        "@composeDirective(name: \"@x\")",
        "\u{0}",
        "schema { query: Int }",
        "@tag",
        "[[[[",
        "input I { i: I! = {} }",
    ];
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let changes = proptest::collection::vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..20),
        0..4,
    );
    let strategy = (any::<prop::sample::Index>(), changes, "\\PC{0,40}");
    let run = runner.run(&strategy, |(which, changes, noise)| {
        let mut letters: Vec<char> = which.get(&schemas).chars().collect();
        for (at, piece, length) in changes {
            let at = at.index(letters.len() + 1);
            let piece = piece.index(pieces.len() + 1);
            let text = pieces.get(piece).copied().unwrap_or(&noise);
            letters.splice(at..(at + length).min(letters.len()), text.chars());
        }
        let owner = SubgraphSdl {
            name: "accounts".to_owned(),
            ..subgraph(
                "accounts",
                "type Query { viewer: V } type V @key(fields: \"id\") { id: ID! name: String }",
            )
        };
        let hostile = SubgraphSdl { sdl: letters.into_iter().collect(), ..subgraph("other", "") };
        let others = vec![Other { subgraph: hostile, may_change: BTreeSet::new() }];
        if let Err(problems) = compose(Composing { owner: Some(owner), others }) {
            prop_assert!(!problems.list().is_empty());
        }
        Ok(())
    });
    run.unwrap();
    // What the library takes for granted: that only objects have fields.
    let told = refused(&[
        ("bad", "type Query { a: A } type A @key(fields: \"id { x }\") { id: ID! }"),
        ("good", "type Query { b: Int }"),
    ]);
    assert!(told[0].starts_with("bad: the composition library panicked: "), "{told:?}");
    // Deeper than any stack.
    for deep in [
        "[".repeat(3_000_000),
        format!("type Query @key(fields: \"{}\") {{ a: Int }}", "a { ".repeat(1_000_000)),
    ] {
        let told = refused(&[("deep", &format!("{deep}# @link"))]);
        assert!(told[0].contains("levels deep"), "{told:?}");
    }
}

type Work = Box<dyn FnOnce() -> Result<Composed, Problems> + Send>;

/// One that takes long is not waited for, and once too many of them go on there is no further one.
#[tokio::test]
async fn a_composition_has_so_much_time() {
    let (short, (stop, stopped)) = (Duration::from_millis(20), std::sync::mpsc::channel::<()>());
    let stopped = std::sync::Arc::new(std::sync::Mutex::new(stopped));
    // Where nothing bounded it, it would hang for ever.
    let ends = async |work| timeout(PATIENCE / 3, within(short, work)).await.expect("it is left");
    let late = |outcome: Result<Composed, Problems>| {
        outcome.unwrap_err().lines() == ["composing takes longer than 20ms"]
    };
    for _ in 0..4 {
        let stopped = stopped.clone();
        let hangs = move || {
            let _ = stopped.lock().unwrap().recv();
            Err(Problem::new("it was left").into())
        };
        assert!(late(ends(Box::new(hangs) as Work).await));
    }
    let at_once = || Err::<Composed, Problems>(Problem::new("at once").into());
    assert!(late(ends(Box::new(at_once)).await), "there is no room");
    drop(stop);
    assert_eq!(within(PATIENCE, at_once).await.unwrap_err().lines(), ["at once"]);
}
