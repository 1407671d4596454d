//! Two people who claim each other's profiles, at the same moment: neither waits for somebody who waits for them.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::profile_claim;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{Client, Person, Place, ServerProcess, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
const CLAIM: &str =
    "mutation($input: ClaimProfileInput!) { claimProfile(input: $input) { userErrors { code } } }";
/// Whoever has locked claims waits, so that the other one gets as far.
const SLOW: &str = "profile::claims-locked=return(400)";

on_both_stacks! {
    async fn two_claims_that_are_due_at_once_are_settled_without_a_deadlock(place: Place) {
        let mut server = ServerProcess::start(&place).await;
        let people = who_claim_each_other(&place, &server).await;
        server.interrupt().await;
        let (_server, log) = start_slow(&place).await;
        place.sandbox.advance(72 * 3600).await;
        let db = place.database().await;
        eventually("both claims have come to their end", async || {
            (profile_claim::Entity::find().count(&db).await.unwrap() == 0).then_some(())
        }).await;
        let mut linked = Vec::new();
        for person in &people {
            let rows = linked_profile::Entity::find().filter(linked_profile::Column::AccountId.eq(person.account_id()));
            let rows = rows.filter(linked_profile::Column::Status.eq(LinkStatus::Active));
            linked.push(rows.count(&db).await.unwrap());
        }
        linked.sort_unstable();
        // The first to lose a profile loses the session that had claimed the other one.
        assert_eq!(linked, [0, 2]);
        assert_no_deadlock(&log);
    }

    /// Each signs in with what the other one claims, and what they claim themselves ends with the session before.
    async fn two_who_sign_in_at_once_and_end_each_others_claims(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__SESSIONS_PER_ACCOUNT", 1);
        let mut server = ServerProcess::start(&place).await;
        who_claim_each_other(&place, &server).await;
        server.interrupt().await;
        let (server, log) = start_slow(&place).await;
        let (ada, eve) = tokio::join!(sign_in(&place, &server, ADA), sign_in(&place, &server, EVE));
        assert_eq!((ada, eve), (json!("SignedIn"), json!("SignedIn")));
        assert_eq!(profile_claim::Entity::find().count(&place.database().await).await.unwrap(), 0);
        assert_no_deadlock(&log);
    }
}

/// Ada and Eve, each of whom has claimed the other one's only profile; both have been told.
async fn who_claim_each_other(place: &Place, server: &ServerProcess) -> [Person; 2] {
    place.sandbox.add_profile("wa_eve", EVE).await;
    let people = [server.client().sign_in(place, ADA).await, server.client().sign_in(place, EVE).await];
    claim(place, &people[0].client, EVE).await;
    claim(place, &people[1].client, ADA).await;
    let db = place.database().await;
    eventually("both have been told", async || {
        let claims = profile_claim::Entity::find().filter(profile_claim::Column::DueAt.is_not_null());
        (claims.count(&db).await.unwrap() == 2).then_some(())
    })
    .await;
    people
}

async fn claim(place: &Place, client: &Client, handle: &str) {
    let answer = client.link(place, handle).await;
    assert_eq!(answer.user_errors(), ["PROFILE_LINKED_ELSEWHERE"]);
    let verification = &answer.field()["verification"]["id"];
    assert_eq!(client.mutate(CLAIM, json!({ "verificationId": verification })).await.user_errors(), [""; 0]);
}

async fn sign_in(place: &Place, server: &ServerProcess, handle: &str) -> Value {
    let before = place.sandbox.codes(handle).await.len();
    let started = server.client().start_sign_in(handle).await.field().clone();
    let code = place.sandbox.nth_code(handle, before + 1).await;
    let done = server.client().submit(&started["verification"]["id"], &started["clientSecret"], &code).await;
    done.field()["outcome"]["__typename"].clone()
}

/// A server that is slow once it has locked claims, and the file that its log goes to.
async fn start_slow(place: &Place) -> (ServerProcess, std::path::PathBuf) {
    let log = place.folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap().into();
    (ServerProcess::start_logging(place, &[("FAILPOINTS", SLOW.to_owned())], file).await, log)
}

/// A job that was in one is tried again later, and nobody else would notice.
#[track_caller]
fn assert_no_deadlock(log: &std::path::Path) {
    let text = std::fs::read_to_string(log).unwrap();
    assert!(!text.contains("deadlock"), "{text}");
}
