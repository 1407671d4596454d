//! `schema print` under a contract.

use tokio::process::Command;

use crate::support::ended;

async fn printed(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
    let output = ended(command.args(["schema", "print"]).args(arguments)).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn a_contract_leaves_out_what_bears_a_tag() {
    let shop = include_str!("../../federation/shop.graphql");
    let field = "  price: Int";
    assert!(shop.contains(field), "{shop}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.graphql");
    std::fs::write(&file, shop.replacen(field, "  price: Int @tag(name: \"internal\")", 1)).unwrap();
    let file = file.to_str().unwrap();
    let whole = printed(&["--supergraph", file]).await.unwrap();
    assert!(whole.contains("price: Int") && !whole.contains("join__"), "{whole}");
    let contract = printed(&["--supergraph", file, "--exclude-tag", "internal"]).await.unwrap();
    assert!(!contract.contains("price: Int") && contract.contains("type Product"), "{contract}");
    // The accounts graph has nothing of that, and stays what it is.
    let ours = printed(&["--exclude-tag", "internal"]).await.unwrap();
    assert!(ours.contains("type LinkedProfile") && ours.contains("type Mutation"), "{ours}");
    let nothing = printed(&["--include-tag", "nobodys"]).await.unwrap_err();
    assert!(nothing.contains("`Query`"), "{nothing}");
    printed(&["--subgraph", "--exclude-tag", "internal"]).await.unwrap_err();
}
