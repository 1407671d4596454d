//! Looks at what a platform says of a profile: which of them count, and what they take over.

use accounts_center::account::{self, NewProfile};
use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center::platform::{ProfileClaim, ProfileState};
use accounts_center::profile::{self, ProfileWebhook, RefreshProfile};
use accounts_center::store::{Command, Outcome, StreamKind};
use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::{profile_refresh, verification};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::links::{LinkEvent, link_events, profile_row, until_status};
use crate::support::webhooks::{Sender, about, idle, looks};
use crate::support::{Place, START, TestApp, eventually, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const LOOK: &str = "GET /profiles/{external_id}";

on_both_stacks! {
    /// What the platform says between a proof and its link meets no linked profile. Whoever links looks once more.
    async fn what_is_said_right_before_a_link_is_not_lost(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let db = place.database().await;
        let verification = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        until_confirmed(&db, &verification).await;
        deactivate_unheard(&place, &db, "wa_grace").await;
        let linked = ada.client.submit(&verification, &Value::Null, &code).await;
        let grace = linked.field()["outcome"]["profile"]["id"].as_str().unwrap();
        until_status(&db, grace, LinkStatus::Suspended).await;
        assert_eq!(link_events(&db, &ada.account, 1).await, [
            LinkEvent::Status(None, Status::Active, Reason::Verified),
            LinkEvent::Status(Some(Status::Active), Status::Suspended, Reason::PlatformDeactivated),
        ]);
    }

    async fn what_is_said_right_before_a_first_sign_in_is_not_lost(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let started = app.client().start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let code = place.sandbox.nth_code(ADA, 1).await;
        until_confirmed(&db, id).await;
        deactivate_unheard(&place, &db, "wa_ada").await;
        let done = app.client().submit(id, secret, &code).await;
        let account = done.field()["account"]["id"].as_str().unwrap();
        let own = done.field()["account"]["profiles"][0]["id"].as_str().unwrap();
        until_status(&db, own, LinkStatus::Suspended).await;
        let suspended = LinkEvent::Status(Some(Status::Active), Status::Suspended, Reason::PlatformDeactivated);
        assert_eq!(link_events(&db, account, 1).await, [suspended]);
    }

    async fn the_look_behind_a_link_changes_nothing_that_is_so(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let db = place.database().await;
        idle(&db).await;
        assert_eq!(place.sandbox.requests(LOOK).await.0, 2, "one by the proof, one by the link");
        // A proof is what a platform asks for whose credentials have expired: it asks no more.
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        let grace = ada.client.linked(&place, GRACE).await;
        idle(&db).await;
        assert_eq!(profile_row(&db, &grace).await.status, LinkStatus::Active);
        assert_eq!(app.app().store.version(ada.account_id()).await.unwrap(), Some(4));
    }

    /// Two looks at once: the one that began before the newest webhook came has seen what may be no more.
    async fn an_older_look_does_not_overrule_a_newer_one(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        let planted = Planted::link(&app, &place).await;
        let db = place.database().await;
        place.sandbox.set_state("wa_planted", "deactivated").await;
        eventually("it is stored", async || (looks(&db).await == (1, 1)).then_some(())).await;
        place.sandbox.set_state("wa_planted", "deactivated").await;
        eventually("it is stored", async || (looks(&db).await == (2, 2)).then_some(())).await;
        for outdated in [0, 1] {
            profile::refresh(app.app(), planted.look(outdated)).await.unwrap();
        }
        assert_eq!(place.sandbox.requests(LOOK).await.0, 0, "nobody is asked for what does not count");
        assert_eq!(planted.row(&db).await.status, LinkStatus::Active);
        profile::refresh(app.app(), planted.look(2)).await.unwrap();
        assert_eq!(planted.row(&db).await.status, LinkStatus::Suspended);
        assert_eq!(place.sandbox.requests(LOOK).await.0, 1);
        // The one behind the link comes late: it is harmless.
        place.sandbox.faults(json!({ "lose_webhooks": true })).await;
        place.sandbox.set_state("wa_planted", "active").await;
        profile::refresh(app.app(), planted.look(0)).await.unwrap();
        assert_eq!(planted.row(&db).await.status, LinkStatus::Suspended);
    }

    /// It was the newest one when it asked the platform, and no more when the answer came.
    async fn a_look_that_is_overtaken_while_it_asks_is_not_applied(place: Place) {
        let app = TestApp::start_quiet(&place, 1).await;
        let planted = Planted::link(&app, &place).await;
        let db = place.database().await;
        place.sandbox.faults(json!({ "lose_webhooks": true, "latency_ms": 3000 })).await;
        place.sandbox.set_state("wa_planted", "deactivated").await;
        let before = app.app().store.db().statements();
        let look = planted.look(0);
        let (server, asking) = (app.app().clone(), app.app().clone());
        let asking = tokio::spawn(async move { profile::refresh(&asking, look).await });
        eventually("it has made sure of its number", async || {
            (server.store.db().statements() >= before + 2).then_some(())
        }).await;
        let webhook = ProfileWebhook { platform: "whatsapp", id: "newer", external_id: "wa_planted", kind: "profile.updated" };
        profile::look_again(app.app(), webhook).await.unwrap();
        asking.await.unwrap().unwrap();
        assert_eq!(place.sandbox.requests(LOOK).await.0, 1, "it has asked");
        assert_eq!(planted.row(&db).await.status, LinkStatus::Active);
        place.sandbox.faults(json!({})).await;
        profile::refresh(app.app(), planted.look(1)).await.unwrap();
        assert_eq!(planted.row(&db).await.status, LinkStatus::Suspended);
    }

    async fn what_a_platform_shows_of_a_profile_follows_it(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let mut tab = ada.client.socket().await;
        let cursor = tab.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription($after: String) { accountEvents(after: $after) { __typename occurredAt
            ... on ProfileChange { profile { id handle displayName avatarUrl status } } } }";
        tab.subscribe("events", query, json!({ "after": cursor })).await;
        let change = json!({ "handle": "+4917139200077", "display_name": "Ada L.",
            "avatar_url": "https://cdn.example/ada.png" });
        place.sandbox.change_profile("wa_ada", change).await;
        assert_eq!(tab.event("events", "accountEvents").await, json!({
            "__typename": "ProfileChange", "occurredAt": "2027-01-15T08:00:00.000Z",
            "profile": { "id": own, "handle": "+49 ··· ·· 77", "displayName": "Ada L.",
                "avatarUrl": "https://cdn.example/ada.png", "status": "ACTIVE" } }));
        let hub = ada.client.query("{ viewer { version displayName linkGraph { version profiles { displayName } }
            activity(first: 1) { nodes { kind description profile { id } } } } }").await;
        assert_eq!(hub.field(), &json!({ "version": 3, "displayName": "Ada",
            "linkGraph": { "version": 3, "profiles": [{ "displayName": "Ada L." }] },
            "activity": { "nodes": [{ "kind": "LINK", "profile": { "id": own },
                "description": "WhatsApp +49 ··· ·· 77 has another handle, name or picture." }] } }));
        // It is so already, however often it is said.
        let db = place.database().await;
        let (send, body) = (Sender::new(&app), about("profile.updated", "wa_ada"));
        assert_eq!(send.to("whatsapp", &send.signed("again", 0, &body), &body).await, 204);
        idle(&db).await;
        assert_eq!(app.app().store.version(ada.account_id()).await.unwrap(), Some(3));
        // What changes together with the state is taken over as well; what is gone stays erased.
        place.sandbox.faults(json!({ "lose_webhooks": true })).await;
        place.sandbox.change_profile("wa_ada", json!({ "display_name": "Ada" })).await;
        place.sandbox.faults(json!({})).await;
        place.sandbox.set_state("wa_ada", "deactivated").await;
        until_status(&db, &own, LinkStatus::Suspended).await;
        assert_eq!(profile_row(&db, &own).await.display_name, "Ada");
        place.sandbox.set_state("wa_ada", "deleted").await;
        until_status(&db, &own, LinkStatus::Unlinked).await;
        idle(&db).await;
        assert_eq!(profile_row(&db, &own).await.display_name, "");
        assert_eq!(profile_refresh::Entity::find().count(&db).await.unwrap(), 0, "nobody looks any more");
    }
}

