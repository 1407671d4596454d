//! Deleting an account: asked for twice, waiting for a week, and then gone for good.

use accounts_center::account as admin;
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::{
    account, activity, event, experience_grant, idempotency_record, job, linked_profile, profile_claim,
    profile_connection, security_alert, session, stream, verification,
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::authenticator::Authenticator;
use crate::support::links::connect;
use crate::support::{Answer, Client, Person, SocketMessage, Stack, TestApp, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const WEEK: i64 = 7 * 24 * 3600;

const REQUEST: &str =
    "mutation($input: RequestAccountDeletionInput!) { requestAccountDeletion(input: $input) {
    account { id version deletesAt } confirmation userErrors { code message path } } }";
const CANCEL: &str = "mutation($input: CancelAccountDeletionInput!) { cancelAccountDeletion(input: $input) {
    account { id version deletesAt } userErrors { code message path } } }";
const DISMISS: &str = "mutation($input: DismissLinkSuggestionInput!) { dismissLinkSuggestion(input: $input) {
    account { id } userErrors { code } } }";
const CLAIM: &str = "mutation($input: ClaimProfileInput!) { claimProfile(input: $input) {
    verification { id } userErrors { code } } }";
const EVENTS: &str = "subscription { accountEvents { __typename
    ... on AccountChange { account { deletesAt displayName } }
    ... on SecurityAlertRaised { alert { kind description session { id } } } } }";
const ME: &str = "{ viewer { id } }";

async fn request(client: &Client, confirmation: &Value) -> Answer {
    client.mutate(REQUEST, json!({ "confirmation": confirmation })).await
}

/// Asks twice. Gives when the account is going to be deleted.
async fn delete(client: &Client) -> Value {
    let first = request(client, &Value::Null).await;
    assert_eq!(first.user_errors(), ["CONFIRMATION_REQUIRED"]);
    let second = request(client, &first.field()["confirmation"]).await;
    assert_eq!(second.user_errors(), [""; 0]);
    second.field()["account"]["deletesAt"].clone()
}

/// Asks once more for what was asked for.
async fn delete_again(client: &Client) {
    assert_eq!(request(client, &Value::Null).await.user_errors(), [""; 0]);
}

