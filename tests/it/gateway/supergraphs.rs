//! Supergraphs that are bad, and such as come anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shop::{SUPERGRAPH, Shop};
use crate::support::{ended, eventually};

/// One clear message each, and the process ends.
#[tokio::test]
async fn a_bad_supergraph_is_refused_at_start() {
    let shop = Shop::new().await;
    // Nobody asks for an argument, so nobody could be refused it.
    let guarded = SUPERGRAPH.replace("product(upc: ID!", "product(upc: ID! @authenticated");
    let twice = SUPERGRAPH.replace("name: \"reviews\"", "name: \"users\"");
    let no_url = SUPERGRAPH.replace("http://reviews.test/", "ftp://reviews.test/");
    for (supergraph, says) in [
        ("type Query {", "it does not parse"),
        ("", "it does not parse"),
        ("type Query { a: Int }", "it has no join specification"),
        (no_url.as_str(), "the URL of subgraph `reviews` is \"ftp://reviews.test/\""),
        (twice.as_str(), "two of its subgraphs are called `users`"),
        (guarded.as_str(), "it bears `@authenticated`"),
    ] {
        shop.publish(supergraph);
        let refused = ended(&mut shop.command(&[])).await;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains(says), "{told} does not say: {says}");
        assert!(!told.contains("panicked"), "{told}");
    }
    std::fs::remove_file(shop.folder.path().join("supergraph.graphql")).unwrap();
    let refused = ended(&mut shop.command(&[])).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot read the supergraph"));
    let settings =
        [("SUBGRAPHS__USERS__URL", "users"), ("SUBGRAPH__FORWARD_HEADERS", "a b"), ("PLANS__THREADS", "0")];
    shop.publish(SUPERGRAPH);
    for setting in settings {
        let refused = ended(&mut shop.command(&[setting])).await;
        let told = String::from_utf8_lossy(&refused.stderr).to_lowercase();
        let last = setting.0.rsplit("__").next().unwrap().to_lowercase();
        assert!(!refused.status.success() && told.contains(&last), "{told} does not name {last}");
    }
}

/// A new one is swapped in without a request that fails; a bad one is refused, and said so, and what was served stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_supergraph_is_swapped_in_and_a_bad_one_is_not() {
    let shop = Shop::new().await;
    let gateway = Arc::new(shop.gateway(&[]).await);
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (gateway, stop) = (gateway.clone(), stop.clone());
        async move {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = gateway.query("{ latest { id author { name } } }").await;
                assert!(answer.get("errors").is_none(), "{answer:#}");
                count += 1;
            }
            count
        }
    });
    let fails = |answer: serde_json::Value| answer.get("errors").is_some();
    assert!(fails(gateway.query("{ myself { name } }").await));
    shop.publish(
        &SUPERGRAPH.replace("\n  me: User", "\n  myself: User @join__field(graph: USERS)\n  me: User"),
    );
    eventually("the new supergraph is served", async || {
        let answer = gateway.query("{ myself { id } }").await;
        answer.get("errors").is_none().then_some(())
    })
    .await;
    shop.publish("type Query {");
    eventually("the bad one is refused", async || {
        let (status, body) = gateway.get("/ready").await;
        (status == 200 && body.starts_with("degraded")).then_some(())
    })
    .await;
    let (_, metrics) = gateway.get("/metrics").await;
    assert!(metrics.contains("accounts_center_gateway_supergraph_refused 1"), "{metrics}");
    assert!(
        metrics.contains("accounts_center_gateway_supergraph_loads_total{outcome=\"refused\"} 1"),
        "{metrics}"
    );
    assert!(!fails(gateway.query("{ myself { id } }").await), "the one before is served");
    shop.publish(SUPERGRAPH);
    eventually("it is ready again", async || (gateway.get("/ready").await.1 == "ready").then_some(())).await;
    assert!(fails(gateway.query("{ myself { id } }").await));
    stop.store(true, Ordering::Relaxed);
    assert!(load.await.unwrap() > 0);
}
