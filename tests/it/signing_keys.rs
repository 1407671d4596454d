//! The keys that sign access tokens, as others see them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

use crate::support::{TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";

async fn keys(app: &TestApp) -> Vec<Value> {
    let response = reqwest::get(format!("{}/.well-known/jwks.json", app.url)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/jwk-set+json");
    let set: Value = response.json().await.unwrap();
    set["keys"].as_array().unwrap().clone()
}

fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

on_both_stacks! {
    async fn s13_anybody_can_verify_a_token_by_the_published_keys(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let token = ada.client.token.unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
        let keys = keys(&app).await;
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("its key is there");
        assert_eq!((&key["kty"], &key["crv"], &key["alg"], &key["use"]), (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into(), &"sig".into()));
        assert!(keys.iter().all(|key| key.get("d").is_none()), "nothing private");
        let public: [u8; 32] = decode(key["x"].as_str().unwrap()).try_into().unwrap();
        let signature = Signature::from_slice(&decode(signature)).unwrap();
        VerifyingKey::from_bytes(&public).unwrap().verify_strict(signed.as_bytes(), &signature).unwrap();
        assert_eq!(claims["sid"], ada.session);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    }

    async fn the_key_is_changed_while_people_are_signed_in(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let mut tokens: Vec<String> = Vec::new();
        for number in 0..3_u64 {
            place.set("ACCOUNTS__KEYS__SIGNING_NUMBER", number);
            let app = TestApp::start(&place, number + 1).await;
            assert_eq!(keys(&app).await.len(), 3, "its own, the last and the next");
            for (before, token) in tokens.iter().enumerate() {
                let answer = app.client().with_token(token).query("{ viewer { id } }").await;
                let taken = number - before as u64 == 1;
                assert_eq!(answer.body.get("errors").is_none(), taken, "a token of {before} at {number}");
            }
            tokens.push(app.client().sign_in(&place, ADA).await.client.token.unwrap());
            app.stop().await;
        }
    }
}
