//! Guards of the supergraph, through the real server.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::following::{answer, follow};
use super::hostile::claims;
use super::{Subgraph, join_with};
use crate::support::{Client, Person, Place, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
/// The subgraph's schema with guards: its server knows nothing of them.
pub const GUARDED: &str = r#"
extend schema @link(url: "https://specs.apollo.dev/federation/v2.7",
  import: ["@key", "@authenticated", "@requiresScopes", "@policy"])
type LinkedProfile @key(fields: "platformKey externalId") {
  platformKey: PlatformKey!
  externalId: String!
  followers: Int @requiresScopes(scopes: [["followers"]])
}
scalar PlatformKey
type Query {
  greeting: String @authenticated
  latest: [LinkedProfile!]! @policy(policies: [["staff"]])
}
type Subscription { followed: LinkedProfile! @authenticated }
"#;
pub const EVERYTHING: &str = "{ viewer { id profiles { externalId followers } } greeting }";

/// Ada has the scope and Eve has not.
async fn two(place: &mut Place) -> (TestApp, Subgraph, Person, Person) {
    let subgraph = join_with(place, GUARDED).await;
    place.sandbox.add_profile("wa_eve", EVE).await;
    let before = place.app().await;
    let ada = before.client().sign_in(place, ADA).await;
    let eve = before.client().sign_in(place, EVE).await;
    before.stop().await;
    place.set("ACCOUNTS__SESSIONS__SCOPES__FOLLOWERS", &ada.account);
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SCOPES", "followers,other");
    let app = TestApp::start(place, 2).await;
    let at = |person: Person| Person { client: person.client.at(&app.url), ..person };
    let (ada, eve) = (at(ada), at(eve));
    (app, subgraph, ada, eve)
}

/// The codes of an answer's errors, by their paths.
pub fn refused(answer: &Value) -> Vec<(String, String)> {
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    let told = errors.iter().map(|error| {
        (error["path"].to_string(), error["extensions"]["code"].as_str().unwrap_or_default().to_owned())
    });
    told.collect()
}

pub fn told(path: Value, code: &str) -> (String, String) {
    (path.to_string(), code.to_owned())
}

on_both_stacks! {
    async fn what_is_guarded_is_null_and_is_not_fetched(place: Place) {
        let mut place = place;
        let (app, subgraph, ada, eve) = two(&mut place).await;
        let full = ada.client.query(EVERYTHING).await.body;
        assert_eq!(full["data"]["viewer"]["profiles"], json!([{ "externalId": "wa_ada", "followers": 6 }]), "{full:#}");
        assert_eq!((&full["data"]["greeting"], full.get("errors")), (&json!("hello"), None));
        subgraph.calls();
        // She is signed in, and has not the scope.
        let less = eve.client.query(EVERYTHING).await.body;
        assert_eq!(less["data"]["viewer"]["profiles"], json!([{ "externalId": "wa_eve", "followers": null }]), "{less:#}");
        assert_eq!(less["data"]["greeting"], "hello");
        assert_eq!(refused(&less), [told(json!(["viewer", "profiles", 0, "followers"]), "FORBIDDEN")]);
        assert_eq!(subgraph.calls().len(), 1, "`greeting` and nothing else");
        // Nobody is not.
        let none = app.client().query("{ greeting viewer { id } }").await.body;
        assert_eq!(none["data"], json!({ "greeting": null, "viewer": null }), "{none:#}");
        assert_eq!(refused(&none), [told(json!(["greeting"]), "UNAUTHENTICATED")]);
        // A policy that nobody has configured is nobody's; what must not be null takes what is around it.
        let policy = ada.client.query("{ greeting latest { externalId } }").await.body;
        assert_eq!((&policy["data"], refused(&policy)), (&Value::Null, vec![told(json!(["latest"]), "FORBIDDEN")]), "{policy:#}");
        let calls = subgraph.calls();
        assert!(calls.iter().all(|call| !call.body["query"].as_str().unwrap().contains("latest")), "{calls:#?}");
        // By conditions, fragments and aliases.
        let query = "query($no: Boolean!) { ...Q a: greeting @skip(if: $no) } fragment Q on Query { greeting @include(if: $no) }";
        for (no, path) in [(true, "greeting"), (false, "a")] {
            let answer = app.client().run(query, json!({ "no": no })).await.body;
            assert_eq!(answer["data"], json!({ path: null }), "{answer:#}");
            assert_eq!(refused(&answer), [told(json!([path]), "UNAUTHENTICATED")]);
        }
        assert!(subgraph.calls().is_empty());
        // Everybody sees that it is there.
        let shown = app.client().query("{ __type(name: \"LinkedProfile\") { fields { name } } }").await;
        assert!(shown.body.to_string().contains("followers"));
    }

    async fn a_guarded_subscription_is_refused_before_anybody_is_followed(place: Place) {
        let mut place = place;
        let (app, subgraph, ada, _) = two(&mut place).await;
        let query = "subscription { followed { externalId } }";
        let mut nobody = follow(&app.client(), query).await;
        let crate::support::SocketMessage::Json(message) = nobody.next().await else { panic!("closed") };
        assert!(message.to_string().contains("UNAUTHENTICATED"), "{message:#}");
        assert!(subgraph.calls().is_empty());
        let mut socket = follow(&ada.client, query).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        let event = answer(&mut socket).await.unwrap();
        assert_eq!(event["data"]["followed"]["externalId"], "wa_ada");
        let (_, claims) = claims(&subgraph.calls()[0].headers["authorization"]);
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(ada.account), &json!("extra")));
    }

    async fn s45_nothing_of_one_caller_reaches_another(place: Place) {
        let mut place = place;
        let (app, subgraph, ada, eve) = two(&mut place).await;
        let ask = async |client: &Client| client.query(EVERYTHING).await.body;
        let anonymous = app.client();
        let asked = (0..20).map(|_| async { tokio::join!(ask(&ada.client), ask(&eve.client), ask(&anonymous)) });
        for (ada_sees, eve_sees, nobody_sees) in join_all(asked).await {
            let profile = |id: &str, followers: Value| json!([{ "externalId": id, "followers": followers }]);
            let data = |account: &str, profiles| json!({ "viewer": { "id": account, "profiles": profiles }, "greeting": "hello" });
            assert_eq!(ada_sees["data"], data(&ada.account, profile("wa_ada", json!(6))), "{ada_sees:#}");
            assert_eq!(ada_sees.get("errors"), None);
            assert_eq!(eve_sees["data"], data(&eve.account, profile("wa_eve", Value::Null)), "{eve_sees:#}");
            assert_eq!(refused(&eve_sees), [told(json!(["viewer", "profiles", 0, "followers"]), "FORBIDDEN")]);
            assert_eq!(nobody_sees["data"], json!({ "viewer": null, "greeting": null }), "{nobody_sees:#}");
            assert_eq!(refused(&nobody_sees), [told(json!(["greeting"]), "UNAUTHENTICATED")]);
        }
        // Nor does a call of the subgraph speak for two: it is told of Ada's profile by Ada, and greets each of them.
        let mut greeted = BTreeSet::new();
        for call in subgraph.calls() {
            let (_, claims) = claims(&call.headers["authorization"]);
            let sub = claims["sub"].as_str().unwrap().to_owned();
            let text = call.body.to_string();
            if text.contains("wa_") {
                assert!(sub == ada.account && text.contains("wa_ada") && !text.contains("wa_eve"), "{text}");
                assert_eq!(claims["scope"], "followers");
            } else {
                greeted.insert(sub);
            }
        }
        assert_eq!(greeted, BTreeSet::from([ada.account, eve.account]));
    }
}
