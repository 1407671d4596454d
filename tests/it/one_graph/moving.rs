//! A field on its way from one subgraph to another (`@override(label:)`), and events that need both.

use serde_json::json;

use super::following::{answer, follow};
use super::{join, join_more, more};
use crate::support::{TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
const FOLLOWED: &str = "subscription { followed { externalId followers } }";

fn moving(label: &str) -> String {
    more(&format!("followers: Int @override(from: \"extra\", label: \"{label}\")"))
}

on_both_stacks! {
    /// Chance puts a request that is nobody's somewhere, and a subscription once for all of its events.
    async fn a_subscription_stays_where_chance_has_put_it(place: Place) {
        let mut place = place;
        let subgraph = join(&mut place).await;
        let _more = join_more(&mut place, &moving("percent(50)"), json!({ "followers": 99 })).await;
        let app = place.app().await;
        let mut followers = Vec::new();
        for _ in 0..4 {
            let mut socket = follow(&app.client(), FOLLOWED).await;
            subgraph.until_followed_by(1).await;
            let mut told = Vec::new();
            for _ in 0..8 {
                subgraph.tell("wa_ada");
                let event = answer(&mut socket).await.unwrap();
                told.push(event["data"]["followed"]["followers"].as_u64().unwrap_or_else(|| panic!("{event:#}")));
            }
            told.dedup();
            assert_eq!(told.len(), 1, "{told:?}");
            followers.extend(told);
            drop(socket);
            subgraph.until_followed_by(0).await;
        }
        assert!(followers.iter().all(|count| [6, 99].contains(count)), "{followers:?}");
    }

    /// Who has a label by their scopes gets what it stands for, and nobody else does.
    async fn labels_of_overrides_go_by_the_scopes_of_a_caller(place: Place) {
        let mut place = place;
        let subgraph = join(&mut place).await;
        let more = join_more(&mut place, &moving("new"), json!({ "followers": 99 })).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let before = place.app().await;
        let ada = before.client().sign_in(&place, ADA).await;
        let eve = before.client().sign_in(&place, EVE).await;
        before.stop().await;
        place.set("ACCOUNTS__SESSIONS__SCOPES__BETA", &ada.account);
        place.set("ACCOUNTS__SESSIONS__SCOPES__OTHER", &eve.account);
        place.set("ACCOUNTS__GATEWAY__OVERRIDE_LABELS__NEW", "beta");
        let app = TestApp::start(&place, 2).await;
        subgraph.set_latest(&["wa_ada"]);
        let query = "{ latest { followers } }";
        for (client, followers, is_more) in
            [(ada.client.at(&app.url), 99, true), (eve.client.at(&app.url), 6, false), (app.client(), 6, false)]
        {
            let answer = client.query(query).await.body;
            assert_eq!(answer["data"], json!({ "latest": [{ "followers": followers }] }), "{answer:#}");
            assert_eq!(more.calls().is_empty(), !is_more);
        }
    }

    async fn an_event_is_completed_over_two_other_subgraphs(place: Place) {
        let mut place = place;
        let subgraph = join(&mut place).await;
        let more = join_more(&mut place, &more("likes: Int"), json!({ "likes": 3 })).await;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let query = "subscription { followed { likes externalId status followers } }";
        let mut socket = follow(&ada.client, query).await;
        subgraph.until_followed_by(1).await;
        for _ in 0..2 {
            subgraph.tell("wa_ada");
            let event = answer(&mut socket).await.unwrap();
            let wanted = json!({ "likes": 3, "externalId": "wa_ada", "status": "ACTIVE", "followers": 6 });
            assert_eq!((&event["data"]["followed"], event.get("errors")), (&wanted, None), "{event:#}");
            assert_eq!(event["data"]["followed"].to_string(), wanted.to_string(), "in the order of the operation");
        }
        assert_eq!(more.calls().len(), 2);
        // One of them has nothing to say: the rest of the event comes.
        more.answer_instead(json!({ "errors": [{ "message": "not now" }] }));
        subgraph.tell("wa_ada");
        let event = answer(&mut socket).await.unwrap();
        let wanted = json!({ "likes": null, "externalId": "wa_ada", "status": "ACTIVE", "followers": 6 });
        assert_eq!(event["data"]["followed"], wanted, "{event:#}");
        assert_eq!(event["errors"][0]["message"], "not now", "{event:#}");
    }
}
