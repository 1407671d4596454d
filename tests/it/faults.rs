//! Faults: processes that are killed, platforms that misbehave, a database that goes away.

use std::time::Duration;

use accounts_center::store::failpoint;
use accounts_center_entity::{account, event, job, linked_profile, session, stream, verification};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::support::{
    Announced, Client, Fault, Place, Proxy, ServerProcess, Stack, TestApp, eventually, on_both_stacks,
};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

on_both_stacks! {
    /// Kills the server at every passing of every failpoint while somebody signs in and links a profile. After
    /// the restart everything is as before the command or as after it, and the path can be finished.
    async fn s37_kill_9_at_each_failpoint_of_linking(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let (mut deaths, mut number) = (0, 0);
        for name in failpoint::ALL {
            for passing in 0.. {
                let more = [("FAILPOINTS", format!("{name}={passing}*off->return"))];
                number += 1;
                let (ada, grace) = (format!("+491713921{number:03}"), format!("+491713922{number:03}"));
                place.sandbox.add_profile(&format!("wa_a{number}"), &ada).await;
                place.sandbox.add_profile(&format!("wa_b{number}"), &grace).await;
                let mut server = ServerProcess::start_with(&place, &more).await;
                let progress = walk(&place, server.client(), &ada, &grace, Progress::default()).await;
                let died = progress.is_err();
                if let Ok(done) = &progress {
                    assert_eq!(done.events, events_of_a_link(1), "without a death at {name} {passing}");
                }
                server.kill_if_alive().await;
                assert_sound(&place).await;
                if !died {
                    assert!(passing > 0, "{name} is not on the path");
                    break;
                }
                deaths += 1;
                // A new process finishes what the killed one had begun.
                let mut server = ServerProcess::start(&place).await;
                // What the killed one had claimed is free once its lease is over.
                place.sandbox.advance(61).await;
                let progress = progress.unwrap_err();
                let sessions = sessions_of(&place, &format!("wa_a{number}")).await;
                assert!(sessions <= 1, "one sign-in made {sessions} sessions");
                // Who was signed in and never heard of it signs in once more.
                let signed_in = if progress.token.is_none() { sessions + 1 } else { sessions };
                let finished = walk(&place, server.client(), &ada, &grace, progress).await;
                let finished = finished.unwrap_or_else(|_| panic!("not finished after {name} {passing}"));
                assert_eq!(finished.events, events_of_a_link(signed_in), "each event once, after {name} {passing}");
                server.kill_if_alive().await;
                assert_sound(&place).await;
            }
        }
        assert!(deaths >= failpoint::ALL.len() * 2, "only {deaths} deaths");
    }

    async fn s40_a_platform_that_misbehaves_delays_and_never_doubles(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let (_, effects) = place.sandbox.requests("POST /codes").await;
        for (n, faults) in [
            json!({ "status": 500 }),
            json!({ "status": 429 }),
            json!({ "garbage": true }),
            json!({ "drop_before": true }),
            json!({ "drop_after_effect": true }),
        ].into_iter().enumerate() {
            let handle = format!("+49171392003{n:02}");
            place.sandbox.add_profile(&format!("wa_fault_{n}"), &handle).await;
            let calls = place.sandbox.requests("POST /codes").await.0;
            place.sandbox.faults(faults.clone()).await;
            let started = ada.start_link(&handle).await;
            let verification = started.field()["verification"]["id"].clone();
            let db = place.database().await;
            // Of this job: a look at the profile before may fail as well, and says nothing of the code.
            eventually("a try has failed", async || {
                let jobs = job::Entity::find().filter(job::Column::Kind.eq("deliver_code")).all(&db).await.unwrap();
                jobs.iter().any(|job| job.last_error.is_some() && job.leased_until.is_none()).then_some(())
            }).await;
            place.sandbox.faults(json!({})).await;
            app.advance(&place, 5).await;
            let code = place.sandbox.nth_code(&handle, 1).await;
            assert_eq!(ada.submit(&verification, &Value::Null, &code).await.user_errors(), [""; 0], "{faults}");
            assert_eq!(place.sandbox.codes(&handle).await.len(), 1, "one code, whatever {faults} did");
            assert!(place.sandbox.requests("POST /codes").await.0 > calls);
        }
        assert_eq!(place.sandbox.requests("POST /codes").await.1, effects + 5);
    }

    async fn a_code_that_is_typed_before_the_platform_has_answered_waits_for_it(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        // The code arrives, and the platform takes its time to say so.
        place.sandbox.faults(json!({ "drop_after_effect": true })).await;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        let early = ada.submit(&verification, &Value::Null, &code).await;
        assert_eq!(early.user_errors(), ["PLATFORM_UNAVAILABLE"]);
        assert_eq!(early.field()["verification"]["challenge"]["attemptsLeft"], 5, "a good code is no failed try");
        place.sandbox.faults(json!({})).await;
        app.advance(&place, 60).await;
        eventually("the code is confirmed", async || {
            ada.submit(&verification, &Value::Null, &code).await.user_errors().is_empty().then_some(())
        }).await;
    }
}

