//! What comes together out of several subgraphs, with how many calls.

use serde_json::{Value, json};

use super::shop::{Shop, rows, table};

/// An answer without errors.
#[track_caller]
fn data(answer: &Value) -> &Value {
    assert!(answer.get("errors").is_none(), "{answer:#}");
    &answer["data"]
}

#[track_caller]
fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer:#}"))
}

/// Every entity is asked for once, however often it is shown.
#[tokio::test]
async fn an_operation_over_four_subgraphs_is_answered_as_one() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let query = "{ users { name nick reviews { body author { name } product { title inStock shipping
        reviews { author { name } } } } } }";
    let answer = gateway.query(query).await;
    let unfederated = table().answer(query, &Value::Null);
    assert_eq!(*data(&answer), unfederated["data"]);
    let reviews = shop.reviews.calls();
    assert_eq!(reviews[0].variables["representations"].as_array().unwrap().len(), 2);
    let asked: Vec<usize> = shop
        .products
        .calls()
        .iter()
        .map(|call| call.variables["representations"].as_array().unwrap().len())
        .collect();
    assert_eq!(asked, [2], "two products, shown four times");
    let inventory = shop.inventory.calls();
    assert_eq!(inventory.len(), 1);
    let needed = &inventory[0].variables["representations"];
    assert!(needed.as_array().unwrap().iter().all(|product| product["price"].is_i64()), "{needed:#}");
}

/// What one fetch needs of another one may be null, and then it is told so.
#[tokio::test]
async fn a_required_field_that_is_null_is_sent_as_null() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let answer = gateway.query("{ products { upc shipping } }").await;
    let shipping = [("a", json!(4)), ("b", json!(0)), ("c", Value::Null)];
    let shipping = shipping.map(|(upc, shipping)| json!({ "upc": upc, "shipping": shipping }));
    assert_eq!(*data(&answer), json!({ "products": shipping }));
    let sent = &shop.inventory.calls()[0].variables["representations"][2];
    assert_eq!(*sent, json!({ "__typename": "Product", "upc": "c", "price": null, "weight": 1 }));
}

#[tokio::test]
async fn aliases_fragments_and_conditions_are_settled() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let query = "query Q($no: Boolean! = false, $yes: Boolean!) {
        first: me { ...Named } again: me { id n: name @skip(if: $yes) }
        latest @include(if: $no) { id } __typename
        latest { who: author { ...Named ... on User @include(if: $yes) { nick } } } }
        fragment Named on User { name }";
    let answer = gateway.send(&json!({ "query": query, "variables": { "yes": true } }), &[]).await;
    let who = |name: &str, nick: Value| json!({ "who": { "name": name, "nick": nick } });
    let ada = who("Ada", Value::Null);
    let expected = json!({
        "first": { "name": "Ada" }, "again": { "id": "1" }, "__typename": "Query",
        "latest": [ada, ada, who("Grace", json!("Amazing \"G\""))],
    });
    assert_eq!(*data(&answer), expected);
}

/// Keys come in the order of the operation, whoever brings them, and values as they came.
#[tokio::test]
async fn the_answer_is_in_the_order_of_the_operation() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let query = "{z:product(upc:\"a\"){shipping title __typename inStock a:upc} me{nick id} b:users{nick}}";
    let sent = gateway.http.get(format!("{}/graphql", gateway.url)).query(&[("query", query)]).send();
    let body = sent.await.unwrap().text().await.unwrap();
    let product = r#"{"shipping":4,"title":"Alice","__typename":"Product","inStock":true,"a":"a"}"#;
    let users = r#"[{"nick":null},{"nick":"Amazing \"G\""}]"#;
    assert_eq!(body, format!(r#"{{"data":{{"z":{product},"me":{{"nick":null,"id":"1"}},"b":{users}}}}}"#));
}

/// Defaults of operation and schema, one item for a list, whole numbers as floats; and what does not fit is refused
/// before any subgraph hears of it.
#[tokio::test]
async fn variables_are_made_to_fit_or_refused() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let query =
        "query($first: Int! = 2, $filter: Filter) { products(first: $first, filter: $filter) { upc } }";
    let send =
        async |variables: Value| gateway.send(&json!({ "query": query, "variables": variables }), &[]).await;
    data(&send(json!({ "filter": { "kinds": "BOOK" } })).await);
    let call = shop.products.calls().remove(0);
    assert_eq!(call.variables["first"], 2);
    assert_eq!(call.variables["filter"], json!({ "kinds": ["BOOK"] }));
    data(&send(json!({ "first": 3.0, "filter": { "title": "x" } })).await);
    let call = shop.products.calls().remove(0);
    assert_eq!(call.variables["first"], 3);
    assert_eq!(call.variables["filter"], json!({ "kinds": ["BOOK", "GAME"], "title": "x" }));
    for (variables, says) in [
        (json!({ "first": "two" }), "$first is a string, and no Int"),
        (json!({ "first": 1.5 }), "$first is no Int"),
        (json!({ "first": null }), "$first is null"),
        (json!({ "filter": { "kinds": ["FILM"] } }), "$filter.kinds[0] is no value of Kind"),
        (json!({ "filter": { "kinds": ["SECRET"] } }), "$filter.kinds[0] is no value of Kind"),
        (json!({ "filter": { "colour": 1 } }), "$filter.colour is no field of Filter"),
        (json!({ "filter": [] }), "$filter is a list, and no Filter"),
    ] {
        let answer = send(variables.clone()).await;
        assert_eq!(code(&answer), "GRAPHQL_VALIDATION_FAILED", "{variables}");
        assert!(answer.get("data").is_none());
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message} does not say: {says}");
    }
    assert_eq!(shop.calls(), [0; 4]);
}

