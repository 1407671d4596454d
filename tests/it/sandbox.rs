//! The sandbox as a platform: every call of the contract, as a hub makes it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{SandboxProcess, eventually};

const ADA: &str = "whatsapp/profiles/wa_ada";

fn at(end: &str) -> String {
    format!("{ADA}/{end}")
}

/// A call of the contract that is allowed, and what it has to answer.
async fn assert_effect(sandbox: &SandboxProcess, path: &str, body: Value, status: u16) {
    let path = at(path);
    let endpoint = format!("POST {}", path.replace(ADA, "/profiles/{external_id}"));
    // Who shows nothing, or no key, or is about nobody.
    assert_eq!(sandbox.call(("POST", &path), "", body.clone()).await.0, 400, "{path}: without a key");
    let stranger = path.replace("wa_ada", "wa_nobody");
    assert_eq!(sandbox.call(("POST", &stranger), "k", body.clone()).await.0, 404, "{path}: of nobody");
    assert_eq!(sandbox.requests(&endpoint).await, (2, 0), "{endpoint}");
    let calls = (0..8).map(|_| sandbox.call(("POST", &path), "k1", body.clone()));
    let answers = join_all(calls).await;
    assert_eq!(answers[0].0, status, "{path}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "the same key has one result: {answers:?}");
    assert_eq!(sandbox.requests(&endpoint).await, (10, 1), "{endpoint}");
    assert_eq!(sandbox.call(("POST", &path), "k1", body.clone()).await, answers[0]);
    assert_eq!(sandbox.call(("POST", &path), "k2", body).await.0, status);
    assert_eq!(sandbox.requests(&endpoint).await, (12, 2), "{endpoint}");
}

#[tokio::test]
async fn each_effect_of_the_contract_happens_once_for_each_key() {
    let sandbox = SandboxProcess::start().await;
    let notice = json!({ "kind": "unlinked", "locale": "en", "text": "gone", "action_url": null });
    assert_effect(&sandbox, "notices", notice, 202).await;
    let story = json!({ "format": "STORY", "text": "hi", "media": [], "audience": "contacts" });
    assert_effect(&sandbox, "publications", story, 201).await;
    assert_effect(&sandbox, "messages", json!({ "conversation_id": "c1", "ciphertext": "AA==" }), 201).await;
    assert_effect(&sandbox, "sessions/revoke", Value::Null, 204).await;
    let code = json!({ "external_id": "wa_ada", "code": "123456", "purpose": "LINK",
        "expires_at": "2027-01-15T08:00:00Z", "locale": "en" });
    let codes = (0..8).map(|_| sandbox.call(("POST", "whatsapp/codes"), "k1", code.clone()));
    assert!(join_all(codes).await.iter().all(|answer| *answer == (202, json!({ "external_id": "wa_ada" }))));
    assert_eq!(sandbox.requests("POST /codes").await, (8, 1));
    let state = sandbox.state_of("whatsapp").await;
    for (kept, number) in
        [("codes", 1), ("notices", 2), ("publications", 2), ("messages", 2), ("sessions_revoked", 2)]
    {
        assert_eq!(state[kept].as_array().map(Vec::len), Some(number), "{kept}");
    }
    assert_eq!(state["notices"][0]["kind"], "unlinked");
    assert_eq!(state["messages"][0]["ciphertext"], "AA==");
    // The phone shows them.
    let inbox = sandbox.call(("GET", "whatsapp/inbox?handle=%2B4917139200042"), "", Value::Null).await.1;
    assert_eq!(
        (&inbox["codes"][0]["code"], &inbox["notices"][1]["text"]),
        (&json!("123456"), &json!("gone"))
    );
}

#[tokio::test]
async fn publications_are_settled_rejected_and_removed() {
    let sandbox = SandboxProcess::start().await;
    let path = at("publications");
    let publish = async |key: &str, text: &str| {
        let body = json!({ "format": "FEED_POST", "text": text, "audience": "everyone" });
        sandbox.call(("POST", &path), key, body).await
    };
    for rejected in ["", "this is Forbidden", &"x".repeat(2001)] {
        assert_eq!(publish("k0", rejected).await.0, 422, "{rejected:.20}");
    }
    let settle = async |key: &str| {
        let path = format!("{path}?idempotency_key={key}");
        sandbox.call(("GET", &path), "", Value::Null).await
    };
    assert_eq!(settle("k0").await.0, 404, "what was rejected never arrived");
    let (status, published) = publish("k1", "hi").await;
    assert_eq!((status, &published["expires_at"]), (201, &Value::Null));
    assert!(published["permalink"].as_str().unwrap().starts_with("https://"));
    assert_eq!(settle("k1").await, (200, published.clone()));
    assert_eq!(settle("k2").await.0, 404);
    let of_grace = "whatsapp/profiles/wa_grace/publications?idempotency_key=k1";
    assert_eq!(sandbox.call(("GET", of_grace), "", Value::Null).await.0, 404, "it is of another profile");
    let id = published["publication_id"].as_str().unwrap();
    let foreign = format!("whatsapp/profiles/wa_grace/publications/{id}");
    sandbox.call(("DELETE", &foreign), "", Value::Null).await;
    assert_eq!(sandbox.state_of("whatsapp").await["publications"].as_array().unwrap().len(), 1);
    for _ in 0..2 {
        assert_eq!(sandbox.call(("DELETE", &format!("{path}/{id}")), "", Value::Null).await.0, 204);
    }
    assert_eq!(sandbox.state_of("whatsapp").await["publications"], json!([]));
    assert_eq!(settle("k1").await.0, 200, "it did arrive");
    assert_eq!(publish("k1", "hi").await, (201, published), "and is not published again");
    assert_eq!(sandbox.state_of("whatsapp").await["publications"], json!([]));
}

#[tokio::test]
async fn a_lower_revision_never_lands_over_a_higher_one() {
    let sandbox = SandboxProcess::start().await;
    for (end, field) in [("privacy", "settings"), ("business-info", "info")] {
        let path = at(end);
        let push = async |revision: u64, value: &str| {
            let body = json!({ "revision": revision, field: { "audience": value } });
            sandbox.call(("PUT", &path), "", body).await.0
        };
        assert_eq!(
            (push(2, "friends").await, push(1, "everyone").await, push(2, "friends").await),
            (200, 409, 200)
        );
        let state = sandbox.state_of("whatsapp").await;
        assert_eq!(
            state[end.replace('-', "_")]["wa_ada"],
            json!({ "revision": 2, field: { "audience": "friends" } })
        );
    }
    assert_eq!(sandbox.call(("GET", &at("privacy")), "", Value::Null).await.1["revision"], 2);
    let nothing = sandbox.call(("GET", "whatsapp/profiles/wa_grace/privacy"), "", Value::Null).await;
    assert_eq!(nothing, (200, json!({ "revision": 0, "settings": {} })));
    // The person's own change counts as any.
    sandbox.change_privacy("whatsapp", "wa_ada", json!({ "last_seen": "nobody" })).await;
    let read = sandbox.call(("GET", &at("privacy")), "", Value::Null).await.1;
    assert_eq!(read, json!({ "revision": 3, "settings": { "audience": "friends", "last_seen": "nobody" } }));
}

#[tokio::test]
async fn nobody_calls_without_the_credential_and_a_deleted_profile_has_nothing() {
    let sandbox = SandboxProcess::start().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (method, end) in [
        ("GET", ""),
        ("GET", "/privacy"),
        ("GET", "/publications?idempotency_key=k"),
        ("DELETE", "/publications/p"),
        ("POST", "/sessions/revoke"),
    ] {
        let url = format!("{}/sandbox/{ADA}{end}", sandbox.url);
        let request = http.request(method.parse().unwrap(), url).header("Idempotency-Key", "k");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{method} {end}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    sandbox.set_state("wa_ada", "deleted").await;
    assert_eq!(sandbox.call(("POST", &at("sessions/revoke")), "k", Value::Null).await.0, 404);
    assert_eq!(sandbox.call(("GET", &at("privacy")), "", Value::Null).await.0, 404);
    assert_eq!(sandbox.requests("POST /profiles/{external_id}/sessions/revoke").await, (2, 0));
}

#[tokio::test]
async fn a_contact_writes_and_the_platform_removes() {
    let sandbox = SandboxProcess::start().await;
    let message = json!({ "external_id": "wa_ada", "contact": "Charles", "text": "hello" });
    assert_eq!(sandbox.call(("POST", "whatsapp/messages"), "", message).await.0, 201);
    let both = json!({ "external_id": "wa_nobody", "contact": "Charles", "text": "hello" });
    assert_eq!(sandbox.call(("POST", "whatsapp/messages"), "", both).await.0, 404);
    let nothing = json!({ "external_id": "wa_ada", "contact": "Charles" });
    assert_eq!(sandbox.call(("POST", "whatsapp/messages"), "", nothing).await.0, 422);
    let kept = &sandbox.state_of("whatsapp").await["messages"];
    assert_eq!((kept[0]["contact"].as_str(), kept[0]["text"].as_str()), (Some("Charles"), Some("hello")));
    let post = json!({ "format": "STORY", "text": "hi", "audience": "contacts" });
    let published = sandbox.call(("POST", &at("publications")), "k", post).await.1;
    assert!(published["expires_at"].is_string(), "a story ends by itself");
    let path = format!("whatsapp/publications/{}", published["publication_id"].as_str().unwrap());
    assert_eq!(sandbox.call(("DELETE", &path), "", Value::Null).await.0, 204);
    assert_eq!(sandbox.call(("DELETE", &path), "", Value::Null).await.0, 404);
    eventually("nothing is left", async || {
        (sandbox.state_of("whatsapp").await["publications"] == json!([])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn faults_are_of_the_calls_that_they_are_for() {
    let sandbox = SandboxProcess::start().await;
    sandbox.faults(json!({ "status": 429, "retry_after": 7, "only": "/sessions/revoke" })).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/sandbox/{}", sandbox.url, at("sessions/revoke"));
    let answer = http.post(url).bearer_auth("sandbox").header("Idempotency-Key", "k").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(sandbox.call(("GET", &at("privacy")), "", Value::Null).await.0, 200);
}
