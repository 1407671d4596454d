//! Which profiles may sign in, and that one always can.

use std::time::{Duration, Instant};

use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::session;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait;
use serde_json::json;

use crate::support::links::until_status;
use crate::support::{Answer, Client, ServerProcess, Stack, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

on_both_stacks! {
    async fn a_profile_signs_in_only_while_its_owner_lets_it(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let by_grace = app.client().sign_in(&place, GRACE).await.client;
        let mut tab = ada.client.socket().await;
        let begin = ada.client.query("{ viewer { eventCursor } }").await.field()["eventCursor"].clone();
        let follow = "subscription($after: String) { accountEvents(after: $after) { __typename ... on ProfileChange { profile { id signInEnabled } } } }";
        tab.subscribe("account", follow, json!({ "after": begin })).await;
        // No step-up: the contract asks for none.
        let off = ada.client.set_sign_in(&grace, false).await;
        assert_eq!(off.field()["profile"], json!({ "id": grace, "status": "ACTIVE", "signInEnabled": false }));
        assert_eq!(off.field()["account"]["version"], 7);
        let heard = tab.event("account", "accountEvents").await;
        assert_eq!(heard, json!({ "__typename": "ProfileChange", "profile": { "id": grace, "signInEnabled": false } }));
        assert_eq!(sign_in(&place, app.client(), GRACE).await, ["SIGN_IN_DISABLED"]);
        // What it has opened stays.
        by_grace.start_link("+4917139200060").await.field();
        assert_eq!(ada.client.set_sign_in(&grace, false).await.field()["account"]["version"], 7, "it is so already");
        let on = ada.client.set_sign_in(&grace, true).await;
        assert_eq!((&on.field()["profile"]["signInEnabled"], &on.field()["account"]["version"]), (&json!(true), &json!(8)));
        app.client().sign_in(&place, GRACE).await;
        let activity = ada.client.query("{ viewer { activity(first: 2, kinds: [LINK]) { nodes { kind description profile { id } } } } }").await;
        assert_eq!(activity.field()["activity"]["nodes"], json!([
            { "kind": "LINK", "description": "WhatsApp +49 ··· ·· 43 may be used to sign in.", "profile": { "id": grace } },
            { "kind": "LINK", "description": "WhatsApp +49 ··· ·· 43 may not be used to sign in any more.",
              "profile": { "id": grace } },
        ]));
    }

    async fn s12_the_last_way_to_sign_in_cannot_be_disabled(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let own = ada.profiles().await[0].clone();
        let refused = ada.set_sign_in(&own, false).await;
        assert_eq!(refused.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(refused.field()["userErrors"][0]["path"], json!(["profileId"]));
        let grace = ada.linked(&place, GRACE).await;
        ada.set_sign_in(&grace, false).await.field();
        assert_eq!(ada.set_sign_in(&own, false).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(ada.unlink(&own).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        ada.set_sign_in(&grace, true).await.field();
        // One that is held does not count.
        place.sandbox.set_state("wa_grace", "deactivated").await;
        until_status(&place.database().await, &grace, LinkStatus::Suspended).await;
        assert_eq!(ada.set_sign_in(&own, false).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(ada.set_sign_in(&grace, false).await.user_errors(), [""; 0]);
    }

    async fn a_platform_without_sign_in_is_no_way(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        ada.client.set_sign_in(&grace, false).await.field();
        app.stop().await;
        place.set("ACCOUNTS__PLATFORMS__WHATSAPP__SIGN_IN", false);
        let app = place.app().await;
        let refused = app.renewed(&ada).set_sign_in(&grace, true).await;
        assert_eq!(refused.user_errors(), ["UNSUPPORTED_BY_PLATFORM"]);
        assert_eq!(refused.field()["userErrors"][0]["path"], json!(["profileId"]));
        // Nothing signs in here now: what is the last way is not taken away.
        assert_eq!(app.renewed(&ada).set_sign_in(&own, false).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
    }

    async fn one_that_is_gone_signs_in_no_more(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let grace = ada.linked(&place, GRACE).await;
        ada.unlink(&grace).await.field();
        app.advance(&place, 24 * 3600).await;
        until_status(&place.database().await, &grace, LinkStatus::Unlinked).await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        for enabled in [true, false] {
            assert_eq!(ada.set_sign_in(&grace, enabled).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        }
    }

    /// Each tab pauses between its look at what else can sign in and what it does, whichever way it goes about it.
    async fn s12_two_tabs_that_take_the_last_two_away_at_once(place: Place) {
        let points = "profile::unlink-checked=return(300);profile::sign-in-checked=return(300)";
        let slow = [("FAILPOINTS", points.to_owned())];
        let server = ServerProcess::start_with(&place, &slow).await;
        let other = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(ServerProcess::start_with(&place, &slow).await),
        };
        let first = server.client().sign_in(&place, ADA).await.client;
        let profiles = [first.profiles().await[0].clone(), first.linked(&place, GRACE).await];
        let second = server.client().sign_in(&place, GRACE).await.client;
        let second = second.at(&other.as_ref().unwrap_or(&server).url);
        // As if both tabs had been opened by something else: else unlinking would sign one of them out.
        let by_nobody = session::ActiveModel { opened_by_profile_id: Set(None), ..Default::default() };
        session::Entity::update_many().set(by_nobody).exec(&place.database().await).await.unwrap();
        for (unlinks_first, unlinks_second) in [(false, false), (true, false), (false, true)] {
            let begin = Instant::now();
            let (one, other) = tokio::join!(
                take_away(&first, &profiles[0], unlinks_first),
                take_away(&second, &profiles[1], unlinks_second),
            );
            assert!(begin.elapsed() >= Duration::from_millis(300), "nothing paused");
            let mut errors = [one.user_errors().concat(), other.user_errors().concat()];
            errors.sort();
            assert_eq!(errors, ["", "LAST_SIGN_IN_METHOD"]);
            for profile in &profiles {
                first.keep(profile).await.field();
                first.set_sign_in(profile, true).await.field();
            }
        }
    }
}

async fn take_away(tab: &Client, profile: &str, unlinks: bool) -> Answer {
    if unlinks { tab.unlink(profile).await } else { tab.set_sign_in(profile, false).await }
}

/// The user errors of a sign-in.
async fn sign_in(place: &crate::support::Place, client: Client, handle: &str) -> Vec<String> {
    let before = place.sandbox.codes(handle).await.len();
    let started = client.start_sign_in(handle).await;
    let code = place.sandbox.nth_code(handle, before + 1).await;
    let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
    let done = client.submit(id, secret, &code).await;
    done.user_errors().into_iter().map(str::to_owned).collect()
}
