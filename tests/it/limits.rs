//! How fast one caller may be, and how much of a server they may have.

use std::collections::BTreeSet;

use accounts_center_entity::{code_allowance, verification};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Socket, SocketMessage, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const UNKNOWN: &str = "+4917139200099";
const ME: &str = "{ viewer { id } }";
/// How the names of mutations begin that are limited.
const LIMITED: [&str; 5] = ["start", "submit", "finish", "resend", "refresh"];

/// Seconds after which a caller that is too fast may go on.
#[track_caller]
fn retry_after(answer: &Answer) -> u64 {
    assert_eq!(answer.error_code(), "RATE_LIMITED");
    answer.body["errors"][0]["extensions"]["retryAfter"].as_u64().expect("it says when to come back")
}

async fn closes(socket: &mut Socket, code: u16) {
    assert_eq!(socket.next().await, SocketMessage::Closed(code));
}

async fn init(client: &Client) -> Socket {
    let mut socket = Socket::connect(&client.url, None).await.unwrap();
    let payload = client.token.as_ref().map(|token| json!({ "authorization": format!("Bearer {token}") }));
    socket.send(json!({ "type": "connection_init", "payload": payload })).await;
    socket
}

/// Subscribes to the account's events; whether there was a place. What stands behind it in the socket is answered first.
async fn follows(socket: &mut Socket, id: &str) -> bool {
    socket.subscribe(id, "subscription { accountEvents { cursor } }", json!({})).await;
    socket.subscribe("then", ME, json!({})).await;
    let SocketMessage::Json(first) = socket.next().await else { panic!("closed") };
    let is_refused = first["id"] == id;
    if is_refused {
        assert_eq!(refusal(&first), "BAD_USER_INPUT");
        socket.next().await;
    }
    assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "then" })));
    !is_refused
}

/// The code by which an operation over a socket was refused.
#[track_caller]
fn refusal(message: &Value) -> &str {
    assert_eq!(message["type"], "error", "{message}");
    message["payload"][0]["extensions"]["code"].as_str().unwrap()
}

/// The next message of one operation.
async fn answer_to(socket: &mut Socket, id: &str) -> Value {
    loop {
        let SocketMessage::Json(message) = socket.next().await else { panic!("closed") };
        if message["id"] == id {
            return message;
        }
    }
}

/// These mutations, each with what it can be sent; `submitVerification` with each kind of proof.
fn limited() -> Vec<(&'static str, Value)> {
    let code = json!({ "oneTimeCode": { "handle": UNKNOWN } });
    let submitted = |proof: Value| ("submitVerification", json!({ "verificationId": "x", "proof": proof }));
    vec![
        ("startSignIn", json!({ "platform": "whatsapp", "proof": code })),
        ("startPasskeySignIn", json!({})),
        ("startProfileLink", json!({ "platform": "whatsapp", "proof": code, "idempotencyKey": "x" })),
        ("startProfileReverification", json!({ "profileId": "x" })),
        ("startStepUp", json!({ "methodId": "x" })),
        ("startPasskeyRegistration", json!({ "name": "phone" })),
        ("resendVerificationCode", json!({ "verificationId": "x" })),
        submitted(json!({ "oneTimeCode": "x" })),
        submitted(json!({ "oauthResponse": { "state": "x", "code": "x" } })),
        submitted(json!({ "passkeyAssertion": "x" })),
        ("finishPasskeyRegistration", json!({ "registrationId": "x", "attestation": "x" })),
        ("refreshSession", json!({ "refreshToken": "x" })),
    ]
}

async fn call(client: &Client, mutation: &str, input: &Value) -> Answer {
    let (first, rest) = mutation.split_at(1);
    let of_type = format!("{}{rest}Input", first.to_uppercase());
    let query =
        format!("mutation($input: {of_type}!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}");
    client.mutate(&query, input.clone()).await
}

