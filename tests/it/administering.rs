//! What operators do with accounts, by the command line.

use accounts_center::account;
use accounts_center_entity::{account as account_row, activity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::command_line::{assert_says, failed, printed};
use crate::support::authenticator::Authenticator;
use crate::support::{
    Answer, Client, Place, ServerProcess, SocketMessage, Stack, eventually, on_both_stacks,
};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const ME: &str = "{ viewer { id } }";
const ACTIVITY: &str = "{ viewer { activity(kinds: [SECURITY]) { nodes { description } } } }";

/// A server that makes room where only one process can have the database.
struct Served {
    server: Option<ServerProcess>,
}

impl Served {
    async fn start(place: &Place) -> Self {
        Self { server: Some(ServerProcess::start(place).await) }
    }

    fn client(&self) -> Client {
        self.server.as_ref().unwrap().client()
    }

    /// What an operator's command prints.
    async fn operate(&mut self, place: &Place, arguments: &[&str]) -> String {
        if place.stack == Stack::Production {
            return printed(place, arguments).await;
        }
        assert_says(&failed(place, arguments, &[]).await, &["another accounts-center"]);
        assert!(self.server.take().unwrap().interrupt().await.success());
        let text = printed(place, arguments).await;
        self.server = Some(ServerProcess::start(place).await);
        text
    }
}

/// What signing in by the code that the phone gets comes to.
async fn try_sign_in(place: &Place, client: &Client, handle: &str) -> Answer {
    let before = place.sandbox.codes(handle).await.len();
    let started = client.start_sign_in(handle).await;
    let started = started.field();
    let code = place.sandbox.nth_code(handle, before + 1).await;
    client.submit(&started["verification"]["id"], &started["clientSecret"], &code).await
}

async fn until_out(client: &Client) {
    eventually("the session has ended", async || {
        let answer = client.query(ME).await;
        (answer.body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED").then_some(())
    })
    .await;
}

on_both_stacks! {
    async fn an_operator_sees_locks_and_unlocks_an_account(place: Place) {
        let mut served = Served::start(&place).await;
        let ada = served.client().sign_in(&place, ADA).await;
        ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile_at("whatsapp", json!({ "external_id": "wa_public", "handle": "ada.public",
            "display_name": "Countess" })).await;
        ada.client.linked(&place, "ada.public").await;
        let who = ["--operator", "root@ops"];
        let shown = served.operate(&place, &[&["account", "show", &ada.account], &who[..]].concat()).await;
        assert_says(&shown, &[&ada.account, "open sessions  1", "+49 ··· ·· 42", "+49 ··· ·· 43", "a···", "ACTIVE", "never"]);
        for personal in ["Ada", "Countess", "ada.public", "wa_", "4917139200042"] {
            assert!(!shown.contains(personal), "{personal} is in {shown}");
        }

        let socket = ada.client.at(&served.client().url).socket().await;
        let locked = served.operate(&place, &[&["account", "lock", &ada.account], &who[..]].concat()).await;
        assert_says(&locked, &["is locked", &ada.account]);
        if place.stack == Stack::Production {
            let mut socket = socket;
            assert_eq!(socket.next().await, SocketMessage::Closed(4403));
        }
        let here = served.client().url;
        until_out(&ada.client.at(&here)).await;
        let refused = ada.client.at(&here).start_link("+4917139200060").await;
        assert_eq!(refused.error_code(), "UNAUTHENTICATED");
        for handle in [ADA, GRACE] {
            assert_eq!(try_sign_in(&place, &served.client(), handle).await.user_errors(), ["SIGN_IN_DISABLED"]);
        }
        let again = served.operate(&place, &["account", "lock", &ada.account, "--operator", "x"]).await;
        assert_says(&again, &["locked already"]);
        let shown = served.operate(&place, &["account", "show", &ada.account_id().to_string(), "--operator", "x"]).await;
        assert_says(&shown, &["open sessions  0", "locked since   20"]);

        let unlocked = served.operate(&place, &[&["account", "unlock", &ada.account], &who[..]].concat()).await;
        assert_says(&unlocked, &["can be signed in to again"]);
        let back = served.client().sign_in(&place, ADA).await;
        assert_eq!(back.account, ada.account);
        let answer = back.client.query(ACTIVITY).await;
        let words: Vec<_> = answer.field()["activity"]["nodes"].as_array().unwrap().iter()
            .map(|node| node["description"].as_str().unwrap().to_owned()).collect();
        for said in [
            "An operator has looked at your account.",
            "An operator has locked your account.",
            "An operator has unlocked your account.",
            "A device was signed out, because an operator has locked the account.",
        ] {
            assert!(words.iter().any(|word| word == said), "{said}: {words:?}");
        }
        // Who it was is for the operators, in the audit trail.
        let db = place.database().await;
        let rows = activity::Entity::find()
            .filter(activity::Column::StreamId.eq(ada.account_id()))
            .filter(activity::Column::Kind.eq("account_administered"))
            .order_by_asc(activity::Column::Number);
        let rows: Vec<_> = rows.all(&db).await.unwrap().into_iter().map(|row| row.payload).collect();
        let by = |action: &str, operator: &str| json!({ "action": action, "operator": operator });
        let expected =
            [by("SHOWN", "root@ops"), by("LOCKED", "root@ops"), by("SHOWN", "x"), by("UNLOCKED", "root@ops")];
        assert_eq!(rows, expected);
    }

    async fn a_locked_account_is_not_signed_in_to_by_a_passkey(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut device = Authenticator::new(&app.url, 1);
        ada.client.add_passkey(&mut device, "Phone").await;
        assert!(account::lock(app.app(), ada.account_id(), "root").await.unwrap());
        until_out(&ada.client).await;
        assert_eq!(app.client().passkey_sign_in(&mut device).await.user_errors(), ["SIGN_IN_DISABLED"]);
        assert!(account::unlock(app.app(), ada.account_id(), "root").await.unwrap());
        let back = app.client().passkey_sign_in(&mut device).await;
        assert_eq!(back.field()["outcome"]["account"]["id"], ada.account);
    }

    async fn an_operator_erases_an_account_after_saying_twice_which(place: Place) {
        let mut served = Served::start(&place).await;
        let ada = served.client().sign_in(&place, ADA).await;
        let (id, other) = (ada.account.as_str(), "account_00000000000070008000000000000001");
        let by = ["--operator", "root"];
        for wrong in [vec!["account", "erase", id], vec!["account", "erase", id, "--yes", other]] {
            assert_says(&failed(&place, &wrong, &[("USER", "root")]).await, &["--yes", id]);
        }
        assert_says(&failed(&place, &["account", "show", "x"], &[]).await, &["account_", "UUID"]);
        assert_says(&failed(&place, &["account", "show", &ada.session], &[]).await, &["account_", "UUID"]);
        assert_says(&failed(&place, &["account", "show", id], &[("USER", "")]).await, &["--operator"]);
        assert_eq!(served.client().sign_in(&place, ADA).await.account, ada.account, "nothing has happened");

        let erased = served.operate(&place, &[&["account", "erase", id, "--yes", id], &by[..]].concat()).await;
        assert_says(&erased, &["is erased", id]);
        until_out(&ada.client.at(&served.client().url)).await;
        let db = place.database().await;
        let row = account_row::Entity::find_by_id(ada.account_id()).one(&db).await.unwrap().unwrap();
        assert!(row.erased_at.is_some() && row.display_name.is_empty());
        let left = activity::Entity::find().filter(activity::Column::StreamId.eq(ada.account_id()));
        let left: Vec<Value> = left.all(&db).await.unwrap().into_iter().map(|row| row.payload).collect();
        assert_eq!(left, [json!({ "operator": "root" })], "who did it stays");
        let anew = served.client().sign_in(&place, ADA).await;
        assert_ne!(anew.account, ada.account);
        if place.stack == Stack::Embedded {
            assert!(served.server.take().unwrap().interrupt().await.success());
        }
        for gone in [id, other] {
            for deed in ["show", "lock", "unlock"] {
                assert_says(&failed(&place, &["account", deed, gone, "--operator", "x"], &[]).await, &["no such account"]);
            }
        }
    }
}
