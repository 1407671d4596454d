//! What unlinking a profile would end, and how far one reaches.

use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::LinkStatus;
use serde_json::{Value, json};

use crate::connections;
use crate::support::links::until_status;
use crate::support::{Client, TestApp, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const PREVIEW: &str = "query($id: ID!) { node(id: $id) { ... on LinkedProfile { unlinkPreview {
    endsConnections { id } endsSessions { id } endsCurrentSession problems { code message } } } } }";
const EXPOSURE: &str = "query($id: ID!) { node(id: $id) { ... on LinkedProfile {
    sharedLoginTargets { id } exposure { canSignInTo { id } canPostTo { id } canReadFrom { id } } } } }";

on_both_stacks! {
    async fn a_preview_tells_what_unlinking_then_does(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let alone = preview(&ada.client, &own).await;
        assert_eq!(alone["problems"][0]["code"], "LAST_SIGN_IN_METHOD");
        assert_eq!(alone["endsCurrentSession"], true);
        assert_eq!(alone["endsSessions"], json!([{ "id": ada.session }]));
        assert_eq!(alone["endsConnections"], json!([]));
        let grace = ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile("wa_third", EVE).await;
        let third = ada.client.linked(&place, EVE).await;
        let mut by_grace = Vec::new();
        for _ in 0..2 {
            app.advance(&place, 1).await;
            by_grace.push(app.client().sign_in(&place, GRACE).await);
        }
        let connect = async |source: &str, target: &str| {
            let ends = [uuid_of(source), uuid_of(target)];
            connections::connect(&app, ada.account_id(), ends, Experience::Messaging, true).await.unwrap().unwrap()
        };
        let mut ends = [connect(&own, &grace).await, connect(&grace, &own).await];
        connect(&own, &third).await;
        ends.sort();
        let seen = preview(&ada.client, &grace).await;
        let mut connections: Vec<_> = seen["endsConnections"].as_array().unwrap().iter()
            .map(|connection| uuid_of(connection["id"].as_str().unwrap())).collect();
        connections.sort();
        assert_eq!(connections, ends);
        assert_eq!(seen["endsSessions"], json!([{ "id": by_grace[1].session }, { "id": by_grace[0].session }]));
        assert_eq!((&seen["endsCurrentSession"], &seen["problems"]), (&json!(false), &json!([])));
        assert_eq!(preview(&by_grace[0].client, &grace).await["endsCurrentSession"], true);
        // And so it is.
        assert_eq!(ada.client.unlink(&grace).await.user_errors(), [""; 0]);
        for session in &by_grace {
            assert_eq!(session.client.start_link(EVE).await.error_code(), "UNAUTHENTICATED");
        }
        let going = preview(&ada.client, &grace).await;
        assert_eq!(going["endsSessions"], json!([]));
        app.advance(&place, 24 * 3600).await;
        until_status(&place.database().await, &grace, LinkStatus::Unlinked).await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let nothing = json!({ "endsConnections": [], "endsSessions": [], "endsCurrentSession": false, "problems": [] });
        assert_eq!(preview(&ada, &grace).await, nothing);
    }

    async fn s12_a_preview_and_the_command_agree_on_the_last_way(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let own = ada.profiles().await[0].clone();
        let grace = ada.linked(&place, GRACE).await;
        let db = place.database().await;
        let agree = async |expected: [&str; 2]| {
            for (profile, expected) in [&own, &grace].into_iter().zip(expected) {
                let problems = preview(&ada, profile).await["problems"].clone();
                let told: Vec<_> = problems.as_array().unwrap().iter().map(|p| p["code"].as_str().unwrap()).collect();
                assert_eq!(told.concat(), expected);
                if !expected.is_empty() {
                    assert_eq!(ada.unlink(profile).await.user_errors(), [expected]);
                }
            }
        };
        agree(["", ""]).await;
        ada.set_sign_in(&grace, false).await.field();
        agree(["LAST_SIGN_IN_METHOD", ""]).await;
        ada.set_sign_in(&grace, true).await.field();
        place.sandbox.set_state("wa_grace", "deactivated").await;
        until_status(&db, &grace, LinkStatus::Suspended).await;
        agree(["LAST_SIGN_IN_METHOD", ""]).await;
    }

    async fn a_profile_reaches_as_far_as_what_is_on_and_not_paused(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let connect = async |source: &str, target: &str, experience| {
            let ends = [uuid_of(source), uuid_of(target)];
            connections::connect(&app, ada.account_id(), ends, experience, true).await.unwrap();
        };
        connect(&own, &grace, Experience::SharedLogin).await;
        connect(&own, &grace, Experience::Messaging).await;
        connect(&grace, &own, Experience::CrossPosting).await;
        let reach = async |login: &[&str], post: &[&str], read: &[&str], of: &str| {
            let ids = |ids: &[&str]| json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
            let seen = ada.client.run(EXPOSURE, json!({ "id": of })).await.field().clone();
            let exposure = json!({ "canSignInTo": ids(login), "canPostTo": ids(post), "canReadFrom": ids(read) });
            assert_eq!(seen, json!({ "sharedLoginTargets": ids(login), "exposure": exposure }));
        };
        reach(&[&grace], &[], &[], &own).await;
        // A message to the source is read at the target.
        reach(&[], &[&own], &[&own], &grace).await;
        ada.client.contain(&grace).await.field();
        reach(&[], &[], &[], &own).await;
        reach(&[], &[], &[], &grace).await;
    }

    async fn previews_of_all_profiles_take_two_statements_and_their_reach_none(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__GRAPH__ANSWER_BYTES", 0);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile("wa_third", EVE).await;
        ada.client.linked(&place, EVE).await;
        app.client().sign_in(&place, GRACE).await;
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = app.renewed(&ada);
        for (query, expected) in [
            ("{ viewer { profiles { unlinkPreview { endsSessions { id } endsCurrentSession problems { code } } } } }", 2),
            ("{ viewer { profiles { sharedLoginTargets { id } exposure { canPostTo { id } canReadFrom { id } }
                unlinkPreview { endsConnections { id } problems { code } } } } }", 0),
        ] {
            let (answer, statements) = app.statements_of(async || ada.query(query).await.field().clone()).await;
            assert_eq!(answer["profiles"].as_array().unwrap().len(), 3);
            assert_eq!(statements, expected, "{query}");
        }
    }
}

async fn preview(client: &Client, profile: &str) -> Value {
    client.run(PREVIEW, json!({ "id": profile })).await.field()["unlinkPreview"].clone()
}