on_both_stacks! {
    /// Each by itself: for an account, wherever it goes, and for an address, whoever is there.
    async fn s32_each_start_and_each_submission_is_limited(place: Place) {
        let mut place = place;
        for limit in [
            "ACCOUNTS__LIMITS__STARTS_PER_ADDRESS",
            "ACCOUNTS__LIMITS__STARTS_PER_ACCOUNT",
            "ACCOUNTS__LIMITS__SUBMISSIONS_PER_ADDRESS",
            "ACCOUNTS__LIMITS__SUBMISSIONS_PER_ACCOUNT",
            "ACCOUNTS__LIMITS__REFRESHES_PER_ADDRESS",
        ] {
            place.set(limit, 1);
        }
        place.set("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
        let app = place.app().await;
        let graph = app.client().query("{ __schema { mutationType { fields { name } } } }").await;
        let fields = graph.field()["mutationType"]["fields"].as_array().unwrap().iter();
        let mutations = fields.map(|field| field["name"].as_str().unwrap());
        let due: BTreeSet<_> =
            mutations.filter(|name| LIMITED.iter().any(|begin| name.starts_with(*begin))).collect();
        let limited = limited();
        let listed: BTreeSet<_> = limited.iter().map(|(mutation, _)| *mutation).collect();
        assert_eq!(listed, due, "what the graph has is listed here");
        for (n, (mutation, input)) in limited.iter().enumerate() {
            let handle = format!("+49171392003{n:02}");
            place.sandbox.add_profile(&format!("wa_{n}"), &handle).await;
            let device = app.client().behind(&format!("198.51.100.{n}"));
            let person = device.sign_in(&place, &handle).await.client;
            let (here, elsewhere) = (format!("192.0.2.{n}"), format!("203.0.113.{n}"));
            let first = call(&person.behind(&here), mutation, input).await;
            let code = first.body["errors"][0]["extensions"]["code"].as_str();
            assert!(matches!(code, None | Some("UNAUTHENTICATED")), "{mutation}: {:#}", first.body);
            for caller in [person.behind(&elsewhere), app.client().behind(&here)] {
                assert!(retry_after(&call(&caller, mutation, input).await) > 0, "{mutation}");
            }
        }
    }

    async fn s32_starting_verifications_is_limited(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__STARTS_PER_ADDRESS", 4);
        place.set("ACCOUNTS__LIMITS__STARTS_PER_ACCOUNT", 2);
        place.set("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        ada.client.start_link(GRACE).await.field();
        let id = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let db = place.database().await;
        let before = verification::Entity::find().count(&db).await.unwrap();
        assert!((1..=31).contains(&retry_after(&ada.client.start_link(GRACE).await)), "two a minute");
        assert!(retry_after(&ada.client.resend(&id, &Value::Null).await) > 0);
        // The account is what is too fast; others of this address go on, until that is.
        let mut others = 0;
        let late = loop {
            let answer = app.client().start_sign_in(UNKNOWN).await;
            if answer.body.get("errors").is_some() {
                break answer;
            }
            others += 1;
            assert!(others < 5, "it is never too fast");
        };
        assert!((1..=16).contains(&retry_after(&late)), "four a minute");
        let after = verification::Entity::find().count(&db).await.unwrap();
        assert_eq!(after - before, others, "nothing is begun for who is too fast");
        // Behind a proxy that is trusted each client is one of its own.
        let elsewhere = app.client().behind("192.0.2.1").start_sign_in(UNKNOWN).await;
        assert_eq!(elsewhere.user_errors(), Vec::<&str>::new());
        assert_eq!(ada.client.query(ME).await.field()["id"], ada.account, "reading costs nobody anything");
    }

    /// Who has a site of IPv6 has 65,536 networks, and not as many times the starts of one.
    async fn s32_a_site_has_the_starts_of_eight_networks(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__STARTS_PER_ADDRESS", 2);
        place.set("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
        let app = place.app().await;
        let start = async |address: &str| app.client().behind(address).start_sign_in(UNKNOWN).await;
        let mut started = 0;
        for network in 1..=12 {
            for host in 1..=2 {
                let answer = start(&format!("2001:db8:7:{network:x}::{host}")).await;
                if answer.body.get("errors").is_some() {
                    retry_after(&answer);
                    break;
                }
                started += 1;
            }
            if network == 8 {
                assert_eq!(started, 16, "each network has its two");
            }
        }
        // One of them comes again every few seconds, so the machine may be slow, but not that slow.
        assert!((16..24).contains(&started), "{started} of 24");
        assert_eq!(start("2001:db8:8:1::1").await.user_errors(), [""; 0], "another site is another caller");
    }

    async fn s32_submitting_and_refreshing_is_limited(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__SUBMISSIONS_PER_ADDRESS", 3);
        place.set("ACCOUNTS__LIMITS__REFRESHES_PER_ADDRESS", 2);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let started = app.client().start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let code = place.sandbox.nth_code(ADA, 2).await;
        for left in [4, 3] {
            let wrong = app.client().submit(id, secret, "nonsense").await;
            assert_eq!(wrong.field()["verification"]["challenge"]["attemptsLeft"], left);
        }
        // Not even looked at: a right one is not told from a wrong one.
        retry_after(&app.client().submit(id, secret, &code).await);
        retry_after(&app.client().submit(id, secret, "nonsense").await);
        let row = verification::Entity::find().all(&place.database().await).await.unwrap();
        assert!(row.iter().any(|row| row.attempts_left == 3), "no try is used up");
        let refresh = "mutation { refreshSession(input: { refreshToken: \"x\" }) { session { id } } }";
        let refresh_with = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { session { id } } }";
        assert_ne!(app.client().query(refresh).await.error_code(), "RATE_LIMITED", "refused for another reason");
        let mut codes = Vec::new();
        for _ in 0..3 {
            let answer = app.client().mutate(refresh_with, json!({ "refreshToken": "x" })).await;
            codes.push(answer.error_code().to_owned());
        }
        assert_eq!(codes, ["UNAUTHENTICATED", "UNAUTHENTICATED", "RATE_LIMITED"]);
        ada.client.query(ME).await.field();
    }

    async fn s10_a_handle_gets_so_many_codes_a_day_whoever_asks(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__VERIFICATION__CODES_PER_HANDLE", 3);
        place.set("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
        let app = place.app().await;
        let at = |n: usize| app.client().behind(&format!("192.0.2.{n}"));
        let ada = app.client().sign_in(&place, ADA).await;
        // Ten at the same moment, by strangers and by an account; then a known handle and an unknown one.
        let strangers = (0..5).map(at).collect::<Vec<_>>();
        let by_strangers = futures_util::future::join_all(strangers.iter().map(|client| client.start_sign_in(GRACE)));
        let by_account = futures_util::future::join_all((0..5).map(|_| ada.client.start_link(GRACE)));
        let (by_strangers, by_account) = tokio::join!(by_strangers, by_account);
        let mut errors: Vec<_> =
            by_strangers.iter().chain(&by_account).map(|answer| answer.user_errors().concat()).collect();
        errors.sort();
        assert_eq!(errors.iter().filter(|error| error.is_empty()).count(), 3);
        assert!(errors[3..].iter().all(|error| error == "TOO_MANY_ATTEMPTS"), "{errors:?}");
        for n in 0..3 {
            at(n).start_sign_in(UNKNOWN).await.field();
        }
        let (known, unknown) = (app.client().start_sign_in(GRACE).await, app.client().start_sign_in(UNKNOWN).await);
        assert_eq!(known.body, unknown.body, "it tells nothing of who is there");
        place.sandbox.nth_code(GRACE, 3).await;
        // A further code counts, too; and it is not over sooner than the window is.
        let ada = app.client().sign_in(&place, ADA).await;
        let started = at(1).start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        app.advance(&place, 60).await;
        assert_eq!(at(1).resend(id, secret).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        app.advance(&place, 24 * 3600 - 61).await;
        assert_eq!(app.client().start_sign_in(GRACE).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        app.advance(&place, 1).await;
        assert_eq!(app.client().start_sign_in(GRACE).await.user_errors(), Vec::<&str>::new());
        place.sandbox.nth_code(GRACE, 4).await;
        assert_eq!(place.sandbox.codes(GRACE).await.len(), 4);
        drop(ada);
    }

    async fn s10_nobody_uses_up_a_handle_from_one_address(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__VERIFICATION__CODES_PER_HANDLE", 4);
        place.set("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
        let app = place.app().await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().behind("198.51.100.9").sign_in(&place, EVE).await.client;
        let ada = app.client().behind("192.0.2.1").sign_in(&place, ADA).await;
        let profile = ada.client.profiles().await[0].clone();
        let db = place.database().await;
        let rows = async || code_allowance::Entity::find().count(&db).await.unwrap();
        let before = rows().await;
        // A site of IPv6 is one address. Of four codes it gets three, signed in or not, a further one for a verification too.
        let site = ["2001:db8:7::1", "2001:db8:7:1::1", "2001:db8:7:ffff::1"];
        let first = app.client().behind(site[0]).start_sign_in(GRACE).await;
        assert_eq!(eve.behind(site[1]).start_link(GRACE).await.user_errors(), Vec::<&str>::new());
        assert_eq!(app.client().behind(site[2]).start_sign_in(GRACE).await.user_errors(), Vec::<&str>::new());
        app.advance(&place, 60).await;
        let (id, secret) = (&first.field()["verification"]["id"], &first.field()["clientSecret"]);
        for _ in 0..3 {
            assert_eq!(eve.behind(site[0]).start_link(GRACE).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
            assert_eq!(app.client().behind(site[1]).start_sign_in(GRACE).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
            assert_eq!(app.client().behind(site[2]).resend(id, secret).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        }
        assert_eq!(rows().await - before, 2, "one for the handle, and one for the address");
        // What was refused was not counted: its owner has the fourth one.
        let owner = app.client().behind("192.0.2.1").sign_in(&place, GRACE).await;
        assert_eq!(app.client().behind("203.0.113.5").start_sign_in(GRACE).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        // An address has its three in each window of the handle, and not in one of its own.
        app.advance(&place, 24 * 3600 - 60).await;
        for n in 1..=4 {
            let started = app.client().behind(site[0]).start_sign_in(GRACE).await;
            assert_eq!(started.user_errors().is_empty(), n < 4, "{n}");
        }
        // And an account's own proofs of its profiles are not of those.
        for _ in 0..4 {
            app.client().behind(site[0]).start_sign_in(ADA).await;
            app.client().behind("203.0.113.5").start_sign_in(ADA).await;
        }
        assert_eq!(app.client().start_sign_in(ADA).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        let stepped_up = app.renewed(&ada).step_up(&place, &profile, ADA).await;
        assert_eq!(stepped_up.field()["outcome"]["__typename"], "SteppedUp");
        drop(owner);
    }

    async fn s10_spellings_of_one_handle_are_counted_together(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__VERIFICATION__CODES_PER_HANDLE", 4);
        place.set("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.0/8");
        let app = place.app().await;
        // To a platform that is less strict than we are, each of these is the same phone; it gets them as they were typed.
        let typed = ["+49 171 39200043", "0049-171.39200043", "(0049) 171 39200043"];
        for handle in typed {
            assert_eq!(app.client().start_sign_in(handle).await.user_errors(), [""; 0], "{handle}");
        }
        let started = app.client().start_sign_in("00 49 [171] 39200043").await;
        assert_eq!(started.user_errors(), ["TOO_MANY_ATTEMPTS"], "three of four from one address");
        let elsewhere = |n: u8| app.client().behind(&format!("192.0.2.{n}"));
        assert_eq!(elsewhere(1).start_sign_in("0049/171/39200043").await.user_errors(), [""; 0]);
        assert_eq!(elsewhere(2).start_sign_in(GRACE).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        let named = ["Ada.Lovelace", "ada.lovelace", "ADA LOVELACE", "ada-lovelace"];
        for (n, handle) in named.into_iter().enumerate() {
            let started = app.client().start_sign_in(handle).await;
            assert_eq!(started.user_errors().is_empty(), n < 3, "{handle}");
        }
        assert_eq!(app.client().start_sign_in("ada_lovelace").await.user_errors(), [""; 0], "that is somebody else");
        let db = place.database().await;
        let sent = verification::Entity::find().all(&db).await.unwrap();
        let handle = |row: &verification::Model| {
            app.app().keys.open(row.id, row.sealed_handle.as_ref()?).ok().map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let sent: Vec<_> = sent.iter().filter_map(handle).collect();
        for handle in [GRACE, typed[1], typed[2], named[0], named[2]] {
            assert!(sent.iter().any(|sent| sent == handle), "{handle} in {sent:?}");
        }
    }

    async fn s49_pending_verifications_have_a_quota(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__VERIFICATION__PENDING_PER_ACCOUNT", 2);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let first = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        ada.client.start_link(GRACE).await.field();
        assert_eq!(ada.client.start_link(GRACE).await.user_errors(), ["LIMIT_REACHED"]);
        let cancel = "mutation($input: CancelVerificationInput!) { cancelVerification(input: $input) { userErrors { code } } }";
        ada.client.mutate(cancel, json!({ "verificationId": first })).await.field();
        assert_eq!(ada.client.start_link(GRACE).await.user_errors(), Vec::<&str>::new());
        assert_eq!(ada.client.start_link(GRACE).await.user_errors(), ["LIMIT_REACHED"]);
        app.advance(&place, 600).await;
        let again = app.renewed(&app.client().sign_in(&place, ADA).await);
        assert_eq!(again.start_link(GRACE).await.user_errors(), Vec::<&str>::new(), "those have run out");
    }

    async fn s49_sessions_have_a_quota_that_locks_nobody_out(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__SESSIONS_PER_ACCOUNT", 2);
        let app = place.app().await;
        let mut devices = Vec::new();
        for _ in 0..4 {
            app.advance(&place, 1).await;
            devices.push(app.client().sign_in(&place, ADA).await);
        }
        for device in &devices[..2] {
            let refused = device.client.start_link(GRACE).await;
            assert_eq!(refused.error_code(), "UNAUTHENTICATED");
            eventually("it is out", async || (device.client.query(ME).await.status == 401).then_some(())).await;
        }
        for device in &devices[2..] {
            device.client.query(ME).await.field();
        }
        let told = "{ viewer { activity(first: 2) { nodes { description } } } }";
        let told = devices[3].client.query(told).await.field()["activity"]["nodes"].to_string();
        assert!(told.contains("too many were signed in"), "{told}");
    }

    async fn s49_sockets_have_quotas_and_others_are_served(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__SOCKETS_PER_ACCOUNT", 2);
        place.set("ACCOUNTS__LIMITS__ANONYMOUS_SOCKETS", 1);
        place.set("ACCOUNTS__LIMITS__SOCKETS_PER_ADDRESS", 5);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await;
        let (mut first, second) = (ada.client.socket().await, ada.client.socket().await);
        closes(&mut init(&ada.client).await, 4429).await;
        let anonymous = app.client().socket().await;
        closes(&mut init(&app.client()).await, 4429).await;
        let mut hers = eve.client.socket().await;
        assert_eq!(hers.ask(ME).await["viewer"]["id"], eve.account);
        // A place is free once its socket is closed.
        drop(second);
        let mut again = eventually("a place is free", async || {
            let mut socket = init(&ada.client).await;
            (socket.next().await == SocketMessage::Json(json!({ "type": "connection_ack" }))).then_some(socket)
        }).await;
        assert_eq!(again.ask(ME).await["viewer"]["id"], ada.account);
        // Four are open. The fifth of this address is the last.
        let fifth = Socket::connect(&app.url, None).await.unwrap();
        assert!(Socket::connect(&app.url, None).await.is_err(), "refused before it is a socket");
        assert_eq!(first.ask(ME).await["viewer"]["id"], ada.account);
        app.client().query("{ platforms { key } }").await.field();
        drop((fifth, anonymous));
    }

    async fn s49_subscriptions_have_quotas_and_others_are_served(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ACCOUNT", 2);
        place.set("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ADDRESS", 5);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;
        let (mut tab, mut phone) = (ada.socket().await, ada.socket().await);
        assert!(follows(&mut tab, "1").await && follows(&mut phone, "1").await, "two of the account");
        assert!(!follows(&mut tab, "2").await && !follows(&mut phone, "2").await, "over all of its sockets");
        assert_eq!(tab.ask(ME).await, phone.ask(ME).await, "queries are no subscriptions");
        // One that is over has left its place: completed by its client, refused by the graph, or with its socket.
        phone.send(json!({ "type": "complete", "id": "1" })).await;
        phone.subscribe("bad", "subscription { nothing }", json!({})).await;
        assert_eq!(answer_to(&mut phone, "bad").await["type"], "error");
        assert!(follows(&mut phone, "3").await && !follows(&mut tab, "2").await);
        drop(phone);
        eventually("its socket's places are free", async || follows(&mut tab, "2").await.then_some(())).await;
        // The address has three more: for somebody else, and one that is not signed in.
        let mut hers = eve.socket().await;
        assert!(follows(&mut hers, "1").await && follows(&mut hers, "2").await && !follows(&mut hers, "3").await);
        let (mut device, started) = (app.client().socket().await, app.client().start_sign_in(GRACE).await);
        let started = started.field();
        let watched = json!({ "id": started["verification"]["id"], "secret": started["clientSecret"] });
        let watch = "subscription($id: ID!, $secret: Secret) {
            verificationUpdated(id: $id, clientSecret: $secret) { status } }";
        device.subscribe("1", watch, watched.clone()).await;
        let state = answer_to(&mut device, "1").await;
        assert_eq!(state["payload"]["data"]["verificationUpdated"]["status"], "PENDING", "{state}");
        device.subscribe("2", watch, watched.clone()).await;
        assert_eq!(refusal(&answer_to(&mut device, "2").await), "BAD_USER_INPUT");
        // What the address refused was not counted for the account.
        tab.send(json!({ "type": "complete", "id": "2" })).await;
        eventually("a place of the address is free", async || {
            device.subscribe("2", watch, watched.clone()).await;
            (answer_to(&mut device, "2").await["type"] == "next").then_some(())
        }).await;
        assert!(!follows(&mut tab, "2").await, "the address has none left");
        hers.send(json!({ "type": "complete", "id": "1" })).await;
        eventually("the account has one left", async || follows(&mut tab, "2").await.then_some(())).await;
    }
}