/// A place of the production stack, and the way to its database.
async fn behind_a_proxy() -> (Place, Proxy) {
    let mut place = Place::new(Stack::Production).await;
    let postgres = Proxy::before(place.setting("ACCOUNTS__DATABASE__URL")).await;
    let through = postgres.instead_of(place.setting("ACCOUNTS__DATABASE__URL"));
    place.set("ACCOUNTS__DATABASE__URL", through);
    (place, postgres)
}

/// S39: with the database gone, requests fail at once and with a code; when it is back, they work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s39_without_the_database_requests_fail_at_once_and_heal() {
    let (place, postgres) = behind_a_proxy().await;
    let app = place.app().await;
    let ada = app.client().sign_in(&place, ADA).await.client;
    let mut tab = ada.socket().await;
    tab.follow_links(None).await;
    place.sandbox.add_profile("wa_first", "+4917139200061").await;
    ada.link(&place, "+4917139200061").await.field();
    assert_eq!(tab.link_event().await["graphVersion"], 3);
    postgres.set(Fault::Cut);
    let ready = |url: String| async move {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.get(format!("{url}/ready")).send().await.unwrap().status().as_u16()
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), ada.start_link(GRACE)).await.expect("a hang");
    assert_eq!(answer.error_code(), "SERVICE_UNAVAILABLE", "{:#}", answer.body);
    assert_eq!(ready(app.url.clone()).await, 503);
    // What needs no database is served, also beside what does.
    app.app().graphs.forget();
    let partly = ada.query("{ platforms { key } viewer { id } }").await;
    assert_eq!(partly.error_code(), "SERVICE_UNAVAILABLE");
    assert_eq!(
        partly.body["data"],
        json!({ "platforms": [{ "key": "whatsapp" }, { "key": "facebook" }, { "key": "instagram" }], "viewer": null })
    );
    postgres.set(Fault::None);
    eventually("the server has healed", async || (ready(app.url.clone()).await == 200).then_some(())).await;
    ada.link(&place, GRACE).await.field();
    assert_eq!(tab.link_event().await["graphVersion"], 5);
}

