//! Calling a verification off.

use accounts_center_entity::verification;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{Answer, Client, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

const CANCEL: &str = "mutation ($input: CancelVerificationInput!) { cancelVerification(input: $input) {
    verification { id status failure challenge { __typename } } userErrors { code message path } } }";

async fn cancel(client: &Client, verification: &Value, client_secret: &Value) -> Answer {
    let input = json!({ "verificationId": verification, "clientSecret": client_secret });
    client.mutate(CANCEL, input).await
}

on_both_stacks! {
    async fn what_is_cancelled_proves_nothing_and_knows_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        // A second time, as after an answer that was lost, it is the same.
        for _ in 0..2 {
            let cancelled = cancel(&ada, &verification, &Value::Null).await;
            assert_eq!(
                *cancelled.field(),
                json!({
                    "verification": {
                        "id": verification, "status": "CANCELLED", "failure": null, "challenge": null,
                    },
                    "userErrors": [],
                })
            );
        }
        assert_eq!(ada.submit(&verification, &Value::Null, &code).await.user_errors(), ["VERIFICATION_CLOSED"]);
        assert_eq!(ada.resend(&verification, &Value::Null).await.user_errors(), ["VERIFICATION_CLOSED"]);
        let db = place.database().await;
        let id = uuid_of(verification.as_str().unwrap());
        let row = verification::Entity::find_by_id(id).one(&db).await.unwrap().unwrap();
        assert_eq!((row.destination.as_str(), row.sealed_handle, row.external_id), ("", None, None));
        assert_eq!((row.sealed_claim, row.code_hash), (None, None));
        // Nothing was linked, and the profile is free for the next try.
        ada.link(&place, GRACE).await;
    }

    async fn who_started_it_cancels_it_and_nobody_else(place: Place) {
        let app = place.app().await;
        let started = app.client().start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let code = place.sandbox.nth_code(ADA, 1).await;
        let grace = app.client().sign_in(&place, GRACE).await.client;
        for (client, secret) in [
            (&app.client(), &Value::Null),
            (&app.client(), &json!("guessed")),
            (&grace, &Value::Null),
        ] {
            let refused = cancel(client, id, secret).await;
            assert_eq!(refused.user_errors(), ["NOT_FOUND"]);
            assert_eq!(refused.field()["verification"], Value::Null);
        }
        assert_eq!(cancel(&app.client(), &json!("verification_x"), secret).await.user_errors(), ["NOT_FOUND"]);
        assert_eq!(cancel(&app.client(), id, secret).await.field()["verification"]["status"], "CANCELLED");
        assert_eq!(app.client().submit(id, secret, &code).await.user_errors(), ["VERIFICATION_CLOSED"]);
    }

    async fn what_has_ended_is_not_cancelled(place: Place) {
        let app = place.app().await;
        let person = app.client().sign_in(&place, ADA).await;
        let ada = &person.client;
        let linked = ada.link(&place, GRACE).await;
        let verification = &linked.field()["verification"]["id"];
        let late = cancel(ada, verification, &Value::Null).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_CLOSED"]);
        assert_eq!(late.field()["verification"]["status"], "SUCCEEDED");
        let expiring = ada.start_link("+4917139200044").await.field()["verification"]["id"].clone();
        app.advance(&place, 3600).await;
        let late = cancel(&app.renewed(&person), &expiring, &Value::Null).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_EXPIRED"]);
        assert_eq!(late.field()["verification"]["status"], "EXPIRED");
    }
}
