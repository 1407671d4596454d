//! Sessions: refreshing them, ending them, and what is seen of them.

use accounts_center_entity::session;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{
    Client, Fault, Person, Place, Proxy, ServerProcess, SocketMessage, Stack, TestApp, eventually,
    on_both_stacks,
};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";

const REFRESH: &str = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) {
    session { id current lastUsedAt } tokens { accessToken accessTokenExpiresAt refreshToken }
    userErrors { code } } }";
const REVOKE: &str = "mutation($input: RevokeSessionInput!) { revokeSession(input: $input) {
    revokedSessionId account { version } userErrors { code path } } }";
const EVERYWHERE: &str = "mutation($input: SignOutEverywhereInput!) { signOutEverywhere(input: $input) {
    endedSessions account { version } userErrors { code } } }";
const ME: &str = "{ viewer { id } }";

/// Somebody who keeps a refresh token.
struct Device {
    person: Person,
    refresh_token: String,
}

async fn sign_in(place: &Place, app: &TestApp, handle: &str) -> Device {
    let client = app.client();
    let before = place.sandbox.codes(handle).await.len();
    let started = client.start_sign_in(handle).await;
    let started = started.field();
    let code = place.sandbox.nth_code(handle, before + 1).await;
    let done = client.submit(&started["verification"]["id"], &started["clientSecret"], &code).await;
    let outcome = &done.field()["outcome"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Device {
        person: Person {
            account: text(&outcome["account"]["id"]),
            session: text(&outcome["session"]["id"]),
            client: client.with_token(&text(&outcome["tokens"]["accessToken"])),
        },
        refresh_token: text(&outcome["tokens"]["refreshToken"]),
    }
}

impl Device {
    fn client(&self) -> &Client {
        &self.person.client
    }

    fn session(&self) -> Value {
        json!({ "sessionId": self.person.session })
    }
}

async fn refresh(client: &Client, token: &str) -> Result<(String, String), String> {
    let answer = client.mutate(REFRESH, json!({ "refreshToken": token })).await;
    if answer.body.get("errors").is_some() {
        return Err(answer.error_code().to_owned());
    }
    let tokens = &answer.field()["tokens"];
    let text = |key: &str| tokens[key].as_str().unwrap().to_owned();
    Ok((text("accessToken"), text("refreshToken")))
}

async fn is_out(client: &Client) -> Option<()> {
    let answer = client.query(ME).await;
    (answer.status == 401 && answer.error_code() == "UNAUTHENTICATED").then_some(())
}

on_both_stacks! {
    async fn a_refreshed_session_goes_on(place: Place) {
        let app = place.app().await;
        let ada = sign_in(&place, &app, ADA).await;
        let mut token = ada.refresh_token.clone();
        for _ in 0..3 {
            app.advance(&place, 3600).await;
            assert_eq!(is_out(ada.client()).await, Some(()), "its first access token has run out");
            let (access, next) = refresh(&app.client(), &token).await.unwrap();
            assert_ne!(next, token);
            let again = app.client().with_token(&access);
            assert_eq!(again.query(ME).await.field()["id"], ada.person.account);
            token = next;
        }
        let answer = app.client().mutate(REFRESH, json!({ "refreshToken": token })).await;
        let seen = &answer.field()["session"];
        assert_eq!(seen["id"], ada.person.session);
        assert_eq!(seen["lastUsedAt"], "2027-01-15T11:00:00.000Z");
        // Not refreshing moves no step-up.
        let fresh = app.client().with_token(answer.field()["tokens"]["accessToken"].as_str().unwrap());
        assert_eq!(fresh.start_link(GRACE).await.error_code(), "STEP_UP_REQUIRED");
    }

    async fn a_session_that_is_not_refreshed_runs_out(place: Place) {
        let app = place.app().await;
        let ada = sign_in(&place, &app, ADA).await;
        app.advance(&place, 60 * 24 * 3600).await;
        let (_, token) = refresh(&app.client(), &ada.refresh_token).await.unwrap();
        app.advance(&place, 90 * 24 * 3600 - 1).await;
        let (_, token) = refresh(&app.client(), &token).await.unwrap();
        app.advance(&place, 90 * 24 * 3600).await;
        assert_eq!(refresh(&app.client(), &token).await.unwrap_err(), "UNAUTHENTICATED");
        // It was nobody's fault: there is no alert.
        let again = sign_in(&place, &app, ADA).await;
        let alerts = again.client().query("{ viewer { security { alerts { nodes { kind } } } } }").await;
        assert_eq!(alerts.field()["security"]["alerts"]["nodes"], json!([{ "kind": "NEW_SIGN_IN" }]));
    }

    async fn s14_a_refresh_token_is_hashed_at_rest_and_bears_no_meaning_elsewhere(place: Place) {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let app = place.app().await;
        let ada = sign_in(&place, &app, ADA).await;
        let (_, second) = refresh(&app.client(), &ada.refresh_token).await.unwrap();
        let db = place.database().await;
        let row = session::Entity::find().one(&db).await.unwrap().unwrap();
        let stored = row.refresh_hash.unwrap();
        assert_eq!((stored.len(), row.refresh_number), (32, 1));
        for token in [&ada.refresh_token, &second] {
            let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
            assert!(!bytes.windows(32).any(|window| window == stored), "the hash is not in the token");
        }
        // It is no access token, and an access token is none.
        assert_eq!(app.client().with_token(&second).query(ME).await.error_code(), "UNAUTHENTICATED");
        let access = ada.client().token.clone().unwrap();
        assert_eq!(refresh(&app.client(), &access).await.unwrap_err(), "UNAUTHENTICATED");
    }

    async fn s14_a_reused_refresh_token_ends_its_session(place: Place) {
        let app = place.app().await;
        let other = sign_in(&place, &app, ADA).await;
        let ada = sign_in(&place, &app, ADA).await;
        let mut events = other.client().socket().await;
        events.subscribe("alerts", "subscription { securityAlertRaised { alert {
            kind acknowledgedAt description session { id } profile { handle } } } }", json!({})).await;
        events.ask("{ viewer { id } }").await;
        let (access, second) = refresh(&app.client(), &ada.refresh_token).await.unwrap();
        let thief = app.client().with_token(&access);
        let mut tab = thief.socket().await;
        app.advance(&place, 10).await;
        assert_eq!(refresh(&app.client(), &ada.refresh_token).await.unwrap_err(), "UNAUTHENTICATED");
        // Whoever has the other one is out as well.
        assert_eq!(refresh(&app.client(), &second).await.unwrap_err(), "UNAUTHENTICATED");
        assert_eq!(is_out(&thief).await, Some(()));
        assert_eq!(tab.next().await, SocketMessage::Closed(4403));
        let raised = events.event("alerts", "securityAlertRaised").await;
        assert_eq!(raised["alert"]["kind"], "REFRESH_TOKEN_REUSED");
        assert_eq!(raised["alert"]["session"], Value::Null, "it has ended");
        assert_eq!(raised["alert"]["profile"]["handle"], "+49 ··· ·· 42");
        // The other session of the account goes on.
        let activity = other.client().query("{ viewer { activity(first: 1) { nodes { kind description } } } }").await;
        let newest = &activity.field()["activity"]["nodes"][0];
        assert_eq!(newest["kind"], "SECURITY");
        assert!(newest["description"].as_str().unwrap().contains("an old token"), "{newest}");
        // It stays at one alert, however often the thief tries.
        let (alerts, first) = ("{ viewer { security { alerts { nodes { kind } } } } }", &ada.refresh_token);
        let before = other.client().query(alerts).await.body;
        assert_eq!(refresh(&app.client(), first).await.unwrap_err(), "UNAUTHENTICATED");
        assert_eq!(other.client().query(alerts).await.body, before);
    }

    async fn s14_two_refreshes_at_once_sign_nobody_out(place: Place) {
        let app = place.app().await;
        let ada = sign_in(&place, &app, ADA).await;
        let client = app.client();
        let tries = futures_util::future::join_all((0..8).map(|_| refresh(&client, &ada.refresh_token))).await;
        let tokens: Vec<_> = tries.into_iter().map(|done| done.unwrap()).collect();
        assert!(tokens.iter().all(|(_, token)| *token == tokens[0].1), "each gets the same next one");
        app.advance(&place, 9).await;
        assert_eq!(refresh(&client, &ada.refresh_token).await.unwrap().1, tokens[0].1, "an answer that was lost");
        refresh(&client, &tokens[0].1).await.unwrap();
        for (access, _) in &tokens {
            assert_eq!(client.with_token(access).query(ME).await.field()["id"], ada.person.account);
        }
    }

    async fn s14_a_forged_refresh_token_changes_nothing(place: Place) {
        let app = place.app().await;
        let ada = sign_in(&place, &app, ADA).await;
        // One number on, as if it were the next; and every byte once.
        for at in (0..ada.refresh_token.len()).step_by(7) {
            let mut forged = ada.refresh_token.clone().into_bytes();
            forged[at] = if forged[at] == b'Q' { b'R' } else { b'Q' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(refresh(&app.client(), &forged).await.unwrap_err(), "UNAUTHENTICATED");
        }
        for garbage in ["", "x", "ü", &"A".repeat(91), &"A".repeat(10_000)] {
            assert_eq!(refresh(&app.client(), garbage).await.unwrap_err(), "UNAUTHENTICATED");
        }
        let nothing = app.client().mutate(REFRESH, json!({})).await;
        assert_eq!(nothing.error_code(), "UNAUTHENTICATED");
        let version = ada.client().query("{ viewer { version } }").await.field()["version"].clone();
        assert_eq!(version, 2, "no event, and no alert");
        refresh(&app.client(), &ada.refresh_token).await.unwrap();
    }

    async fn s15_a_revoked_session_is_out_everywhere(place: Place) {
        let mut place = place;
        // On the production stack all of this is without Redis.
        let redis = match place.stack {
            Stack::Embedded => None,
            Stack::Production => {
                let redis = Proxy::before(place.setting("ACCOUNTS__REDIS__URL")).await;
                let through = redis.instead_of(place.setting("ACCOUNTS__REDIS__URL"));
                place.set("ACCOUNTS__REDIS__URL", through);
                Some(redis)
            }
        };
        let app = place.app().await;
        let second = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(place.replica().await),
        };
        let there = second.as_ref().unwrap_or(&app).url.clone();
        let (kept, lost) = (sign_in(&place, &app, ADA).await, sign_in(&place, &app, ADA).await);
        let (mut here, mut away) = (lost.client().socket().await, lost.client().at(&there).socket().await);
        let mut other = kept.client().at(&there).socket().await;
        for socket in [&mut here, &mut away, &mut other] {
            socket.follow_links(None).await;
        }
        if let Some(redis) = &redis {
            redis.set(Fault::Cut);
        }
        let done = kept.client().mutate(REVOKE, lost.session()).await;
        assert_eq!(done.field()["revokedSessionId"], lost.person.session);
        // Mutations at once, wherever they are sent; where it was done, reads too.
        let late = lost.client().at(&there).start_link(GRACE).await;
        assert_eq!(late.error_code(), "UNAUTHENTICATED");
        assert_eq!(is_out(lost.client()).await, Some(()));
        // Elsewhere a look later: it is what bounds the 5 seconds.
        eventually("reads are refused", async || is_out(&lost.client().at(&there)).await).await;
        assert_eq!(here.next().await, SocketMessage::Closed(4403));
        assert_eq!(away.next().await, SocketMessage::Closed(4403));
        let mut refused = crate::support::Socket::connect(&there, None).await.unwrap();
        let token = format!("Bearer {}", lost.client().token.as_ref().unwrap());
        refused.send(json!({ "type": "connection_init", "payload": { "authorization": token } })).await;
        assert_eq!(refused.next().await, SocketMessage::Closed(4403));
        assert_eq!(refresh(&app.client(), &lost.refresh_token).await.unwrap_err(), "UNAUTHENTICATED");
        // The other session has noticed nothing.
        assert_eq!(other.ask(ME).await["viewer"]["id"], kept.person.account);
        kept.client().at(&there).query(ME).await.field();
        // Doing it again changes nothing.
        let again = kept.client().mutate(REVOKE, lost.session()).await;
        assert_eq!(again.field()["account"]["version"], done.field()["account"]["version"]);
    }

    async fn s15_a_server_that_cannot_look_asks_for_each_session(place: Place) {
        // It looks once, when it starts; five seconds later that is too long ago.
        let more = [("FAILPOINTS", "session::look=1*off->return".to_owned())];
        let server = ServerProcess::start_with(&place, &more).await;
        let ada = server.client().sign_in(&place, ADA).await;
        let mut tab = ada.client.socket().await;
        tab.ask(ME).await;
        let db = place.database().await;
        let row = session::Entity::find().one(&db).await.unwrap().unwrap();
        let mut ended = sea_orm::IntoActiveModel::into_active_model(row.clone());
        ended.revoked_at = sea_orm::ActiveValue::Set(Some(row.created_at));
        sea_orm::ActiveModelTrait::update(ended, &db).await.unwrap();
        eventually("the row is asked", async || is_out(&ada.client).await).await;
        // Nobody tells its socket, so it is asked for with the next operation.
        tab.subscribe("late", ME, json!({})).await;
        assert_eq!(tab.next().await, SocketMessage::Closed(4403));
    }

    async fn sessions_are_listed_and_signed_out(place: Place) {
        let app = place.app().await;
        let mut devices = Vec::new();
        for _ in 0..4 {
            // Those of one millisecond have no order.
            app.advance(&place, 1).await;
            devices.push(sign_in(&place, &app, ADA).await);
        }
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = sign_in(&place, &app, EVE).await;
        let list = "query($first: Int, $after: String, $last: Int, $before: String) { viewer { security {
            id currentSession { id current } sessions(first: $first, after: $after, last: $last, before: $before) {
                edges { cursor node { id current device ipAddress platform { key } createdAt } }
                pageInfo { hasNextPage hasPreviousPage endCursor startCursor } } } } }";
        let ids = |body: &Value| -> Vec<String> {
            let edges = body["sessions"]["edges"].as_array().unwrap();
            edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
        };
        let newest_first: Vec<_> = devices.iter().rev().map(|device| device.person.session.clone()).collect();
        let answer = devices[1].client().run(list, json!({})).await;
        let seen = &answer.field()["security"];
        assert_eq!(ids(seen), newest_first);
        assert_eq!(seen["currentSession"], json!({ "id": devices[1].person.session, "current": true }));
        let current: Vec<_> =
            seen["sessions"]["edges"].as_array().unwrap().iter().map(|edge| &edge["node"]["current"]).collect();
        assert_eq!(current, [false, false, true, false]);
        assert_eq!(seen["sessions"]["edges"][0]["node"]["ipAddress"], "127.0.0.1");
        let page = devices[0].client().run(list, json!({ "first": 2 })).await;
        let page = &page.field()["security"];
        assert_eq!(ids(page), newest_first[..2]);
        assert_eq!(page["sessions"]["pageInfo"]["hasNextPage"], true);
        let after = json!({ "first": 2, "after": page["sessions"]["pageInfo"]["endCursor"] });
        let rest = devices[0].client().run(list, after.clone()).await;
        assert_eq!(ids(&rest.field()["security"]), newest_first[2..]);
        let last = devices[0].client().run(list, json!({ "last": 1 })).await;
        assert_eq!(ids(&last.field()["security"]), newest_first[3..]);
        // A cursor is of one account's list.
        assert_eq!(eve.client().run(list, after).await.error_code(), "BAD_USER_INPUT");

        // Somebody else's is not there, nor is what is no session.
        for id in [&eve.person.session, &devices[0].person.account, &"🦀".to_owned()] {
            let refused = devices[0].client().mutate(REVOKE, json!({ "sessionId": id })).await;
            assert_eq!(refused.user_errors(), ["NOT_FOUND"], "{id}");
        }
        eve.client().query(ME).await.field();

        let mut events = devices[3].client().socket().await;
        events.subscribe("all", "subscription { accountEvents { __typename
            ... on SessionChange { session { id } endedSessionId } } }", json!({})).await;
        events.ask(ME).await;
        devices[0].client().mutate(REVOKE, devices[0].session()).await.field();
        let told = events.event("all", "accountEvents").await;
        assert_eq!(told, json!({ "__typename": "SessionChange", "session": null,
            "endedSessionId": devices[0].person.session }));
        assert_eq!(is_out(devices[0].client()).await, Some(()), "it has signed itself out");

        let done = devices[3].client().mutate(EVERYWHERE, json!({ "keepCurrent": true })).await;
        assert_eq!(done.field()["endedSessions"], 2);
        for device in &devices[1..3] {
            assert_eq!(is_out(device.client()).await, Some(()));
        }
        let left = devices[3].client().run(list, json!({})).await;
        assert_eq!(ids(&left.field()["security"]), newest_first[..1]);
        for nth in 0..2 {
            let told = events.event("all", "accountEvents").await;
            assert_eq!(told["endedSessionId"], devices[nth + 1].person.session);
        }
        let node = "query($id: ID!) { node(id: $id) { id } }";
        let gone = devices[3].client().run(node, json!({ "id": devices[1].person.session })).await;
        assert_eq!(gone.field(), &Value::Null, "it has ended");
        let done = devices[3].client().mutate(EVERYWHERE, json!({ "keepCurrent": false })).await;
        assert_eq!(done.field()["endedSessions"], 1);
        assert_eq!(is_out(devices[3].client()).await, Some(()));
        eve.client().query(ME).await.field();
    }
}
