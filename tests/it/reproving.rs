//! A platform that wants its profile proved again, and a sign-in as that proof.

use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::profile_refresh;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseConnection, EntityTrait, IntoActiveModel};
use serde_json::json;

use crate::support::links::{LinkEvent, connect, link_events, profile_row, until_status};
use crate::support::webhooks::idle;
use crate::support::{Client, Place, eventually, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

on_both_stacks! {
    /// With one profile there is no other way to give the proof that is asked for.
    async fn an_account_whose_only_profile_has_to_be_proved_is_not_locked_out(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let db = place.database().await;
        place.sandbox.set_state("wa_ada", "credentials_expired").await;
        until_status(&db, &own, LinkStatus::AttentionRequired).await;
        assert_eq!(ada.client.start_link(GRACE).await.error_code(), "UNAUTHENTICATED", "its sessions have ended");

        let again = app.client().sign_in(&place, ADA).await;
        assert_eq!(again.account, ada.account);
        let proved = again.client.profile(&own).await;
        assert_eq!((&proved["status"], &proved["statusReason"]), (&json!("ACTIVE"), &json!("REVERIFIED")));
        again.client.start_link(GRACE).await.field();
        // The platform may take its time to notice; what it says meanwhile is of before.
        idle(&db).await;
        assert_eq!(link_events(&db, &ada.account, 1).await, [
            LinkEvent::Status(Some(Status::Active), Status::AttentionRequired, Reason::CredentialsExpired),
            LinkEvent::Status(Some(Status::AttentionRequired), Status::Active, Reason::Reverified),
        ]);
        app.client().sign_in(&place, ADA).await;
        idle(&db).await;
        assert_eq!(app.app().store.version(ada.account_id()).await.unwrap(), Some(9), "nothing is left to do");
        again.client.start_link(GRACE).await.field();
        // If it asks once more, it asks once more.
        place.sandbox.set_state("wa_ada", "credentials_expired").await;
        until_status(&db, &own, LinkStatus::AttentionRequired).await;
    }

    /// The proof holds through whatever else is told of the profile while the platform still says that it asks for one;
    /// once it has said otherwise, it may ask anew without a word.
    async fn a_proof_is_not_undone_by_other_news(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        // The one gave its proof by its first sign-in, the other one later.
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        let grace = app.client().sign_in(&place, GRACE).await.client.profiles().await[0].clone();
        let ada = app.client().sign_in(&place, ADA).await.client.profiles().await[0].clone();
        idle(&db).await;
        place.sandbox.set_state("wa_ada", "credentials_expired").await;
        until_status(&db, &ada, LinkStatus::AttentionRequired).await;
        app.client().sign_in(&place, ADA).await;
        idle(&db).await;
        for (name, profile) in [("wa_ada", &ada), ("wa_grace", &grace)] {
            for round in 0..3 {
                place.sandbox.change_profile(name, json!({ "display_name": format!("Name {round}") })).await;
                eventually("the change is there", async || {
                    (profile_row(&db, profile).await.display_name == format!("Name {round}")).then_some(())
                }).await;
                idle(&db).await;
                assert_eq!(profile_row(&db, profile).await.status, LinkStatus::Active, "{name}");
            }
        }
        place.sandbox.set_state("wa_ada", "active").await;
        idle(&db).await;
        eventually("it is known that it asks no more", async || {
            let row = profile_refresh::Entity::find_by_id(uuid_of(&ada)).one(&db).await.unwrap().unwrap();
            (!row.proved).then_some(())
        }).await;
    }

    async fn what_was_paused_by_the_wish_goes_on(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        let connection = connect(&db, &own, &grace, &[Experience::Messaging]).await;
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        until_status(&db, &grace, LinkStatus::AttentionRequired).await;
        app.client().sign_in(&place, GRACE).await;
        assert_eq!(link_events(&db, &ada.account, 4).await, [
            LinkEvent::Status(Some(Status::Active), Status::AttentionRequired, Reason::CredentialsExpired),
            LinkEvent::Connection(connection, true),
            LinkEvent::Status(Some(Status::AttentionRequired), Status::Active, Reason::Reverified),
            LinkEvent::Connection(connection, true),
        ]);
    }

    /// A sign-in meets the wish and nothing else: what is unlinked, contained or may not sign in is not helped by it.
    async fn a_sign_in_lifts_no_other_hold(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        until_status(&db, &grace, LinkStatus::AttentionRequired).await;
        idle(&db).await;
        ada.client.unlink(&grace).await.field();
        assert_eq!(sign_in(&place, app.client()).await, ["SIGN_IN_DISABLED"]);
        assert_eq!(ada.client.keep(&grace).await.field()["profile"]["status"], "ATTENTION_REQUIRED");

        // By hand: a release would need the proof that is asked for here.
        let set = async |contained: bool, sign_in_enabled: bool| {
            let mut row = profile_row(&db, &grace).await.into_active_model();
            row.contained = Set(contained);
            row.status = Set(if contained { LinkStatus::Contained } else { LinkStatus::AttentionRequired });
            row.sign_in_enabled = Set(sign_in_enabled);
            row.update(&db).await.unwrap();
        };
        for (contained, sign_in_enabled) in [(true, true), (false, false)] {
            set(contained, sign_in_enabled).await;
            assert_eq!(sign_in(&place, app.client()).await, ["SIGN_IN_DISABLED"]);
            assert!(profile_row(&db, &grace).await.attention_required);
        }
        set(false, true).await;
        place.sandbox.set_state("wa_grace", "deactivated").await;
        until_status(&db, &grace, LinkStatus::Suspended).await;
        assert_eq!(sign_in(&place, app.client()).await, ["VERIFICATION_FAILED"]);
        assert_eq!(profile_row(&db, &grace).await.status, LinkStatus::Suspended);
    }

    async fn a_first_sign_in_is_such_a_proof_as_well(place: Place) {
        let app = place.app().await;
        place.sandbox.set_state("wa_ada", "credentials_expired").await;
        let ada = app.client().sign_in(&place, ADA).await;
        let db = place.database().await;
        idle(&db).await;
        let own = ada.client.profiles().await[0].clone();
        assert_eq!(profile_row(&db, &own).await.status, LinkStatus::Active);
    }

    /// A look that began before the proof has seen what the proof has met.
    async fn a_look_of_before_the_proof_does_not_bring_the_wish_back(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let db = place.database().await;
        idle(&db).await;
        place.sandbox.set_state("wa_ada", "credentials_expired").await;
        until_status(&db, &own, LinkStatus::AttentionRequired).await;
        idle(&db).await;
        let started = app.client().start_sign_in(ADA).await;
        let code = place.sandbox.nth_code(ADA, 2).await;
        until_no_code_is_left(&db).await;
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        place.sandbox.set_state("wa_ada", "credentials_expired").await;
        eventually("its webhook is stored", async || {
            (crate::support::webhooks::looks(&db).await.1 == 2).then_some(())
        }).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        assert_eq!(app.client().submit(id, secret, &code).await.user_errors(), [""; 0]);
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 4);
        let _app = place.app().await;
        idle(&db).await;
        assert_eq!(profile_row(&db, &own).await.status, LinkStatus::Active);
    }
}

async fn until_no_code_is_left(db: &DatabaseConnection) {
    use accounts_center_entity::job;
    use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
    eventually("each code is delivered", async || {
        let left = job::Entity::find().filter(job::Column::Kind.eq("deliver_code")).count(db).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}

/// The user errors of a sign-in with Grace's next code.
async fn sign_in(place: &Place, client: Client) -> Vec<String> {
    let before = place.sandbox.codes(GRACE).await.len();
    let started = client.start_sign_in(GRACE).await;
    let code = place.sandbox.nth_code(GRACE, before + 1).await;
    let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
    let done = client.submit(id, secret, &code).await;
    done.user_errors().into_iter().map(str::to_owned).collect()
}