/// Waits until the platform has said whose code it delivered.
async fn until_confirmed(db: &DatabaseConnection, verification: &Value) {
    let id = uuid_of(verification.as_str().unwrap());
    eventually("the proof is confirmed", async || {
        let row = verification::Entity::find_by_id(id).one(db).await.unwrap().unwrap();
        row.sealed_claim.map(|_| ())
    })
    .await;
}

/// Deactivates a profile that nobody has linked; its webhook has come and gone.
async fn deactivate_unheard(place: &Place, db: &DatabaseConnection, external_id: &str) {
    place.sandbox.set_state(external_id, "deactivated").await;
    eventually("the webhook was taken", async || {
        (place.sandbox.requests("webhook").await.1 == 1).then_some(())
    })
    .await;
    assert_eq!(looks(db).await, (0, 0), "it met nobody");
}

/// An account with one profile `wa_planted`, made without running a job.
struct Planted(linked_profile::Model);

impl Planted {
    async fn link(app: &TestApp, place: &Place) -> Self {
        place.sandbox.add_profile("wa_planted", "+4917139200063").await;
        let claim = ProfileClaim {
            external_id: "wa_planted".to_owned(),
            handle: "+4917139200063".to_owned(),
            display_name: "wa_planted".to_owned(),
            avatar_url: None,
            state: ProfileState::Active,
        };
        let platform = app.app().platforms.get("whatsapp").unwrap().clone();
        let id: Uuid = app.app().ids.uuid(START);
        let made = app.app().store.create(id, StreamKind::Account, async |command: &mut Command| {
            let new = NewProfile { platform: &platform.key, claim: &claim, sign_in_enabled: true };
            Ok(Outcome::Commit(account::fill(command, id, &new).await?.unwrap()))
        });
        Self(made.await.unwrap().unwrap())
    }

    fn look(&self, number: i64) -> RefreshProfile {
        RefreshProfile { account: self.0.account_id, profile: self.0.id, number, proved: false }
    }

    async fn row(&self, db: &DatabaseConnection) -> linked_profile::Model {
        linked_profile::Entity::find_by_id(self.0.id).one(db).await.unwrap().unwrap()
    }
}