/// S39: a network that swallows what goes over the connections that are open, and says nothing, costs the pool none of
/// its places: who waits for them gets a code in time, and new connections take theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s39_connections_that_fall_silent_are_replaced() {
    // Each of two connections may be given up by a commit in doubt, which takes 20 s; and if both are lost on their way back to
    // the pool, that is replaced.
    const HEALED: Duration = Duration::from_secs(120);
    let (mut place, postgres) = behind_a_proxy().await;
    place.set("ACCOUNTS__DATABASE__MAX_CONNECTIONS", 2);
    let app = place.app().await;
    let ada = app.client().sign_in(&place, ADA).await.client;
    let rename = async |name: String| {
        let mutation = "mutation($input: UpdateAccountInput!) {
            updateAccount(input: $input) { account { displayName } userErrors { code } } }";
        ada.run(mutation, json!({ "input": { "displayName": name } })).await
    };
    // On a machine that is busy the moment may be missed: then once more.
    let mut is_lost = false;
    for _ in 0..5 {
        // Used within the last second, they are lent without a look, and so are in the midst of something soon.
        tokio::join!(rename("Zero".to_owned()), rename("None".to_owned()));
        postgres.set(Fault::Delay(Duration::from_millis(300)));
        let under_way = async {
            tokio::join!(rename("One".to_owned()), rename("Two".to_owned()), rename("Three".to_owned()))
        };
        let lose = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            postgres.lose_those_open();
        };
        let ((one, two, three), ()) =
            tokio::time::timeout(HEALED, async { tokio::join!(under_way, lose) }).await.expect("a hang");
        // One that waits for a place may get that of a connection which was on its way back to the pool.
        for answer in [one, two, three].into_iter().filter(|answer| answer.body["errors"] != Value::Null) {
            assert_eq!(answer.error_code(), "SERVICE_UNAVAILABLE", "{:#}", answer.body);
            is_lost = true;
        }
        if is_lost {
            break;
        }
    }
    assert!(is_lost, "nothing was lost");
    // Reads are no other case: they let go of the connection as well.
    let read = async || ada.query("{ viewer { activity { nodes { id } } } }").await;
    tokio::join!(read(), read());
    postgres.set(Fault::Delay(Duration::from_millis(300)));
    let reading = async { tokio::join!(read(), read(), read()) };
    let lose = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        postgres.lose_those_open();
    };
    tokio::time::timeout(HEALED, async { tokio::join!(reading, lose) }).await.expect("a hang");
    // What is lost stays lost; that everything else takes its time is nothing to heal.
    postgres.set(Fault::None);
    let healed = async {
        while rename("Ada".to_owned()).await.body["data"]["updateAccount"]["account"]["displayName"] != "Ada"
        {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(HEALED, healed).await.expect("the pool has lost its places");
}

/// S39: connections that are lost just as they are given back cost the pool their places, as sqlx waits for them for ever. Once
/// it has none left, another pool takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s39_a_pool_that_has_lost_all_places_is_replaced() {
    const HEALED: Duration = Duration::from_secs(120);
    let (mut place, postgres) = behind_a_proxy().await;
    place.set("ACCOUNTS__DATABASE__MAX_CONNECTIONS", 2);
    let app = TestApp::start_quiet(&place, 1).await;
    let ping = async || app.app().store.db().ping().await;
    let is_lost = async || {
        // A look whether it lives, by us, and then one by the pool: a second and a half for each way there and back.
        postgres.set(Fault::Delay(Duration::from_millis(750)));
        let (one, two) = tokio::join!(ping(), ping());
        one.and(two).expect("a connection for each");
        tokio::time::sleep(Duration::from_millis(2250)).await;
        postgres.lose_those_open();
        postgres.set(Fault::None);
        // What is found silent by us is let go of within two seconds.
        tokio::time::sleep(Duration::from_secs(3)).await;
        ping().await.is_err() && ping().await.is_err()
    };
    let mut tries = 0;
    while !is_lost().await {
        tries += 1;
        assert!(tries < 10, "no place was lost");
    }
    let healed = async {
        while ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(HEALED, healed).await.expect("the pool is not replaced");
    // And it stays so.
    for _ in 0..10 {
        ping().await.expect("a connection");
    }
}

/// How far somebody has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    token: Option<String>,
    verification: Option<Value>,
    /// The events that the account has, once it is done: their numbers and kinds.
    events: Vec<(i64, String)>,
}

