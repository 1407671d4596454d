//! Many objects by their ids.

use serde_json::{Value, json};

use crate::support::links::until_status;
use crate::support::{TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";

on_both_stacks! {
    async fn objects_of_all_kinds_come_in_the_order_of_their_ids(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__GRAPH__ANSWER_BYTES", 0);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let mut gone = Vec::new();
        for n in 0..2 {
            let handle = format!("+49171392006{n:02}");
            place.sandbox.add_profile(&format!("wa_{n}"), &handle).await;
            gone.push(ada.client.linked(&place, &handle).await);
        }
        for profile in &gone {
            ada.client.unlink(profile).await.field();
        }
        app.advance(&place, 24 * 3600).await;
        let db = place.database().await;
        for profile in &gone {
            until_status(&db, profile, accounts_center_entity::linked_profile::LinkStatus::Unlinked).await;
        }
        let again = app.client().sign_in(&place, ADA).await;
        let mut begun = Vec::new();
        for _ in 0..3 {
            begun.push(again.client.start_link(GRACE).await.field()["verification"]["id"].clone());
        }
        let activity = again.client.query("{ viewer { activity(first: 3) { nodes { id } } } }").await;
        let activity = activity.field()["activity"]["nodes"].as_array().unwrap().clone();
        let alerts = again.client.query("{ viewer { security { alerts { nodes { id } } } } }").await;
        let alerts = alerts.field()["security"]["alerts"]["nodes"].as_array().unwrap().clone();
        assert!(alerts.len() > 2, "{alerts:?}");
        let mut expected = vec![
            json!({ "__typename": "LinkedProfile", "id": own }),
            Value::Null,
            json!({ "__typename": "Account", "id": ada.account }),
            json!({ "__typename": "Platform", "id": "platform_whatsapp" }),
        ];
        let sessions = [&ada.session, &again.session];
        expected.extend(sessions.map(|id| json!({ "__typename": "AccountSession", "id": id })));
        expected.extend(gone.iter().map(|id| json!({ "__typename": "LinkedProfile", "id": id })));
        expected.extend(begun.iter().map(|id| json!({ "__typename": "Verification", "id": id })));
        expected.extend(activity.iter().map(|node| json!({ "__typename": "AccountActivity", "id": node["id"] })));
        expected.extend(alerts.iter().map(|node| json!({ "__typename": "SecurityAlert", "id": node["id"] })));
        // Twice the same is twice the same.
        expected.push(expected[0].clone());
        let id = |object: &Value| if object.is_null() { json!("profile_x") } else { object["id"].clone() };
        let ids: Vec<_> = expected.iter().map(id).collect();
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let client = app.renewed(&again);
        let ask = async || client.run(NODES, json!({ "ids": ids })).await.field().clone();
        let (answer, statements) = app.statements_of(ask).await;
        assert_eq!(answer, json!(expected));
        assert_eq!(statements, 5, "one for each kind that the graph does not have");
    }

    async fn at_most_a_hundred_are_asked_for(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let ids = |count: usize| json!({ "ids": vec![ada.account.clone(); count] });
        let hundred = ada.client.run(NODES, ids(100)).await;
        assert_eq!(hundred.field().as_array().unwrap().len(), 100);
        assert_eq!(ada.client.run(NODES, ids(101)).await.error_code(), "BAD_USER_INPUT");
        assert_eq!(ada.client.run(NODES, ids(0)).await.field(), &json!([]));
        // What is asked of each counts for each.
        let wide = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Account { profiles { id handle displayName avatarUrl } } } }";
        assert_eq!(ada.client.run(wide, ids(10)).await.field().as_array().unwrap().len(), 10);
        assert_eq!(ada.client.run(wide, ids(100)).await.error_code(), "QUERY_TOO_COMPLEX");
    }
}
