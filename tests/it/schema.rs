//! The schema that others pin: what is checked in is what is served, and it keeps the contract.

use std::path::Path;
use std::process::Stdio;

use accounts_center::graph;
use accounts_center::schema_check::{self, Severity};
use tokio::process::Command;

use crate::support::ended;

const CONTRACT: &str = include_str!("../../schema/contract.graphql");

#[test]
fn the_snapshots_are_what_the_server_exports() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    for (file, exported) in [("api.graphql", graph::api_sdl()), ("accounts.graphql", graph::subgraph_sdl())] {
        let pinned = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(pinned == exported, "schema/{file} is out of date; run `cargo xtask schema`");
    }
}

/// What exists so far has the types that the contract gives it: nothing but what is still missing breaks.
#[test]
fn what_exists_keeps_the_contract() {
    let changes = schema_check::compare(CONTRACT, &graph::api_sdl()).unwrap();
    let broken: Vec<_> = changes
        .iter()
        .filter(|change| change.severity == Severity::Breaking && !change.what.starts_with("Remove"))
        .map(ToString::to_string)
        .collect();
    assert_eq!(broken, Vec::<String>::new());
    // And it is not empty: the contract's path fields are there.
    for field in [
        "Query.viewer",
        "Account.eventCursor",
        "Account.activity",
        "Subscription.linkStatusChanged",
        "Subscription.accountEvents",
        "Mutation.submitVerification",
    ] {
        let missing = changes.iter().any(|change| change.path == field && change.what == "RemoveField");
        assert!(!missing, "{field} is missing");
    }
}

#[test]
fn the_subgraph_has_its_keys_and_the_public_graph_has_not() {
    let subgraph = graph::subgraph_sdl();
    for (name, keys) in [
        ("Account", vec!["id"]),
        ("LinkedProfile", vec!["id", "platformKey externalId"]),
        ("Platform", vec!["id", "key"]),
        ("ProfileConnection", vec!["id"]),
    ] {
        let head = subgraph.lines().find(|line| line.starts_with(&format!("type {name} "))).unwrap();
        for key in keys {
            assert!(head.contains(&format!("@key(fields: \"{key}\")")), "{head}");
        }
    }
    assert!(subgraph.contains("type Subscription"));
    let public = graph::api_sdl();
    for hidden in ["@key", "_entities", "_service", "_Any", "@link"] {
        assert!(!public.contains(hidden), "{hidden} is in the public schema");
    }
}

#[test]
fn every_type_and_field_is_described() {
    let sdl = graph::api_sdl();
    let mut described = false;
    let mut lines = sdl.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if text.starts_with("\"\"\"") {
            if text.len() == 3 {
                lines.by_ref().find(|line| line.trim() == "\"\"\"");
            }
            described = true;
            continue;
        }
        let names_something =
            !text.is_empty() && !text.starts_with(['}', ')', '#', '{']) && text != "schema {";
        let skipped = text.starts_with("query:")
            || text.starts_with("mutation:")
            || text.starts_with("subscription:")
            || ["type Query {", "type Mutation {", "type Subscription {"].contains(&text)
            || text.starts_with("input:")
            || text.starts_with("directive ");
        assert!(!names_something || skipped || described, "no description: {line}");
        described = false;
    }
}

#[tokio::test]
async fn a_breaking_change_fails_the_check() {
    let check = async |sdl: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), sdl).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_accounts-center"))
            .args(["schema", "check", "--against"])
            .arg(file.path())
            .stdout(Stdio::piped())
            .output()
            .await
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let printed = ended(Command::new(env!("CARGO_BIN_EXE_accounts-center")).args(["schema", "print"])).await;
    let sdl = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(check(&sdl).await, (true, "0 breaking, 0 dangerous, 0 safe\n".to_owned()));
    // They used a field that is not there any more.
    let (passed, text) = check(&sdl.replace("type Query {", "type Query {\n\tgone: Int")).await;
    assert!(!passed && text.contains("BREAKING") && text.contains("Query.gone"), "{text}");
    // They did not know of one that is there now.
    let described = "\t\"\"\"\n\tThe number of this account's latest event.\n\t\"\"\"\n\tversion: Int!\n";
    assert!(sdl.contains(described));
    let (passed, text) = check(&sdl.replace(described, "")).await;
    assert!(passed && text.contains("Account.version"), "{text}");
    let (passed, text) = check("type {").await;
    assert!(!passed && text.contains("is no GraphQL schema"), "{text}");
}
