//! Generated accounts: sound, repeatable, and not in production.

use std::collections::HashMap;

use accounts_center::ids::{Ids, NodeId, NodeKind};
use accounts_center::session::Viewer;
use accounts_center_entity::{account, activity, event, job, linked_profile, stream};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Place, ServerProcess, Stack, ended, on_both_stacks};

on_both_stacks! {
    async fn a_database_is_filled_with_people(place: Place) {
        let printed = seed(&place, &["--accounts", "620", "--seed", "7"]).await;
        assert!(printed[0].starts_with("620 accounts, "), "{printed:?}");
        assert_eq!(printed.len(), 2, "{printed:?}");
        let first = printed[1].strip_prefix("The first account is ").unwrap().to_owned();

        let db = place.database().await;
        let streams = stream::Entity::find().all(&db).await.unwrap();
        let accounts = account::Entity::find().all(&db).await.unwrap();
        let profiles = linked_profile::Entity::find().all(&db).await.unwrap();
        let events = event::Entity::find()
            .order_by_asc(event::Column::StreamId)
            .order_by_asc(event::Column::Number)
            .all(&db).await.unwrap();
        assert_eq!((streams.len(), accounts.len()), (620, 620));
        assert_eq!(activity::Entity::find().all(&db).await.unwrap().len(), events.len());
        assert!(job::Entity::find().one(&db).await.unwrap().is_none());
        assert!(profiles.iter().all(|profile| profile.external_id.starts_with("seed_7_")));
        for platform in ["whatsapp", "facebook", "instagram"] {
            assert!(profiles.iter().any(|profile| profile.platform == platform), "{platform}");
        }
        // Numbers without gaps up to the version, in the order of time.
        let mut of_stream: HashMap<Uuid, Vec<&event::Model>> = HashMap::new();
        events.iter().for_each(|event| of_stream.entry(event.stream_id).or_default().push(event));
        for stream in &streams {
            let events = &of_stream[&stream.id];
            let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
            assert_eq!(numbers, (1..=stream.version).collect::<Vec<_>>());
            assert_eq!(stream.graph_version, stream.version);
            assert!(events.is_sorted_by_key(|event| event.occurred_at));
        }
        let linked = events.iter().filter(|event| event.kind == "link_status_changed").count();
        assert_eq!(linked, profiles.len());
        assert!(events.len() > linked, "some are connected");
        drop(db);

        // The same again adds nothing, more adds what is missing, and another seed makes others.
        assert_eq!(seed(&place, &["--accounts", "620", "--seed", "7"]).await[1], "620 accounts of this seed were there already");
        assert!(seed(&place, &["--accounts", "650", "--seed", "7"]).await[0].starts_with("30 accounts, "));
        let others = seed(&place, &["--accounts", "5", "--seed", "8"]).await;
        assert!(others[0].starts_with("5 accounts, ") && !others[1].contains(&first), "{others:?}");

        // They are accounts like any other.
        let app = place.app().await;
        let account = NodeId::parse_as(NodeKind::Account, &first).unwrap();
        let viewer = Viewer { account, session: Uuid::from_u128(1) };
        let token = app.app().tokens.sign(viewer, &Ids::seeded(3)).unwrap().token;
        let hub = app.client().with_token(&token).query("{ viewer { id version profiles { externalId status } } }").await;
        let own = profiles.iter().filter(|profile| profile.account_id == account).count();
        assert_eq!(hub.field()["id"], json!(first));
        assert_eq!(hub.field()["profiles"].as_array().unwrap().len(), own);
        assert_eq!(hub.field()["profiles"][0]["externalId"], "seed_7_0_0");
        let graph = app.app().graphs.get(account, 0).await.unwrap().unwrap();
        let stream = streams.iter().find(|stream| stream.id == account).unwrap();
        assert_eq!(graph.version, stream.version);
        let grants: usize = graph.edges.iter().map(|edge| edge.grants.len()).sum();
        assert_eq!(i64::try_from(own + grants).unwrap(), stream.version);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_has_no_made_up_people() {
    let mut place = Place::new(Stack::Production).await;
    for (key, value) in [
        ("ACCOUNTS__MODE", "production"),
        ("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters"),
        ("ACCOUNTS__SANDBOX__URL", ""),
        ("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.invalid"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from the platform"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_ZnJvbSB0aGUgcGxhdGZvcm0sIGZvciBhIHRlc3Q="),
    ] {
        place.set(key, value);
    }
    let output = ended(ServerProcess::bare(&place).args(["seed", "--accounts", "1"])).await;
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("seed") && error.contains("mode is production"), "{error}");
}

/// The lines that `accounts-center seed` prints.
async fn seed(place: &Place, arguments: &[&str]) -> Vec<String> {
    let output = ended(ServerProcess::bare(place).arg("seed").args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
