//! Attacks of the security checklist, for what exists so far. Each test is named after its line.

use std::collections::HashSet;
use std::process::Stdio;

use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::{event, job, verification};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::authenticator::Authenticator;
use crate::support::{Fault, Place, Proxy, ServerProcess, Stack, TestApp, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const UNKNOWN: &str = "+4917139200099";

on_both_stacks! {
    async fn s08_a_code_is_good_once_also_at_the_same_moment(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        let tries = (0..8).map(|_| ada.submit(&verification, &Value::Null, &code));
        let answers = futures_util::future::join_all(tries).await;
        let mut errors: Vec<_> = answers.iter().map(|answer| answer.user_errors().concat()).collect();
        errors.sort();
        assert_eq!(errors[0], "");
        assert!(errors[1..].iter().all(|error| error == "VERIFICATION_CLOSED"), "{errors:?}");
    }

    async fn s08_a_sign_in_code_opens_one_session_also_at_the_same_moment(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let started = client.start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let code = place.sandbox.nth_code(ADA, 1).await;
        let tries = (0..8).map(|_| client.submit(id, secret, &code));
        let answers = futures_util::future::join_all(tries).await;
        let good = answers.iter().filter(|answer| answer.user_errors().is_empty()).count();
        assert_eq!(good, 1);
        let sessions = accounts_center_entity::session::Entity::find().count(&place.database().await).await;
        assert_eq!(sessions.unwrap(), 1);
    }

    async fn s09_codes_are_kept_as_keyed_hashes_and_tries_run_out(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()), "six digits");
        assert_not_stored(&place, &code).await;

        let wrong = if code == "000000" { "000001" } else { "000000" };
        for left in [4, 3, 2, 1] {
            let answer = ada.submit(&verification, &Value::Null, wrong).await;
            assert_eq!(answer.user_errors(), ["CODE_INCORRECT"]);
            assert_eq!(answer.field()["verification"]["status"], "PENDING");
            assert_eq!(answer.field()["verification"]["challenge"]["attemptsLeft"], left);
        }
        let last = ada.submit(&verification, &Value::Null, wrong).await;
        assert_eq!(last.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        assert_eq!(last.field()["verification"]["status"], "FAILED");
        // Not even the good one any more.
        assert_eq!(ada.submit(&verification, &Value::Null, &code).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
    }

    async fn s09_tries_at_the_same_moment_all_count(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let tries = (0..12).map(|_| ada.submit(&verification, &Value::Null, wrong));
        let answers = futures_util::future::join_all(tries).await;
        let incorrect = answers.iter().filter(|answer| answer.user_errors() == ["CODE_INCORRECT"]).count();
        assert_eq!(incorrect, 4, "the fifth ends it, and no further one is compared");
        assert_eq!(ada.submit(&verification, &Value::Null, &code).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
    }

    async fn s09_a_new_code_brings_no_new_tries_and_codes_run_out(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let started = client.start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        place.sandbox.nth_code(ADA, 1).await;
        for _ in 0..2 {
            assert_eq!(client.submit(id, secret, "nonsense").await.user_errors(), ["CODE_INCORRECT"]);
        }
        for nth in 2..=5 {
            app.advance(&place, 60).await;
            let sent = client.resend(id, secret).await;
            assert_eq!(sent.field()["verification"]["challenge"]["attemptsLeft"], 3);
            place.sandbox.nth_code(ADA, nth).await;
        }
        app.advance(&place, 60).await;
        assert_eq!(client.resend(id, secret).await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
    }

    async fn s10_aliases_do_not_multiply_tries(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        place.sandbox.nth_code(GRACE, 1).await;
        let submit = |name: &str| format!(
            "{name}: submitVerification(input: {{ verificationId: $id, proof: {{ oneTimeCode: ${name} }} }}) {{
                userErrors {{ code }} }}");
        let operation = format!("mutation($id: ID!, $a: Secret!, $b: Secret!) {{ {} {} }}", submit("a"), submit("b"));
        let answer = ada.run(&operation, json!({ "id": verification, "a": "nonsense", "b": "nonsense" })).await;
        assert_eq!(answer.error_code(), "BAD_USER_INPUT");
        assert_eq!(answer.body["errors"][0]["path"], json!(["b"]));
        let look = "query($id: ID!) { verification(id: $id) { challenge { ... on OneTimeCodeChallenge { attemptsLeft } } } }";
        let seen = ada.run(look, json!({ "id": verification })).await;
        assert_eq!(seen.field()["challenge"]["attemptsLeft"], 4);
    }

    async fn s06_a_proof_of_another_session_or_account_is_worth_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let other_session = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await.client;
        let verification = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        // Another account: as if it did not exist, and it stays open.
        assert_eq!(eve.submit(&verification, &Value::Null, &code).await.user_errors(), ["NOT_FOUND"]);
        assert_eq!(app.client().submit(&verification, &Value::Null, &code).await.user_errors(), ["NOT_FOUND"]);
        // Another session of the same account: failed, and closed.
        let foreign = other_session.submit(&verification, &Value::Null, &code).await;
        assert_eq!(foreign.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(ada.submit(&verification, &Value::Null, &code).await.user_errors(), ["VERIFICATION_CLOSED"]);
    }

    async fn s07_a_proof_does_only_what_it_was_started_for(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        // A sign-in that is finished by somebody who is signed in links nothing to that account.
        let started = app.client().start_sign_in(GRACE).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let code = place.sandbox.nth_code(GRACE, 1).await;
        let done = ada.submit(id, secret, &code).await;
        assert_eq!(done.field()["outcome"]["__typename"], "SignedIn");
        let own = ada.query("{ viewer { profiles { id } } }").await;
        assert_eq!(own.field()["profiles"].as_array().unwrap().len(), 1);
    }

    async fn s11_known_and_unknown_handles_get_the_same(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        // One whose profile has an account, one whose profile has none, and one whose handle nobody has.
        let handles = [ADA, GRACE, UNKNOWN];
        let app = place.app().await;
        app.client().sign_in(&place, ADA).await;
        let mut started = Vec::new();
        for handle in handles {
            let answer = app.client().start_sign_in(handle).await;
            started.push((answer.field()["verification"]["id"].clone(), answer.field()["clientSecret"].clone()));
        }
        let db = place.database().await;
        eventually("each code has been delivered or refused", async || {
            let jobs = job::Entity::find().all(&db).await.unwrap();
            jobs.iter().all(|job| job.kind != "deliver_code").then_some(())
        }).await;
        app.stop().await;
        let asked = place.sandbox.requests("POST /codes").await;
        assert_eq!(asked, (4, 3), "the platform knows all but one");

        // Without a worker, what an answer rests on can be counted.
        let app = TestApp::start_quiet(&place, 2).await;
        let client = app.client();
        let (mut shapes, mut statements) = (HashSet::new(), HashSet::new());
        for handle in handles {
            let before = app.app().store.db().statements();
            let answer = client.start_sign_in(handle).await;
            statements.insert(app.app().store.db().statements() - before);
            shapes.insert(shape(answer.field()));
        }
        assert_eq!((shapes.len(), statements.len()), (1, 1), "{shapes:?}, {statements:?} statements");
        // Nobody was asked before the answer, nor is the time right after it spent on it.
        assert_eq!(place.sandbox.requests("POST /codes").await, asked);
        // Nor does starting to link: another's profile, a free one, and one that nobody has.
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = client.with_token(&token_of_a_new_account(&place, &app).await);
        // The first job of a stream takes a statement more.
        eve.start_link("+4917139200077").await.field();
        let (mut shapes, mut statements) = (HashSet::new(), HashSet::new());
        for handle in handles {
            let (answer, cost) = app.statements_of(async || eve.start_link(handle).await).await;
            statements.insert(cost);
            shapes.insert(shape(answer.field()));
        }
        assert_eq!((shapes.len(), statements.len()), (1, 1), "{shapes:?}, {statements:?} statements");
        // Guessing tells as little, and its tries run out.
        for left in [4, 3, 2, 1] {
            let (mut shapes, mut statements) = (HashSet::new(), HashSet::new());
            for (id, secret) in &started {
                let before = app.app().store.db().statements();
                let answer = client.submit(id, secret, "nonsense").await;
                statements.insert(app.app().store.db().statements() - before);
                assert_eq!(answer.user_errors(), ["CODE_INCORRECT"]);
                assert_eq!(answer.field()["verification"]["challenge"]["attemptsLeft"], left);
                shapes.insert(shape(answer.field()));
            }
            assert_eq!((shapes.len(), statements.len()), (1, 1), "{shapes:?}, {statements:?} statements");
        }
    }

    /// Strangers who guess at a sign-in never hold the account whose profile it is.
    async fn s10_guessing_does_not_lock_the_owner_out(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let started = app.client().start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        place.sandbox.nth_code(ADA, 2).await;
        let account = viewer_of(&ada).account;
        if place.stack == Stack::Production {
            // Somebody holds the account's stream; a guess is answered all the same.
            let db = place.database().await;
            let held = sea_orm::TransactionTrait::begin(&db).await.unwrap();
            held.execute_unprepared(&format!("SELECT 1 FROM stream WHERE id = '{account}' FOR UPDATE")).await.unwrap();
            let stranger = app.client();
            let guess = stranger.submit(id, secret, "nonsense");
            let answer = tokio::time::timeout(std::time::Duration::from_secs(3), guess).await.expect("it waited");
            assert_eq!(answer.user_errors(), ["CODE_INCORRECT"]);
            held.rollback().await.unwrap();
        }
        for _ in 0..5 {
            app.client().submit(id, secret, "nonsense").await.field();
        }
        ada.client.start_link(GRACE).await.field();
        app.client().sign_in(&place, ADA).await;
    }

    async fn s23_what_is_somebody_elses_does_not_exist(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let verification = ada.client.start_link("+4917139200051").await.field()["verification"]["id"].clone();
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await;
        ada.client.link(&place, GRACE).await.field();
        let passkey = ada.client.add_passkey(&mut Authenticator::new(&app.url, 1), "phone").await;
        let hub = ada.client.query("{ viewer { profiles { id externalId } activity { nodes { id } }
            security { alerts { nodes { id } } } } }").await;
        let profile = hub.field()["profiles"][0].clone();
        let activity = hub.field()["activity"]["nodes"][0]["id"].clone();
        // Of the link.
        let alert = hub.field()["security"]["alerts"]["nodes"][0]["id"].clone();
        let ends = [0, 1].map(|n| crate::support::uuid_of(hub.field()["profiles"][n]["id"].as_str().unwrap()));
        crate::connections::connect(&app, ada.account_id(), ends, Experience::Messaging, true).await.unwrap();
        let linked = ada.client.query("{ viewer { linkGraph { connections { id } } } }").await;
        let connection = linked.field()["linkGraph"]["connections"][0]["id"].clone();

        // Every type that implements Node has an object of Ada's here; a new type has to be added.
        let mut objects = vec![
            ("Account", json!(ada.account)),
            ("AccountActivity", activity.clone()),
            ("AccountSession", json!(ada.session)),
            ("LinkedProfile", profile["id"].clone()),
            ("Passkey", json!(passkey)),
            ("ProfileConnection", connection.clone()),
            ("SecurityAlert", alert.clone()),
            ("Verification", verification.clone()),
        ];
        let types = ada.client.query("{ __type(name: \"Node\") { possibleTypes { name } } }").await;
        let mut known: Vec<_> = types.field()["possibleTypes"].as_array().unwrap().iter()
            .map(|object| object["name"].as_str().unwrap().to_owned()).collect();
        known.sort();
        let mut covered: Vec<_> = objects.iter().map(|(name, _)| (*name).to_owned()).collect();
        covered.push("Platform".to_owned()); // everybody's
        covered.sort();
        assert_eq!(known, covered);

        let node = "query($id: ID!) { node(id: $id) { __typename id } }";
        for (name, id) in &objects {
            let own = ada.client.run(node, json!({ "id": id })).await;
            assert_eq!(own.field(), &json!({ "__typename": name, "id": id }));
        }
        objects.push(("nothing", json!("profile_00000000000070008000000000000000")));
        objects.push(("garbage", json!("🦀")));
        let elsewhere = activity.as_str().unwrap().rsplit_once('_').unwrap().0.to_owned() + "_99";
        let none = ada.client.run(node, json!({ "id": elsewhere })).await;
        assert_eq!(none.body, json!({ "data": { "node": null } }), "an event that did not happen");
        for (name, id) in &objects {
            for stranger in [&eve.client, &app.client()] {
                let seen = stranger.run(node, json!({ "id": id })).await;
                assert_eq!(seen.body["data"], json!({ "node": null }), "{name}");
                assert_eq!(seen.body.get("errors"), None, "{name}");
                let seen = stranger.run("query($id: ID!) { verification(id: $id) { id } }", json!({ "id": id })).await;
                assert_eq!(seen.body, json!({ "data": { "verification": null } }), "{name}");
                let done = stranger.submit(id, &Value::Null, "123456").await;
                assert_eq!(done.user_errors(), ["NOT_FOUND"], "{name}");
                assert_eq!(done.field()["verification"], Value::Null);
                assert_eq!(stranger.resend(id, &Value::Null).await.user_errors(), ["NOT_FOUND"], "{name}");
            }
        }
        let ids: Vec<_> = objects.iter().map(|(_, id)| id).collect();
        let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        for stranger in [&eve.client, &app.client()] {
            let seen = stranger.run(nodes, json!({ "ids": ids })).await;
            assert_eq!(seen.body["data"], json!({ "nodes": vec![Value::Null; ids.len()] }));
            assert_eq!(seen.body.get("errors"), None);
        }

        // The same through the entity resolvers that a router would call.
        let schema = accounts_center::graph::subgraph(app.app().clone());
        let stranger = viewer_of(&eve);
        let representations = json!([
            { "__typename": "Account", "id": ada.account },
            { "__typename": "LinkedProfile", "id": profile["id"] },
            { "__typename": "LinkedProfile", "platformKey": "whatsapp", "externalId": profile["externalId"] },
            { "__typename": "LinkedProfile", "id": "profile_00000000000070008000000000000000" },
            { "__typename": "ProfileConnection", "id": connection },
        ]);
        let entities = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";
        let ask = |viewer: Option<accounts_center::session::Viewer>| {
            let variables = async_graphql::Variables::from_json(json!({ "r": representations }));
            let mut request = async_graphql::Request::new(entities).variables(variables);
            if let Some(viewer) = viewer {
                request = request.data(viewer);
            }
            let schema = schema.clone();
            async move { serde_json::to_value(schema.execute(request).await).unwrap() }
        };
        let nothing = json!({ "data": { "_entities": [null, null, null, null, null] } });
        assert_eq!(ask(Some(stranger)).await, nothing);
        assert_eq!(ask(None).await, nothing);
        let own = ask(Some(viewer_of(&ada))).await;
        assert_eq!(own["data"]["_entities"][2]["__typename"], "LinkedProfile", "{own}");
        assert_eq!(own["data"]["_entities"][0]["__typename"], "Account");
        assert_eq!(own["data"]["_entities"][4]["__typename"], "ProfileConnection");
        // And nobody reaches them over the public graph.
        for query in ["{ _service { sdl } }", "{ _entities(representations: []) { __typename } }"] {
            assert_eq!(ada.client.query(query).await.error_code(), "GRAPHQL_VALIDATION_FAILED");
        }
    }

    async fn s24_no_log_has_a_number_a_code_or_a_token(place: Place) {
        let log = place.folder.path().join("log");
        let more = [("ACCOUNTS__LOG__FILTER", "trace".to_owned()), ("ACCOUNTS__LOG__FORMAT", "json".to_owned())];
        let mut server = ServerProcess::start_logging(&place, &more, Stdio::from(std::fs::File::create(&log).unwrap())).await;
        let client = server.client();
        let started = client.start_sign_in(ADA).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        let first = place.sandbox.nth_code(ADA, 1).await;
        assert_eq!(client.submit(id, secret, "135790").await.user_errors(), ["CODE_INCORRECT"]);
        let done = client.submit(id, secret, &first).await;
        let tokens = &done.field()["outcome"]["tokens"];
        let token = tokens["accessToken"].as_str().unwrap().to_owned();
        let ada = client.with_token(&token);
        let refresh = "mutation($input: RefreshSessionInput!) {
            refreshSession(input: $input) { tokens { accessToken refreshToken } } }";
        let refreshed = client.mutate(refresh, json!({ "refreshToken": tokens["refreshToken"] })).await;
        let renewed = &refreshed.field()["tokens"];
        let mut tab = ada.socket().await;
        tab.follow_links(None).await;
        ada.link(&place, GRACE).await.field();
        tab.link_event().await;
        let second = place.sandbox.nth_code(GRACE, 1).await;
        place.sandbox.add_profile_at("facebook", json!({
            "external_id": "fb_king", "handle": "ada.king@example.com", "display_name": "Ada" })).await;
        let by_oauth = ada.start_oauth_link("facebook").await;
        let approved = by_oauth.approve("fb_king").await;
        let linked = ada.submit_oauth(&by_oauth, &approved).await;
        assert_eq!(linked.field()["outcome"]["profile"]["handle"], "a···@example.com");
        // Mistakes get logged more readily than successes.
        place.sandbox.faults_of("facebook", json!({ "id_token": "audience" })).await;
        let disbelieved = ada.start_oauth_link("facebook").await;
        let answered = disbelieved.approve("fb_king").await;
        assert_eq!(ada.submit_oauth(&disbelieved, &answered).await.user_errors(), ["VERIFICATION_FAILED"]);
        place.sandbox.faults(json!({ "garbage": true })).await;
        ada.start_link("+4917139200051").await.field();
        client.with_token("eyJub3Qi.a.token").query("{ viewer { id } }").await;
        client.query("{ oops(secret: \"+4917139200051\" }").await;
        eventually("the platform's garbage is in the log", async || {
            std::fs::read_to_string(&log).unwrap().contains("a job failed").then_some(())
        }).await;
        assert!(server.interrupt().await.success());

        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("answered"), "the log was written at all");
        let digits = |handle: &str| handle.trim_start_matches('+').to_owned();
        let secret = secret.as_str().unwrap();
        for hidden in [&digits(ADA), &digits(GRACE), "4917139200051", &token, token.rsplit('.').next().unwrap(), secret] {
            assert!(!text.contains(hidden), "{}", line_with(&text, hidden));
        }
        let refresh_tokens = [&tokens["refreshToken"], &renewed["refreshToken"]];
        let others = [&renewed["accessToken"], &approved["code"], &answered["code"]];
        let given = refresh_tokens.into_iter().chain(others).map(|secret| secret.as_str().unwrap());
        for hidden in given.chain(["ada.king", by_oauth.state.as_str(), disbelieved.state.as_str()]) {
            assert!(!text.contains(hidden), "{}", line_with(&text, hidden));
        }
        for code in [&first, &second, &"135790".to_owned()] {
            // Six digits can also be a part of some other number; as a whole word they are the code.
            let word = text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == code);
            assert!(!word, "{}", line_with(&text, code));
        }
    }
}

