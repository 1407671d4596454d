//! Servers that are killed while an account is erased.

use accounts_center::store::failpoint;
use accounts_center_entity::{
    account, activity, event, idempotency_record, job, linked_profile, security_alert, session, stream,
    verification,
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::support::{Client, Person, Place, ServerProcess, eventually, on_both_stacks};

const WEEK: i64 = 7 * 24 * 3600;
const REQUEST: &str =
    "mutation($input: RequestAccountDeletionInput!) { requestAccountDeletion(input: $input) {
    confirmation userErrors { code } } }";

on_both_stacks! {
    /// Kills the server at every passing of every failpoint while an account is erased. What is stored is the whole account
    /// or nothing of it, and another server brings it to its end.
    async fn s37_kill_9_at_each_failpoint_of_erasing(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        // What is purged for its age says nothing here.
        place.set("ACCOUNTS__RETENTION__EVENTS_DAYS", 30);
        let (mut deaths, mut number) = (0, 0);
        let mut server = ServerProcess::start(&place).await;
        let db = place.database().await;
        for name in failpoint::ALL.into_iter().chain([failpoint::HALF_ERASED]) {
            for passing in 0.. {
                number += 1;
                let doomed = Doomed::make(&place, &server, &db, number).await;
                server.kill().await;
                doomed.assert_whole(&db).await;
                let more = [("FAILPOINTS", format!("{name}={passing}*off->return"))];
                server = ServerProcess::start_with(&place, &more).await;
                place.sandbox.advance(WEEK).await;
                let died = !is_done_by(server.client(), &db).await;
                server.kill_if_alive().await;
                doomed.assert_whole_or_erased(&db).await;
                server = ServerProcess::start(&place).await;
                if !died {
                    assert!(passing > 0, "{name} is not on the path");
                    break;
                }
                deaths += 1;
                // What the killed one had claimed is free once its lease is over.
                place.sandbox.advance(61).await;
                assert!(is_done_by(server.client(), &db).await, "not finished after {name} {passing}");
                doomed.assert_erased(&db).await;
                let anew = server.client().sign_in(&place, &doomed.handle).await;
                assert_ne!(anew.account, doomed.owner.account, "its profile is free after {name} {passing}");
            }
        }
        assert!(deaths > failpoint::ALL.len(), "only {deaths} deaths");
    }
}

/// An account with two profiles that is going to be erased, and for which nothing else is to do.
struct Doomed {
    owner: Person,
    handle: String,
}

impl Doomed {
    async fn make(place: &Place, server: &ServerProcess, db: &DatabaseConnection, number: usize) -> Self {
        let handles = [format!("+491713925{number:03}"), format!("+491713926{number:03}")];
        for (n, handle) in handles.iter().enumerate() {
            place.sandbox.add_profile(&format!("wa_{n}_{number}"), handle).await;
        }
        let owner = server.client().sign_in(place, &handles[0]).await;
        owner.client.linked(place, &handles[1]).await;
        eventually("nothing else is to do", async || {
            let jobs =
                job::Entity::find().filter(job::Column::Kind.is_in(["deliver_code", "refresh_profile"]));
            (jobs.count(db).await.unwrap() == 0).then_some(())
        })
        .await;
        job::Entity::delete_many().exec(db).await.unwrap();
        let request = async |confirmation: &Value| {
            owner.client.mutate(REQUEST, json!({ "confirmation": confirmation })).await
        };
        let first = request(&Value::Null).await;
        assert_eq!(request(&first.field()["confirmation"]).await.user_errors(), [""; 0]);
        let [handle, _] = handles;
        Self { owner, handle }
    }

    async fn assert_whole_or_erased(&self, db: &DatabaseConnection) {
        let row = account::Entity::find_by_id(self.owner.account_id()).one(db).await.unwrap().unwrap();
        match row.erased_at {
            Some(_) => self.assert_erased(db).await,
            None => self.assert_whole(db).await,
        }
    }

