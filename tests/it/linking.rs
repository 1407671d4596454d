//! Linking a profile: what may go wrong, and what the person is told.

use std::time::{Duration, Instant};

use accounts_center_entity::linked_profile;
use accounts_center_entity::verification::{self, Status};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{Place, ServerProcess, Stack, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const UNKNOWN: &str = "+4917139200099";
/// How long a slow server waits between its look for a profile's owner and the row that links the profile.
pub const PAUSE: Duration = Duration::from_secs(1);

on_both_stacks! {
    async fn what_a_person_mistypes_is_a_user_error_with_its_path(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        for (handle, code) in [("+49", "INVALID"), ("", "INVALID"), (&"x".repeat(300), "TOO_LONG")] {
            let answer = ada.start_link(handle).await;
            assert_eq!(answer.user_errors(), [code]);
            assert_eq!(answer.field()["userErrors"][0]["path"], json!(["proof", "oneTimeCode", "handle"]));
            assert_eq!(answer.field()["verification"], Value::Null);
        }
        let link = |platform: &str, key: &str| {
            let input = json!({ "platform": platform, "idempotencyKey": key,
                "proof": { "oneTimeCode": { "handle": GRACE } } });
            let ada = ada.clone();
            async move {
                let query = "mutation($input: StartProfileLinkInput!) {
                    startProfileLink(input: $input) { userErrors { code message path } } }";
                ada.mutate(query, input).await
            }
        };
        let unknown = link("myspace", "k").await;
        assert_eq!(unknown.user_errors(), ["UNKNOWN_PLATFORM"]);
        assert!(unknown.field()["userErrors"][0]["message"].as_str().unwrap().contains("whatsapp"));
        assert_eq!(link("whatsapp", "").await.user_errors(), ["INVALID"]);
        // Nobody was sent anything.
        assert_eq!(place.sandbox.codes(GRACE).await, Vec::<String>::new());
    }

    async fn s02_a_profile_is_linked_once(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;

        let first = ada.link(&place, GRACE).await;
        let profile = first.field()["outcome"]["profile"]["id"].clone();
        let elsewhere = eve.link(&place, GRACE).await;
        assert_eq!(elsewhere.user_errors(), ["PROFILE_LINKED_ELSEWHERE"]);
        assert_eq!(elsewhere.field()["verification"]["status"], "FAILED");
        assert_eq!(elsewhere.field()["verification"]["failure"], "PROFILE_LINKED_ELSEWHERE");
        assert_eq!(elsewhere.field()["account"], Value::Null);
        // The same account doing it twice gets its profile back, and nothing happens.
        let again = ada.link(&place, GRACE).await;
        assert_eq!(again.field()["outcome"]["profile"]["id"], profile);
        assert_eq!(again.field()["account"]["version"], 4);
    }

    /// On PostgreSQL each has looked for the profile's owner before the other one links it: only the index
    /// knows who comes second.
    async fn s02_two_accounts_race_for_one_profile(place: Place) {
        let mut quick = ServerProcess::start(&place).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let ada = quick.client().sign_in(&place, ADA).await;
        let eve = quick.client().sign_in(&place, EVE).await;
        quick.interrupt().await;
        let servers = slow_servers(&place).await;
        let clients = [ada.client.at(&servers[0].url), eve.client.at(&servers.last().unwrap().url)];
        let mut proofs = Vec::new();
        for (nth, client) in clients.iter().enumerate() {
            let verification = client.start_link(GRACE).await.field()["verification"]["id"].clone();
            proofs.push((verification, place.sandbox.nth_code(GRACE, nth + 1).await));
        }
        let db = place.database().await;
        until_confirmed(&db).await;
        let ((first, first_took), (second, second_took)) = tokio::join!(
            timed(clients[0].submit(&proofs[0].0, &Value::Null, &proofs[0].1)),
            timed(clients[1].submit(&proofs[1].0, &Value::Null, &proofs[1].1)),
        );
        // Who finds the profile linked already links nothing, and does not wait.
        let waited = [first_took, second_took].into_iter().filter(|took| *took >= PAUSE).count();
        assert!(waited >= servers.len(), "they did not meet: {first_took:?} and {second_took:?}");
        let mut errors = [first.user_errors().concat(), second.user_errors().concat()];
        errors.sort();
        assert_eq!(errors, ["", "PROFILE_LINKED_ELSEWHERE"]);
        let winner = if first.user_errors().is_empty() { &ada } else { &eve };
        let rows = linked_profile::Entity::find().filter(linked_profile::Column::ExternalId.eq("wa_grace"));
        let owners: Vec<_> = rows.all(&db).await.unwrap().iter().map(|row| row.account_id).collect();
        assert_eq!(owners, [winner.account_id()]);
    }

    async fn an_idempotency_key_makes_one_verification(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let first = ada.start_link_with_key(GRACE, "one").await;
        let (again, at_once) = tokio::join!(
            ada.start_link_with_key("+49 171 392-000-43", "one"),
            ada.start_link_with_key(GRACE, "one"),
        );
        let id = &first.field()["verification"]["id"];
        assert_eq!(&again.field()["verification"]["id"], id);
        assert_eq!(&at_once.field()["verification"]["id"], id);
        assert_eq!(ada.start_link_with_key(UNKNOWN, "one").await.user_errors(), ["IDEMPOTENCY_KEY_REUSED"]);
        assert_ne!(&ada.start_link_with_key(GRACE, "two").await.field()["verification"]["id"], id);
        // A day later the key is forgotten.
        app.advance(&place, 24 * 3600).await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        assert_ne!(&ada.start_link_with_key(GRACE, "one").await.field()["verification"]["id"], id);
    }

    async fn linking_needs_a_step_up_unless_the_account_is_new(place: Place) {
        let app = place.app().await;
        app.client().sign_in(&place, ADA).await;
        app.advance(&place, 50 * 60).await;
        // A session of 9 minutes, an account of 59: allowed twice over.
        let session = app.client().sign_in(&place, ADA).await.client;
        app.advance(&place, 9 * 60).await;
        session.start_link(GRACE).await.field();
        let fresh = app.client().sign_in(&place, ADA).await.client;
        app.advance(&place, 2 * 60).await;
        // Now the account is over an hour old, and only the proof of 2 minutes ago counts.
        fresh.start_link(GRACE).await.field();
        // The other session's proof is 11 minutes old; its token is too, so take a new one by the same session.
        let old = app.app().tokens.sign(viewer(&session), &app.app().ids).unwrap();
        let stale = session.with_token(&old.token).start_link(GRACE).await;
        assert_eq!(stale.error_code(), "STEP_UP_REQUIRED");
    }

    async fn an_account_links_at_most_twenty_profiles(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        for n in 0..19 {
            let handle = format!("+49171392001{n:02}");
            place.sandbox.add_profile(&format!("wa_{n}"), &handle).await;
            ada.link(&place, &handle).await.field();
        }
        assert_eq!(ada.start_link(GRACE).await.user_errors(), ["LIMIT_REACHED"]);
    }

    async fn a_profile_that_is_not_active_cannot_be_linked(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.set_state("wa_grace", "deactivated").await;
        let refused = ada.link(&place, GRACE).await;
        assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(refused.field()["verification"]["failure"], "PROFILE_NOT_ACTIVE");
    }

    async fn a_number_that_changes_hands_between_two_codes_is_its_new_owners(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        place.sandbox.nth_code(GRACE, 1).await;
        place.sandbox.set_state("wa_grace", "deleted").await;
        place.sandbox.add_profile("wa_new_owner", GRACE).await;
        app.advance(&place, 60).await;
        ada.resend(&verification, &Value::Null).await.field();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        assert_eq!(ada.submit(&verification, &Value::Null, &code).await.user_errors(), [""; 0]);
        let profiles = ada.query("{ viewer { profiles { externalId } } }").await;
        assert_eq!(profiles.field()["profiles"][1]["externalId"], "wa_new_owner");
    }

    async fn an_expired_verification_forgets_the_handle(place: Place) {
        let app = place.app().await;
        app.client().start_sign_in(ADA).await.field();
        place.sandbox.nth_code(ADA, 1).await;
        app.advance(&place, 601).await;
        let db = place.database().await;
        eventually("the handle is erased", async || {
            let row = verification::Entity::find().one(&db).await.unwrap().unwrap();
            (row.sealed_handle.is_none() && row.sealed_claim.is_none() && row.code_hash.is_none()).then_some(())
        }).await;
    }

    async fn a_new_code_voids_the_one_before(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let started = ada.start_link(GRACE).await;
        let verification = &started.field()["verification"]["id"];
        let first = place.sandbox.nth_code(GRACE, 1).await;
        assert_eq!(ada.resend(verification, &Value::Null).await.user_errors(), ["RESEND_TOO_EARLY"]);
        app.advance(&place, 60).await;
        ada.resend(verification, &Value::Null).await.field();
        let second = place.sandbox.nth_code(GRACE, 2).await;
        assert_ne!(first, second);
        assert_eq!(ada.submit(verification, &Value::Null, &first).await.user_errors(), ["CODE_INCORRECT"]);
        assert_eq!(ada.submit(verification, &Value::Null, &second).await.user_errors(), [""; 0]);
        assert_eq!(ada.resend(verification, &Value::Null).await.user_errors(), ["VERIFICATION_CLOSED"]);
    }
}

