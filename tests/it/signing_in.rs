//! Signing in by one-time code.

use accounts_center_entity::{account, linked_profile, session, stream};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::linking::{PAUSE, slow_servers, timed, until_confirmed};
use crate::support::on_both_stacks;

const ADA: &str = "+4917139200042";

on_both_stacks! {
    /// On PostgreSQL each has looked for the profile's owner before the other one makes an account for it:
    /// only the index knows who comes second.
    async fn s03_two_first_sign_ins_make_one_account(place: Place) {
        let servers = slow_servers(&place).await;
        let clients = [servers[0].client(), servers.last().unwrap().client()];
        let mut proofs = Vec::new();
        for (nth, client) in clients.iter().enumerate() {
            let started = client.start_sign_in(ADA).await;
            let started = started.field();
            let code = place.sandbox.nth_code(ADA, nth + 1).await;
            proofs.push((started["verification"]["id"].clone(), started["clientSecret"].clone(), code));
        }
        let db = place.database().await;
        until_confirmed(&db).await;
        let ((first, first_took), (second, second_took)) = tokio::join!(
            timed(clients[0].submit(&proofs[0].0, &proofs[0].1, &proofs[0].2)),
            timed(clients[1].submit(&proofs[1].0, &proofs[1].1, &proofs[1].2)),
        );
        // A session takes a pause as well, and who finds the account made already takes no other one.
        let waited = [first_took, second_took].into_iter().filter(|took| *took >= 2 * PAUSE).count();
        assert!(waited >= servers.len(), "they did not meet: {first_took:?} and {second_took:?}");
        let (first, second) = (&first.field()["outcome"], &second.field()["outcome"]);
        assert_eq!(first["account"]["id"], second["account"]["id"]);
        let made = [first, second].map(|outcome| outcome["accountCreated"].as_bool().unwrap());
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        for (client, outcome) in clients.iter().zip([first, second]) {
            let signed_in = client.with_token(outcome["tokens"]["accessToken"].as_str().unwrap());
            assert_eq!(signed_in.query("{ viewer { id } }").await.field()["id"], first["account"]["id"]);
        }
        // No orphan: one account, one stream for it beside those of the two verifications, two sessions.
        assert_eq!(account::Entity::find().count(&db).await.unwrap(), 1);
        assert_eq!(linked_profile::Entity::find().count(&db).await.unwrap(), 1);
        assert_eq!(stream::Entity::find().count(&db).await.unwrap(), 3);
        assert_eq!(session::Entity::find().count(&db).await.unwrap(), 2);
    }

    async fn only_whoever_started_it_finishes_it(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let started = client.start_sign_in(ADA).await;
        let id = &started.field()["verification"]["id"];
        let code = place.sandbox.nth_code(ADA, 1).await;
        for secret in [Value::Null, json!(""), json!("AAAA")] {
            assert_eq!(client.submit(id, &secret, &code).await.user_errors(), ["NOT_FOUND"]);
            let look = "query($id: ID!, $secret: Secret) { verification(id: $id, clientSecret: $secret) { status } }";
            let seen = client.run(look, json!({ "id": id, "secret": secret })).await;
            assert_eq!(seen.field(), &Value::Null);
        }
        let done = client.submit(id, &started.field()["clientSecret"], &code).await;
        assert_eq!(done.field()["outcome"]["accountCreated"], true);
        assert_eq!(done.field()["outcome"]["session"]["current"], false, "the request itself was anonymous");
    }

    async fn a_code_runs_out(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let started = client.start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let code = place.sandbox.nth_code(ADA, 1).await;
        app.advance(&place, 599).await;
        assert_eq!(client.submit(id, secret, "nonsense").await.user_errors(), ["CODE_INCORRECT"]);
        app.advance(&place, 1).await;
        let late = client.submit(id, secret, &code).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_EXPIRED"]);
        assert_eq!(late.field()["verification"]["status"], "EXPIRED");
    }

    async fn a_token_lives_for_ten_minutes(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.advance(&place, 599).await;
        assert_eq!(ada.client.query("{ viewer { id } }").await.field()["id"], ada.account);
        app.advance(&place, 1).await;
        let late = ada.client.query("{ viewer { id } }").await;
        assert_eq!(late.error_code(), "UNAUTHENTICATED");
        assert_eq!(late.status, 401);
        assert_eq!(late.body.get("data"), None);
    }

    async fn a_mutation_of_an_ended_session_is_unauthenticated(place: Place) {
        use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let db = place.database().await;
        let mut row = session::Entity::find().one(&db).await.unwrap().unwrap().into_active_model();
        row.revoked_at = Set(Some(app.app().clock.now()));
        row.update(&db).await.unwrap();
        let refused = ada.client.start_link("+4917139200043").await;
        assert_eq!(refused.error_code(), "UNAUTHENTICATED");
        assert_eq!(place.sandbox.codes("+4917139200043").await, Vec::<String>::new());
    }
}