    async fn assert_whole(&self, db: &DatabaseConnection) {
        let id = self.owner.account_id();
        let row = account::Entity::find_by_id(id).one(db).await.unwrap().unwrap();
        assert!(row.erased_at.is_none() && row.deletes_at.is_some() && !row.display_name.is_empty());
        // Two profiles, the proof of the second; the alerts of its link and of the request.
        assert_eq!(self.counts(db).await, [2, 1, 2]);
        let session = session::Entity::find().filter(session::Column::AccountId.eq(id));
        let session = session.one(db).await.unwrap().unwrap();
        assert!(session.revoked_at.is_none() && session.device.is_some() && session.refresh_hash.is_some());
        let (numbers, version) = self.events(db).await;
        assert_eq!(numbers, (1..=version).collect::<Vec<_>>(), "numbers without gaps up to the version");
        let jobs = job::Entity::find().filter(job::Column::StreamId.eq(id)).all(db).await.unwrap();
        assert!(jobs.iter().any(|job| job.kind == "erase_account" && job.dead_at.is_none()), "{jobs:?}");
    }

    async fn assert_erased(&self, db: &DatabaseConnection) {
        let id = self.owner.account_id();
        let row = account::Entity::find_by_id(id).one(db).await.unwrap().unwrap();
        assert_eq!((row.display_name.as_str(), row.avatar_url, row.deletes_at), ("", None, None));
        assert!(row.erased_at.is_some());
        assert_eq!(self.counts(db).await, [0; 3]);
        let keys = idempotency_record::Entity::find().filter(idempotency_record::Column::Scope.eq(id));
        assert_eq!(keys.count(db).await.unwrap(), 0);
        let session = session::Entity::find().filter(session::Column::AccountId.eq(id));
        let session = session.one(db).await.unwrap().unwrap();
        assert!(session.revoked_at.is_some());
        assert_eq!((session.device, session.refresh_hash, session.opened_by_profile_id), (None, None, None));
        let (numbers, version) = self.events(db).await;
        assert_eq!(numbers, [version], "it is erased once");
        let activity = activity::Entity::find().filter(activity::Column::StreamId.eq(id));
        assert_eq!(activity.count(db).await.unwrap(), 1);
        let forgotten = job::Entity::find().filter(job::Column::StreamId.eq(id));
        let forgotten = forgotten.filter(job::Column::Kind.eq("forget_erased_account"));
        assert_eq!(forgotten.count(db).await.unwrap(), 1);
    }

    /// What there is of the account: profiles, proofs, alerts.
    async fn counts(&self, db: &DatabaseConnection) -> [u64; 3] {
        let id = self.owner.account_id();
        let profiles = linked_profile::Entity::find().filter(linked_profile::Column::AccountId.eq(id));
        let proofs = verification::Entity::find().filter(verification::Column::StreamId.eq(id));
        let alerts = security_alert::Entity::find().filter(security_alert::Column::AccountId.eq(id));
        [profiles.count(db).await.unwrap(), proofs.count(db).await.unwrap(), alerts.count(db).await.unwrap()]
    }

    /// The numbers of its events, and its version.
    async fn events(&self, db: &DatabaseConnection) -> (Vec<i64>, i64) {
        let id = self.owner.account_id();
        let events = event::Entity::find().filter(event::Column::StreamId.eq(id));
        let events = events.order_by_asc(event::Column::Number).all(db).await.unwrap();
        let stream = stream::Entity::find_by_id(id).one(db).await.unwrap().unwrap();
        (events.into_iter().map(|event| event.number).collect(), stream.version)
    }
}

/// Waits until the account is erased and its job is off the list; false if the server dies first.
async fn is_done_by(client: Client, db: &DatabaseConnection) -> bool {
    eventually("an end or a death", async || {
        if client.try_run("{ platforms { key } }", json!({})).await.is_err() {
            return Some(false);
        }
        let left = job::Entity::find().filter(job::Column::Kind.eq("erase_account"));
        (left.count(db).await.unwrap() == 0).then_some(true)
    })
    .await
}