/// Two servers in one place, or one where there can be no more. Who links a profile there waits a [`PAUSE`].
pub async fn slow_servers(place: &Place) -> Vec<ServerProcess> {
    let slow = [("FAILPOINTS", format!("profile::claims-locked=return({})", PAUSE.as_millis()))];
    let mut servers = vec![ServerProcess::start_with(place, &slow).await];
    if place.stack == Stack::Production {
        servers.push(ServerProcess::start_with(place, &slow).await);
    }
    servers
}

/// Waits until the platform has said whose codes it has delivered, so that no proof comes too early.
pub async fn until_confirmed(db: &DatabaseConnection) {
    eventually("each proof is confirmed", async || {
        let rows = verification::Entity::find().all(db).await.unwrap();
        let is_confirmed =
            |row: &verification::Model| row.status != Status::Pending || row.sealed_claim.is_some();
        rows.iter().all(is_confirmed).then_some(())
    })
    .await;
}

/// What somebody's work gives, and how long it takes.
pub async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begin = Instant::now();
    (work.await, begin.elapsed())
}

/// Whom a client's token speaks for.
pub fn viewer(client: &crate::support::Client) -> accounts_center::session::Viewer {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = client.token.as_deref().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let uuid = |claim: &str| claims[claim].as_str().unwrap().split_once('_').unwrap().1.parse().unwrap();
    accounts_center::session::Viewer { account: uuid("sub"), session: uuid("sid") }
}
