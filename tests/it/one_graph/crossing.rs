//! Operations that need both.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::{Subgraph, join_with, one_graph, subgraph};
use crate::support::{Person, Place, Socket, SocketMessage, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";

/// A server, a subgraph, and Ada.
async fn with_ada(place: &mut Place) -> (TestApp, Subgraph, Person) {
    let (app, subgraph) = one_graph(place).await;
    let ada = app.client().sign_in(place, ADA).await;
    (app, subgraph, ada)
}

/// The representations of the only call.
fn representations(subgraph: &Subgraph) -> Value {
    let calls = subgraph.calls();
    let [call] = calls.as_slice() else { panic!("{calls:#?}") };
    let variables = call.body["variables"].as_object().unwrap();
    let sent: Vec<Value> = variables.values().flat_map(|list| list.as_array().unwrap().clone()).collect();
    json!(sent)
}

on_both_stacks! {
    async fn a_subgraph_completes_what_the_accounts_graph_begins(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = with_ada(&mut place).await;
        let answer = ada.client.query("{ viewer { profiles { handle followers status } id } greeting }").await;
        let profile = json!({ "handle": "+49 ··· ·· 42", "followers": 6, "status": "ACTIVE" });
        let wanted = json!({ "viewer": { "profiles": [profile], "id": ada.account }, "greeting": "hello" });
        assert_eq!(answer.body["data"], wanted, "{answer:#?}");
        assert_eq!(answer.body["data"].to_string(), wanted.to_string(), "in the order of the operation");
        assert!(answer.body["extensions"]["accountsCenter"]["version"].as_i64().unwrap() > 0);
        assert_eq!(subgraph.calls().len(), 2);
        // And what it alone answers does not go there at all.
        ada.client.query("{ viewer { profiles { handle } } }").await;
        assert!(subgraph.calls().is_empty());
    }

    async fn the_accounts_graph_completes_what_a_subgraph_begins(place: Place) {
        let mut place = place;
        // Its list may have nulls, so that one profile is nothing to the others.
        let subgraph = join_with(&mut place, &subgraph::SDL.replace("[LinkedProfile!]!", "[LinkedProfile]!")).await;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let [id] = ada.client.profiles().await.try_into().unwrap();
        subgraph.set_latest(&["wa_ada", "wa_nobody", "wa_ada"]);
        let own = ada.client.query("{ latest { externalId unlinksAt ... on LinkedProfile { id } } }").await;
        // Of a profile that is not hers she learns nothing that must not be null (S23).
        let profile = json!({ "externalId": "wa_ada", "unlinksAt": null, "id": id });
        assert_eq!(own.body["data"], json!({ "latest": [profile, null, profile] }), "{own:#?}");
        let [error] = own.body["errors"].as_array().unwrap().as_slice() else { panic!("{own:#?}") };
        assert_eq!(error["path"], json!(["latest", 1, "id"]), "{own:#?}");
        subgraph.set_latest(&["wa_ada", "wa_ada"]);
        let own = ada.client.query("{ latest { externalId followers status } }").await;
        let profile = json!({ "externalId": "wa_ada", "followers": 6, "status": "ACTIVE" });
        assert_eq!(own.body["data"]["latest"], json!([profile, profile]), "{own:#?}");
        let anonymous = app.client().query("{ latest { externalId } }").await;
        assert_eq!(anonymous.body["data"]["latest"][0]["externalId"], "wa_ada");
        let anonymous = app.client().query("{ latest { unlinksAt } }").await;
        assert_eq!(anonymous.body["data"]["latest"], json!([{ "unlinksAt": null }, { "unlinksAt": null }]));
    }

    /// S23: what a subgraph tells of somebody else's profile brings nothing of ours with it, as if there were none.
    async fn s23_a_subgraph_cannot_make_us_show_a_profile_of_somebody_else(place: Place) {
        let mut place = place;
        // Its list may have nulls, so that one profile is nothing to the others.
        let subgraph = join_with(&mut place, &subgraph::SDL.replace("[LinkedProfile!]!", "[LinkedProfile]!")).await;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await.client;
        // It leaves her account: what may be null of it is not.
        let second = "+4917139200077";
        place.sandbox.add_profile("wa_second", second).await;
        ada.client.unlink(&ada.client.linked(&place, second).await).await.field();
        subgraph.set_latest(&["wa_second", "wa_ada", "wa_nobody"]);
        let query = "{ latest { externalId unlinksAt ... on LinkedProfile { avatarUrl } } }";
        let own = ada.client.query(query).await;
        assert!(own.body["data"]["latest"][0]["unlinksAt"].is_string(), "{own:#?}");
        let nothing = ["wa_second", "wa_ada", "wa_nobody"]
            .map(|id| json!({ "externalId": id, "unlinksAt": null, "avatarUrl": null }));
        let hers = eve.query(query).await;
        assert_eq!(hers.body["data"], json!({ "latest": nothing }));
        assert!(hers.body.get("errors").is_none(), "{hers:#?}");
        for field in ["id", "handle", "status", "account { id }", "platform { key }"] {
            let answer = eve.query(&format!("{{ latest {{ {field} }} }}")).await;
            assert_eq!(answer.body["data"], json!({ "latest": [null, null, null] }), "{field}");
            // Nor do errors tell one from another.
            let mut errors = answer.body["errors"].as_array().unwrap().clone();
            assert_eq!(errors.len(), 3, "{answer:#?}");
            for error in &mut errors {
                error["path"][1].take();
            }
            assert!(errors.iter().all(|error| error == &errors[2]), "{answer:#?}");
        }
    }

    /// One lookup each: what becomes of one is nothing to the others.
    async fn entities_fail_alone(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = with_ada(&mut place).await;
        let ids: Vec<String> = (0..50).map(|n| format!("wa_{n}")).chain(["wa_ada".to_owned()]).collect();
        subgraph.set_latest(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        let answer = ada.client.query("{ latest { externalId unlinksAt avatarUrl } }").await;
        assert!(answer.body.get("errors").is_none(), "{answer:#?}");
        let latest = answer.body["data"]["latest"].as_array().unwrap();
        assert_eq!(latest.len(), 51);
        assert!(latest.iter().zip(&ids).all(|(profile, id)| profile["externalId"] == id.as_str()));
    }

    /// And all of them in one statement together.
    async fn entities_are_looked_up_together(place: Place) {
        let mut place = place;
        let (app, subgraph, ada) = with_ada(&mut place).await;
        let mut ids = vec!["wa_ada".to_owned()];
        for n in 0..5 {
            let (id, handle) = (format!("wa_also_{n}"), format!("+491713920006{n}"));
            place.sandbox.add_profile(&id, &handle).await;
            ada.client.linked(&place, &handle).await;
            ids.push(id);
        }
        subgraph.set_latest(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let client = app.renewed(&ada);
        let sessions = "{ latest { externalId unlinkPreview { endsSessions { id } } } }";
        let (answer, statements) = app.statements_of(async || client.query(sessions).await).await;
        let ends = |id: &String| if id == "wa_ada" { json!([{ "id": ada.session }]) } else { json!([]) };
        let latest = ids.iter().map(|id| json!({ "externalId": id, "unlinkPreview": { "endsSessions": ends(id) } }));
        assert_eq!(answer.field(), &latest.collect::<Value>(), "{answer:#?}");
        assert_eq!(statements, 1, "the sessions of all of them");
    }

    async fn mutations_go_through_in_order_and_tell_their_version(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = with_ada(&mut place).await;
        let rename = |alias: &str, name: &str| {
            format!(
                "{alias}: updateAccount(input: {{ displayName: \"{name}\" }}) {{
                    account {{ displayName version profiles {{ followers }} }} userErrors {{ code }} }}"
            )
        };
        let operation = format!("mutation {{ {} {} }}", rename("a", "One"), rename("b", "Two"));
        let answer = ada.client.query(&operation).await;
        assert_eq!(answer.body["data"]["a"]["account"]["displayName"], "One", "{answer:#?}");
        assert_eq!(answer.body["data"]["b"]["account"]["displayName"], "Two");
        assert_eq!(answer.body["data"]["b"]["account"]["profiles"][0]["followers"], 6);
        let version = answer.body["data"]["b"]["account"]["version"].as_i64().unwrap();
        assert_eq!(answer.body["data"]["a"]["account"]["version"], version - 1);
        assert_eq!(answer.body["extensions"]["accountsCenter"]["version"], version);
        assert!(!subgraph.calls().is_empty());
    }

    async fn s43_a_subgraph_never_sees_a_clients_credentials(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = with_ada(&mut place).await;
        let token = ada.client.token.clone().unwrap();
        ada.client.query("{ viewer { profiles { followers } } greeting }").await;
        let calls = subgraph.calls();
        assert_eq!(calls.len(), 2);
        for call in calls {
            let seen = format!("{:?} {}", call.headers, call.body);
            assert!(!seen.contains(&token), "{seen}");
            assert!(!call.headers.contains_key("cookie"));
        }
    }

    async fn headers_that_are_forwarded_count_over_sockets_as_well(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__FORWARD_HEADERS", "x-team,x-forwarded-for");
        let (app, subgraph) = one_graph(&mut place).await;
        let team = |team: &str| {
            let address = "192.0.2.7".to_owned();
            [("x-team", team.to_owned()), ("x-other", "secret".to_owned()), ("x-forwarded-for", address)]
        };
        let mut socket = Socket::connect_with(&app.url, &team("blue")).await.unwrap();
        socket.send(json!({ "type": "connection_init" })).await;
        assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "connection_ack" })));
        assert_eq!(socket.ask("{ greeting }").await, json!({ "greeting": "hello" }));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = http.post(format!("{}/graphql", app.url)).json(&json!({ "query": "{ greeting }" }));
        let asked = team("blue").into_iter().fold(asked, |asked, (name, value)| asked.header(name, value));
        assert_eq!(asked.send().await.unwrap().status(), 200);
        let calls = subgraph.calls();
        assert_eq!(calls.len(), 2);
        for call in calls {
            assert_eq!((&call.headers["x-team"], call.headers.get("x-other")), (&"blue".parse().unwrap(), None));
            // Where it comes from is not for the client to say.
            assert_eq!(call.headers["x-forwarded-for"], "127.0.0.1");
        }
        match Socket::connect_with(&app.url, &team(&"x".repeat(5000))).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), 431),
            _ => panic!("it was let in"),
        }
    }

    async fn a_representation_is_sent_once(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = with_ada(&mut place).await;
        let operation = "{ viewer { a: profiles { followers } b: profiles { followers account { profiles { followers } } } } }";
        let answer = ada.client.query(operation).await;
        assert_eq!(answer.body["data"]["viewer"]["b"][0]["account"]["profiles"][0]["followers"], 6, "{answer:#?}");
        let sent = representations(&subgraph);
        assert_eq!(sent.as_array().unwrap().len(), 1, "{sent}");
    }

    async fn introspection_shows_one_graph(place: Place) {
        let mut place = place;
        let (_app, _subgraph, ada) = with_ada(&mut place).await;
        let answer = ada.client.query("{ __type(name: \"LinkedProfile\") { fields { name } } }").await;
        let fields: Vec<&str> = answer.body["data"]["__type"]["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["name"].as_str().unwrap())
            .collect();
        assert!(fields.contains(&"followers") && fields.contains(&"handle"), "{fields:?}");
        let answer = ada.client.query("{ viewer { nothing } }").await;
        assert_eq!(answer.error_code(), "GRAPHQL_VALIDATION_FAILED");
        let hidden = ada.client.query("{ _service { sdl } }").await;
        assert_eq!(hidden.error_code(), "GRAPHQL_VALIDATION_FAILED");
    }
}