/// Signs in and links a profile, going on from `progress` with what a client knows. `Err` has how far it came
/// when the server died.
async fn walk(
    place: &Place,
    client: Client,
    ada: &str,
    grace: &str,
    progress: Progress,
) -> Result<Progress, Progress> {
    let mut progress = progress;
    if progress.token.is_none() {
        progress.token = Some(sign_in(place, &client, ada).await.ok_or_else(|| progress.clone())?);
    }
    let client = client.with_token(progress.token.as_deref().unwrap());
    let key = format!("link {grace}");
    let input = json!({ "platform": "whatsapp", "idempotencyKey": key, "proof": { "oneTimeCode": { "handle": grace } } });
    let start = "mutation($input: StartProfileLinkInput!) {
        startProfileLink(input: $input) { verification { id status } userErrors { code } } }";
    // The same key as before: it gives the verification that there is, or a new one.
    let started = client.try_run(start, json!({ "input": input })).await.map_err(|_| progress.clone())?;
    let id = started.field()["verification"]["id"].clone();
    if let Some(known) = &progress.verification {
        assert_eq!(&id, known, "the idempotency key lost its verification");
    }
    progress.verification = Some(id.clone());
    if started.field()["verification"]["status"] == "PENDING" {
        let code = code_or_death(place, &client, grace).await.ok_or_else(|| progress.clone())?;
        submit(&client, &id, &Value::Null, &code).await.ok_or_else(|| progress.clone())?;
    }
    let hub = client
        .try_run("{ viewer { version profiles { id } } }", json!({}))
        .await
        .map_err(|_| progress.clone())?;
    assert_eq!(hub.field()["profiles"].as_array().unwrap().len(), 2);
    // Job failpoints pass once more when the last job is settled: give it the time to die.
    if !idle(place, &client).await {
        return Err(progress);
    }
    let db = place.database().await;
    let account = hub_account(&client).await.ok_or_else(|| progress.clone())?;
    let rows = event::Entity::find().order_by_asc(event::Column::Number).all(&db).await.unwrap();
    let rows = rows.into_iter().filter(|row| row.stream_id == account);
    progress.events = rows.map(|row| (row.number, row.kind)).collect();
    assert_eq!(hub.field()["version"], progress.events.len());
    Ok(progress)
}

/// An access token; `None` if the server died. Begins anew until it works, as a person would.
async fn sign_in(place: &Place, client: &Client, handle: &str) -> Option<String> {
    let before = place.sandbox.codes(handle).await.len();
    let start = "mutation($input: StartSignInInput!) {
        startSignIn(input: $input) { verification { id } clientSecret userErrors { code } } }";
    let input = json!({ "platform": "whatsapp", "proof": { "oneTimeCode": { "handle": handle } } });
    let started = client.try_run(start, json!({ "input": input })).await.ok()?;
    let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
    // The code of an attempt before the death may come as well, earlier or later than ours: try each one once.
    let mut tried = Vec::new();
    loop {
        let code = untried_code_or_death(place, client, handle, before, &tried).await?;
        let done = submit(client, id, secret, &code).await?;
        tried.push(code);
        if done["userErrors"][0]["code"] != "CODE_INCORRECT" {
            let token = done["outcome"]["tokens"]["accessToken"].as_str();
            return Some(token.unwrap_or_else(|| panic!("{done:#}")).to_owned());
        }
    }
}

async fn submit(client: &Client, id: &Value, secret: &Value, code: &str) -> Option<Value> {
    let submit = "mutation($input: SubmitVerificationInput!) { submitVerification(input: $input) {
        outcome { ... on SignedIn { tokens { accessToken } } } userErrors { code } } }";
    let input = json!({ "verificationId": id, "clientSecret": secret, "proof": { "oneTimeCode": code } });
    Some(client.try_run(submit, json!({ "input": input })).await.ok()?.field().clone())
}

async fn code_or_death(place: &Place, client: &Client, handle: &str) -> Option<String> {
    untried_code_or_death(place, client, handle, 0, &[]).await
}

/// A code behind the first `before` ones that is not among `tried`; `None` if the server dies first.
async fn untried_code_or_death(
    place: &Place,
    client: &Client,
    handle: &str,
    before: usize,
    tried: &[String],
) -> Option<String> {
    eventually("a code or a death", async || {
        let codes = place.sandbox.codes(handle).await;
        let new = &codes[..codes.len() - before];
        if let Some(code) = new.iter().find(|code| !tried.contains(code)) {
            return Some(Some(code.clone()));
        }
        let alive = client.try_run("{ platforms { key } }", json!({})).await.is_ok();
        (!alive).then_some(None)
    })
    .await
}

