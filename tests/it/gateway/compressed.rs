//! Subgraphs that compress their answers.

use serde_json::json;

use super::shop::Shop;
use super::subgraph::Health;

/// `{"data":{"me":{"name":"Ada"}}`, 60,000 spaces and `}`, by gzip.
const LONG: &[u8] = b"\
    \x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc5\xb1\x0d\x800\x10\x04\xc1V\xd0\x95AF)/\x99\xd0Dd\
    \xd6\xf7\x8e\xdc\x05\xc1L\xb0\xbb2\xea\xad\x9c+\xf3\xde}j?\xd7\xa8t\x1f\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00?\xd3\x1f\xf3\x8d8\xc9~\xea\x00\x00";

const QUERY: &str = "{ me { name } }";

/// Little that is much once it is read is as large as that.
#[tokio::test]
async fn what_is_compressed_is_measured_as_it_is_read() {
    let shop = Shop::new().await;
    for (most, code) in [("100000", None), ("60000", Some("SUBGRAPH_RESPONSE_TOO_LARGE"))] {
        let gateway = shop.gateway(&[("SUBGRAPH__ANSWER_BYTES", most)]).await;
        shop.users.set(Health::Gzip(LONG));
        let answer = gateway.query(QUERY).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"].as_str(), code, "{answer}");
        assert_eq!(answer["data"]["me"]["name"].as_str(), code.is_none().then_some("Ada"));
        let accepts = &shop.users.calls()[0].headers["accept-encoding"];
        assert!(accepts.to_str().unwrap().contains("gzip"), "{accepts:?}");
    }
}

/// Where it is switched off nobody is asked to compress, and what is compressed all the same is no GraphQL.
#[tokio::test]
async fn nothing_is_compressed_where_that_is_switched_off() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("SUBGRAPH__COMPRESS", "false")]).await;
    assert_eq!(gateway.query(QUERY).await, json!({ "data": { "me": { "name": "Ada" } } }));
    assert!(!shop.users.calls()[0].headers.contains_key("accept-encoding"));
    shop.users.set(Health::Gzip(LONG));
    let answer = gateway.query(QUERY).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "SUBGRAPH_MALFORMED_RESPONSE");
}
