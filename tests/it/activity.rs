//! Activity: what is kept of events, by pages.

use accounts_center::account::event::AccountChanged;
use accounts_center::link_graph::event::LinkStatusChanged;
use accounts_center::link_graph::graphql::{LinkStatus, LinkStatusReason};
use accounts_center::store::{Outcome, StreamEvent};
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::{activity, event};
use sea_orm::{EntityTrait, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connections::connect;
use crate::support::{Client, Person, TestApp, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const PAGE: &str =
    "query($first: Int, $after: String, $last: Int, $before: String, $kinds: [ActivityKind!]) {
    viewer { activity(first: $first, after: $after, last: $last, before: $before, kinds: $kinds) {
        edges { cursor node { id kind } } nodes { id } totalCount
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";

/// Something that only a later release knows.
#[derive(Serialize, Deserialize)]
struct Strange {}

impl StreamEvent for Strange {
    const KIND: &'static str = "something_strange";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = true;
}

/// A status in a form that only a later release knows.
#[derive(Serialize, Deserialize)]
struct StrangeStatus {}

impl StreamEvent for StrangeStatus {
    const KIND: &'static str = "link_status_changed";
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = true;
}

/// Something that is not kept.
#[derive(Serialize, Deserialize)]
struct Fleeting {}

impl StreamEvent for Fleeting {
    const KIND: &'static str = "account_changed";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = false;
}

on_both_stacks! {
    async fn pages_cover_everything_once_in_both_directions(place: Place) {
        let mut place = place;
        // So that a page that is asked for twice is read twice.
        place.set("ACCOUNTS__GRAPH__ANSWER_BYTES", 0);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = Person { client: app.renewed(&ada), ..ada };
        // Beside the link and the session that the sign-in has made.
        let changes: Vec<_> = (0..148).map(|_| AccountChanged {}).collect();
        app.happen(ada.account_id(), &changes).await;
        let newest_first: Vec<i64> = (1..=150).rev().collect();
        for (size, pages) in [(100, 2), (40, 4), (50, 3)] {
            for (count, from, edge, more, beside) in [
                ("first", "after", "endCursor", "hasNextPage", "hasPreviousPage"),
                ("last", "before", "startCursor", "hasPreviousPage", "hasNextPage"),
            ] {
                let (mut all, mut cursor) = (Vec::new(), Value::Null);
                for page in 1..=pages {
                    let variables = json!({ count: size, from: cursor });
                    let page_of = async || activity(&ada.client, variables.clone()).await;
                    let (seen, statements) = app.statements_of(page_of).await;
                    assert_eq!(statements, 1, "a page is one statement");
                    let info = &seen["pageInfo"];
                    assert_eq!((&info[more], &info[beside]), (&json!(page < pages), &json!(page > 1)), "{info}");
                    let edges = seen["edges"].as_array().unwrap();
                    assert_eq!(info["startCursor"], edges[0]["cursor"]);
                    assert_eq!(info["endCursor"], edges[edges.len() - 1]["cursor"]);
                    cursor = info[edge].clone();
                    let numbers = numbers(&seen);
                    if count == "first" { all.extend(numbers); } else { all.splice(0..0, numbers); }
                }
                assert_eq!(all, newest_first, "{count}: {size}");
            }
        }
        // Twenty where nothing is said; between two cursors nothing else; of none, none.
        let newest = activity(&ada.client, json!({})).await;
        assert_eq!(numbers(&newest), newest_first[..20]);
        assert_eq!(newest["totalCount"], Value::Null);
        let between = json!({ "after": newest["edges"][3]["cursor"], "before": newest["edges"][7]["cursor"] });
        assert_eq!(numbers(&activity(&ada.client, between).await), [146, 145, 144]);
        let none = activity(&ada.client, json!({ "first": 0 })).await;
        assert_eq!((&none["edges"], &none["pageInfo"]["hasNextPage"]), (&json!([]), &json!(true)));
        // An operation costs what its pages cost.
        let many = |size: i32| format!("{{ viewer {{ {} }} }}", (0..10).map(|n| {
            format!("a{n}: activity(first: {size}) {{ nodes {{ id kind occurredAt description }} }}")
        }).collect::<String>());
        assert_eq!(ada.client.query(&many(100)).await.error_code(), "QUERY_TOO_COMPLEX");
        ada.client.query(&many(2)).await.field();
    }

    async fn a_page_that_is_too_large_or_not_of_this_account_is_refused(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await.client;
        let own = activity(&ada.client, json!({})).await["edges"][0]["cursor"].clone();
        let foreign = activity(&eve, json!({})).await["edges"][0]["cursor"].clone();
        let event = ada.client.query("{ viewer { eventCursor } }").await.field()["eventCursor"].clone();
        for (variables, words) in [
            (json!({ "first": 101 }), "`first` is 101; it is 0 to 100"),
            (json!({ "last": 101 }), "`last` is 101"),
            (json!({ "first": -1 }), "`first` is -1"),
            (json!({ "first": 1, "last": 1 }), "not both"),
            (json!({ "after": foreign }), "`after` is no cursor"),
            (json!({ "last": 1, "before": foreign }), "`before` is no cursor"),
            (json!({ "after": event }), "`after` is no cursor"),
            (json!({ "after": "" }), "`after` is no cursor"),
            (json!({ "after": own.as_str().unwrap()[1..] }), "`after` is no cursor"),
        ] {
            let refused = ada.client.run(PAGE, variables.clone()).await;
            assert_eq!(refused.error_code(), "BAD_USER_INPUT", "{variables}");
            let message = refused.body["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains(words), "{variables}: {message}");
        }
        assert_eq!(numbers(&activity(&ada.client, json!({ "after": own })).await), [1]);
    }

    async fn it_says_what_happened_and_to_whom(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        ada.client.link(&place, GRACE).await.field();
        let hub = ada.client.query("{ viewer { profiles { id handle } } }").await;
        let profiles = hub.field()["profiles"].as_array().unwrap();
        let ends = ["42", "43"].map(|digits| {
            let profile = profiles.iter().find(|profile| profile["handle"].as_str().unwrap().ends_with(digits));
            uuid_of(profile.unwrap()["id"].as_str().unwrap())
        });
        connect(&app, ada.account_id(), ends, Experience::CrossPosting, true).await.unwrap();
        let gone = LinkStatusChanged {
            profile: uuid::Uuid::from_u128(7),
            previous: Some(LinkStatus::Unlinking),
            status: LinkStatus::Unlinked,
            reason: LinkStatusReason::GracePeriodEnded,
        };
        app.happen(ada.account_id(), &[gone]).await;
        app.happen(ada.account_id(), &[AccountChanged {}]).await;
        let query = "query($kinds: [ActivityKind!]) { viewer { activity(kinds: $kinds) {
            nodes { id kind occurredAt description profile { id } } } } }";
        let seen = ada.client.run(query, json!({})).await;
        let profile = |n: usize| json!({ "id": format!("profile_{}", ends[n].simple()) });
        let id = |number: i64| format!("activity_{}_{number}", ada.account_id().simple());
        let at = "2027-01-15T08:00:00.000Z";
        let all = [
            json!({ "id": id(7), "kind": "ACCOUNT", "occurredAt": at, "profile": null,
                    "description": "The name or the picture of your account was changed." }),
            json!({ "id": id(6), "kind": "LINK", "occurredAt": at, "profile": null,
                    "description": "A profile that is gone now was unlinked." }),
            json!({ "id": id(5), "kind": "EXPERIENCE", "occurredAt": at, "profile": profile(0), "description":
                    "Cross-posting from WhatsApp +49 ··· ·· 42 to WhatsApp +49 ··· ·· 43 is enabled." }),
            // 4 is the alert, which is not recorded: what it warns of is.
            json!({ "id": id(3), "kind": "LINK", "occurredAt": at, "profile": profile(1),
                    "description": "WhatsApp +49 ··· ·· 43 was linked." }),
            json!({ "id": id(2), "kind": "SECURITY", "occurredAt": at, "profile": null,
                    "description": "A device was signed in." }),
            json!({ "id": id(1), "kind": "LINK", "occurredAt": at, "profile": profile(0),
                    "description": "WhatsApp +49 ··· ·· 42 was linked." }),
        ];
        assert_eq!(seen.field()["activity"]["nodes"], json!(all));
        for (kinds, expected) in [
            (json!(["LINK"]), vec![1, 3, 5]),
            (json!(["SECURITY"]), vec![4]),
            (json!(["ACCOUNT", "EXPERIENCE"]), vec![0, 2]),
            (json!(["PRIVACY", "POST"]), vec![]),
            (json!([]), vec![]),
        ] {
            let some = ada.client.run(query, json!({ "kinds": kinds })).await;
            let expected: Vec<_> = expected.into_iter().map(|n: usize| all[n].clone()).collect();
            assert_eq!(some.field()["activity"]["nodes"], json!(expected), "{kinds}");
        }
        // The same by its id.
        let node = "query($id: ID!) { node(id: $id) { ... on AccountActivity {
            id kind occurredAt description profile { id } } } }";
        assert_eq!(ada.client.run(node, json!({ "id": id(3) })).await.field(), &all[3]);
        assert_eq!(ada.client.run(node, json!({ "id": id(2) })).await.field(), &all[4]);
        assert_eq!(ada.client.run(node, json!({ "id": id(4) })).await.field(), &Value::Null);
    }

    /// What is recorded is what happened: with it, in its transaction, and nothing else.
    async fn it_is_written_with_the_event_or_not_at_all(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.happen(ada.account_id(), &[AccountChanged {}, AccountChanged {}]).await;
        app.happen(ada.account_id(), &[Fleeting {}]).await;
        let failing = app.app().store.command(ada.account_id(), async |command| {
            command.emit(command.stream(), &AccountChanged {})?;
            Err::<Outcome<()>, _>(accounts_center::error::Error::internal(anyhow::anyhow!("it fails")))
        });
        assert!(failing.await.is_err());
        let db = place.database().await;
        let events = event::Entity::find().order_by_asc(event::Column::Number).all(&db).await.unwrap();
        let kept = activity::Entity::find().order_by_asc(activity::Column::Number).all(&db).await.unwrap();
        assert_eq!((events.len(), kept.len()), (5, 4));
        for (event, kept) in events.iter().zip(&kept) {
            assert_eq!(
                (event.stream_id, event.number, &event.kind, &event.payload, event.occurred_at),
                (kept.stream_id, kept.number, &kept.kind, &kept.payload, kept.occurred_at)
            );
        }
    }

    async fn what_another_release_recorded_breaks_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.happen(ada.account_id(), &[Strange {}]).await;
        app.happen(ada.account_id(), &[StrangeStatus {}]).await;
        let seen = ada.client.query("{ viewer { activity { nodes { id kind description profile { id } } } } }").await;
        let nodes = seen.field()["activity"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 3, "the kind that nobody knows is left out");
        assert_eq!(nodes[0]["description"], "A linked profile was changed.");
        assert_eq!((&nodes[0]["kind"], &nodes[0]["profile"]), (&json!("LINK"), &Value::Null));
        let unknown = format!("activity_{}_3", ada.account_id().simple());
        let node = ada.client.run("query($id: ID!) { node(id: $id) { id } }", json!({ "id": unknown })).await;
        assert_eq!(node.field(), &Value::Null);
    }
}

async fn activity(client: &Client, variables: Value) -> Value {
    client.run(PAGE, variables).await.field()["activity"].clone()
}

/// The numbers of a page's events.
fn numbers(page: &Value) -> Vec<i64> {
    let ids = page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap());
    let from_nodes: Vec<i64> = ids.map(|id| id.rsplit('_').next().unwrap().parse().unwrap()).collect();
    let edges = page["edges"].as_array().unwrap();
    assert!(
        edges.iter().map(|edge| &edge["node"]["id"]).eq(page["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| &node["id"]))
    );
    from_nodes
}
