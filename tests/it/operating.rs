//! What operators see of jobs, and of workers that serve nobody.

use accounts_center::store::{BacklogWatch, Command, Job, Outcome, StreamKind};
use accounts_center_entity::{job, job_stream};
use chrono::TimeDelta;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Place, START, ServerProcess, Stack, TestApp, ended, eventually, on_both_stacks};

/// A kind that nobody runs.
#[derive(Serialize, Deserialize)]
struct Waiting {}

impl Job for Waiting {
    const KIND: &'static str = "waiting";
}

/// Leaves a job that is due some seconds from the start.
async fn leave(app: &TestApp, stream: u128, seconds: &[i64]) {
    let left = app.app().store.create(
        Uuid::from_u128(stream),
        StreamKind::Verification,
        async |command: &mut Command| {
            for seconds in seconds {
                command.enqueue_at(&Waiting {}, START + TimeDelta::seconds(*seconds))?;
            }
            Ok(Outcome::Commit(()))
        },
    );
    left.await.unwrap().unwrap();
}

/// Lets one job of a stream have died.
async fn kill_one(place: &Place, stream: u128) {
    let db = place.database().await;
    let jobs = job::Entity::find().all(&db).await.unwrap();
    let one = jobs.into_iter().find(|job| job.stream_id == Uuid::from_u128(stream)).unwrap();
    let mut one = one.into_active_model();
    one.dead_at = Set(Some(START));
    one.update(&db).await.unwrap();
}

async fn text(url: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(url).send().await.unwrap().text().await.unwrap()
}

async fn backlog(app: &TestApp) -> (i64, i64, i64) {
    let backlog = BacklogWatch::default().look(&app.app().store).await.unwrap();
    (backlog.due, backlog.dead, backlog.oldest.num_seconds())
}

on_both_stacks! {
    async fn the_backlog_is_counted(place: Place) {
        let app = TestApp::start_quiet(&place, 1).await;
        assert_eq!(backlog(&app).await, (0, 0, 0));
        leave(&app, 1, &[3600]).await;
        assert_eq!(backlog(&app).await, (0, 0, 0), "it is not due");
        leave(&app, 2, &[-90, -20, 3600]).await;
        leave(&app, 3, &[-30, -10]).await;
        assert_eq!(backlog(&app).await, (4, 0, 90));
        leave(&app, 4, &[-500]).await;
        kill_one(&place, 4).await;
        assert_eq!(backlog(&app).await, (4, 1, 90), "a dead one waits for nobody");
        // What nobody here can read is looked at again minutes later, and is due all the same.
        let turns = job_stream::Entity::update_many();
        let later = Expr::val(START + TimeDelta::seconds(440));
        turns.col_expr(job_stream::Column::NextAt, later).exec(&place.database().await).await.unwrap();
        assert_eq!(backlog(&app).await, (4, 1, 90));
        // Whoever asks again and again costs one statement.
        let watch = BacklogWatch::default();
        let before = app.app().store.db().statements();
        for _ in 0..20 {
            assert_eq!(watch.look(&app.app().store).await.unwrap().due, 4);
        }
        assert_eq!(app.app().store.db().statements() - before, 1);
    }

    async fn whoever_works_tells_what_waits(place: Place) {
        let mut place = place;
        let app = place.app().await;
        leave(&app, 1, &[-60, -10]).await;
        leave(&app, 2, &[-5]).await;
        kill_one(&place, 2).await;
        let metrics = text(&format!("{}/metrics", app.url)).await;
        for line in ["accounts_center_jobs_due 2", "accounts_center_jobs_dead 1", "accounts_center_jobs_oldest_due_seconds 60"] {
            assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
        }
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let idle = place.app().await;
        let metrics = text(&format!("{}/metrics", idle.url)).await;
        assert!(!metrics.contains("accounts_center_jobs"), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_answers_probes() {
    let mut place = Place::new(Stack::Production).await;
    place.set("ACCOUNTS__WORKER__LISTEN", "127.0.0.1:0");
    let server = ServerProcess::start_arguing(&place, &["--without", "worker"]).await;
    let mut worker = ServerProcess::start_probed_worker(&place).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async || {
        let answer = http.get(format!("{}/ready", worker.url)).send().await.ok()?;
        Some((answer.status().as_u16(), answer.json::<Value>().await.ok()?["status"].clone()))
    };
    assert_eq!(text(&format!("{}/live", worker.url)).await, "live");
    assert_eq!(ready().await, Some((200, json!("ready"))));
    let metrics = text(&format!("{}/metrics", worker.url)).await;
    assert!(
        metrics.contains("accounts_center_jobs_due 0")
            && metrics.contains("accounts_center_statements_total")
    );
    assert!(!metrics.contains("accounts_center_sockets"), "{metrics}");
    let graph = http.post(format!("{}/graphql", worker.url)).body("{}").send().await.unwrap();
    assert_eq!(graph.status(), 404, "it serves nobody");
    let strange =
        http.get(format!("{}/live", worker.url)).header("host", "evil.example").send().await.unwrap();
    assert_eq!(strange.status(), 421);

    // While a last job ends it lives, and is not ready.
    place.sandbox.faults(json!({ "latency_ms": 2500 })).await;
    server.client().start_sign_in("+4917139200042").await.field();
    eventually("the job is under way", async || {
        let jobs = job::Entity::find().all(&place.database().await).await.unwrap();
        jobs.iter().any(|job| job.leased_until.is_some()).then_some(())
    })
    .await;
    let url = worker.url.clone();
    let stopping = async {
        eventually("it says that it stops", async || {
            let answer = http.get(format!("{url}/ready")).send().await.ok()?;
            (answer.status() == 503).then_some(())
        })
        .await;
        text(&format!("{url}/live")).await
    };
    let (ended, live) = tokio::join!(worker.interrupt(), stopping);
    assert!(ended.success());
    assert_eq!(live, "live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_says_where_it_cannot_listen() {
    let place = Place::new(Stack::Production).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, word) in [("0.0.0.0:4001", "loopback"), ("nowhere", "must be"), (taken.as_str(), "in use")]
    {
        let mut worker = ServerProcess::bare(&place);
        let output = ended(worker.arg("worker").env("ACCOUNTS__WORKER__LISTEN", address)).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains("worker.listen") && error.contains(word),
            "{error}"
        );
    }
}