/// Waits until no job is left; false if the server dies first.
async fn idle(place: &Place, client: &Client) -> bool {
    let db = place.database().await;
    eventually("no job is left, or a death", async || {
        if client.try_run("{ platforms { key } }", json!({})).await.is_err() {
            return Some(false);
        }
        let kinds = ["deliver_code", "refresh_profile"];
        let due = job::Entity::find().filter(job::Column::Kind.is_in(kinds)).all(&db).await.unwrap();
        due.is_empty().then_some(true)
    })
    .await
}

async fn hub_account(client: &Client) -> Option<uuid::Uuid> {
    let answer = client.try_run("{ viewer { id } }", json!({})).await.ok()?;
    answer.field()["id"].as_str()?.split_once('_')?.1.parse().ok()
}

/// All events of an account that has signed in so often, and then linked a profile: their numbers and kinds.
fn events_of_a_link(sign_ins: usize) -> Vec<(i64, String)> {
    let mut kinds = vec!["link_status_changed", "session_changed"];
    kinds.extend(["session_changed", "security_alert_raised"].repeat(sign_ins - 1));
    kinds.extend(["link_status_changed", "security_alert_raised"]);
    (1..).zip(kinds.into_iter().map(str::to_owned)).collect()
}

/// How many sessions a profile of the platform has opened.
async fn sessions_of(place: &Place, external_id: &str) -> usize {
    let db = place.database().await;
    let profile = linked_profile::Entity::find().filter(linked_profile::Column::ExternalId.eq(external_id));
    let Some(profile) = profile.one(&db).await.unwrap() else { return 0 };
    let opened = session::Entity::find().filter(session::Column::OpenedByProfileId.eq(profile.id));
    opened.all(&db).await.unwrap().len()
}

/// Nothing in the database is between two states.
async fn assert_sound(place: &Place) {
    let db = place.database().await;
    let streams = stream::Entity::find().all(&db).await.unwrap();
    let events = event::Entity::find().order_by_asc(event::Column::Number).all(&db).await.unwrap();
    for stream in &streams {
        let numbers: Vec<_> =
            events.iter().filter(|event| event.stream_id == stream.id).map(|event| event.number).collect();
        assert_eq!(
            numbers,
            (1..=stream.version).collect::<Vec<_>>(),
            "numbers without gaps up to the version"
        );
    }
    let accounts = account::Entity::find().all(&db).await.unwrap();
    let profiles = linked_profile::Entity::find().all(&db).await.unwrap();
    for profile in &profiles {
        assert!(accounts.iter().any(|account| account.id == profile.account_id));
        let linked = events.iter().filter(|event| event.payload["profile"] == json!(profile.id)).count();
        assert_eq!(linked, 1, "each link has its one event");
    }
    for account in &accounts {
        assert!(
            profiles.iter().any(|profile| profile.account_id == account.id),
            "no account without a profile"
        );
        assert_eq!(Announced::read(&db, account.id).await.complaint(), None);
    }
    let sessions = session::Entity::find().all(&db).await.unwrap();
    for row in verification::Entity::find().all(&db).await.unwrap() {
        let succeeded = row.status == verification::Status::Succeeded;
        assert_eq!(
            succeeded,
            row.profile_id.is_some(),
            "a proof succeeded if and only if it proved a profile"
        );
        if succeeded && row.purpose == verification::Purpose::SignIn {
            assert!(sessions.iter().any(|session| session.opened_by_profile_id == row.profile_id));
        }
        if !succeeded && row.purpose == verification::Purpose::Link {
            let linked =
                profiles.iter().any(|profile| Some(&profile.external_id) == row.external_id.as_ref());
            assert!(!linked, "a link without its proof");
        }
    }
}