/// S48: what is inaccessible is nowhere: not in answers, errors, suggestions or introspection.
#[tokio::test]
async fn s48_what_is_inaccessible_is_nowhere() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let answer = gateway.query("{ products { upc kind } }").await;
    assert_eq!(data(&answer)["products"][2], json!({ "upc": "c", "kind": null }));
    for query in [
        "{ products { margin } }",
        "{ products { margim } }",
        "{ products(filter: {kinds: [SECRET]}) { upc } }",
    ] {
        let answer = gateway.query(query).await;
        assert_eq!(code(&answer), "GRAPHQL_VALIDATION_FAILED", "{query}");
        let own = answer["errors"].to_string().replace(query, "");
        assert!(!own.contains("\"margin\" or") && !own.contains("Did you mean"), "{own}");
    }
    let schema = gateway
        .query("{ __schema { types { name fields(includeDeprecated: true) { name } enumValues { name } } } }")
        .await
        .to_string();
    assert!(schema.contains("Product") && schema.contains("GAME"));
    for hidden in ["margin", "SECRET", "join__", "link__", "_Any", "_entities"] {
        assert!(!schema.contains(hidden), "introspection tells of {hidden}");
    }
}

#[tokio::test]
async fn a_plan_is_shown_where_that_is_allowed() {
    let shop = Shop::new().await;
    let request = json!({ "query": "{ me { name } }" });
    let header = [("accounts-center-query-plan", "include")];
    let closed = shop.gateway(&[]).await;
    assert!(closed.send(&request, &header).await.get("extensions").is_none());
    let open = shop.gateway(&[("QUERY_PLANS", "true")]).await;
    assert!(open.send(&request, &[]).await.get("extensions").is_none());
    let plan = &open.send(&request, &header).await["extensions"]["queryPlan"];
    assert_eq!(plan["node"]["serviceName"], "users", "{plan:#}");
}

/// A null where none may be takes what is around it with it, up to where null may stand; and says why once.
#[tokio::test]
async fn a_null_goes_up_to_where_it_may_stand() {
    let mut broken = rows();
    let grace =
        broken.as_array_mut().unwrap().iter_mut().find(|row| row["__typename"] == "User" && row["id"] == "2");
    grace.unwrap()["name"] = Value::Null;
    let shop = Shop::of(super::rows::Rows::new(broken)).await;
    let gateway = shop.gateway(&[]).await;
    let answer =
        gateway.query("{ product(upc: \"a\") { title reviews { author { name } } } me { name } }").await;
    assert_eq!(answer["data"], json!({ "product": null, "me": { "name": "Ada" } }));
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(errors[0]["path"], json!(["product", "reviews", 1, "author", "name"]));
}