/// Nothing in the database has the code or a phone number in clear.
async fn assert_not_stored(place: &Place, code: &str) {
    let db = place.database().await;
    let rows = verification::Entity::find().all(&db).await.unwrap();
    let jobs = job::Entity::find().all(&db).await.unwrap();
    let events = event::Entity::find().all(&db).await.unwrap();
    let activity = accounts_center_entity::activity::Entity::find().all(&db).await.unwrap();
    let records = accounts_center_entity::idempotency_record::Entity::find().all(&db).await.unwrap();
    let profiles = accounts_center_entity::linked_profile::Entity::find().all(&db).await.unwrap();
    let accounts = accounts_center_entity::account::Entity::find().all(&db).await.unwrap();
    let sessions = accounts_center_entity::session::Entity::find().all(&db).await.unwrap();
    let alerts = accounts_center_entity::security_alert::Entity::find().all(&db).await.unwrap();
    let text = format!(
        "{rows:?} {jobs:?} {events:?} {activity:?} {records:?} {profiles:?} {accounts:?} {sessions:?} {alerts:?}"
    );
    for hidden in [code, "17139200042", "17139200043"] {
        let digits: Vec<_> = text.split(|c: char| !c.is_ascii_digit()).collect();
        assert!(!digits.contains(&hidden) && !text.contains("17139200"), "{hidden} is stored");
    }
    for row in rows {
        for bytes in [row.code_hash, row.sealed_handle, row.sealed_claim].into_iter().flatten() {
            let contains = |part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
            assert!(!contains(code) && !contains("17139200"), "in clear in a column");
            assert!(bytes.len() >= 32, "a keyed hash has 32 bytes");
        }
    }
}

