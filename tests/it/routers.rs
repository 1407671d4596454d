//! Federation routers in front of the accounts graph: what they may ask for, and for whom.

use serde_json::{Value, json};

use crate::support::{ServerProcess, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
const SERVICE: &str = "{ _service { sdl } }";
const ENTITIES: &str =
    "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on LinkedProfile { handle } } }";

/// Mints a token as an operator does, beside the server that runs.
pub(crate) async fn mint(place: &crate::support::Place) -> String {
    let output = ServerProcess::bare(place)
        .args(["token", "--router", "apollo", "--days", "366"])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Asks as a router does: with a token of its own, and that of its caller.
async fn ask(app: &TestApp, router: Option<&str>, caller: Option<&str>, query: Value) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(format!("{}/graphql", app.url)).json(&query);
    if let Some(router) = router {
        request = request.header("accounts-center-router", router);
    }
    if let Some(caller) = caller {
        request = request.bearer_auth(caller);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

on_both_stacks! {
    async fn s28_entities_and_the_subgraphs_schema_are_for_routers(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        let router = mint(&place).await;
        let service = json!({ "query": SERVICE });
        let (status, answer) = ask(&app, Some(&router), None, service.clone()).await;
        assert_eq!((status, answer["data"]["_service"]["sdl"].as_str().is_some()), (200, true), "{answer:#}");
        let pinned = include_str!("../../schema/accounts.graphql");
        assert!(answer["data"]["_service"]["sdl"].as_str().unwrap().contains("type LinkedProfile"));
        assert!(pinned.contains("type LinkedProfile"));

        let profile = ada.client.profiles().await[0].clone();
        let representations = json!([
            { "__typename": "LinkedProfile", "id": profile },
            { "__typename": "LinkedProfile", "platformKey": "whatsapp", "externalId": "wa_ada" },
            { "__typename": "Account", "id": ada.account },
        ]);
        let entities = json!({ "query": ENTITIES, "variables": { "r": representations } });
        let token = |person: &crate::support::Person| person.client.token.clone().unwrap();
        let (_, own) = ask(&app, Some(&router), Some(&token(&ada)), entities.clone()).await;
        assert_eq!(own["data"]["_entities"][0]["handle"], "+49 ··· ·· 42", "{own:#}");
        assert_eq!(own["data"]["_entities"][2]["__typename"], "Account");
        // A router sees what its caller may see (S23), and nothing for nobody.
        for caller in [Some(token(&eve)), None] {
            let (_, theirs) = ask(&app, Some(&router), caller.as_deref(), entities.clone()).await;
            assert_eq!(theirs["data"]["_entities"], json!([null, null, null]), "{theirs:#}");
        }
        // People and pretenders are no routers.
        for query in [&service, &entities] {
            let (status, refused) = ask(&app, None, Some(&token(&ada)), query.clone()).await;
            assert_eq!(status, 400);
            assert_eq!(refused["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
            for pretended in [token(&ada), String::new(), "x".to_owned(), router[1..].to_owned()] {
                let (status, refused) = ask(&app, Some(&pretended), Some(&token(&ada)), query.clone()).await;
                assert_eq!(status, 401, "{refused:#}");
                assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
                assert!(refused.get("data").is_none());
            }
        }
        // And a router's token signs nobody in.
        let (status, _) = ask(&app, None, Some(&router), json!({ "query": "{ viewer { id } }" })).await;
        assert_eq!(status, 401);
        // Everything else is the same for it.
        let hub = json!({ "query": "{ viewer { id profiles { handle } } }" });
        let (_, through) = ask(&app, Some(&router), Some(&token(&ada)), hub.clone()).await;
        let (_, direct) = ask(&app, None, Some(&token(&ada)), hub).await;
        assert_eq!(through, direct);
    }
}
