//! Servers that are killed while a profile is unlinked.

use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center::store::failpoint;
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::{job, profile_connection, session, stream};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use crate::support::links::{LinkEvent, connect, link_events, profile_row, until_status};
use crate::support::uuid_of;
use crate::support::{Announced, Client, Person, Place, ServerProcess, eventually, on_both_stacks};

const DAY: i64 = 24 * 3600;

on_both_stacks! {
    /// Kills the server at every passing of every failpoint while a profile is unlinked and its 24 hours run out.
    /// What is stored is as before a command or as after it, and another server brings it to its end.
    async fn s37_kill_9_at_each_failpoint_of_unlinking(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let (mut deaths, mut number) = (0, 0);
        let mut server = ServerProcess::start(&place).await;
        let db = place.database().await;
        for name in failpoint::ALL {
            for passing in 0.. {
                number += 1;
                let link = Link::make(&place, &server, &db, number).await;
                server.kill().await;
                let more = [("FAILPOINTS", format!("{name}={passing}*off->return"))];
                server = ServerProcess::start_with(&place, &more).await;
                let died = !link.end(&place, server.client(), &db).await;
                server.kill_if_alive().await;
                link.assert_sound(&db, 1).await;
                server = ServerProcess::start(&place).await;
                if !died {
                    assert!(passing > 0, "{name} is not on the path");
                    break;
                }
                deaths += 1;
                // What the killed one had claimed is free once its lease is over.
                place.sandbox.advance(61).await;
                let sign_ins = link.finish(&place, &server, &db).await;
                link.assert_ended(&db, sign_ins).await;
            }
        }
        assert!(deaths >= failpoint::ALL.len(), "only {deaths} deaths");
    }
}

/// A profile with a connection and a session, about to be unlinked.
struct Link {
    owner: Person,
    handles: [String; 2],
    profile: String,
    connection: Uuid,
}

impl Link {
    async fn make(place: &Place, server: &ServerProcess, db: &DatabaseConnection, number: usize) -> Self {
        let handles = [format!("+491713923{number:03}"), format!("+491713924{number:03}")];
        for (n, handle) in handles.iter().enumerate() {
            place.sandbox.add_profile(&format!("wa_{n}_{number}"), handle).await;
        }
        let owner = server.client().sign_in(place, &handles[0]).await;
        let own = owner.client.profiles().await[0].clone();
        let profile = owner.client.linked(place, &handles[1]).await;
        server.client().sign_in(place, &handles[1]).await;
        let connection = connect(db, &own, &profile, &[Experience::Messaging]).await;
        // So that only the jobs of unlinking run from here on.
        eventually("the codes are delivered", async || {
            let codes = job::Entity::find().filter(job::Column::Kind.eq("deliver_code"));
            (codes.count(db).await.unwrap() == 0).then_some(())
        })
        .await;
        job::Entity::delete_many().exec(db).await.unwrap();
        Self { owner, handles, profile, connection }
    }

    /// Unlinks it and lets its time run out; false if the server died.
    async fn end(&self, place: &Place, client: Client, db: &DatabaseConnection) -> bool {
        let owner = self.owner.client.at(&client.url);
        let input = json!({ "input": { "profileId": self.profile } });
        let unlink =
            "mutation($input: UnlinkProfileInput!) { unlinkProfile(input: $input) { userErrors { code } } }";
        let Ok(answer) = owner.try_run(unlink, input).await else { return false };
        assert_eq!(answer.user_errors(), [""; 0]);
        place.sandbox.advance(DAY).await;
        eventually("it is over, or a death", async || {
            if client.try_run("{ platforms { key } }", json!({})).await.is_err() {
                return Some(false);
            }
            let is_left = job::Entity::find().count(db).await.unwrap() > 0;
            (!is_left).then_some(true)
        })
        .await
    }

    /// What its owner does at a server that lives. Gives how often they have signed in by then.
    async fn finish(&self, place: &Place, server: &ServerProcess, db: &DatabaseConnection) -> usize {
        let is_begun = profile_row(db, &self.profile).await.status != LinkStatus::Active;
        if !is_begun {
            let owner = server.client().sign_in(place, &self.handles[0]).await.client;
            assert_eq!(owner.unlink(&self.profile).await.user_errors(), [""; 0]);
        }
        place.sandbox.advance(DAY).await;
        until_status(db, &self.profile, LinkStatus::Unlinked).await;
        if is_begun { 1 } else { 2 }
    }

    /// Nothing is between two states; its owner has signed in so often.
    async fn assert_sound(&self, db: &DatabaseConnection, sign_ins: usize) {
        let row = profile_row(db, &self.profile).await;
        let steps = match row.status {
            LinkStatus::Active => 0,
            LinkStatus::Unlinking => 1,
            LinkStatus::Unlinked => 2,
            other => panic!("{other:?}"),
        };
        let expected = [
            LinkEvent::Status(Some(Status::Active), Status::Unlinking, Reason::UserRequest),
            LinkEvent::Connection(self.connection, true),
            LinkEvent::Status(Some(Status::Unlinking), Status::Unlinked, Reason::GracePeriodEnded),
            LinkEvent::Connection(self.connection, false),
        ];
        let events = link_events(db, &self.owner.account, 6).await;
        assert_eq!(events, expected[..steps * 2], "each event once");
        let account = uuid_of(&self.owner.account);
        let version = stream::Entity::find_by_id(account).one(db).await.unwrap().unwrap().version;
        // The link and its alert; each session, and the alert of each but the first; then what unlinking tells, of
        // which an alert and the end of a session are told when it begins.
        let sessions = 1 + sign_ins as i64;
        assert_eq!(version, 1 + 2 + (2 * sessions - 1) + [0, 4, 6][steps]);
        assert_eq!(Announced::read(db, account).await.complaint(), None);
        assert_eq!(row.unlinks_at.is_some(), steps == 1);
        assert_eq!(row.external_id.is_empty(), steps == 2);
        let connections = profile_connection::Entity::find_by_id(self.connection).count(db).await.unwrap();
        assert_eq!(connections, u64::from(steps < 2));
        let of_account = session::Entity::find().filter(session::Column::AccountId.eq(account));
        assert_eq!(of_account.count(db).await.unwrap() as i64, sessions);
        let opened = session::Entity::find()
            .filter(session::Column::OpenedByProfileId.eq(row.id))
            .all(db)
            .await
            .unwrap();
        assert!(
            opened.iter().all(|session| session.revoked_at.is_some() == (steps > 0)) && opened.len() == 1
        );
        let graces = job::Entity::find().filter(job::Column::Kind.eq("end_grace")).count(db).await.unwrap();
        assert!(graces >= u64::from(steps == 1), "nobody would end it");
    }

    async fn assert_ended(&self, db: &DatabaseConnection, sign_ins: usize) {
        assert_eq!(profile_row(db, &self.profile).await.status, LinkStatus::Unlinked);
        self.assert_sound(db, sign_ins).await;
    }
}
