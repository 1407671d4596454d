//! Codes that the descriptions of mutations name, and that no test of what a mutation does meets by the way.

use std::collections::BTreeSet;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use serde_json::{Value, json};

use crate::support::authenticator::Authenticator;
use crate::support::links::method_of;
use crate::support::oauth::REDIRECT;
use crate::support::{Answer, Client, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const CONTRACT: &str = include_str!("../../schema/contract.graphql");

/// A mutation that only tells what the person can put right.
async fn told(client: &Client, mutation: &str, input: Value) -> Answer {
    let mut of_type = mutation.to_owned();
    of_type[..1].make_ascii_uppercase();
    let query = format!(
        "mutation($input: {of_type}Input!) {{ {mutation}(input: $input) {{ userErrors {{ code path }} }} }}"
    );
    client.mutate(&query, input).await
}

/// Asserts the one error of an answer, by its code and the place in the input that it is about.
#[track_caller]
fn assert_is(answer: &Answer, code: &str, path: &[&str]) {
    assert_eq!(answer.field()["userErrors"], json!([{ "code": code, "path": path }]), "{:#}", answer.body);
}

on_both_stacks! {
    async fn a_link_is_not_proved_in_a_way_that_the_platform_has_not(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        for (platform, proof) in [
            ("whatsapp", json!({ "oauth": { "redirectUri": REDIRECT } })),
            ("facebook", json!({ "oneTimeCode": { "handle": "ada.lovelace" } })),
        ] {
            let input = json!({ "platform": platform, "proof": proof, "idempotencyKey": platform });
            assert_is(&told(&ada, "startProfileLink", input).await, "UNSUPPORTED_BY_PLATFORM", &["proof"]);
        }
    }

    async fn what_is_mistyped_does_not_sign_in_either(place: Place) {
        let app = place.app().await;
        let long = "x".repeat(300);
        for (platform, handle, code, path) in [
            ("whatsapp", "+49", "INVALID", &["proof", "oneTimeCode", "handle"][..]),
            ("whatsapp", " ", "INVALID", &["proof", "oneTimeCode", "handle"]),
            ("whatsapp", &long, "TOO_LONG", &["proof", "oneTimeCode", "handle"]),
            ("myspace", ADA, "UNKNOWN_PLATFORM", &["platform"]),
        ] {
            let input = json!({ "platform": platform, "proof": { "oneTimeCode": { "handle": handle } } });
            assert_is(&told(&app.client(), "startSignIn", input).await, code, path);
        }
    }

    async fn what_is_no_attestation_registers_nothing_and_ends_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let mut device = Authenticator::new(&app.url, 1);
        let started = ada.start_passkey("phone").await;
        let registration = &started.field()["registrationId"];
        for garbage in ["", "{}", "[]", "nonsense"] {
            let input = json!({ "registrationId": registration, "attestation": garbage });
            assert_is(&told(&ada, "finishPasskeyRegistration", input).await, "INVALID", &["attestation"]);
        }
        let made = device.create(started.field()["creationOptions"].as_str().unwrap());
        assert_eq!(ada.finish_passkey(registration, &made).await.user_errors(), [""; 0]);
    }

    /// One who has a session must not send its owner's phone codes without end, nor keep proofs without end.
    async fn s10_own_proofs_have_their_codes_and_their_places(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__VERIFICATION__CODES_PER_HANDLE", 2);
        place.set("ACCOUNTS__VERIFICATION__PENDING_PER_ACCOUNT", 3);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let own = ada.profiles().await[0].clone();
        let (step_up, reverify) = (json!({ "methodId": method_of(&own) }), json!({ "profileId": own }));
        let starts = [("startStepUp", step_up), ("startProfileReverification", reverify)];
        for (mutation, input) in &starts {
            assert_eq!(told(&ada, mutation, input.clone()).await.user_errors(), [""; 0], "{mutation}");
        }
        for (mutation, input) in &starts {
            assert_is(&told(&ada, mutation, input.clone()).await, "TOO_MANY_ATTEMPTS", &[]);
        }
        // That of another handle takes the last place.
        ada.start_link(GRACE).await.field();
        for (mutation, input) in &starts {
            assert_is(&told(&ada, mutation, input.clone()).await, "LIMIT_REACHED", &[]);
        }
    }

    async fn own_proofs_come_back_to_registered_urls_only(place: Place) {
        let app = place.app().await;
        let ada = app.client().oauth_sign_in("facebook", "fb_ada").await.client;
        let own = ada.profiles().await[0].clone();
        for (mutation, subject, id) in [
            ("startStepUp", "methodId", method_of(&own)),
            ("startProfileReverification", "profileId", own.clone()),
        ] {
            let near = format!("{REDIRECT}/");
            let foreign = told(&ada, mutation, json!({ subject: id, "redirectUri": near })).await;
            assert_is(&foreign, "REDIRECT_URI_NOT_REGISTERED", &["redirectUri"]);
            assert_is(&told(&ada, mutation, json!({ subject: id })).await, "INVALID", &["redirectUri"]);
        }
    }
}

/// What the contract says of a mutation is said here as well.
#[test]
fn each_code_that_the_contract_names_is_named_here() {
    let (agreed, here) = (named(CONTRACT), named(&accounts_center::graph::api_sdl()));
    // Of what is not here yet.
    let later = ("unlinkProfile".to_owned(), "LAST_OWNER".to_owned());
    let is_here = |mutation: &str| here.iter().any(|(known, _)| known == mutation);
    let lost: Vec<_> = agreed
        .iter()
        .filter(|named| is_here(&named.0) && **named != later && !here.contains(named))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(here.len() > 50 && agreed.len() > 40, "{} and {}", here.len(), agreed.len());
}

/// The mutations of a schema, each with every code that its description names.
fn named(sdl: &str) -> BTreeSet<(String, String)> {
    let codes: BTreeSet<_> = error_codes();
    let mut named = BTreeSet::new();
    for definition in parse_schema(sdl).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let TypeKind::Object(object) = definition.node.kind else { continue };
        if definition.node.name.node != "Mutation" {
            continue;
        }
        for field in object.fields {
            let text = field.node.description.map(|text| text.node).unwrap_or_default();
            let words = text.split(|c: char| c != '_' && !c.is_ascii_uppercase());
            let of_field = words.filter(|word| codes.contains(*word));
            named.extend(of_field.map(|code| (field.node.name.node.to_string(), code.to_owned())));
        }
    }
    named
}

/// All codes of the contract.
fn error_codes() -> BTreeSet<String> {
    let kinds =
        parse_schema(CONTRACT).unwrap().definitions.into_iter().find_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) if definition.node.name.node == "AccountsErrorCode" => {
                Some(definition.node.kind)
            }
            _ => None,
        });
    let Some(TypeKind::Enum(codes)) = kinds else { panic!("the contract has codes") };
    codes.values.into_iter().map(|value| value.node.value.node.to_string()).collect()
}
