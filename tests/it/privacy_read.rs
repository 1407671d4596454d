//! What a profile shares at its platform is read when it is linked, and when it has changed.

use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::{job, profile_privacy};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait,
    QueryFilter,
};
use serde_json::{Value, json};

use crate::command_line::printed;
use crate::support::links::until_status;
use crate::support::webhooks::{Sender, about};
use crate::support::{eventually, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const READ: &str = "GET /profiles/{external_id}/privacy";
const DAY: i64 = 24 * 3600;

async fn kept(db: &DatabaseConnection, profile: &str) -> Option<(i64, Value)> {
    let row = profile_privacy::Entity::find_by_id(uuid_of(profile)).one(db).await.unwrap();
    row.map(|row| (row.revision, row.settings))
}

async fn until_kept(db: &DatabaseConnection, profile: &str, revision: i64) -> Value {
    eventually("the settings are read", async || {
        kept(db, profile).await.filter(|(kept, _)| *kept == revision).map(|(_, settings)| settings)
    })
    .await
}

async fn idle(db: &DatabaseConnection) {
    eventually("nothing is read", async || {
        let left = job::Entity::find().filter(job::Column::Kind.eq("read_privacy")).count(db).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}

on_both_stacks! {
    async fn settings_are_read_at_linking_and_follow_the_platform(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        place.sandbox.change_privacy("whatsapp", "wa_grace", json!({ "last_seen": "nobody" })).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        assert_eq!(until_kept(&db, &own, 0).await, json!({}));
        assert_eq!(until_kept(&db, &grace, 1).await, json!({ "last_seen": "nobody" }));
        // A person changes them there, and the platform says so.
        place.sandbox.change_privacy("whatsapp", "wa_grace", json!({ "last_seen": "contacts", "about": "x" })).await;
        assert_eq!(until_kept(&db, &grace, 2).await, json!({ "last_seen": "contacts", "about": "x" }));
        // They stay for as long as there is a way back, and no longer.
        ada.client.unlink(&grace).await.field();
        place.sandbox.change_privacy("whatsapp", "wa_grace", json!({ "about": "y" })).await;
        until_kept(&db, &grace, 3).await;
        app.advance(&place, DAY).await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
        assert_eq!(kept(&db, &grace).await, None);
        idle(&db).await;
        app.stop().await;
        printed(&place, &["account", "erase", &ada.account, "--yes", &ada.account, "--operator", "root"]).await;
        assert_eq!(profile_privacy::Entity::find().count(&db).await.unwrap(), 0);
    }

    async fn s26_a_lower_revision_never_takes_the_place_of_a_higher_one(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        until_kept(&db, &own, 0).await;
        // Another read was faster, and has seen what came later.
        let newer = profile_privacy::ActiveModel {
            profile_id: Set(uuid_of(&own)),
            revision: Set(5),
            settings: Set(json!({ "about": "new" })),
            ..Default::default()
        };
        newer.update(&db).await.unwrap();
        place.sandbox.change_privacy("whatsapp", "wa_ada", json!({ "about": "old" })).await;
        eventually("it was read", async || (place.sandbox.requests(READ).await.0 >= 2).then_some(())).await;
        idle(&db).await;
        assert_eq!(kept(&db, &own).await, Some((5, json!({ "about": "new" }))));
    }

    async fn s34_a_change_that_is_told_twice_is_read_once(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        app.client().sign_in(&place, ADA).await;
        idle(&db).await;
        let before = place.sandbox.requests(READ).await.0;
        let (send, body) = (Sender::new(&app), about("privacy.changed", "wa_ada"));
        let headers = send.signed("m1", 0, &body);
        for _ in 0..3 {
            assert_eq!(send.to("whatsapp", &headers, &body).await, 204);
        }
        let nobody = about("privacy.changed", "wa_nobody");
        assert_eq!(send.to("whatsapp", &send.signed("m2", 0, &nobody), &nobody).await, 204);
        idle(&db).await;
        assert_eq!(place.sandbox.requests(READ).await.0, before + 1);
    }

    async fn s40_settings_that_cannot_be_kept_are_not_and_no_error_quotes_them(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        until_kept(&db, &own, 0).await;
        // A character that no database keeps, and more than there is room for.
        for (bad, at) in [("quoted \u{0}".to_owned(), 1), ("quoted ".repeat(2000), 3)] {
            place.sandbox.change_privacy("whatsapp", "wa_ada", json!({ "a": bad })).await;
            let job = eventually("the read has failed", async || {
                let waiting = job::Entity::find().filter(job::Column::Kind.eq("read_privacy"));
                waiting.one(&db).await.unwrap().filter(|job| job.last_error.is_some())
            }).await;
            let error = job.last_error.unwrap();
            assert!(error.contains("not of the contract") && !error.contains("quoted"), "{error}");
            assert_ne!(kept(&db, &own).await.unwrap().0, at);
            // Once it makes sense, it is kept.
            place.sandbox.change_privacy("whatsapp", "wa_ada", json!({ "a": "good" })).await;
            assert_eq!(until_kept(&db, &own, at + 1).await, json!({ "a": "good" }));
            app.advance(&place, 60).await;
            idle(&db).await;
        }
    }
}
