//! Profiles that are gone stay readable by their owner, and cost no more than one statement.

use accounts_center_entity::linked_profile::LinkStatus;
use serde_json::{Value, json};

use crate::support::links::until_status;
use crate::support::uuid_of;
use crate::support::{Person, Place, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

on_both_stacks! {
    async fn a_tombstone_is_read_by_its_owner_alone(place: Place) {
        let app = place.app().await;
        let (ada, gone) = person_with_tombstones(&app, &place, 1).await;
        let id = &gone[0];
        let tombstone = json!({ "id": id, "handle": "", "externalId": "", "displayName": "Removed profile",
            "avatarUrl": null, "status": "UNLINKED", "statusReason": "PLATFORM_DELETED", "unlinksAt": null,
            "signInEnabled": false, "platform": { "key": "whatsapp" }, "account": { "id": ada.account } });
        assert_eq!(ada.client.profile(id).await, tombstone);
        let eve = app.client().sign_in(&place, GRACE).await.client;
        assert_eq!(eve.profile(id).await, Value::Null);
        assert_eq!(app.client().profile(id).await, Value::Null);
        // A router that has its id finds it as well, for its owner.
        let schema = accounts_center::graph::subgraph(app.app().clone());
        let entity = format!("{{ _entities(representations: [{{ __typename: \"LinkedProfile\", id: \"{id}\" }}]) {{
            ... on LinkedProfile {{ status }} }} }}");
        let viewer = accounts_center::session::Viewer {
            account: uuid_of(&ada.account),
            session: uuid_of(&ada.session),
        };
        let found = schema.execute(async_graphql::Request::new(entity.clone()).data(viewer)).await;
        assert_eq!(found.data.into_json().unwrap(), json!({ "_entities": [{ "status": "UNLINKED" }] }));
        let anonymous = schema.execute(async_graphql::Request::new(entity)).await;
        assert_eq!(anonymous.data.into_json().unwrap(), json!({ "_entities": [null] }));
        let card = "query($id: ID!) { node(id: $id) { ... on ProfileCard { handle displayName avatarUrl } } }";
        let card = ada.client.run(card, json!({ "id": id })).await;
        assert_eq!(card.field(), &json!({ "handle": "", "displayName": "Removed profile", "avatarUrl": null }));
        // By the history as well.
        let cursor = ada.client.query("{ viewer { eventCursor } }").await.field()["eventCursor"].clone();
        let second = person_profile(&app, &place, &ada, "wa_second", "+4917139200062").await;
        place.sandbox.set_state("wa_second", "deleted").await;
        until_status(&place.database().await, &second, LinkStatus::Unlinked).await;
        let mut tab = ada.client.socket().await;
        tab.follow_links(cursor.as_str()).await;
        let made = tab.link_event().await;
        assert_eq!(made["linkStatus"], "ACTIVE");
        assert_eq!(made["profile"], json!({ "id": second, "handle": "", "status": "UNLINKED" }));
        let ended = tab.link_event().await;
        assert_eq!((&ended["linkStatus"], &ended["profile"]["id"]), (&json!("UNLINKED"), &json!(second)));
    }

    async fn an_account_lists_its_newest_twenty(place: Place) {
        let app = place.app().await;
        let (ada, gone) = person_with_tombstones(&app, &place, 22).await;
        let list = "query($statuses: [LinkStatus!], $platform: PlatformKey) {
            viewer { profiles(statuses: $statuses, platform: $platform) { id status } } }";
        let ids = async |variables: Value| {
            let answer = ada.client.run(list, variables).await;
            let profiles = answer.field()["profiles"].as_array().unwrap().clone();
            profiles.iter().map(|profile| profile["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let own = ada.client.profiles().await;
        assert_eq!(own.len(), 1, "only what is linked, unless it is asked for");
        let newest: Vec<_> = gone.iter().rev().take(20).cloned().collect();
        assert_eq!(ids(json!({ "statuses": ["UNLINKED"] })).await, newest);
        assert_eq!(ids(json!({ "statuses": ["UNLINKED"], "platform": "whatsapp" })).await, newest);
        assert_eq!(ids(json!({ "statuses": ["UNLINKED"], "platform": "myspace" })).await, [""; 0]);
        let all: Vec<_> = own.iter().chain(&newest).cloned().collect();
        assert_eq!(ids(json!({ "statuses": ["UNLINKED", "ACTIVE"] })).await, all);
        assert_eq!(ids(json!({ "statuses": ["SUSPENDED"] })).await, [""; 0]);
    }

    async fn several_in_one_operation_cost_one_statement(place: Place) {
        let app = place.app().await;
        let (ada, gone) = person_with_tombstones(&app, &place, 5).await;
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = app.renewed(&ada);
        let statements = async |operation: &str| {
            let (answer, cost) = app.statements_of(async || ada.query(operation).await).await;
            assert!(answer.body.get("errors").is_none(), "{:#}", answer.body);
            (cost, answer.body["data"].clone())
        };
        let nodes = gone.iter().enumerate().map(|(n, id)| {
            format!("n{n}: node(id: \"{id}\") {{ ... on LinkedProfile {{ status account {{ id }} }} }}")
        });
        let (cost, data) = statements(&format!("{{ {} }}", nodes.collect::<Vec<_>>().join(" "))).await;
        assert_eq!(cost, 1);
        assert!((0..5).all(|n| data[format!("n{n}")]["status"] == "UNLINKED"), "{data:#}");
        let lists = "{ viewer { a: profiles(statuses: [UNLINKED]) { id } b: profiles(statuses: UNLINKED) { id }
            c: profiles(statuses: [UNLINKED, ACTIVE], platform: \"whatsapp\") { id } } }";
        let (cost, data) = statements(lists).await;
        assert_eq!(cost, 1);
        assert_eq!(data["viewer"]["c"].as_array().unwrap().len(), 6);
        assert_eq!(statements("{ viewer { profiles { id } } }").await.0, 0);
    }
}

/// Ada with so many profiles that are gone, oldest first.
async fn person_with_tombstones(app: &TestApp, place: &Place, count: usize) -> (Person, Vec<String>) {
    let ada = app.client().sign_in(place, ADA).await;
    let db = place.database().await;
    let mut gone = Vec::new();
    for n in 0..count {
        let external_id = format!("wa_gone_{n}");
        let id = person_profile(app, place, &ada, &external_id, &format!("+49171392007{n:02}")).await;
        place.sandbox.set_state(&external_id, "deleted").await;
        until_status(&db, &id, LinkStatus::Unlinked).await;
        gone.push(id);
        app.advance(place, 1).await;
    }
    (ada, gone)
}

async fn person_profile(
    app: &TestApp,
    place: &Place,
    person: &Person,
    external_id: &str,
    handle: &str,
) -> String {
    place.sandbox.add_profile(external_id, handle).await;
    app.renewed(person).linked(place, handle).await
}