/// A token for an account that another server, which has a worker, signs up.
async fn token_of_a_new_account(place: &Place, app: &TestApp) -> String {
    if place.stack == Stack::Embedded {
        // One process at a time: the database has Ada's account, and hers serves as well.
        let db = place.database().await;
        let session = accounts_center_entity::session::Entity::find().one(&db).await.unwrap().unwrap();
        let viewer = accounts_center::session::Viewer { account: session.account_id, session: session.id };
        return app.app().tokens.sign(viewer, &app.app().ids).unwrap().token;
    }
    let mut settings = place.settings.clone();
    settings.retain(|(key, _)| *key != "ACCOUNTS__JOBS__CONCURRENCY");
    let worker = TestApp::start_with(&settings, 7).await;
    let person = worker.client().sign_in(place, "+4917139200050").await;
    worker.stop().await;
    person.client.token.unwrap()
}

/// The shape of an answer: its keys, and which of its values are null.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| format!("{key}:{{{}}}", shape(value))).collect()
        }
        Value::Array(items) => items.iter().map(shape).collect::<Vec<_>>().join(","),
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("text of {}", if text.starts_with('+') { 1 } else { text.len() }),
        other => other.to_string(),
    }
}

fn viewer_of(person: &crate::support::Person) -> accounts_center::session::Viewer {
    let uuid = |id: &str| id.split_once('_').unwrap().1.parse().unwrap();
    accounts_center::session::Viewer { account: uuid(&person.account), session: uuid(&person.session) }
}