async fn is_out(client: &Client) -> Option<()> {
    let answer = client.query(ME).await;
    (answer.body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED").then_some(())
}

async fn until_erased(db: &DatabaseConnection, account: Uuid) {
    eventually("the account is erased", async || {
        let row = account::Entity::find_by_id(account).one(db).await.unwrap();
        row.is_none_or(|row| row.erased_at.is_some()).then_some(())
    })
    .await;
}

on_both_stacks! {
    async fn an_account_is_gone_a_week_after_it_was_asked_for_twice(place: Place) {
        let app = place.app().await;
        let second = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(place.replica().await),
        };
        let there = second.as_ref().unwrap_or(&app);
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let own = ada.client.profiles().await.into_iter().find(|id| *id != grace).unwrap();
        connect(&db, &own, &grace, &[Experience::Messaging]).await;
        ada.client.mutate(DISMISS, json!({ "platform": "instagram" })).await.field();
        ada.client.start_link(EVE).await.field();
        let mut device = Authenticator::new(&app.url, 1);
        ada.client.add_passkey(&mut device, "Phone").await;
        let mut events = ada.client.socket().await;
        events.subscribe("all", EVENTS, json!({})).await;
        events.ask(ME).await;

        let first = request(&ada.client, &Value::Null).await;
        let error = &first.field()["userErrors"][0];
        assert_eq!((&error["code"], &error["path"]), (&json!("CONFIRMATION_REQUIRED"), &json!(["confirmation"])));
        assert_eq!(first.field()["account"], Value::Null);
        let confirmed = request(&ada.client, &first.field()["confirmation"]).await;
        assert_eq!(confirmed.field()["account"]["deletesAt"], "2027-01-22T08:00:00.000Z");
        assert_eq!(confirmed.field()["confirmation"], Value::Null);
        let told = events.event("all", "accountEvents").await;
        let expected = json!({ "deletesAt": "2027-01-22T08:00:00.000Z", "displayName": "Ada" });
        assert_eq!(told, json!({ "__typename": "AccountChange", "account": expected }));
        let warned = events.event("all", "accountEvents").await;
        assert_eq!(warned["alert"]["kind"], "ACCOUNT_DELETION_REQUESTED");
        assert_eq!(warned["alert"]["session"]["id"], ada.session);

        // Again, and later: the first date counts, and nothing is to be confirmed.
        app.advance(&place, 60).await;
        let again = request(&ada.client, &Value::Null).await;
        assert_eq!(again.body, confirmed.body);

        // It works as before until the last moment.
        app.advance(&place, WEEK - 61).await;
        until_same_time(&app, there).await;
        let late = app.client().sign_in(&place, GRACE).await;
        assert_eq!(late.account, ada.account);
        let hub = "{ viewer { deletesAt version profiles { id } activity { nodes { description } } } }";
        let here = late.client.query(hub).await;
        assert_eq!(here.field()["profiles"].as_array().unwrap().len(), 2);
        let words = "Your account is going to be deleted on 2027-01-22 08:00 UTC.";
        let said = here.field()["activity"]["nodes"].as_array().unwrap().iter().any(|node| node["description"] == words);
        assert!(said, "{:#}", here.body);
        late.client.at(&there.url).query(hub).await.field();
        let cursor = late.client.query("{ viewer { eventCursor } }").await.field()["eventCursor"].clone();
        let (mut tab, mut away) = (late.client.socket().await, late.client.at(&there.url).socket().await);
        tab.subscribe("all", EVENTS, json!({})).await;
        tab.ask(ME).await;
        away.ask(ME).await;

        app.advance(&place, 1).await;
        until_same_time(&app, there).await;
        until_erased(&db, ada.account_id()).await;
        assert_erased(&db, &ada).await;
        // Its sockets are told, if there is still time, and closed.
        loop {
            match tab.next().await {
                SocketMessage::Json(message) => {
                    let last = json!({ "__typename": "AccountChange", "account": null });
                    assert_eq!(message["payload"]["data"]["accountEvents"], last, "{message:#}");
                }
                closed @ SocketMessage::Closed(_) => break assert_eq!(closed, SocketMessage::Closed(4403)),
            }
        }
        assert_eq!(away.next().await, SocketMessage::Closed(4403));
        eventually("its tokens are refused", async || is_out(&late.client).await).await;
        eventually("there, too", async || is_out(&late.client.at(&there.url)).await).await;
        assert_eq!(late.client.start_link(EVE).await.error_code(), "UNAUTHENTICATED");
        let follow = "subscription($after: String) { accountEvents(after: $after) { cursor } }";
        assert!(late.client.run(follow, json!({ "after": cursor })).await.body["errors"].is_array());
        // No cache has it any more.
        for app in [&app, there] {
            assert!(app.app().graphs.get(ada.account_id(), 0).await.unwrap().is_none());
        }

        assert_eq!(app.client().passkey_sign_in(&mut device).await.user_errors(), ["VERIFICATION_FAILED"]);

        // Its profiles are anybody's, at once.
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        eve.client.linked(&place, GRACE).await;
        let anew = app.client().sign_in(&place, ADA).await;
        assert_ne!(anew.account, ada.account);
        let node = "query($id: ID!) { node(id: $id) { id } }";
        for id in [&ada.account, &grace, &late.session] {
            assert_eq!(anew.client.run(node, json!({ "id": id })).await.field(), &Value::Null);
        }

        // Once no token speaks for it any more, nothing but the tombstone is left.
        app.advance(&place, 15 * 60).await;
        eventually("the empty row is gone", async || {
            account::Entity::find_by_id(ada.account_id()).one(&db).await.unwrap().is_none().then_some(())
        }).await;
        let sessions = session::Entity::find().filter(session::Column::AccountId.eq(ada.account_id()));
        assert_eq!(sessions.count(&db).await.unwrap(), 0);
        let tombstone = stream::Entity::find_by_id(ada.account_id()).one(&db).await.unwrap().unwrap();
        assert_eq!(tombstone.kind, "account");
        app.app().graphs.forget();
        assert!(app.app().graphs.get(ada.account_id(), 0).await.unwrap().is_none());
    }

    /// Whoever asked for it may have taken over a session: the owner is told where they are, and has all the time that support needs.
    async fn a_deletion_is_told_to_every_profile_and_waits_for_an_operator(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        ada.client.linked(&place, GRACE).await;
        delete(&ada.client).await;
        let told = async |id| place.sandbox.notices("whatsapp", id).await;
        for id in ["wa_ada", "wa_grace"] {
            eventually("it is told", async || (told(id).await == ["unlinked"]).then_some(())).await;
        }
        let notice = place.sandbox.state_of("whatsapp").await["notices"][0]["text"].clone();
        assert!(notice.as_str().unwrap().contains("is going to be deleted"), "{notice}");
        // Asked for again nothing is said again.
        delete_again(&ada.client).await;

        assert!(admin::lock(app.app(), ada.account_id(), "root").await.unwrap());
        app.advance(&place, WEEK).await;
        eventually("it waits", async || {
            let jobs = job::Entity::find().filter(job::Column::Kind.eq("erase_account")).all(&db).await.unwrap();
            jobs.iter().any(|job| job.last_error.as_ref().is_some_and(|error| error.contains("locked"))).then_some(())
        }).await;
        assert!(admin::unlock(app.app(), ada.account_id(), "root").await.unwrap());
        app.advance(&place, 3600).await;
        until_erased(&db, ada.account_id()).await;
        for id in ["wa_ada", "wa_grace"] {
            eventually("it is over", async || (told(id).await == ["unlinked", "unlinked"]).then_some(())).await;
        }
    }

    async fn a_deletion_is_cancelled_and_the_next_one_begins_anew(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        delete(&ada.client).await;
        let mut events = ada.client.socket().await;
        events.subscribe("all", EVENTS, json!({})).await;
        events.ask(ME).await;
        let kept = ada.client.mutate(CANCEL, json!({})).await;
        assert_eq!(kept.field()["account"]["deletesAt"], Value::Null);
        assert_eq!(events.event("all", "accountEvents").await["account"]["deletesAt"], Value::Null);
        let again = ada.client.mutate(CANCEL, json!({})).await;
        assert_eq!(again.body, kept.body, "keeping it again changes nothing");

        app.advance(&place, 3600).await;
        let fresh = app.client().sign_in(&place, ADA).await;
        assert_eq!(delete(&fresh.client).await, "2027-01-22T09:00:00.000Z");
        // When the first one would have been over.
        app.advance(&place, WEEK - 3600).await;
        eventually("its job is done", async || {
            let left = job::Entity::find().filter(job::Column::Kind.eq("erase_account"));
            (left.count(&db).await.unwrap() == 1).then_some(())
        }).await;
        assert_eq!(app.client().sign_in(&place, ADA).await.account, ada.account);
        app.advance(&place, 3600).await;
        until_erased(&db, ada.account_id()).await;
        assert_ne!(app.client().sign_in(&place, ADA).await.account, ada.account);
    }

    async fn a_confirmation_is_of_one_session_and_for_ten_minutes(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let other = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        let token = async |person: &Person| {
            request(&person.client, &Value::Null).await.field()["confirmation"].clone()
        };
        let (of_other, of_eve) = (token(&other).await, token(&eve).await);
        for foreign in [&of_other, &of_eve, &json!(""), &json!("🦀"), &json!("A".repeat(32))] {
            let refused = request(&ada.client, foreign).await;
            assert_eq!(refused.user_errors(), ["CONFIRMATION_REQUIRED"], "{foreign}");
            assert!(refused.field()["confirmation"].is_string());
        }
        let old = token(&ada).await;
        app.advance(&place, 599).await;
        let own = ada.client.profiles().await[0].clone();
        ada.client.step_up(&place, &own, ADA).await.field();
        app.advance(&place, 1).await;
        let late = request(&app.renewed(&ada), &old).await;
        assert_eq!(late.user_errors(), ["CONFIRMATION_REQUIRED"]);
        let good = request(&app.renewed(&ada), &late.field()["confirmation"]).await;
        assert_eq!(good.user_errors(), [""; 0]);
    }

    /// What somebody else waits for is settled: who has claimed a profile gets it, and claims of the account end.
    async fn claims_are_settled_with_an_account(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        app.client().sign_in(&place, EVE).await;
        let claim = async |client: &Client, handle: &str| {
            let proved = client.link(&place, handle).await;
            assert_eq!(proved.user_errors(), ["PROFILE_LINKED_ELSEWHERE"]);
            let id = &proved.field()["verification"]["id"];
            client.mutate(CLAIM, json!({ "verificationId": id })).await.field();
        };
        // Asked for first, so that the 72 hours of the claim are not over by then.
        delete(&ada.client).await;
        app.advance(&place, WEEK - 3600).await;
        let (ada, eve) = (app.client().sign_in(&place, ADA).await, app.client().sign_in(&place, EVE).await);
        claim(&eve.client, GRACE).await;
        claim(&ada.client, EVE).await;
        eventually("both owners are told", async || {
            let told = profile_claim::Entity::find().filter(profile_claim::Column::DueAt.is_not_null());
            (told.count(&db).await.unwrap() == 2).then_some(())
        }).await;
        app.advance(&place, 3600).await;
        until_erased(&db, ada.account_id()).await;
        let linked = async |account: Uuid| {
            let rows = linked_profile::Entity::find().filter(linked_profile::Column::AccountId.eq(account));
            let mut ids: Vec<_> = rows.all(&db).await.unwrap().into_iter().map(|row| row.external_id).collect();
            ids.sort();
            ids
        };
        eventually("it comes to who has claimed it", async || {
            (linked(eve.account_id()).await == ["wa_eve", "wa_grace"]).then_some(())
        }).await;
        assert_eq!(profile_claim::Entity::find().count(&db).await.unwrap(), 0);
        // When the claim of the account that is gone would have been due.
        app.advance(&place, 72 * 3600).await;
        eventually("nothing waits any more", async || {
            let left = job::Entity::find().filter(job::Column::Kind.eq("settle_claim"));
            (left.count(&db).await.unwrap() == 0).then_some(())
        }).await;
        assert_eq!(linked(eve.account_id()).await, ["wa_eve", "wa_grace"]);
    }
}

