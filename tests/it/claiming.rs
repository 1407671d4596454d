//! Claiming a profile that is linked to somebody else, as when a number has changed hands.

mod parts;

use std::time::Duration;

use accounts_center::account;
use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::{job, profile_claim, verification};
use chrono::TimeDelta;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QuerySelect, Statement, TransactionTrait,
};
use serde_json::{Value, json};

use parts::{
    ACTIVITY, Claimed, alert, checkup, claim, claims_in, linked_of, proved_in_vain, refreshed, revoke,
    settled, signed_in_with_refresh, told, try_sign_in, until_linked, until_none, until_waits,
};

use crate::support::links::{LinkEvent, connect, link_events, profile_row, until_status};
use crate::support::webhooks::idle;
use crate::support::{Stack, eventually, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const HOURS_72: i64 = 72 * 3600;
const LOOK: &str = "GET /profiles/{external_id}";

on_both_stacks! {
    async fn what_its_owner_does_not_prove_in_72_hours_goes_to_the_claimant(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, profile, verification } = Claimed::make(&place, &app).await;
        let own = ada.client.profiles().await.into_iter().find(|id| *id != profile).unwrap();
        let connection = connect(&db, &own, &profile, &[Experience::Messaging]).await;
        let claimed = claim(&eve.client, &verification).await;
        let expected = json!({ "id": verification, "status": "FAILED", "failure": "PROFILE_LINKED_ELSEWHERE",
            "profile": null, "platform": { "key": "whatsapp" } });
        assert_eq!(claimed.field(), &json!({ "verification": expected, "userErrors": [] }), "and nothing of the other");
        // A second click, and a second proof, are the same claim.
        assert_eq!(claim(&eve.client, &verification).await.body, claimed.body);
        let again = eve.client.link(&place, GRACE).await.field()["verification"]["id"].clone();
        assert_eq!(claim(&eve.client, &again).await.user_errors(), [""; 0]);
        until_none(&db, &["tell_claimed_owner"]).await;
        let told = told(&ada.client).await;
        let text = "Somebody else has proved WhatsApp +49 ··· ·· 43. \
            Prove it again before 2027-01-18 08:00 UTC, or it goes to them.";
        assert_eq!(told, [json!({ "description": text, "profile": { "id": profile } })], "the owner is told, once");
        assert_eq!(claims_in(&eve.client).await, Vec::<Value>::new());
        // Both are warned, each of their own side.
        assert_eq!(alert(&ada.client, "PROFILE_CLAIMED").await["profile"]["id"], profile);
        let warned = alert(&eve.client, "PROFILE_CLAIM_STARTED").await;
        assert_eq!((&warned["profile"], &warned["session"]["id"]), (&Value::Null, &json!(eve.session)));
        let own = eve.client.query(ACTIVITY).await.field()["activity"]["nodes"][0]["description"].clone();
        assert_eq!(own, "A profile of another account was claimed from here.");
        assert_eq!(checkup(&ada.client).await[0], "REVERIFY_PROFILE");
        assert!(!checkup(&eve.client).await.contains(&"REVERIFY_PROFILE".to_owned()));

        app.advance(&place, HOURS_72 - 1).await;
        let early = app.client().sign_in(&place, EVE).await.client;
        assert_eq!(early.profiles().await.len(), 1);
        assert_eq!(profile_row(&db, &profile).await.status, LinkStatus::Active);
        app.advance(&place, 1).await;
        until_status(&db, &profile, LinkStatus::Unlinked).await;
        let eves = until_linked(&db, &eve).await;
        assert_eq!((eves.status, eves.external_id.as_str()), (LinkStatus::Active, "wa_grace"));
        assert_eq!(link_events(&db, &ada.account, 5).await, [
            LinkEvent::Status(Some(Status::Active), Status::Unlinked, Reason::ClaimedByNewOwner),
            LinkEvent::Connection(connection, false),
        ]);
        assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0);
        let ada = app.client().sign_in(&place, ADA).await;
        assert_eq!(ada.client.profile(&profile).await["statusReason"], "CLAIMED_BY_NEW_OWNER");
        assert!(!checkup(&ada.client).await.contains(&"REVERIFY_PROFILE".to_owned()));
        // It is linked as any profile is, but signs in only once its new owner says so.
        let eves_profile = format!("profile_{}", eves.id.simple());
        let client = app.renewed(&eve);
        assert_eq!(alert(&client, "PROFILE_LINKED").await["profile"]["id"], eves_profile);
        assert_eq!(try_sign_in(&place, &app.client(), GRACE).await.user_errors(), ["SIGN_IN_DISABLED"]);
        client.set_sign_in(&eves_profile, true).await.field();
        assert_eq!(app.client().sign_in(&place, GRACE).await.account, eve.account);
    }

    /// Who is signed out has no claim any more, however they are, and hands over nothing.
    async fn a_claim_ends_with_the_session_that_made_it(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, profile, .. } = Claimed::make(&place, &app).await;
        place.sandbox.add_profile("wa_eve2", "+4917139200051").await;
        let second = eve.client.linked(&place, "+4917139200051").await;
        app.advance(&place, 3600).await;
        eventually("the first proof is forgotten", async || {
            (profile_claim::Entity::find().count(&db).await.unwrap() == 0).then_some(())
        }).await;
        for way in ["revoke", "everywhere", "reuse", "contain"] {
            // In a moment of its own each.
            app.advance(&place, 60).await;
            let handle = if way == "contain" { "+4917139200051" } else { EVE };
            let (thief, refresh) = signed_in_with_refresh(&place, &app, handle).await;
            let verification = proved_in_vain(&place, &thief.client).await;
            // In no other session.
            let other = app.renewed(&eve);
            assert_eq!(claim(&other, &verification).await.user_errors(), ["VERIFICATION_CLOSED"], "{way}");
            claim(&thief.client, &verification).await.field();
            until_none(&db, &["tell_claimed_owner"]).await;
            assert_eq!(checkup(&app.renewed(&ada)).await[0], "REVERIFY_PROFILE", "{way}");
            // The end of another one changes nothing.
            let bystander = app.client().sign_in(&place, EVE).await;
            revoke(&app.renewed(&eve), &bystander.session).await;
            assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 1, "{way}");
            match way {
                "revoke" => revoke(&app.renewed(&eve), &thief.session).await,
                "everywhere" => {
                    let query = "mutation($input: SignOutEverywhereInput!) { signOutEverywhere(input: $input) { userErrors { code } } }";
                    app.renewed(&eve).mutate(query, json!({ "keepCurrent": true })).await.field();
                }
                "reuse" => {
                    refreshed(&app.client(), &refresh).await.field();
                    app.advance(&place, 60).await;
                    assert_eq!(refreshed(&app.client(), &refresh).await.error_code(), "UNAUTHENTICATED");
                }
                _ => drop(app.renewed(&eve).contain(&second).await.field()),
            }
            assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0, "{way}");
            assert_ne!(checkup(&app.renewed(&ada)).await.first().map(String::as_str), Some("REVERIFY_PROFILE"), "{way}");
        }
        // Nor a proof that was not claimed yet.
        let thief = app.client().sign_in(&place, EVE).await;
        proved_in_vain(&place, &thief.client).await;
        revoke(&app.renewed(&eve), &thief.session).await;
        assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0);
        app.advance(&place, HOURS_72).await;
        settled(&db).await;
        assert_eq!(profile_row(&db, &profile).await.status, LinkStatus::Active);
    }

    /// Neither takes the time of an owner who could do nothing, nor is anybody unlinked for what nobody gets.
    async fn a_claim_waits_while_its_owner_cannot_prove_the_profile(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, profile, verification } = Claimed::make(&place, &app).await;
        claim(&eve.client, &verification).await.field();
        told(&ada.client).await;
        idle(&db).await;
        place.sandbox.set_state("wa_grace", "deactivated").await;
        until_status(&db, &profile, LinkStatus::Suspended).await;
        app.advance(&place, HOURS_72).await;
        eventually("its time stands still", async || {
            let claim = profile_claim::Entity::find().one(&db).await.unwrap().unwrap();
            claim.due_at.is_none().then_some(())
        }).await;
        until_waits(&db, "tell_claimed_owner").await;
        assert_eq!(profile_row(&db, &profile).await.status, LinkStatus::Suspended);
        assert!(!checkup(&app.renewed(&ada)).await.contains(&"REVERIFY_PROFILE".to_owned()));

        // Once they can, they are told anew, and have all of their time.
        place.sandbox.set_state("wa_grace", "active").await;
        until_status(&db, &profile, LinkStatus::Active).await;
        app.advance(&place, 3600).await;
        eventually("the owner is told again", async || {
            (claims_in(&app.renewed(&ada)).await.len() == 2).then_some(())
        }).await;
        let due_at = async || profile_claim::Entity::find().one(&db).await.unwrap().unwrap().due_at;
        assert_eq!(due_at().await, Some(app.app().clock.now() + TimeDelta::hours(72)));

        // Who is locked out of their account cannot either.
        assert!(account::lock(app.app(), ada.account_id(), "root").await.unwrap());
        app.advance(&place, HOURS_72).await;
        eventually("it stands still again", async || due_at().await.is_none().then_some(())).await;
        until_waits(&db, "tell_claimed_owner").await;
        assert_eq!(profile_row(&db, &profile).await.status, LinkStatus::Active);
        assert!(account::unlock(app.app(), ada.account_id(), "root").await.unwrap());
        app.advance(&place, 3600).await;
        let due_at = eventually("it goes on", async || due_at().await).await;
        assert_eq!(due_at, app.app().clock.now() + TimeDelta::hours(72));
        app.advance(&place, HOURS_72 - 1).await;
        assert_eq!(profile_row(&db, &profile).await.status, LinkStatus::Active);
        app.advance(&place, 1).await;
        until_status(&db, &profile, LinkStatus::Unlinked).await;
        until_linked(&db, &eve).await;
    }

    async fn a_claim_outlives_what_its_platform_and_its_verification_do(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__RETENTION__PERIOD_SECONDS", 1);
        place.set("ACCOUNTS__RETENTION__VERIFICATIONS_DAYS", 1);
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, verification, .. } = Claimed::make(&place, &app).await;
        claim(&eve.client, &verification).await.field();
        told(&ada.client).await;
        app.advance(&place, 48 * 3600).await;
        eventually("old verifications are gone, but for that one", async || {
            let left = verification::Entity::find().all(&db).await.unwrap();
            (left.len() == 1 && left[0].id == uuid_of(verification.as_str().unwrap())).then_some(())
        }).await;
        // Its platform says that it knows nothing of the profile, for many times as long as a job lives.
        place.sandbox.faults(json!({ "status": 404 })).await;
        app.advance(&place, 24 * 3600).await;
        for _ in 0..12 {
            app.advance(&place, 3600).await;
            eventually("it is tried once more, and put back", async || {
                let jobs = job::Entity::find().filter(job::Column::Kind.eq("settle_claim")).all(&db).await.unwrap();
                let now = app.app().clock.now();
                (jobs.len() == 1 && jobs[0].run_at > now && jobs[0].last_error.is_some()).then_some(())
            }).await;
        }
        assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 1);
        place.sandbox.faults(json!({})).await;
        app.advance(&place, 3600).await;
        until_linked(&db, &eve).await;
        eventually("and that one with its claim", async || {
            (verification::Entity::find().count(&db).await.unwrap() == 0).then_some(())
        }).await;
    }

    /// Whatever became of its jobs: who claims anew is not told that all is well while nothing happens.
    async fn a_claim_whose_jobs_died_goes_on_when_it_is_made_again(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { eve, verification, .. } = Claimed::make(&place, &app).await;
        claim(&eve.client, &verification).await.field();
        until_none(&db, &["tell_claimed_owner"]).await;
        job::Entity::delete_many().filter(job::Column::Kind.eq("settle_claim")).exec(&db).await.unwrap();
        app.advance(&place, HOURS_72).await;
        let later = app.client().sign_in(&place, EVE).await.client;
        let again = proved_in_vain(&place, &later).await;
        claim(&later, &again).await.field();
        until_linked(&db, &eve).await;
    }

    /// The first one wins, also where a later one is due before, or the profile has no owner for a moment.
    async fn of_two_claimants_the_first_one_wins(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, profile, verification } = Claimed::make(&place, &app).await;
        place.sandbox.add_profile("wa_mallory", "+4917139200052").await;
        let mallory = app.client().sign_in(&place, "+4917139200052").await;
        let late = proved_in_vain(&place, &mallory.client).await;
        claim(&eve.client, &verification).await.field();
        until_none(&db, &["tell_claimed_owner"]).await;
        // As if hers had to wait for long.
        let later = app.app().clock.now() + chrono::TimeDelta::hours(200);
        job::Entity::update_many()
            .col_expr(job::Column::RunAt, Expr::val(later))
            .filter(job::Column::Kind.eq("settle_claim"))
            .exec(&db).await.unwrap();
        app.advance(&place, 60).await;
        claim(&mallory.client, &late).await.field();
        eventually("and again", async || (claims_in(&ada.client).await.len() == 2).then_some(())).await;
        // The later one is due, and waits.
        app.advance(&place, HOURS_72).await;
        until_waits(&db, "settle_claim").await;
        assert_eq!(profile_row(&db, &profile).await.status, LinkStatus::Active);
        // The profile has nobody, and the later one's job comes by.
        app.client().sign_in(&place, ADA).await.client.unlink(&profile).await.field();
        app.advance(&place, 24 * 3600).await;
        until_status(&db, &profile, LinkStatus::Unlinked).await;
        idle(&db).await;
        let asked = place.sandbox.requests(LOOK).await.0;
        eventually("it comes by", async || {
            // Again, if it was just being put off: then that counts from later on.
            app.advance(&place, 3600).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            (place.sandbox.requests(LOOK).await.0 > asked).then_some(())
        }).await;
        until_waits(&db, "settle_claim").await;
        assert_eq!(linked_of(&db, &mallory).await.len(), 1);
        app.advance(&place, 200 * 3600).await;
        until_linked(&db, &eve).await;
        assert_eq!(linked_of(&db, &mallory).await.len(), 1);
        assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0);
    }

    async fn any_proof_by_its_owner_ends_a_claim(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, profile, verification } = Claimed::make(&place, &app).await;
        let mut verification = verification;
        for round in 0..5 {
            if round != 4 {
                claim(&eve.client, &verification).await.field();
                eventually("the owner is told", async || {
                    (told(&ada.client).await.len() == round + 1).then_some(())
                }).await;
            }
            match round {
                0 => drop(ada.client.reverify(&place, &profile, GRACE).await.field()),
                1 => assert_eq!(app.client().sign_in(&place, GRACE).await.account, ada.account),
                2 => drop(ada.client.step_up(&place, &profile, GRACE).await.field()),
                // The last time it is proved before it is claimed.
                _ => assert_eq!(ada.client.linked(&place, GRACE).await, profile),
            }
            assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0, "round {round}");
            let late = claim(&eve.client, &verification).await;
            assert_eq!(late.user_errors(), ["VERIFICATION_EXPIRED"]);
            assert_eq!(late.field()["userErrors"][0]["path"], json!(["verificationId"]));
            verification = proved_in_vain(&place, &eve.client).await;
        }
        app.advance(&place, HOURS_72).await;
        settled(&db).await;
        assert_eq!(profile_row(&db, &profile).await.status, LinkStatus::Active);
    }

    async fn only_a_proof_of_what_is_linked_elsewhere_claims_it(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, verification, .. } = Claimed::make(&place, &app).await;
        place.sandbox.add_profile("wa_free", "+4917139200060").await;
        let good = eve.client.link(&place, "+4917139200060").await.field()["verification"]["id"].clone();
        let open = eve.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let own = eve.client.profiles().await[0].clone();
        let again = eve.client.start_reverification(&own).await.field()["verification"]["id"].clone();
        for other in [&good, &open, &again] {
            assert_eq!(claim(&eve.client, other).await.user_errors(), ["VERIFICATION_CLOSED"]);
        }
        // Of another account, of nobody, and no id at all: the same.
        let nobodys = json!("verification_0193f000000070008000000000000001");
        let foreign = claim(&ada.client, &verification).await;
        assert_eq!(foreign.user_errors(), ["NOT_FOUND"]);
        assert_eq!(claim(&ada.client, &nobodys).await.body, foreign.body);
        assert_eq!(claim(&ada.client, &json!("x")).await.body, foreign.body);
        assert_eq!(claim(&app.client(), &verification).await.error_code(), "UNAUTHENTICATED");
        app.advance(&place, 3600).await;
        let late = claim(&app.renewed(&eve), &verification).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_EXPIRED"]);
        eventually("who was behind the handle is forgotten", async || {
            (profile_claim::Entity::find().count(&db).await.unwrap() == 0).then_some(())
        }).await;
        assert_eq!(claims_in(&app.renewed(&ada)).await, Vec::<Value>::new(), "nobody was told");
    }

    async fn what_becomes_of_the_profile_meanwhile_is_looked_at_again(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        // Its owner gives it up by themselves.
        let Claimed { ada, eve, profile, verification } = Claimed::make(&place, &app).await;
        claim(&eve.client, &verification).await.field();
        told(&ada.client).await;
        ada.client.unlink(&profile).await.field();
        app.advance(&place, 24 * 3600).await;
        until_status(&db, &profile, LinkStatus::Unlinked).await;
        app.advance(&place, 48 * 3600).await;
        until_linked(&db, &eve).await;

        // Somebody who has proved it later has it.
        for (n, handle) in ["+4917139200070", "+4917139200071", "+4917139200072"].into_iter().enumerate() {
            place.sandbox.add_profile(&format!("wa_7{n}"), handle).await;
        }
        let owner = app.client().sign_in(&place, "+4917139200070").await;
        let profile = owner.client.linked(&place, "+4917139200071").await;
        let eve = app.client().sign_in(&place, EVE).await;
        let verification = eve.client.link(&place, "+4917139200071").await.field()["verification"]["id"].clone();
        claim(&eve.client, &verification).await.field();
        told(&owner.client).await;
        owner.client.unlink(&profile).await.field();
        let third = app.client().sign_in(&place, "+4917139200072").await;
        let taken = third.client.linked(&place, "+4917139200071").await;
        assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0);
        app.advance(&place, HOURS_72).await;
        settled(&db).await;
        assert_eq!(profile_row(&db, &taken).await.status, LinkStatus::Active);

        // What is deleted at its platform comes to nobody.
        let third = app.client().sign_in(&place, "+4917139200072").await;
        let eve = app.client().sign_in(&place, EVE).await;
        let verification = eve.client.link(&place, "+4917139200071").await.field()["verification"]["id"].clone();
        claim(&eve.client, &verification).await.field();
        told(&third.client).await;
        idle(&db).await;
        place.sandbox.set_state("wa_71", "deleted").await;
        until_status(&db, &taken, LinkStatus::Unlinked).await;
        let before = linked_of(&db, &eve).await.len();
        app.advance(&place, HOURS_72).await;
        eventually("the claim has ended", async || {
            (profile_claim::Entity::find().count(&db).await.unwrap() == 0).then_some(())
        }).await;
        assert_eq!(linked_of(&db, &eve).await.len(), before);
    }

    /// Who links a profile waits for who settles a claim to it before they hold anything themselves.
    async fn who_links_a_claimed_profile_stands_in_nobodys_way(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, profile, verification } = Claimed::make(&place, &app).await;
        claim(&eve.client, &verification).await.field();
        told(&ada.client).await;
        ada.client.unlink(&profile).await.field();
        place.sandbox.add_profile("wa_mallory", "+4917139200052").await;
        let mallory = app.client().sign_in(&place, "+4917139200052").await;
        let mut row = profile_row(&db, &profile).await;
        let settling = async {
            if place.stack == Stack::Embedded {
                return;
            }
            // As a job does that hands it over: first the claim, then the link.
            let tx = db.begin().await.unwrap();
            profile_claim::Entity::find().lock_exclusive().all(&tx).await.unwrap();
            until_status(&db, &profile, LinkStatus::Unlinked).await;
            eventually("somebody waits for a claim", async || {
                let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' AND query LIKE '%profile_claim%'";
                let waiting = Statement::from_string(DbBackend::Postgres, waiting);
                db.query_one_raw(waiting).await.unwrap().map(|_| ())
            }).await;
            row.id = uuid::Uuid::from_u128(1);
            row.account_id = eve.account_id();
            row.into_active_model().reset_all().insert(&tx).await.expect("nobody holds the place of its key");
            tx.rollback().await.unwrap();
        };
        let (linked, ()) = tokio::join!(mallory.client.linked(&place, GRACE), settling);
        assert_eq!(profile_row(&db, &linked).await.status, LinkStatus::Active);
        assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0);
    }

    /// The claim and the proof of its owner at the end of the 72 hours: whoever is first.
    async fn a_claim_that_is_due_and_a_proof_at_once_have_one_winner(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        for round in 0..4 {
            let handles = [0, 1].map(|n| format!("+49171392008{round}{n}"));
            for (n, handle) in handles.iter().enumerate() {
                place.sandbox.add_profile(&format!("wa_8{round}{n}"), handle).await;
            }
            let owner = app.client().sign_in(&place, &handles[0]).await;
            let profile = owner.client.linked(&place, &handles[1]).await;
            let eves = app.client().sign_in(&place, EVE).await.client;
            let verification = eves.link(&place, &handles[1]).await.field()["verification"]["id"].clone();
            claim(&eves, &verification).await.field();
            told(&owner.client).await;
            app.advance(&place, HOURS_72 - 30).await;
            let owner = app.renewed(&owner);
            let started = owner.start_reverification(&profile).await.field()["verification"]["id"].clone();
            let code = place.sandbox.nth_code(&handles[1], 3).await;
            let ((), proved) = tokio::join!(
                async {
                    app.advance(&place, 30).await;
                },
                async {
                    tokio::time::sleep(std::time::Duration::from_millis(40 * round)).await;
                    owner.submit(&started, &Value::Null, &code).await
                },
            );
            eventually("the claim has ended", async || {
                (profile_claim::Entity::find().count(&db).await.unwrap() == 0).then_some(())
            }).await;
            let status = profile_row(&db, &profile).await.status;
            match proved.user_errors()[..] {
                [] => assert_eq!(status, LinkStatus::Active, "round {round}"),
                _ => assert_eq!(status, LinkStatus::Unlinked, "round {round}"),
            }
            let has = linked_of(&db, &eve).await.iter().any(|row| row.external_id == format!("wa_8{round}1"));
            assert_eq!(has, status == LinkStatus::Unlinked, "round {round}");
        }
    }
}
