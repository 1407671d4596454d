//! The example in Rust.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use example_instagram::{Issuer as From, Verifier};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::issuer::{Issuer, bad_tokens, claims, sign, sign_as};
use super::{ENTITIES, ask, errors};
use crate::support::eventually;

/// Where the clocks of tests begin.
const NOW: i64 = 1_800_000_000;

pub struct Instagram {
    pub url: String,
    clock: Arc<AtomicI64>,
    _stop: DropGuard,
}

impl Instagram {
    pub async fn start(accounts: &str) -> Self {
        let from = From {
            jwks_url: format!("{accounts}/.well-known/jwks.json"),
            issuer: "accounts-center".to_owned(),
            audience: "instagram".to_owned(),
        };
        let clock = Arc::new(AtomicI64::new(NOW));
        let time = clock.clone();
        let verifier = Verifier::new(from, move || time.load(Ordering::SeqCst)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(example_instagram::serve(listener, stop.clone(), verifier));
        Self { url, clock, _stop: stop.drop_guard() }
    }

    async fn entities(&self, token: Option<&str>, fields: &str) -> Value {
        let representations = json!([
            { "__typename": "LinkedProfile", "platformKey": "instagram", "externalId": "ig_ada" },
            { "__typename": "LinkedProfile", "platformKey": "whatsapp", "externalId": "wa_ada" },
            { "__typename": "InstagramMedia", "id": "media_ig_ada_3" },
        ]);
        ask(&self.url, token, &ENTITIES.replace("FIELDS", fields), json!({ "r": representations })).await
    }
}

fn good() -> String {
    sign(1, &claims("instagram", NOW + 60))
}

#[tokio::test]
async fn instagram_says_what_it_knows_of_a_profile() {
    let issuer = Issuer::start().await;
    let instagram = Instagram::start(&issuer.url).await;
    let fields = "followers(first: 2) { totalCount hasNextPage endCursor nodes { username } }
        recentMedia(first: 3) { id likeCount profile { externalId } }";
    let token = good();
    let answer = instagram.entities(Some(&token), fields).await;
    assert_eq!(answer.get("errors"), None, "{answer:#}");
    let [ada, other, media] = &answer["data"]["_entities"].as_array().unwrap()[..] else {
        panic!("{answer:#}")
    };
    assert_eq!(
        other,
        &json!({ "__typename": "LinkedProfile", "externalId": "wa_ada", "followers": null, "recentMedia": null })
    );
    assert_eq!(ada["recentMedia"][2]["profile"]["externalId"], "ig_ada");
    assert_eq!(instagram.entities(Some(&token), fields).await, answer, "the same each time");

    let more =
        instagram.entities(Some(&token), "followers(first: 2, after: \"2\") { nodes { username } }").await;
    let seen = [&ada["followers"]["nodes"], &more["data"]["_entities"][0]["followers"]["nodes"]];
    assert!(seen.iter().all(|page| page.as_array().unwrap().len() == 2) && seen[0] != seen[1], "{seen:?}");
    let total = ada["followers"]["totalCount"].as_i64().unwrap();
    let last =
        format!("followers(after: \"{}\") {{ hasNextPage endCursor nodes {{ username }} }}", total - 1);
    let last = instagram.entities(Some(&token), &last).await;
    let last = &last["data"]["_entities"][0]["followers"];
    assert_eq!((last["nodes"].as_array().unwrap().len(), &last["hasNextPage"]), (1, &json!(false)));

    let by_id = "query($id: ID!) { instagramMedia(id: $id) { likeCount profile { platformKey } } }";
    let root = ask(&instagram.url, Some(&token), by_id, json!({ "id": "media_ig_ada_3" })).await;
    let expected = json!({ "likeCount": media["likeCount"], "profile": { "platformKey": "instagram" } });
    assert_eq!(root["data"]["instagramMedia"], expected);
    let unknown = ask(&instagram.url, Some(&token), by_id, json!({ "id": "media_ig_ada_30" })).await;
    assert_eq!(unknown, json!({ "data": { "instagramMedia": null } }));
    for (field, code) in
        [("followers(first: 51)", "BAD_USER_INPUT"), ("followers(after: \"x\")", "BAD_USER_INPUT")]
    {
        let refused = instagram.entities(Some(&token), &format!("{field} {{ totalCount }}")).await;
        // The library does not number entities in paths.
        assert_eq!(errors(&refused), [(code, r#"["_entities","followers"]"#.to_owned())]);
    }
}

/// Anybody may name an external id or a medium, also a subgraph that makes them up.
#[tokio::test]
async fn s23_instagram_shows_a_profile_to_its_owner_alone() {
    let issuer = Issuer::start().await;
    let instagram = Instagram::start(&issuer.url).await;
    let fields = "followers { totalCount } recentMedia { id }";
    let by_id =
        "query($id: ID!) { instagramMedia(id: $id) { caption profile { followers { totalCount } } } }";
    for profiles in [json!({ "instagram": ["ig_eve"] }), json!({ "whatsapp": ["ig_ada"] }), json!({})] {
        let mut eve = claims("instagram", NOW + 60);
        (eve["sub"], eve["profiles"]) = (json!("account_eve"), profiles);
        let eve = sign(1, &eve);
        let answer = instagram.entities(Some(&eve), fields).await;
        let hidden = json!({ "__typename": "LinkedProfile", "externalId": "ig_ada", "followers": null, "recentMedia": null });
        assert_eq!(answer["data"]["_entities"][0], hidden, "{answer:#}");
        assert_eq!((&answer["data"]["_entities"][2], answer.get("errors")), (&Value::Null, None));
        let root = ask(&instagram.url, Some(&eve), by_id, json!({ "id": "media_ig_ada_0" })).await;
        assert_eq!(root, json!({ "data": { "instagramMedia": null } }));
    }
}

#[tokio::test]
async fn s43_instagram_takes_its_own_tokens_only() {
    let issuer = Issuer::start().await;
    let instagram = Instagram::start(&issuer.url).await;
    let fields = "followers { totalCount } recentMedia { id }";
    let mut tokens = bad_tokens("instagram", NOW);
    tokens.push(("an empty one", String::new()));
    tokens.push(("of no key", sign_as(&json!({ "alg": "EdDSA" }), 1, &claims("instagram", NOW + 60))));
    let tokens = tokens.into_iter().map(|(why, token)| (why, Some(token)));
    for (why, token) in tokens.chain([("none", None)]) {
        let refused = instagram.entities(token.as_deref(), fields).await;
        let mut told = errors(&refused);
        told.sort();
        let at = |field: &str| ("UNAUTHENTICATED", format!(r#"["_entities","{field}"]"#));
        assert_eq!(told, [at("followers"), at("likeCount"), at("recentMedia")], "{why}: {refused:#}");
        assert_eq!(refused["data"]["_entities"][0]["followers"], Value::Null, "{why}");
        assert_eq!(refused["data"]["_entities"][2], Value::Null, "{why}");
    }
    // Whoever composes it needs no token.
    let service = ask(&instagram.url, None, "{ _service { sdl } }", json!({})).await;
    assert!(service["data"]["_service"]["sdl"].as_str().unwrap().contains("InstagramMedia"));

    // The good one, until it ends; a clock may be some seconds off. Who is not signed in has one as well.
    let mut anonymous = claims("instagram", NOW + 60);
    anonymous
        .as_object_mut()
        .unwrap()
        .retain(|claim, _| !["sub", "scope", "profiles"].contains(&claim.as_str()));
    for token in [good(), sign(1, &anonymous)] {
        assert_eq!(errors(&instagram.entities(Some(&token), fields).await), []);
    }
    instagram.clock.store(NOW + 64, Ordering::SeqCst);
    assert_eq!(errors(&instagram.entities(Some(&good()), fields).await), []);
    instagram.clock.store(NOW + 65, Ordering::SeqCst);
    assert_eq!(errors(&instagram.entities(Some(&good()), fields).await).len(), 3);
}

#[tokio::test]
async fn instagram_asks_for_new_keys_and_not_for_every_made_up_one() {
    let issuer = Issuer::start().await;
    let begin = Instant::now();
    let paused = || {
        let most = 1 + begin.elapsed().as_secs() / 5;
        assert!(issuer.asked() as u64 <= most, "asked {} times, and {most} would do", issuer.asked());
    };
    issuer.publish(&[]);
    let instagram = Instagram::start(&issuer.url).await;
    let fields = "followers { totalCount }";
    let codes = async |token: &str| -> Vec<String> {
        let answer = instagram.entities(Some(token), fields).await;
        errors(&answer).into_iter().map(|(code, _)| code.to_owned()).collect()
    };
    assert_eq!(codes(&good()).await, ["SERVICE_UNAVAILABLE"; 2], "nothing is said of the token");
    issuer.publish(&[1]);
    eventually("the keys are there", async || codes(&good()).await.is_empty().then_some(())).await;
    paused();

    // The next key is published long before it signs: who knows it not asks, after a pause, whatever comes meanwhile.
    issuer.publish(&[1, 2]);
    let next = sign(2, &claims("instagram", NOW + 60));
    let made_up = sign(9, &claims("instagram", NOW + 60));
    eventually("the next key is known", async || {
        assert_eq!(codes(&made_up).await, ["UNAUTHENTICATED"; 2]);
        codes(&next).await.is_empty().then_some(())
    })
    .await;
    paused();
    // An Accounts Center that is away takes nobody's keys.
    issuer.publish(&[]);
    assert_eq!(codes(&made_up).await, ["UNAUTHENTICATED"; 2]);
    assert_eq!(codes(&good()).await, [""; 0]);
}