/// Waits until two servers have the same time.
async fn until_same_time(app: &TestApp, other: &TestApp) {
    eventually("both follow the sandbox's clock", async || {
        (app.app().clock.offset() == other.app().clock.offset()).then_some(())
    })
    .await;
}

/// Nothing personal of the account is left, and nothing that could do anything.
async fn assert_erased(db: &DatabaseConnection, person: &Person) {
    let id = person.account_id();
    let row = account::Entity::find_by_id(id).one(db).await.unwrap().unwrap();
    assert_eq!((row.display_name.as_str(), row.avatar_url, row.deletes_at), ("", None, None));
    let sessions = session::Entity::find().filter(session::Column::AccountId.eq(id)).all(db).await.unwrap();
    assert!(sessions.len() >= 2);
    for session in sessions {
        assert!(session.revoked_at.is_some());
        assert_eq!((session.device, session.ip_address, session.refresh_hash), (None, None, None));
        assert_eq!(session.opened_by_profile_id, None);
    }
    let verifications = verification::Entity::find().filter(verification::Column::StreamId.eq(id));
    let records = idempotency_record::Entity::find().filter(idempotency_record::Column::Scope.eq(id));
    let alerts = security_alert::Entity::find().filter(security_alert::Column::AccountId.eq(id));
    let counts = [
        linked_profile::Entity::find().count(db).await.unwrap(),
        profile_connection::Entity::find().count(db).await.unwrap(),
        experience_grant::Entity::find().count(db).await.unwrap(),
        accounts_center_entity::profile_refresh::Entity::find().count(db).await.unwrap(),
        accounts_center_entity::dismissed_suggestion::Entity::find().count(db).await.unwrap(),
        verifications.count(db).await.unwrap(),
        records.count(db).await.unwrap(),
        alerts.count(db).await.unwrap(),
        accounts_center_entity::passkey::Entity::find().count(db).await.unwrap(),
        accounts_center_entity::passkey_registration::Entity::find().count(db).await.unwrap(),
    ];
    assert_eq!(counts, [0; 10]);
    let events = event::Entity::find().filter(event::Column::StreamId.eq(id)).all(db).await.unwrap();
    let events: Vec<_> = events.into_iter().map(|row| (row.kind, row.payload)).collect();
    assert_eq!(events, [("account_erased".to_owned(), json!({}))]);
    let activity = activity::Entity::find().filter(activity::Column::StreamId.eq(id)).all(db).await.unwrap();
    assert_eq!(activity.len(), 1);
    // The one that is at it may not have been taken off the list yet.
    eventually("its jobs are gone", async || {
        let jobs = job::Entity::find().filter(job::Column::StreamId.eq(id)).all(db).await.unwrap();
        let kinds: Vec<_> = jobs.into_iter().map(|row| row.kind).collect();
        (kinds == ["forget_erased_account"]).then_some(())
    })
    .await;
}
