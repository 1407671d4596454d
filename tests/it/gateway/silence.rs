//! A subgraph behind what has forgotten its connections, as after a failover: they stay open, and nothing comes any more.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::shop::Shop;
use crate::support::Proxy;

const QUERY: &str = "{ me { name } latest { id } }";

/// What goes over such a connection has its time and no more, and is the last that does.
#[tokio::test]
async fn a_connection_that_swallows_a_call_is_not_used_again() {
    let shop = Shop::new().await;
    let proxy = Proxy::before(&shop.users.url).await;
    let settings = [
        ("SUBGRAPHS__USERS__URL", &*proxy.instead_of(&shop.users.url)),
        ("SUBGRAPH__ANSWER_MILLISECONDS", "3000"),
        ("SUBGRAPH__CIRCUIT_PERCENT", "0"),
    ];
    let gateway = shop.gateway(&settings).await;
    assert_eq!(gateway.query(QUERY).await["data"]["me"]["name"], "Ada");
    shop.users.calls();
    proxy.lose_those_open();
    // A limit for what would go on for ever.
    let lost = timeout(Duration::from_secs(60), gateway.query(QUERY)).await.expect("a call has its time");
    assert_eq!(lost["errors"][0]["extensions"]["code"], "SUBGRAPH_TIMEOUT", "{lost:#}");
    assert_eq!((&lost["data"]["me"], &lost["data"]["latest"][0]["id"]), (&Value::Null, &Value::from("r1")));
    assert!(shop.users.calls().is_empty(), "it was swallowed");
    let found = gateway.query(QUERY).await;
    assert_eq!((&found["data"]["me"]["name"], found.get("errors")), (&Value::from("Ada"), None), "{found:#}");
}