fn line_with(text: &str, part: &str) -> String {
    let line = text.lines().find(|line| line.contains(part)).unwrap_or_default();
    format!("{part} is in the log: {}", line.chars().take(600).collect::<String>())
}

/// S27 is of two halves: a poisoned entry, and no Redis at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s27_a_stale_or_poisoned_cache_authorises_nothing() {
    for stack in [Stack::Embedded, Stack::Production] {
        let mut place = Place::new(stack).await;
        place.set("ACCOUNTS__GRAPH__NEAR_SECONDS", 3600);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let hub = "{ viewer { id profiles { id } } }";
        ada.client.query(hub).await.field();
        // Behind the server's back: the session ends, the profile moves to Eve. The cache knows nothing of it.
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await;
        let db = place.database().await;
        let eve_id = viewer_of(&eve).account.simple().to_string();
        let literal = if stack == Stack::Embedded { format!("x'{eve_id}'") } else { format!("'{eve_id}'") };
        db.execute_unprepared(&format!(
            "UPDATE linked_profile SET account_id = {literal} WHERE external_id = 'wa_ada'"
        ))
        .await
        .unwrap();
        assert_eq!(
            ada.client.query(hub).await.field()["profiles"].as_array().unwrap().len(),
            1,
            "stale, as planted"
        );
        // Signing in by that profile now leads to Eve's account, whatever any cache says.
        let by_profile = app.client().sign_in(&place, ADA).await;
        assert_eq!(by_profile.account, eve.account);
        db.execute_unprepared("UPDATE session SET expires_at = created_at").await.unwrap();
        assert_eq!(ada.client.start_link(GRACE).await.error_code(), "UNAUTHENTICATED");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s27_with_redis_down_every_check_still_holds() {
    let mut place = Place::new(Stack::Production).await;
    let redis = Proxy::before(place.setting("ACCOUNTS__REDIS__URL")).await;
    let through = redis.instead_of(place.setting("ACCOUNTS__REDIS__URL"));
    place.set("ACCOUNTS__REDIS__URL", through);
    let app = place.app().await;
    let ada = app.client().sign_in(&place, ADA).await;
    let mut tab = ada.client.socket().await;
    tab.follow_links(None).await;
    place.sandbox.add_profile("wa_eve", "+4917139200050").await;
    for fault in [Fault::Cut, Fault::Drop] {
        redis.set(fault);
        let verification = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let eve = app.client().sign_in(&place, "+4917139200050").await;
        assert_eq!(
            eve.client.submit(&verification, &Value::Null, "123456").await.user_errors(),
            ["NOT_FOUND"]
        );
        assert_eq!(
            ada.client.submit(&verification, &Value::Null, "nonsense").await.user_errors(),
            ["CODE_INCORRECT"]
        );
        redis.set(Fault::None);
    }
    redis.set(Fault::Cut);
    ada.client.link(&place, GRACE).await.field();
    assert_eq!(tab.link_event().await["graphVersion"], 3);
}
