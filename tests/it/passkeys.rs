//! Passkeys: registering them, signing in and stepping up by them, and that the last way to sign in stays.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::authenticator::{Authenticator, asked};
use crate::support::{Place, ServerProcess, Stack, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const SECURITY: &str = "{ viewer { security {
    passkeys { id name createdAt lastUsedAt }
    signInMethods { id kind profile { id } passkey { id } } stepUpOptions { id kind }
    alerts { nodes { kind session { id } profile { id } } } checkup { kind } } } }";
const RENAME: &str = "mutation($input: RenamePasskeyInput!) { renamePasskey(input: $input) {
    passkey { id name } userErrors { code path } } }";

on_both_stacks! {
    async fn a_passkey_is_registered_and_signs_in_without_a_handle(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let started = ada.client.start_passkey("  Ada's phone ").await;
        let options: Value = serde_json::from_str(started.field()["creationOptions"].as_str().unwrap()).unwrap();
        assert_eq!(options["rp"], json!({ "id": "localhost", "name": "Accounts Center" }));
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["authenticatorSelection"]["requireResidentKey"], true);
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        let made = device.create(&options.to_string());
        let done = ada.client.finish_passkey(&started.field()["registrationId"], &made).await;
        let id = done.field()["passkey"]["id"].as_str().unwrap().to_owned();
        assert_eq!(done.field()["passkey"], json!({
            "id": id, "name": "Ada's phone", "createdAt": "2027-01-15T08:00:00.000Z", "lastUsedAt": null }));
        assert_eq!(done.field()["account"]["security"]["passkeys"], json!([{ "id": id }]));
        let own = ada.client.profiles().await[0].clone();
        let security = ada.client.query(SECURITY).await.field()["security"].clone();
        let methods = [id.replace("passkey_", "sign_in_method_"), own.replace("profile_", "sign_in_method_")];
        assert_eq!(security["signInMethods"], json!([
            { "id": methods[0], "kind": "PASSKEY", "profile": null, "passkey": { "id": id } },
            { "id": methods[1], "kind": "LINKED_PROFILE", "profile": { "id": own }, "passkey": null } ]));
        assert_eq!(security["stepUpOptions"], json!([
            { "id": methods[0], "kind": "PASSKEY" }, { "id": methods[1], "kind": "LINKED_PROFILE" } ]));
        assert_eq!(security["alerts"]["nodes"], json!([
            { "kind": "PASSKEY_ADDED", "session": { "id": ada.session }, "profile": null } ]));
        assert_eq!(security["checkup"], json!([{ "kind": "ADD_SECOND_PROFILE" }]));

        app.advance(&place, 5).await;
        let started = app.client().start_passkey_sign_in().await;
        let seen = &started.field()["verification"];
        assert_eq!(*seen, json!({ "id": seen["id"], "purpose": "SIGN_IN", "method": "PASSKEY", "status": "PENDING",
            "platform": null, "profile": null, "challenge": seen["challenge"] }));
        let options: Value = serde_json::from_str(&asked(&started)).unwrap();
        assert_eq!((&options["allowCredentials"], &options["userVerification"]), (&json!([]), &json!("required")));
        let done = app.client().submit_assertion(&started, &device.get(&asked(&started))).await;
        let outcome = &done.field()["outcome"];
        assert_eq!((&outcome["account"]["id"], &outcome["accountCreated"]), (&json!(ada.account), &json!(false)));
        assert_eq!(done.field()["verification"]["challenge"], Value::Null);
        let by_passkey = app.client().with_token(outcome["tokens"]["accessToken"].as_str().unwrap());
        let opened = by_passkey.query("{ viewer { security { currentSession { id openedBy { id kind passkey { id } profile { id } } } } } }").await;
        let opened_by = json!({ "id": methods[0], "kind": "PASSKEY", "passkey": { "id": id }, "profile": null });
        assert_eq!(opened.field()["security"]["currentSession"], json!({ "id": outcome["session"]["id"], "openedBy": opened_by }));
        let security = by_passkey.query(SECURITY).await.field()["security"].clone();
        assert_eq!(security["passkeys"][0]["lastUsedAt"], "2027-01-15T08:00:05.000Z");
        assert_eq!(security["alerts"]["nodes"][0], json!({
            "kind": "NEW_SIGN_IN", "session": { "id": outcome["session"]["id"] }, "profile": null }));
        // And again, by the counter that has risen.
        app.client().passkey_sign_in(&mut device).await.field()["outcome"]["account"]["id"].as_str().unwrap();
        let activity = ada.client.query("{ viewer { activity(first: 3) { nodes { kind description } } } }").await;
        assert_eq!(activity.field()["activity"]["nodes"][2],
            json!({ "kind": "SECURITY", "description": "A passkey was added." }));
    }

    async fn a_passkey_steps_up(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        let key = ada.client.add_passkey(&mut device, "key").await;
        app.advance(&place, 3600).await;
        let ada = app.renewed(&ada);
        assert_eq!(ada.delete_passkey(&key).await.error_code(), "STEP_UP_REQUIRED");
        let started = ada.start_passkey_step_up(&phone).await;
        assert_eq!(started.field()["verification"]["purpose"], "STEP_UP");
        let options: Value = serde_json::from_str(&asked(&started)).unwrap();
        assert_eq!(options["userVerification"], "required");
        assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
        // An authenticator may leave out for whom it keeps a credential that is named.
        let assertion = device.get_with(&asked(&started), |claims| claims.user = None);
        let done = ada.submit_assertion(&started, &assertion).await;
        assert_eq!(done.field()["outcome"]["__typename"], "SteppedUp");
        assert_eq!(done.field()["outcome"]["session"]["freshUntil"], "2027-01-15T09:10:00.000Z");
        assert_eq!(ada.delete_passkey(&key).await.field()["account"]["security"]["passkeys"], json!([{ "id": phone }]));
    }

    async fn a_passkey_is_renamed_by_its_owner(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        let rename = async |name: &str| ada.client.mutate(RENAME, json!({ "passkeyId": phone, "name": name })).await;
        assert_eq!(rename(" My phone").await.field()["passkey"], json!({ "id": phone, "name": "My phone" }));
        let version = async || ada.client.query("{ viewer { version } }").await.field()["version"].clone();
        let before = version().await;
        assert_eq!(rename("My phone").await.user_errors(), [""; 0]);
        assert_eq!(version().await, before, "it is called so already");
        for (name, code) in [("", "INVALID"), ("a\nb", "INVALID"), (&"ä".repeat(81), "TOO_LONG")] {
            let refused = rename(name).await;
            assert_eq!(refused.field()["userErrors"], json!([{ "code": code, "path": ["name"] }]));
            assert_eq!(ada.client.start_passkey(name).await.user_errors(), [code]);
        }
        assert_eq!(rename(&"ä".repeat(80)).await.user_errors(), [""; 0]);
    }

    async fn a_deleted_passkey_ends_the_sessions_that_it_opened(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.client.add_passkey(&mut device, "phone").await;
        let signed_in = app.client().passkey_sign_in(&mut device).await;
        let by_passkey = app.client().with_token(signed_in.field()["outcome"]["tokens"]["accessToken"].as_str().unwrap());
        let started = app.client().start_passkey_sign_in().await;
        let deleted = ada.client.delete_passkey(&phone).await;
        assert_eq!(deleted.field()["deletedPasskeyId"], json!(phone));
        assert_eq!(deleted.field()["account"]["security"]["passkeys"], json!([]));
        assert_eq!(by_passkey.start_link(GRACE).await.error_code(), "UNAUTHENTICATED");
        assert_eq!(ada.client.start_link(GRACE).await.user_errors(), [""; 0], "another session goes on");
        let late = app.client().submit_assertion(&started, &device.get(&asked(&started))).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(ada.client.delete_passkey(&phone).await.user_errors(), ["NOT_FOUND"]);
        let activity = ada.client.query("{ viewer { activity(first: 2) { nodes { description } } } }").await;
        assert_eq!(activity.field()["activity"]["nodes"], json!([
            { "description": "A device was signed out, because the passkey that it signed in with was deleted." },
            { "description": "A passkey was deleted." } ]));
    }

    async fn s12_a_passkey_is_a_way_to_sign_in_and_the_last_one_stays(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let own = ada.profiles().await[0].clone();
        let preview = "query($id: ID!) { node(id: $id) { ... on LinkedProfile { unlinkPreview { problems { code } } } } }";
        let problems = async || ada.run(preview, json!({ "id": own })).await.field()["unlinkPreview"]["problems"].clone();
        assert_eq!(problems().await, json!([{ "code": "LAST_SIGN_IN_METHOD" }]));
        assert_eq!(ada.set_sign_in(&own, false).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        let mut device = Authenticator::new(&app.url, 1);
        let phone = ada.add_passkey(&mut device, "phone").await;
        assert_eq!(problems().await, json!([]));
        assert_eq!(ada.set_sign_in(&own, false).await.user_errors(), [""; 0]);
        let refused = ada.delete_passkey(&phone).await;
        assert_eq!(refused.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(refused.field()["userErrors"][0]["path"], json!(["passkeyId"]));
        let key = ada.add_passkey(&mut device, "key").await;
        assert_eq!(ada.delete_passkey(&phone).await.user_errors(), [""; 0]);
        assert_eq!(ada.delete_passkey(&key).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(ada.unlink(&own).await.user_errors(), [""; 0], "the passkey stays");
        let signed_in = app.client().passkey_sign_in(&mut device).await;
        let by_key = app.client().with_token(signed_in.field()["outcome"]["tokens"]["accessToken"].as_str().unwrap());
        assert_eq!(by_key.delete_passkey(&key).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
    }

    /// The profile and the passkey, each in a tab that pauses between its look and what it does.
    async fn s12_two_tabs_that_take_the_passkey_and_the_profile_away_at_once(place: Place) {
        let points = "passkey::delete-checked=return(300);profile::sign-in-checked=return(300)";
        let slow = [("FAILPOINTS", points.to_owned())];
        let server = ServerProcess::start_with(&place, &slow).await;
        let other = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(ServerProcess::start_with(&place, &slow).await),
        };
        let first = server.client().sign_in(&place, ADA).await.client;
        let second = server.client().sign_in(&place, ADA).await.client;
        let second = second.at(&other.as_ref().unwrap_or(&server).url);
        let own = first.profiles().await[0].clone();
        let phone = first.add_passkey(&mut Authenticator::new(&server.url, 1), "phone").await;
        let begin = Instant::now();
        let (one, other) = tokio::join!(first.delete_passkey(&phone), second.set_sign_in(&own, false));
        assert!(begin.elapsed() >= Duration::from_millis(300), "nothing paused");
        let mut errors = [one.user_errors().concat(), other.user_errors().concat()];
        errors.sort();
        assert_eq!(errors, ["", "LAST_SIGN_IN_METHOD"]);
    }

    async fn an_account_has_at_most_20_passkeys_and_no_authenticator_twice(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let mut device = Authenticator::new(&app.url, 1);
        for n in 0..19 {
            ada.add_passkey(&mut device, &format!("number {n}")).await;
        }
        let started = ada.start_passkey("one more").await;
        let options: Value = serde_json::from_str(started.field()["creationOptions"].as_str().unwrap()).unwrap();
        let excluded = options["excludeCredentials"].as_array().unwrap();
        assert_eq!(excluded.len(), 19);
        // One that pays no heed to that.
        let again = device.held[3].id.clone();
        let made = device.create_with(&options.to_string(), |claims| claims.credential = again);
        let refused = ada.finish_passkey(&started.field()["registrationId"], &made).await;
        assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"]);
        device.held.pop();
        // Two sessions that both begin the last one.
        let tab = app.client().sign_in(&place, ADA).await.client;
        let waiting = tab.start_passkey("too late").await;
        ada.add_passkey(&mut device, "the last").await;
        let mut late = Authenticator::new(&app.url, 2);
        let made = late.create(waiting.field()["creationOptions"].as_str().unwrap());
        assert_eq!(tab.finish_passkey(&waiting.field()["registrationId"], &made).await.user_errors(), ["LIMIT_REACHED"]);
        assert_eq!(ada.start_passkey("one more").await.user_errors(), ["LIMIT_REACHED"]);
        let all = ada.query(SECURITY).await.field()["security"]["passkeys"].clone();
        assert_eq!(all.as_array().unwrap().len(), 20);
        let names: Vec<_> = all.as_array().unwrap().iter().map(|passkey| passkey["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"number 0") && names.contains(&"the last"), "{names:?}");
    }
}

/// In production, until the operator has set them up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_relying_party_there_are_no_passkeys() {
    let mut place = Place::new(Stack::Production).await;
    place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
    let mut development = ServerProcess::start(&place).await;
    let ada = development.client().sign_in(&place, ADA).await.client;
    let mut device = Authenticator::new(&development.url, 1);
    let phone = ada.add_passkey(&mut device, "phone").await;
    let waiting = ada.start_passkey("another").await;
    let made = device.create(waiting.field()["creationOptions"].as_str().unwrap());
    development.kill().await;
    for (key, value) in [
        ("ACCOUNTS__MODE", "production"),
        ("ACCOUNTS__SANDBOX__URL", ""),
        ("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.invalid"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from the platform"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    ] {
        place.set(key, value);
    }
    let mut production = ServerProcess::start(&place).await;
    let ada = ada.at(&production.url);
    let own = ada.profiles().await[0].clone();
    for refused in [
        ada.start_passkey("another").await,
        ada.finish_passkey(&waiting.field()["registrationId"], &made).await,
        ada.start_passkey_step_up(&phone).await,
        production.client().start_passkey_sign_in().await,
    ] {
        assert_eq!(refused.user_errors(), ["UNSUPPORTED_BY_PLATFORM"], "{:#}", refused.body);
    }
    let security = ada.query(SECURITY).await.field()["security"].clone();
    assert_eq!(security["passkeys"][0]["id"], json!(phone), "it is shown, so that it can be deleted");
    for list in ["signInMethods", "stepUpOptions"] {
        let methods = security[list].as_array().unwrap();
        let kinds: Vec<_> = methods.iter().map(|method| &method["kind"]).collect();
        assert_eq!(kinds, ["LINKED_PROFILE"], "{list}");
    }
    assert_eq!(security["checkup"], json!([{ "kind": "ADD_SECOND_PROFILE" }]));
    let refused = ada.set_sign_in(&own, false).await;
    assert_eq!(refused.user_errors(), ["LAST_SIGN_IN_METHOD"], "the passkey is no way now");
    assert_eq!(ada.delete_passkey(&phone).await.user_errors(), [""; 0]);
    // With settings there are some.
    production.kill().await;
    place.set("ACCOUNTS__PASSKEYS__RP_ID", "example.com");
    place.set("ACCOUNTS__PASSKEYS__ORIGINS", "https://example.com,https://www.example.com");
    let production = ServerProcess::start(&place).await;
    let ada = ada.at(&production.url);
    for (seed, origin) in [(3, "https://example.com"), (4, "https://www.example.com")] {
        ada.add_passkey(&mut Authenticator::new(origin, seed), "phone").await;
    }
    let started = ada.start_passkey("elsewhere").await;
    let options = started.field()["creationOptions"].as_str().unwrap();
    let made = Authenticator::new("https://shop.example.com", 5).create(options);
    let refused = ada.finish_passkey(&started.field()["registrationId"], &made).await;
    assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"]);
}