/// An error of a subgraph stands at every place of the client's operation that shows the entity.
#[tokio::test]
async fn an_error_has_the_path_of_the_clients_operation() {
    let shop = Shop::of(table().failing("User", "nick")).await;
    let gateway = shop.gateway(&[]).await;
    let answer = gateway.query("{ latest { id by: author { nick } } }").await;
    assert_eq!(answer["data"]["latest"][0], json!({ "id": "r1", "by": { "nick": null } }));
    let mut paths: Vec<String> =
        answer["errors"].as_array().unwrap().iter().map(|error| error["path"].to_string()).collect();
    paths.sort_unstable();
    assert_eq!(paths, [0, 1, 2].map(|index| format!("[\"latest\",{index},\"by\",\"nick\"]")));
    assert_eq!(answer["errors"][0]["extensions"], json!({ "code": "BROKEN", "service": "users" }));
    let masked = shop.gateway(&[("SHOW_SUBGRAPH_NAMES", "false")]).await;
    let answer = masked.query("{ latest { by: author { nick } } }").await;
    assert_eq!(answer["errors"][0]["extensions"], json!({ "code": "BROKEN" }));
}

/// Mutations run one behind the other, and none of them twice.
#[tokio::test]
async fn mutations_run_in_series() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    let query = "mutation { a: addReview(product: \"a\", body: \"x\") { id author { name } } clearReviews }";
    let answer = gateway.query(query).await;
    assert_eq!(
        *data(&answer),
        json!({ "a": { "id": "r3", "author": { "name": "Grace" } }, "clearReviews": 3 })
    );
    let calls = shop.reviews.calls();
    assert!(calls.iter().all(|call| call.query.starts_with("mutation")), "{calls:#?}");
    assert_eq!(calls.iter().filter(|call| call.query.contains("clearReviews")).count(), 1);
}

#[tokio::test]
async fn what_is_no_operation_is_refused_with_a_code() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[]).await;
    for (request, wanted) in [
        (json!({ "query": "{ me {" }), "GRAPHQL_PARSE_FAILED"),
        (json!({ "query": "{ nobody }" }), "GRAPHQL_VALIDATION_FAILED"),
        (json!({ "query": "query A { me { id } } query B { me { id } }" }), "BAD_USER_INPUT"),
        (json!({ "query": "query A { me { id } }", "operationName": "B" }), "BAD_USER_INPUT"),
        (json!({}), "BAD_USER_INPUT"),
        (json!([]), "BAD_USER_INPUT"),
    ] {
        let answer = gateway.send(&request, &[]).await;
        assert_eq!(code(&answer), wanted, "{request}");
        assert!(answer.get("data").is_none());
    }
    assert_eq!(shop.calls(), [0; 4]);
    let mutation = "/graphql?query=mutation%7BclearReviews%7D";
    assert_eq!(gateway.get(mutation).await.0, 405);
    let (status, body) = gateway.get("/graphql?query=%7Bme%7Bname%7D%7D").await;
    assert_eq!((status, body.as_str()), (200, "{\"data\":{\"me\":{\"name\":\"Ada\"}}}"));
}

/// Of a client's headers a subgraph gets what a rule names, and its credentials only if they are named themselves.
#[tokio::test]
async fn headers_go_on_as_the_rules_say() {
    let shop = Shop::new().await;
    let settings =
        [("SUBGRAPH__FORWARD_HEADERS", "x-team-*"), ("SUBGRAPHS__USERS__FORWARD_HEADERS", "authorization")];
    let gateway = shop.gateway(&settings).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers =
        [("authorization", "Bearer t"), ("cookie", "c=1"), ("x-team-a", "1"), ("traceparent", trace)];
    let answer = gateway.send(&json!({ "query": "{ latest { author { name } } }" }), &headers).await;
    data(&answer);
    let (reviews, users) = (shop.reviews.calls().remove(0).headers, shop.users.calls().remove(0).headers);
    assert_eq!(reviews["x-team-a"], "1");
    assert!(!reviews.contains_key("authorization") && !reviews.contains_key("cookie"));
    assert_eq!(users["authorization"], "Bearer t");
    assert!(!users.contains_key("x-team-a"));
    let traces = [&reviews, &users].map(|headers| headers["traceparent"].to_str().unwrap().to_owned());
    assert!(traces.iter().all(|own| own.starts_with(&trace[..36]) && own != trace), "{traces:?}");
    assert_ne!(traces[0], traces[1]);
}

/// An answer that would be larger than the configuration allows is none.
#[tokio::test]
async fn an_answer_is_not_larger_than_it_may_be() {
    let shop = Shop::new().await;
    let gateway = shop.gateway(&[("ANSWER_BYTES", "150")]).await;
    data(&gateway.query("{ users { name } }").await);
    for query in ["{ latest { id author { name reviews { id body } } } }", "{ __schema { types { name } } }"]
    {
        let answer = gateway.query(query).await;
        assert_eq!((code(&answer), &answer["data"]), ("ANSWER_TOO_LARGE", &Value::Null), "{query}");
    }
}
