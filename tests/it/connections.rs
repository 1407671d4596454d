//! Connections between profiles: what is on, what is paused, and who hears of it. There is no mutation for them yet,
//! so these tests run the command that one will run.

use accounts_center::link_graph::connection::set_grant;
use accounts_center::store::Outcome;
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::LinkStatus;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::links::{profile_row, until_status};
use crate::support::{Client, Place, TestApp, eventually, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const CONNECTIONS: &str = "{ viewer { linkGraph { version
    connections { id source { id } target { id } grants { experience grantedAt paused } }
    messaging: connections(experience: MESSAGING) { id } }
    profiles { id connections { id } messaging: connections(experience: MESSAGING) { id } } } }";

on_both_stacks! {
    async fn what_is_on_is_seen_from_both_ends(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let ends = two_profiles(&place, &ada.client).await;
        let turn = async |ends, experience, on| connect(&app, ada.account_id(), ends, experience, on).await.unwrap();
        let there = turn(ends, Experience::CrossPosting, true).await.unwrap();
        assert_eq!(turn(ends, Experience::Messaging, true).await, Some(there), "a pair has one connection");
        let back = turn([ends[1], ends[0]], Experience::SharedLogin, true).await.unwrap();
        assert_ne!(there, back);

        let seen = ada.client.query(CONNECTIONS).await;
        let graph = &seen.field()["linkGraph"];
        let id = |uuid: Uuid| format!("connection_{}", uuid.simple());
        let profile = |uuid: Uuid| json!({ "id": format!("profile_{}", uuid.simple()) });
        let grant = |experience: &str| json!({
            "experience": experience, "grantedAt": "2027-01-15T08:00:00.000Z", "paused": false });
        assert_eq!(graph["version"], 7);
        assert_eq!(graph["connections"], json!([
            { "id": id(there), "source": profile(ends[0]), "target": profile(ends[1]),
              "grants": [grant("CROSS_POSTING"), grant("MESSAGING")] },
            { "id": id(back), "source": profile(ends[1]), "target": profile(ends[0]),
              "grants": [grant("SHARED_LOGIN")] },
        ]));
        assert_eq!(graph["messaging"], json!([{ "id": id(there) }]));
        for profile in seen.field()["profiles"].as_array().unwrap() {
            assert_eq!(profile["connections"], json!([{ "id": id(there) }, { "id": id(back) }]));
            assert_eq!(profile["messaging"], json!([{ "id": id(there) }]));
        }
        // All of it from the graph that is cached.
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = app.renewed(&ada);
        let (_, statements) = app.statements_of(async || ada.query(CONNECTIONS).await.field().clone()).await;
        assert_eq!(statements, 0);
    }

    async fn what_is_so_already_changes_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let ends = two_profiles(&place, &ada.client).await;
        let version = async || app.app().store.version(ada.account_id()).await.unwrap().unwrap();
        let turn = async |on| connect(&app, ada.account_id(), ends, Experience::Messaging, on).await.unwrap();
        assert_eq!(turn(false).await, None);
        assert_eq!(version().await, 4);
        let there = turn(true).await;
        assert!(there.is_some());
        assert_eq!(turn(true).await, there);
        assert_eq!(version().await, 5);
        assert_eq!(turn(false).await, None);
        assert_eq!(turn(false).await, None);
        assert_eq!(version().await, 6);
        // A new one is another connection.
        assert_ne!(turn(true).await, there);
    }

    async fn only_two_linked_profiles_of_the_account_are_connected(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let db = place.database().await;
        let mut ends = two_profiles(&place, &ada.client).await;
        // The second one goes below: not the one that has opened her session, which would end with it.
        if profile_row(&db, &format!("profile_{}", ends[1].simple())).await.external_id == "wa_ada" {
            ends.reverse();
        }
        let [first, second] = ends;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await.client;
        let foreign = profiles(&eve).await[0];
        let refused = async |ends| {
            let errors = connect(&app, ada.account_id(), ends, Experience::Messaging, true).await.unwrap_err();
            format!("{:?} {}", errors[0].code, errors[0].path[0])
        };
        assert_eq!(refused([first, first]).await, "Invalid targetProfileId");
        assert_eq!(refused([foreign, first]).await, "NotFound sourceProfileId");
        assert_eq!(refused([first, foreign]).await, "NotFound targetProfileId");
        assert_eq!(refused([Uuid::nil(), first]).await, "NotFound sourceProfileId");
        let second_id = format!("profile_{}", second.simple());
        place.sandbox.set_state(&profile_row(&db, &second_id).await.external_id, "deleted").await;
        until_status(&db, &second_id, LinkStatus::Unlinked).await;
        assert_eq!(refused([first, second]).await, "NotFound targetProfileId");
        assert_eq!(app.app().store.version(ada.account_id()).await.unwrap(), Some(6));
    }

    async fn a_connection_pauses_with_either_end(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let ends = two_profiles(&place, &ada.client).await;
        connect(&app, ada.account_id(), ends, Experience::Messaging, true).await.unwrap();
        // Somebody looks whose session neither end has opened.
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        ada.client.linked(&place, "+4917139200050").await;
        let onlooker = app.client().sign_in(&place, "+4917139200050").await.client;
        let paused = async || {
            let seen = onlooker.query(CONNECTIONS).await;
            seen.field()["linkGraph"]["connections"][0]["grants"][0]["paused"].clone()
        };
        let until = async |expected: bool| {
            eventually("it is seen", async || (paused().await == expected).then_some(())).await;
        };
        for end in ["wa_ada", "wa_grace"] {
            until(false).await;
            place.sandbox.set_state(end, "deactivated").await;
            until(true).await;
            place.sandbox.set_state(end, "active").await;
        }
        until(false).await;
    }

    async fn a_change_of_a_connection_is_heard(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let ends = two_profiles(&place, &ada.client).await;
        let mut tab = ada.client.socket().await;
        let cursor = tab.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription($after: String) { connectionChanged(after: $after) { occurredAt experience enabled
            graphVersion connection { grants { experience } } source { id } target { id } } }";
        tab.subscribe("connections", query, json!({ "after": cursor })).await;
        let turn = async |experience, on| { connect(&app, ada.account_id(), ends, experience, on).await.unwrap(); };
        let profile = |end: usize| json!({ "id": format!("profile_{}", ends[end].simple()) });
        for (experience, on, name, version, connection) in [
            (Experience::Messaging, true, "MESSAGING", 5, json!({ "grants": [{ "experience": "MESSAGING" }] })),
            (Experience::Messaging, false, "MESSAGING", 6, Value::Null),
        ] {
            turn(experience, on).await;
            assert_eq!(tab.event("connections", "connectionChanged").await, json!({
                "occurredAt": "2027-01-15T08:00:00.000Z", "experience": name, "enabled": on, "graphVersion": version,
                "connection": connection, "source": profile(0), "target": profile(1) }));
        }
        // An end that is unlinked says so, and what ended with it is null.
        turn(Experience::CrossPosting, true).await;
        tab.event("connections", "connectionChanged").await;
        place.sandbox.set_state("wa_grace", "deleted").await;
        assert_eq!(tab.event("connections", "connectionChanged").await["enabled"], false);
        let mut later = ada.client.socket().await;
        later.subscribe("connections", query, json!({ "after": cursor })).await;
        for enabled in [true, false, true, false] {
            let event = later.event("connections", "connectionChanged").await;
            assert_eq!(event["enabled"], enabled);
            assert_eq!((&event["connection"], &event["source"], &event["target"]), (&Value::Null, &profile(0), &profile(1)));
        }
    }
}

/// Turns an experience on or off by the command that a mutation will run. Gives the connection.
pub async fn connect(
    app: &TestApp,
    account: Uuid,
    [source, target]: [Uuid; 2],
    experience: Experience,
    on: bool,
) -> Result<Option<Uuid>, Vec<accounts_center::error::UserError>> {
    let turn = async |command: &mut accounts_center::store::Command| {
        Ok(match set_grant(command, source, target, experience, on).await? {
            Ok(connection) => Outcome::Commit(connection),
            Err(errors) => Outcome::CommitAndReject(errors),
        })
    };
    app.app().store.command(account, turn).await.unwrap()
}

/// The two profiles of somebody who links a second one.
async fn two_profiles(place: &Place, client: &Client) -> [Uuid; 2] {
    assert_eq!(client.link(place, GRACE).await.user_errors(), [""; 0]);
    profiles(client).await.try_into().unwrap()
}

async fn profiles(client: &Client) -> Vec<Uuid> {
    let hub = client.query("{ viewer { profiles { id } } }").await;
    let profiles = hub.field()["profiles"].as_array().unwrap();
    profiles.iter().map(|profile| uuid_of(profile["id"].as_str().unwrap())).collect()
}
