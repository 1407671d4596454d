//! What passkeys hold against: everything that was not signed for us, here, now, by this person.

use accounts_center_entity::{passkey, passkey_registration, session, verification};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};

use crate::support::authenticator::{Authenticator, Claims, asked, decoded};
use crate::support::{Answer, Client, Person, Place, SUBMIT, TestApp, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

/// What is not as it has to be, and how it comes to be so.
type Lie = (&'static str, fn(&mut Claims));

/// They hold for what an authenticator makes as well as for what it signs.
const LIES: [Lie; 8] = [
    ("another origin", |claims| claims.origin = "https://evil.example".to_owned()),
    ("another port", |claims| claims.origin = "http://localhost:1".to_owned()),
    ("a host below ours", |claims| claims.origin = claims.origin.replace("localhost", "evil.localhost")),
    ("another RP id", |claims| claims.rp_id = "evil.example".to_owned()),
    ("a challenge of its own", |claims| claims.challenge = "A".repeat(43)),
    ("nobody present", |claims| claims.user_present = false),
    ("a person not verified", |claims| claims.user_verified = false),
    ("another ceremony", |claims| {
        claims.kind = if claims.kind == "webauthn.get" { "webauthn.create" } else { "webauthn.get" };
    }),
];

/// They hold only for what it signs.
const LIES_OF_ASSERTIONS: [Lie; 4] = [
    ("a spoiled signature", |claims| claims.spoils_signature = true),
    ("another user handle", |claims| claims.user = Some(vec![7; 16])),
    ("an unknown credential", |claims| claims.credential = vec![7; 32]),
    ("a credential without a name", |claims| claims.credential = Vec::new()),
];

on_both_stacks! {
    async fn s19_what_an_authenticator_has_not_signed_for_us_signs_nobody_in(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        ada.client.add_passkey(&mut device, "phone").await;
        let nameless: Lie = ("no user handle", |claims| claims.user = None);
        for (what, lie) in LIES.into_iter().chain(LIES_OF_ASSERTIONS).chain([nameless]) {
            let started = app.client().start_passkey_sign_in().await;
            let lied = device.get_with(&asked(&started), lie);
            refused_and_closed(&app.client(), &started, (what, &lied), &mut device).await;
        }
        app.client().passkey_sign_in(&mut device).await.field()["outcome"]["session"]["id"].as_str().unwrap();
    }

    async fn s19_what_an_authenticator_has_not_signed_for_us_steps_nobody_up(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        app.advance(&place, 3600).await;
        let ada = app.renewed(&ada);
        for (what, lie) in LIES.into_iter().chain(LIES_OF_ASSERTIONS) {
            let started = ada.start_passkey_step_up(&phone).await;
            let lied = device.get_with(&asked(&started), lie);
            refused_and_closed(&ada, &started, (what, &lied), &mut device).await;
        }
        assert_eq!(ada.delete_passkey(&phone).await.error_code(), "STEP_UP_REQUIRED");
    }

    async fn s19_what_is_not_made_for_us_is_not_registered(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        for (what, lie) in LIES {
            let started = ada.client.start_passkey("phone").await;
            let (registration, options) = begun(&started);
            let refused = ada.client.finish_passkey(&registration, &device.create_with(&options, lie)).await;
            assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"], "{what}");
            let honest = device.create(&options);
            let late = ada.client.finish_passkey(&registration, &honest).await;
            assert_eq!(late.user_errors(), ["NOT_FOUND"], "{what}: a registration is used once");
        }
        let db = place.database().await;
        assert_eq!(passkey::Entity::find().all(&db).await.unwrap(), []);
    }

    /// Also one that stands still. A copy of the authenticator has signed before, or will.
    async fn s19_a_counter_that_does_not_rise_is_not_taken(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        device.held[0].counter = 40;
        app.client().passkey_sign_in(&mut device).await.field()["outcome"]["session"]["id"].as_str().unwrap();
        for counter in [41, 40, 0] {
            let started = app.client().start_passkey_sign_in().await;
            let copied = device.get_with(&asked(&started), |claims| claims.counter = counter);
            assert_eq!(app.client().submit_assertion(&started, &copied).await.user_errors(), ["VERIFICATION_FAILED"]);
            let started = ada.client.start_passkey_step_up(&phone).await;
            let copied = device.get_with(&asked(&started), |claims| claims.counter = counter);
            assert_eq!(ada.client.submit_assertion(&started, &copied).await.user_errors(), ["VERIFICATION_FAILED"]);
        }
        // Two that were started before either of them was finished.
        let started = [ada.client.start_passkey_step_up(&phone).await, ada.client.start_passkey_step_up(&phone).await];
        device.held[0].counter = 60;
        let late = device.get(&asked(&started[0]));
        let first = device.get(&asked(&started[1]));
        assert_eq!(ada.client.submit_assertion(&started[1], &first).await.user_errors(), [""; 0]);
        assert_eq!(ada.client.submit_assertion(&started[0], &late).await.user_errors(), ["VERIFICATION_FAILED"]);
        // One that has none says 0 for ever.
        let mut synced = Authenticator::new(&app.url, 2);
        ada.client.add_passkey(&mut synced, "synced").await;
        for _ in 0..2 {
            let started = app.client().start_passkey_sign_in().await;
            let signed = synced.get_with(&asked(&started), |claims| claims.counter = 0);
            assert_eq!(app.client().submit_assertion(&started, &signed).await.user_errors(), [""; 0]);
        }
    }

    async fn s07_a_passkey_proves_what_it_was_asked_for_and_nothing_else(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        let key = ada.client.add_passkey(&mut device, "key").await;
        // Signed for one proof, and submitted to another.
        let sign_in = app.client().start_passkey_sign_in().await;
        let step_up = ada.client.start_passkey_step_up(&key).await;
        let (for_sign_in, for_step_up) = (device.get(&asked(&sign_in)), device.get(&asked(&step_up)));
        assert_eq!(ada.client.submit_assertion(&step_up, &for_sign_in).await.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(app.client().submit_assertion(&sign_in, &for_step_up).await.user_errors(), ["VERIFICATION_FAILED"]);
        // By another passkey than the one that was asked for.
        let step_up = ada.client.start_passkey_step_up(&phone).await;
        let mut options: Value = serde_json::from_str(&asked(&step_up)).unwrap();
        options["allowCredentials"] = json!([]);
        let by_key = device.get(&options.to_string());
        assert_eq!(ada.client.submit_assertion(&step_up, &by_key).await.user_errors(), ["VERIFICATION_FAILED"]);
        // In another way than the verification's.
        let sign_in = app.client().start_passkey_sign_in().await;
        let (id, secret) = (&sign_in.field()["verification"]["id"], &sign_in.field()["clientSecret"]);
        assert_eq!(app.client().submit(id, secret, "123456").await.user_errors(), ["INVALID"]);
        let response = json!({ "state": "s", "code": "c" });
        let input = json!({ "verificationId": id, "clientSecret": secret, "proof": { "oauthResponse": response } });
        let by_oauth = app.client().mutate(SUBMIT, input).await;
        assert_eq!(by_oauth.user_errors(), ["INVALID"]);
        let assertion = device.get(&asked(&sign_in));
        let by_code = app.client().start_sign_in(ADA).await;
        assert_eq!(app.client().submit_assertion(&by_code, &assertion).await.user_errors(), ["INVALID"]);
        for garbage in ["", "{}", "[]", "nonsense"] {
            let refused = app.client().submit_assertion(&sign_in, garbage).await;
            assert_eq!(refused.user_errors(), ["INVALID"], "{garbage}");
            assert_eq!(refused.field()["userErrors"][0]["path"], json!(["proof", "passkeyAssertion"]));
        }
        assert_eq!(app.client().resend(id, secret).await.user_errors(), ["INVALID"]);
        // None of that has ended it.
        assert_eq!(app.client().submit_assertion(&sign_in, &assertion).await.user_errors(), [""; 0]);
    }

    async fn s06_a_passkey_proof_is_bound_to_its_session(place: Place) {
        let app = place.app().await;
        let (ada, eve, mut device) = two_people(&app, &place).await;
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        let tab = app.client().sign_in(&place, ADA).await.client;
        let started = ada.client.start_passkey_step_up(&phone).await;
        let assertion = device.get(&asked(&started));
        for stranger in [&eve.client, &app.client()] {
            assert_eq!(stranger.submit_assertion(&started, &assertion).await.user_errors(), ["NOT_FOUND"]);
        }
        assert_eq!(tab.submit_assertion(&started, &assertion).await.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(ada.client.submit_assertion(&started, &assertion).await.user_errors(), ["VERIFICATION_CLOSED"]);
        // So is a registration: it was the session that began it that was stepped up.
        let (registration, options) = begun(&ada.client.start_passkey("key").await);
        let made = device.create(&options);
        for other in [&eve.client, &tab] {
            assert_eq!(other.finish_passkey(&registration, &made).await.user_errors(), ["NOT_FOUND"]);
        }
        assert_eq!(app.client().finish_passkey(&registration, &made).await.error_code(), "UNAUTHENTICATED");
        assert_eq!(ada.client.finish_passkey(&registration, &made).await.user_errors(), [""; 0]);
        // And a sign-in is bound to the secret that its start gave.
        let started = app.client().start_passkey_sign_in().await;
        let mut stolen = Answer { status: started.status, body: started.body.clone() };
        stolen.body["data"]["startPasskeySignIn"]["clientSecret"] = json!("guessed");
        let assertion = device.get(&asked(&started));
        assert_eq!(app.client().submit_assertion(&stolen, &assertion).await.user_errors(), ["NOT_FOUND"]);
        assert_eq!(app.client().submit_assertion(&started, &assertion).await.user_errors(), [""; 0]);
    }

    async fn s08_a_challenge_is_used_once(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        ada.client.add_passkey(&mut device, "phone").await;
        let started = app.client().start_passkey_sign_in().await;
        let assertion = device.get(&asked(&started));
        // Both arrive at the same moment.
        let (client, other) = (app.client(), app.client());
        let (one, two) = tokio::join!(
            client.submit_assertion(&started, &assertion), other.submit_assertion(&started, &assertion));
        let mut errors = [one.user_errors().concat(), two.user_errors().concat()];
        errors.sort();
        assert_eq!(errors, ["", "VERIFICATION_CLOSED"]);
        assert_eq!(app.client().submit_assertion(&started, &assertion).await.user_errors(), ["VERIFICATION_CLOSED"]);
        let again = app.client().start_passkey_sign_in().await;
        assert_eq!(app.client().submit_assertion(&again, &assertion).await.user_errors(), ["VERIFICATION_FAILED"]);
        // And a registration.
        let (registration, options) = begun(&ada.client.start_passkey("key").await);
        let made = device.create(&options);
        let (one, two) = tokio::join!(
            ada.client.finish_passkey(&registration, &made), ada.client.finish_passkey(&registration, &made));
        let mut errors = [one.user_errors().concat(), two.user_errors().concat()];
        errors.sort();
        assert_eq!(errors, ["", "NOT_FOUND"]);
        // A new one takes the place of the one before.
        let (before, options) = begun(&ada.client.start_passkey("old").await);
        ada.client.start_passkey("new").await.field();
        let made = device.create(&options);
        assert_eq!(ada.client.finish_passkey(&before, &made).await.user_errors(), ["NOT_FOUND"]);
    }

    async fn s19_a_challenge_runs_out_and_is_sealed(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        let started = [app.client().start_passkey_sign_in().await, ada.client.start_passkey_step_up(&phone).await];
        let (registration, options) = begun(&ada.client.start_passkey("key").await);
        let db = place.database().await;
        let of = |options: &str| decoded(serde_json::from_str::<Value>(options).unwrap()["challenge"].as_str().unwrap());
        let mut kept: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for started in &started {
            let id = uuid_of(started.field()["verification"]["id"].as_str().unwrap());
            let row = verification::Entity::find_by_id(id).one(&db).await.unwrap().unwrap();
            kept.push((of(&asked(started)), row.sealed_challenge.unwrap()));
        }
        let row = passkey_registration::Entity::find().one(&db).await.unwrap().unwrap();
        kept.push((of(&options), row.sealed_challenge));
        for (challenge, sealed) in kept {
            let text = crate::support::authenticator::encoded(&challenge);
            assert!(!holds(&sealed, &challenge) && !holds(&sealed, text.as_bytes()));
        }
        let assertions = [device.get(&asked(&started[0])), device.get(&asked(&started[1]))];
        let made = device.create(&options);
        app.advance(&place, 600).await;
        let ada = app.renewed(&ada);
        assert_eq!(app.client().submit_assertion(&started[0], &assertions[0]).await.user_errors(), ["VERIFICATION_EXPIRED"]);
        assert_eq!(ada.submit_assertion(&started[1], &assertions[1]).await.user_errors(), ["VERIFICATION_EXPIRED"]);
        assert_eq!(ada.finish_passkey(&registration, &made).await.user_errors(), ["VERIFICATION_EXPIRED"]);
        crate::support::eventually("the challenges are erased", async || {
            let rows = verification::Entity::find().all(&db).await.unwrap();
            rows.iter().all(|row| row.sealed_challenge.is_none()).then_some(())
        }).await;
    }

    async fn s19_a_credential_belongs_to_one_account_and_tells_nothing(place: Place) {
        let app = place.app().await;
        let (ada, eve, mut device) = two_people(&app, &place).await;
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        let theirs = device.held[0].id.clone();
        // To register it again, and one that is badly made: the same answer.
        let mut copy = Authenticator::new(&app.url, 9);
        let mut answers = Vec::new();
        for lie in [LIES[0].1, |_: &mut Claims| {}] {
            let (registration, options) = begun(&eve.client.start_passkey("mine").await);
            let made = copy.create_with(&options, |claims| {
                claims.credential = theirs.clone();
                lie(claims);
            });
            let refused = eve.client.finish_passkey(&registration, &made).await;
            assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"]);
            answers.push(refused.body);
        }
        assert_eq!(answers[0], answers[1]);
        // To step up by it, to rename and to delete it.
        assert_eq!(eve.client.start_passkey_step_up(&phone).await.user_errors(), ["NOT_FOUND"]);
        assert_eq!(eve.client.delete_passkey(&phone).await.user_errors(), ["NOT_FOUND"]);
        let rename = "mutation($input: RenamePasskeyInput!) { renamePasskey(input: $input) { userErrors { code } } }";
        let renamed = eve.client.mutate(rename, json!({ "passkeyId": phone, "name": "mine" })).await;
        assert_eq!(renamed.user_errors(), ["NOT_FOUND"]);
        let own = eve.client.add_passkey(&mut Authenticator::new(&app.url, 10), "mine").await;
        let started = eve.client.start_passkey_step_up(&own).await;
        let mut options: Value = serde_json::from_str(&asked(&started)).unwrap();
        options["allowCredentials"] = json!([]);
        let by_ada = device.get(&options.to_string());
        assert_eq!(eve.client.submit_assertion(&started, &by_ada).await.user_errors(), ["VERIFICATION_FAILED"]);
        // An unknown credential and a known one that proves nothing are told apart by nothing.
        let mut told = Vec::new();
        for lie in [LIES_OF_ASSERTIONS[0].1, LIES_OF_ASSERTIONS[2].1] {
            let started = app.client().start_passkey_sign_in().await;
            let lied = device.get_with(&asked(&started), lie);
            told.push(app.client().submit_assertion(&started, &lied).await.field()["userErrors"].clone());
        }
        assert_eq!(told[0], told[1]);
        assert_eq!(eve.client.query("{ viewer { security { passkeys { id } } } }").await.field()["security"]["passkeys"],
            json!([{ "id": own }]));
    }

    /// Nor by one that was registered in a session that has ended since.
    async fn a_session_that_has_ended_registers_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let (registration, options) = begun(&ada.client.start_passkey("phone").await);
        let made = device.create(&options);
        let db = place.database().await;
        let revoked = session::ActiveModel { revoked_at: Set(Some(crate::support::START)), ..Default::default() };
        session::Entity::update_many().set(revoked).exec(&db).await.unwrap();
        assert_eq!(ada.client.finish_passkey(&registration, &made).await.error_code(), "UNAUTHENTICATED");
        assert_eq!(ada.client.start_passkey("phone").await.error_code(), "UNAUTHENTICATED");
    }
}

/// `lied` proves nothing, and what is honest comes too late then.
async fn refused_and_closed(
    client: &Client,
    started: &Answer,
    (what, lied): (&str, &str),
    device: &mut Authenticator,
) {
    let refused = client.submit_assertion(started, lied).await;
    assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"], "{what}");
    assert_eq!(refused.field()["outcome"], Value::Null, "{what}");
    let verification = &refused.field()["verification"];
    assert_eq!(
        (&verification["status"], &verification["failure"]),
        (&json!("FAILED"), &json!("VERIFICATION_FAILED"))
    );
    let late = client.submit_assertion(started, &device.get(&asked(started))).await;
    assert_eq!(late.user_errors(), ["VERIFICATION_CLOSED"], "{what}: a challenge is used once");
}

/// Ada, Grace, and a device without passkeys.
async fn two_people(app: &TestApp, place: &Place) -> (Person, Person, Authenticator) {
    let ada = app.client().sign_in(place, ADA).await;
    let grace = app.client().sign_in(place, GRACE).await;
    (ada, grace, Authenticator::new(&app.url, 1))
}

/// The id and the options of a registration.
fn begun(started: &Answer) -> (Value, String) {
    let field = started.field();
    (field["registrationId"].clone(), field["creationOptions"].as_str().unwrap().to_owned())
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
