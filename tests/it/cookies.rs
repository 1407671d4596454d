//! Cookie mode: a browser's refresh token, out of reach of scripts.

use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
use serde_json::{Value, json};

use crate::support::{Client, Place, on_both_stacks};

const ADA: &str = "+4917139200042";
const NAME: &str = "__Host-accounts-center-refresh";

/// Sends an operation as a page does, with `headers`. Gives what came back, and the cookie that was set.
pub async fn post(url: &str, headers: &[(&'static str, &str)], body: Value) -> (Value, Option<String>) {
    let mut named = HeaderMap::new();
    for (name, value) in headers {
        named.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let request = reqwest::Client::new().post(format!("{url}/graphql")).headers(named).json(&body);
    let response = request.send().await.unwrap();
    let cookie = cookie_of(&response);
    (response.json().await.unwrap(), cookie)
}

fn cookie_of(response: &Response) -> Option<String> {
    let mut set = response.headers().get_all(SET_COOKIE).iter();
    let first = set.next().map(|value| value.to_str().unwrap().to_owned());
    assert!(set.next().is_none(), "one cookie at most");
    first
}

/// The cookie as a browser sends it back.
pub fn sent_back(set: &str) -> String {
    set.split(';').next().unwrap().to_owned()
}

/// Signs in as a page in cookie mode. Gives the tokens and the cookie that was set.
pub async fn sign_in(place: &Place, url: &str) -> (Value, String) {
    let before = place.sandbox.codes(ADA).await.len();
    let started = Client::new(url).start_sign_in(ADA).await;
    let started = started.field();
    let code = place.sandbox.nth_code(ADA, before + 1).await;
    let operation =
        "mutation($input: SubmitVerificationInput!) { submitVerification(input: $input) { outcome {
        ... on SignedIn { session { id } tokens { accessToken refreshToken } } } userErrors { code } } }";
    let input = json!({ "verificationId": started["verification"]["id"], "clientSecret": started["clientSecret"],
        "proof": { "oneTimeCode": code } });
    let body = json!({ "query": operation, "variables": { "input": input } });
    let (answer, cookie) = post(url, &[("accounts-center-session", "cookie")], body).await;
    let outcome = answer["data"]["submitVerification"]["outcome"].clone();
    (outcome, cookie.unwrap_or_else(|| panic!("no cookie: {answer:#}")))
}

pub async fn refresh(url: &str, cookie: &str, input: Value) -> (Value, Option<String>) {
    let operation = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) {
        tokens { accessToken refreshToken } session { id } } }";
    post(url, &[("cookie", cookie)], json!({ "query": operation, "variables": { "input": input } })).await
}

on_both_stacks! {
    async fn a_browser_keeps_its_refresh_token_in_a_cookie(place: Place) {
        let app = place.app().await;
        let (outcome, cookie) = sign_in(&place, &app.url).await;
        assert_eq!(outcome["tokens"]["refreshToken"], Value::Null, "no script sees it");
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        assert_eq!(attributes, ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=7776000"]);
        assert!(cookie.starts_with(&format!("{NAME}=")), "{cookie}");

        // It refreshes, among others, and is renewed.
        let sent = format!("theme=dark; {}; broken", sent_back(&cookie));
        let (answer, next) = refresh(&app.url, &sent, json!({})).await;
        let refreshed = &answer["data"]["refreshSession"];
        assert_eq!(refreshed["session"]["id"], outcome["session"]["id"]);
        assert_eq!(refreshed["tokens"]["refreshToken"], Value::Null);
        let next = next.expect("the next one");
        assert_ne!(sent_back(&next), sent_back(&cookie));
        let access = app.client().with_token(refreshed["tokens"]["accessToken"].as_str().unwrap());
        access.query("{ viewer { id } }").await.field();

        // What was used before ends the session, and the cookie goes.
        app.advance(&place, 60).await;
        let (answer, gone) = refresh(&app.url, &sent_back(&cookie), json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        let gone = gone.expect("it is taken away");
        assert!(gone.starts_with(&format!("{NAME}=;")) && gone.contains("Max-Age=0"), "{gone}");
        let (answer, _) = refresh(&app.url, &sent_back(&next), json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }

    async fn signing_out_takes_the_cookie_away(place: Place) {
        let app = place.app().await;
        for everywhere in [false, true] {
            let (outcome, cookie) = sign_in(&place, &app.url).await;
            let bearer = format!("Bearer {}", outcome["tokens"]["accessToken"].as_str().unwrap());
            let session = outcome["session"]["id"].as_str().unwrap();
            let operation = match everywhere {
                true => "mutation { signOutEverywhere(input: { keepCurrent: false }) { endedSessions } }".to_owned(),
                false => format!("mutation {{ revokeSession(input: {{ sessionId: \"{session}\" }}) {{ revokedSessionId }} }}"),
            };
            let headers = [("cookie", sent_back(&cookie)), ("authorization", bearer)];
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (answer, gone) = post(&app.url, &headers, json!({ "query": operation })).await;
            assert_eq!(answer.get("errors"), None, "{answer:#}");
            assert!(gone.is_some_and(|gone| gone.contains("Max-Age=0")));
            let (answer, _) = refresh(&app.url, &sent_back(&cookie), json!({})).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        }
    }

    async fn only_who_asks_for_a_cookie_gets_one(place: Place) {
        let app = place.app().await;
        // A page of somebody else sends neither the cookie nor JSON with a POST; what it could send changes nothing.
        let (_, cookie) = sign_in(&place, &app.url).await;
        let form = reqwest::Client::new()
            .post(format!("{}/graphql", app.url))
            .header("cookie", sent_back(&cookie))
            .header("content-type", "text/plain")
            .body(r#"{"query":"mutation { refreshSession(input: {}) { session { id } } }"}"#);
        let refused = form.send().await.unwrap();
        assert_eq!(refused.status(), 415);
        assert_eq!(cookie_of(&refused), None);
        let get = format!("{}/graphql?query=mutation%7BrefreshSession(input:%7B%7D)%7Bsession%7Bid%7D%7D%7D", app.url);
        let refused = reqwest::Client::new().get(get).header("cookie", sent_back(&cookie)).send().await.unwrap();
        assert_eq!(refused.status(), 405);
        assert_eq!(cookie_of(&refused), None);
        // A query sets none, and one who sends the token itself gets the next one itself.
        let (_, none) = post(&app.url, &[("cookie", &sent_back(&cookie))], json!({ "query": "{ platforms { key } }" })).await;
        assert_eq!(none, None);
        let token = sent_back(&cookie).split_once('=').unwrap().1.to_owned();
        let (answer, none) = refresh(&app.url, "", json!({ "refreshToken": token })).await;
        assert_eq!(none, None);
        assert!(answer["data"]["refreshSession"]["tokens"]["refreshToken"].is_string(), "{answer:#}");
    }
}
