//! Following a verification, as a page does that waits for a phone.

use serde_json::{Value, json};

use crate::support::{Socket, SocketMessage, Stack, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const FOLLOW: &str = "subscription($id: ID!, $secret: Secret) { verificationUpdated(id: $id, clientSecret: $secret) {
    id status failure profile { handle } challenge { ... on OneTimeCodeChallenge { attemptsLeft resendAvailableAt } } } }";

async fn follow(socket: &mut Socket, id: &Value, secret: &Value) {
    socket.subscribe("it", FOLLOW, json!({ "id": id, "secret": secret })).await;
}

async fn next(socket: &mut Socket) -> Value {
    socket.event("it", "verificationUpdated").await
}

async fn complete(socket: &mut Socket) {
    assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "it" })));
}

on_both_stacks! {
    async fn a_signed_out_device_follows_its_sign_in(place: Place) {
        let app = place.app().await;
        let second = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(place.replica().await),
        };
        let there = app.client().at(second.as_ref().map_or(&app.url, |second| &second.url));
        // With and without an account: the proof changes it from different streams.
        for made in [true, false] {
            let before = place.sandbox.codes(ADA).await.len();
            let started = app.client().start_sign_in(ADA).await;
            let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
            let code = place.sandbox.nth_code(ADA, before + 1).await;
            let mut page = there.socket().await;
            follow(&mut page, id, secret).await;
            let present = next(&mut page).await;
            assert_eq!((&present["status"], &present["challenge"]["attemptsLeft"]), (&json!("PENDING"), &json!(5)));
            app.client().submit(id, secret, "nonsense").await;
            assert_eq!(next(&mut page).await["challenge"]["attemptsLeft"], 4);
            let done = app.client().submit(id, secret, &code).await;
            assert_eq!(done.field()["outcome"]["accountCreated"], made);
            let last = next(&mut page).await;
            assert_eq!((&last["status"], &last["challenge"]), (&json!("SUCCEEDED"), &Value::Null));
            complete(&mut page).await;
            // Whoever comes later is told once how it ended.
            follow(&mut page, id, secret).await;
            assert_eq!(next(&mut page).await["status"], "SUCCEEDED");
            complete(&mut page).await;
        }
    }

    async fn a_verification_that_ends_otherwise_is_told_of(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut page = ada.client.socket().await;
        // Called off.
        let id = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        follow(&mut page, &id, &Value::Null).await;
        assert_eq!(next(&mut page).await["status"], "PENDING");
        let cancel = "mutation($input: CancelVerificationInput!) { cancelVerification(input: $input) { userErrors { code } } }";
        ada.client.mutate(cancel, json!({ "verificationId": id })).await.field();
        assert_eq!(next(&mut page).await["status"], "CANCELLED");
        complete(&mut page).await;
        // Its time is over: nothing is written then, and it is told all the same.
        let id = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        follow(&mut page, &id, &Value::Null).await;
        next(&mut page).await;
        app.advance(&place, 60).await;
        ada.client.resend(&id, &Value::Null).await.field();
        let resent = next(&mut page).await;
        assert_eq!(resent["challenge"]["resendAvailableAt"], "2027-01-15T08:02:00.000Z");
        app.advance(&place, 540).await;
        assert_eq!(next(&mut page).await["status"], "EXPIRED");
        complete(&mut page).await;
        // Too many wrong codes.
        let id = app.renewed(&ada).sign_in(&place, ADA).await.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let mut page = app.renewed(&ada).socket().await;
        follow(&mut page, &id, &Value::Null).await;
        next(&mut page).await;
        let mut last = Value::Null;
        for _ in 0..5 {
            let again = app.renewed(&ada);
            again.submit(&id, &Value::Null, "nonsense").await.field();
        }
        while last["status"] != "FAILED" {
            last = next(&mut page).await;
        }
        complete(&mut page).await;
    }

    async fn s23_only_whoever_started_it_follows_it(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        let link = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let started = app.client().start_sign_in(GRACE).await;
        let sign_in = started.field()["verification"]["id"].clone();
        let nobody = json!("verification_00000000000070008000000000000000");
        for client in [&eve.client, &app.client()] {
            for (id, secret) in [
                (&link, Value::Null),
                (&link, started.field()["clientSecret"].clone()),
                (&sign_in, Value::Null),
                (&sign_in, json!("AAAA")),
                (&nobody, Value::Null),
                (&json!(ada.account), Value::Null),
            ] {
                let mut socket = client.socket().await;
                follow(&mut socket, id, &secret).await;
                let SocketMessage::Json(refused) = socket.next().await else { panic!("closed") };
                assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused:#}");
                let message = &refused["payload"]["errors"][0]["message"];
                assert_eq!(message, "There is no such verification that this caller started.");
            }
        }
    }

    async fn a_server_asks_for_nothing_that_nobody_follows(place: Place) {
        let app = TestApp::start_quiet(&place, 1).await;
        let started = app.client().start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let mut page = app.client().socket().await;
        follow(&mut page, id, secret).await;
        next(&mut page).await;
        page.send(json!({ "type": "complete", "id": "it" })).await;
        page.ask("{ platforms { key } }").await;
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        let db = app.app().store.db();
        let before = db.statements();
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        assert_eq!(db.statements(), before);
    }
}
