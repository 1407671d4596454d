//! Claiming a profile that is linked to somebody else, as when a number has changed hands.

use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::{job, profile_claim};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::links::{LinkEvent, connect, link_events, profile_row, until_status};
use crate::support::webhooks::idle;
use crate::support::{Answer, Client, Person, Place, TestApp, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const HOURS_72: i64 = 72 * 3600;
const CLAIM: &str = "mutation($input: ClaimProfileInput!) { claimProfile(input: $input) {
    verification { id status failure profile { id } platform { key } } userErrors { code message path } } }";
const ACTIVITY: &str = "{ viewer { activity(kinds: [SECURITY]) { nodes { description profile { id } } } } }";

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
        assert_eq!(app.client().sign_in(&place, GRACE).await.account, eve.account);
    }

    async fn any_proof_by_its_owner_ends_a_claim(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let Claimed { ada, eve, profile, verification } = Claimed::make(&place, &app).await;
        let mut verification = verification;
        for round in 0..4 {
            if round != 3 {
                claim(&eve.client, &verification).await.field();
                eventually("the owner is told", async || {
                    (told(&ada.client).await.len() == round + 1).then_some(())
                }).await;
            }
            match round {
                0 => drop(ada.client.reverify(&place, &profile, GRACE).await.field()),
                1 => assert_eq!(app.client().sign_in(&place, GRACE).await.account, ada.account),
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

/// Ada has a profile that Eve has proved in vain.
struct Claimed {
    ada: Person,
    eve: Person,
    profile: String,
    verification: Value,
}

impl Claimed {
    async fn make(place: &Place, app: &TestApp) -> Self {
        let ada = app.client().sign_in(place, ADA).await;
        let profile = ada.client.linked(place, GRACE).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(place, EVE).await;
        let verification = proved_in_vain(place, &eve.client).await;
        Self { ada, eve, profile, verification }
    }
}

async fn proved_in_vain(place: &Place, eve: &Client) -> Value {
    let answer = eve.link(place, GRACE).await;
    assert_eq!(answer.user_errors(), ["PROFILE_LINKED_ELSEWHERE"]);
    answer.field()["verification"]["id"].clone()
}

async fn claim(client: &Client, verification: &Value) -> Answer {
    client.mutate(CLAIM, json!({ "verificationId": verification })).await
}

/// What somebody has been told of claims: what else their security is about names no profile.
async fn claims_in(client: &Client) -> Vec<Value> {
    let nodes = client.query(ACTIVITY).await.field()["activity"]["nodes"].as_array().unwrap().clone();
    nodes.into_iter().filter(|node| !node["profile"].is_null()).collect()
}

/// What the owner has been told, once it is something.
async fn told(owner: &Client) -> Vec<Value> {
    eventually("the owner is told", async || {
        let claims = claims_in(owner).await;
        (!claims.is_empty()).then_some(claims)
    })
    .await
}

/// Waits until no claim waits for its end.
async fn settled(db: &DatabaseConnection) {
    until_none(db, &["settle_claim", "hand_over_claimed", "tell_claimed_owner"]).await;
}

/// Waits until there are no jobs of these kinds.
async fn until_none(db: &DatabaseConnection, kinds: &[&str]) {
    eventually("those jobs are done", async || {
        let kinds = kinds.iter().copied();
        let left = job::Entity::find().filter(job::Column::Kind.is_in(kinds)).count(db).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}

async fn linked_of(db: &DatabaseConnection, person: &Person) -> Vec<linked_profile::Model> {
    let rows =
        linked_profile::Entity::find().filter(linked_profile::Column::AccountId.eq(person.account_id()));
    rows.filter(linked_profile::Column::Status.ne(LinkStatus::Unlinked)).all(db).await.unwrap()
}

/// Waits until GRACE's profile is linked to a person.
async fn until_linked(db: &DatabaseConnection, person: &Person) -> linked_profile::Model {
    eventually("it is linked", async || {
        linked_of(db, person).await.into_iter().find(|row| row.external_id == "wa_grace")
    })
    .await
}
