//! `schema plan`: how an operation is answered, for people.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/federation/shop.graphql");
const QUERY: &str = "query Shown { users { name } } query Other { products { upc title inStock } }";

/// What it prints; `Err` is what it says when it fails.
async fn plan(supergraph: &Path, arguments: &[&str], typed: &str) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
    command.args(["schema", "plan", "--supergraph"]).arg(supergraph).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have failed without reading.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn a_plan_is_printed_from_a_text_a_file_and_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("operation.graphql");
    std::fs::write(&file, QUERY).unwrap();
    let shop = Path::new(SHOP);
    let other = ["--operation-name", "Other"];
    let by_text = plan(shop, &[&[QUERY][..], &other].concat(), "").await.unwrap();
    let order = ["QueryPlan", "Sequence", "products", "Flatten", "inventory", "inStock"];
    let places = order.map(|word| by_text.find(word).unwrap_or_else(|| panic!("no {word} in {by_text}")));
    assert!(places.is_sorted(), "{by_text}");
    assert!(!by_text.contains("users"), "{by_text}");
    let by_file = plan(shop, &[&[file.to_str().unwrap()][..], &other].concat(), "").await.unwrap();
    assert_eq!(by_file, by_text);
    assert_eq!(plan(shop, &[&["-"][..], &other].concat(), QUERY).await.unwrap(), by_text);
}

/// There is a plan for each choice of what conditions depend on.
#[tokio::test]
async fn a_plan_is_for_one_choice_of_its_conditions() {
    let (shop, query) =
        (Path::new(SHOP), "query($v: Boolean!) { users { name } products @include(if: $v) { upc } }");
    let undecided = plan(shop, &[query], "").await.unwrap_err();
    assert!(undecided.contains("`$v`") && undecided.contains("--variables"), "{undecided}");
    let chosen =
        async |v: bool| plan(shop, &[query, "--variables", &format!("{{\"v\": {v}}}")], "").await.unwrap();
    let (with, without) = (chosen(true).await, chosen(false).await);
    assert!(with.contains("users") && with.contains("upc") && !with.contains("include"), "{with}");
    assert!(without.contains("users") && !without.contains("upc"), "{without}");
    let broken = plan(shop, &[query, "--variables", "{"], "").await.unwrap_err();
    assert!(broken.contains("--variables is no object in JSON"), "{broken}");
}

#[tokio::test]
async fn what_has_no_plan_is_told_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.graphql");
    std::fs::write(&plain, "type Query { a: Int }").unwrap();
    let shop = Path::new(SHOP);
    let cases = [
        (shop, "{ nobody }", "GRAPHQL_VALIDATION_FAILED"),
        (shop, "{ users { name }", "GRAPHQL_PARSE_FAILED"),
        (shop, QUERY, "several operations"),
        (shop, "no/such/file", "no/such/file"),
        (&plain, "{ a }", "join specification"),
        (Path::new("no/such/supergraph"), "{ a }", "no/such/supergraph"),
    ];
    for (supergraph, operation, said) in cases {
        let error = plan(supergraph, &[operation], "").await.unwrap_err();
        assert!(error.starts_with("accounts-center: ") && error.contains(said), "{operation}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    }
}
