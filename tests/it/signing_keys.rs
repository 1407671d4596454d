//! The keys that sign access tokens, as others see them, and tokens that somebody else has made up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Socket, SocketMessage, TestApp, on_both_stacks};

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

/// A token of this header and these claims, whoever signs it.
fn jwt(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The same object with another value for one key; null takes it out.
fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut changed = object.clone();
    changed[key] = value;
    changed.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    changed
}

/// What HS256 signs with.
fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
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

    /// Each differs in one thing from a token that is taken.
    async fn s13_a_forged_token_signs_nobody_in(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let token = ada.client.token.unwrap();
        let mut parts = token.split('.').map(decode);
        let header: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        let own = SigningKey::from_bytes(&app.app().keys.signing_seeds()[0]);
        let foreign = SigningKey::from_bytes(&[7; 32]);
        let by_own = |message: &[u8]| own.sign(message).to_bytes().to_vec();
        let by_foreign = |message: &[u8]| foreign.sign(message).to_bytes().to_vec();
        let public = own.verifying_key().to_bytes();
        let by_public = |message: &[u8]| mac(&public, message);
        let by_published = |message: &[u8]| mac(URL_SAFE_NO_PAD.encode(public).as_bytes(), message);

        let good = jwt(&header, &claims, by_own);
        let taken = app.client().with_token(&good);
        assert_eq!(taken.query("{ viewer { id } }").await.field()["id"], ada.account);
        taken.socket().await;

        let now = app.app().clock.now().timestamp();
        let of = |algorithm: &str| with(&header, "alg", json!(algorithm));
        let signed = |claim: &str, value: Value| jwt(&header, &with(&claims, claim, value), by_own);
        let brought = URL_SAFE_NO_PAD.encode(foreign.verifying_key().to_bytes());
        let brought = with(&header, "jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": brought }));
        let longer = with(&claims, "exp", json!(now + 86_400));
        let old_signature = |_: &[u8]| decode(good.rsplit('.').next().unwrap());
        for (what, forged) in [
            ("not signed", jwt(&of("none"), &claims, |_| Vec::new())),
            ("of no algorithm, though signed", jwt(&of("none"), &claims, by_own)),
            ("by our public key as a secret", jwt(&of("HS256"), &claims, by_public)),
            ("by the same as it is published", jwt(&of("HS256"), &claims, by_published)),
            ("of another algorithm", jwt(&of("RS256"), &claims, by_own)),
            ("by a foreign key that bears our key's name", jwt(&header, &claims, by_foreign)),
            ("by a foreign key that it brings along", jwt(&brought, &claims, by_foreign)),
            ("by a key that nobody knows", jwt(&with(&header, "kid", json!("another")), &claims, by_own)),
            ("by a key without a name", jwt(&with(&header, "kid", Value::Null), &claims, by_own)),
            ("one for a subgraph", jwt(&with(&header, "typ", json!("subgraph+jwt")), &claims, by_own)),
            ("changed since it was signed", jwt(&header, &longer, old_signature)),
            ("for another audience", signed("aud", json!("instagram"))),
            ("for no audience", signed("aud", Value::Null)),
            ("of another issuer", signed("iss", json!("somebody-else"))),
            ("of no issuer", signed("iss", Value::Null)),
            ("expired", signed("exp", json!(now))),
            ("for ever", signed("exp", Value::Null)),
            ("without a jti", signed("jti", Value::Null)),
        ] {
            let refused = app.client().with_token(&forged).query("{ viewer { id } }").await;
            assert_eq!(refused.status, 401, "{what}: {:#}", refused.body);
            assert_eq!((refused.error_code(), refused.body.get("data")), ("UNAUTHENTICATED", None), "{what}");
            let mut socket = Socket::connect(&app.url, None).await.unwrap();
            let payload = json!({ "authorization": format!("Bearer {forged}") });
            socket.send(json!({ "type": "connection_init", "payload": payload })).await;
            assert_eq!(socket.next().await, SocketMessage::Closed(4403), "{what}");
        }
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
