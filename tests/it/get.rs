//! GraphQL by GET: queries only, and answers that a client asks for anew by their ETag.

use accounts_center_entity::verification;
use reqwest::{Method, Response, header};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::{Client, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
const HUB: &str =
    "query Hub($all: Boolean = true) { viewer { id version profiles @include(if: $all) { handle } } }";
const START: &str = "mutation Start { startSignIn(input: { platform: \"whatsapp\",
    proof: { oneTimeCode: { handle: \"+4917139200042\" } } }) { userErrors { code } } }";

/// Sends a GET with parameters and headers, as `client`.
async fn get(client: &Client, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Response {
    send(Method::GET, client, parameters, headers).await
}

async fn send(
    method: Method,
    client: &Client,
    parameters: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> Response {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.request(method, format!("{}/graphql", client.url)).query(parameters);
    if let Some(token) = &client.token {
        request = request.bearer_auth(token);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn tag(response: &Response) -> String {
    response.headers()[header::ETAG].to_str().unwrap().to_owned()
}

async fn refusal(response: Response) -> (u16, String, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert!(!response.headers().contains_key(header::ETAG));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body.get("data"), None, "{body}");
    (status, body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned(), body)
}

on_both_stacks! {
    async fn a_query_by_get_is_answered_as_by_post(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let document = "query One($key: PlatformKey!) { platform(key: $key) { displayName } } query All { platforms { key } }";
        let one = [("query", document), ("operationName", "One"), ("variables", "{\"key\":\"whatsapp\"}")];
        let answer = get(&client, &one, &[]).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/graphql-response+json");
        assert_eq!(answer.text().await.unwrap(), r#"{"data":{"platform":{"displayName":"WhatsApp"}}}"#);
        let all = get(&client, &[("query", document), ("operationName", "All")], &[("accept", "application/json")]).await;
        assert_eq!(all.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(all.text().await.unwrap(), r#"{"data":{"platforms":[{"key":"whatsapp"},{"key":"facebook"},{"key":"instagram"}]}}"#);

        let ada = app.client().sign_in(&place, ADA).await.client;
        let by_get = get(&ada, &[("query", HUB)], &[]).await.json::<Value>().await.unwrap();
        assert_eq!(by_get, ada.query(HUB).await.body);
        assert_eq!(by_get["data"]["viewer"]["version"], 2);
        // Without a token it is nobody who asks, as for a page of somebody else.
        let foreign = get(&client, &[("query", HUB)], &[("origin", "https://evil.example")]).await;
        assert_eq!(foreign.json::<Value>().await.unwrap(), json!({ "data": { "viewer": null } }));
        let head = send(Method::HEAD, &client, &one, &[]).await;
        assert_eq!((head.status().as_u16(), head.headers().contains_key(header::ETAG)), (200, true));
    }

    async fn an_answer_is_named_by_its_etag(place: Place) {
        let mut place = place;
        let app = place.app().await;
        app.hears().await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;
        let ask = async |client: &Client, known: &str| {
            get(client, &[("query", HUB)], &[("if-none-match", known)]).await
        };
        let mut first = None;
        for _ in 0..3 {
            let answer = ask(&ada.client, "\"another\"").await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "private, no-cache");
            assert_eq!(answer.headers()[header::VARY], "Accept, Authorization");
            let tag = tag(&answer);
            let body = answer.text().await.unwrap();
            assert_eq!(first.get_or_insert((tag.clone(), body.clone())), &(tag, body), "the same, remembered or not");
        }
        let (known, body) = first.unwrap();
        assert!(known.starts_with('"') && known.ends_with('"'), "{known} is strong");
        for known in [&known, &format!("W/{known}"), &format!("\"x\", {known}"), "*"] {
            let unchanged = ask(&ada.client, known).await;
            assert_eq!(unchanged.status(), 304, "{known}");
            assert_eq!(unchanged.headers()[header::CACHE_CONTROL], "private, no-cache");
            assert_eq!(unchanged.headers()[header::VARY], "Accept, Authorization");
            assert_eq!(tag(&unchanged), known_of(&body, &ada.client).await);
            assert_eq!(unchanged.text().await.unwrap(), "");
        }
        // Somebody else's answer is another one, and so is that after a change.
        assert_eq!(ask(&eve, &known).await.status(), 200);
        ada.client.link(&place, "+4917139200043").await.field();
        let changed = ask(&ada.client, &known).await;
        assert_eq!(changed.status(), 200);
        let latest = tag(&changed);
        assert_ne!(latest, known);
        assert_ne!(changed.text().await.unwrap(), body);
        // It names the bytes, whoever wrote them: with and without the memory, before and after a restart.
        app.stop().await;
        place.set("ACCOUNTS__GRAPH__ANSWER_BYTES", 0);
        let forgetful = place.app().await;
        assert_eq!(ask(&forgetful.renewed(&ada), &latest).await.status(), 304);
        let anonymous = get(&forgetful.client(), &[("query", "{ platforms { key } }")], &[]).await;
        let known = tag(&anonymous);
        let again = get(&forgetful.client(), &[("query", "{ platforms { key } }")], &[("if-none-match", &known)]).await;
        assert_eq!(again.status(), 304);
    }

    async fn s33_get_changes_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let db = place.database().await;
        let before = verification::Entity::find().count(&db).await.unwrap();
        let both = format!("{START} query Look {{ platforms {{ key }} }}");
        for parameters in [
            vec![("query", START)],
            vec![("query", START), ("operationName", "Start")],
            vec![("query", both.as_str()), ("operationName", "Start")],
            // It is not clear what is meant.
            vec![("query", both.as_str())],
            vec![("query", both.as_str()), ("operationName", "Nothing")],
        ] {
            for client in [&ada, &app.client()] {
                let refused = get(client, &parameters, &[]).await;
                assert_eq!(refused.headers().get(header::ALLOW).unwrap(), "POST", "{parameters:?}");
                let (status, code, _) = refusal(refused).await;
                assert_eq!((status, code.as_str()), (405, "BAD_USER_INPUT"), "{parameters:?}");
            }
        }
        let look = get(&ada, &[("query", &both), ("operationName", "Look")], &[]).await;
        assert_eq!(look.status(), 200);
        // Also when the text is known, because POST has executed it.
        ada.query(START).await.field();
        let after = verification::Entity::find().count(&db).await.unwrap();
        assert_eq!(after, before + 1);
        assert_eq!(get(&ada, &[("query", START)], &[("accept", "application/json")]).await.status(), 405);
        let followed = get(&ada, &[("query", "subscription { linkStatusChanged { cursor } }")], &[]).await;
        assert_eq!(refusal(followed).await.0, 400);
        assert_eq!(verification::Entity::find().count(&db).await.unwrap(), after);
    }

    /// A URL is kept in logs and histories.
    async fn a_secret_does_not_come_by_get(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let document = "query($s: Secret) { verification(id: \"verification_x\", clientSecret: $s) { id } }";
        let given = [("query", document), ("variables", "{\"s\":\"hush\"}")];
        let refused = get(&client, &given, &[]).await;
        assert_eq!(refused.headers()[header::ALLOW], "POST");
        let (status, code, body) = refusal(refused).await;
        assert_eq!((status, code.as_str()), (405, "BAD_USER_INPUT"));
        assert!(!body.to_string().contains("hush"), "{body}");
        assert_eq!(get(&client, &[("query", document)], &[]).await.status(), 200, "without a secret it is a query");
        let literal = "{ verification(id: \"x\", clientSecret: \"hush\") { id } }";
        assert_eq!(get(&client, &[("query", literal)], &[]).await.status(), 400);
    }

    async fn what_is_wrong_with_a_get_is_said(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__HTTP__BODY_LIMIT", 2000);
        let app = place.app().await;
        let client = app.client();
        let query = ("query", "{ platforms { key } }");
        let long = format!("{{ platforms {{ key }} }} #{}", "x".repeat(2000));
        for (parameters, status) in [
            (vec![], 400),
            (vec![("variables", "{}")], 400),
            (vec![query, query], 400),
            (vec![query, ("variables", "[1]")], 400),
            (vec![query, ("variables", "{")], 400),
            (vec![query, ("extensions", "1")], 400),
            (vec![query, ("extensions", "{\"accountsCenter\":{\"minVersion\":\"1\"}}")], 400),
            (vec![("query", "{ nope }")], 400),
            (vec![("query", "{")], 400),
            (vec![("query", long.as_str())], 414),
        ] {
            let (refused, code, body) = refusal(get(&client, &parameters, &[]).await).await;
            assert_eq!(refused, status, "{parameters:?} {body}");
            assert!(!code.is_empty(), "{body}");
        }
        assert_eq!(get(&client, &[query], &[("accept", "text/html")]).await.status(), 406);
        assert_eq!(get(&client, &[query], &[("accounts-center-min-version", "x")]).await.status(), 400);
        let forged = get(&client.with_token("x.y.z"), &[query], &[]).await;
        assert_eq!(forged.headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(refusal(forged).await.0, 401);
        // The limits are those of POST.
        let wide: String = (0..60).map(|n| format!("a{n}: platforms {{ id }} ")).collect();
        let (_, code, _) = refusal(get(&client, &[("query", &format!("{{ {wide} }}"))], &[]).await).await;
        assert_eq!(code, "QUERY_TOO_COMPLEX");
        // Half a WebSocket is none, and no query either.
        let half = get(&client, &[query], &[("upgrade", "websocket"), ("connection", "upgrade")]).await;
        assert!(half.status().is_client_error(), "{}", half.status());
    }
}

/// The tag that an unconditional GET of the hub gives, which has to have this body.
async fn known_of(body: &str, client: &Client) -> String {
    let answer = get(client, &[("query", HUB)], &[]).await;
    let tag = tag(&answer);
    assert_eq!(answer.text().await.unwrap(), body);
    tag
}
