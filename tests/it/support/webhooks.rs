//! Webhooks by hand, and what is stored of them.

use accounts_center::platform::WebhookKey;
use accounts_center::sandbox::WEBHOOK_SECRET;
use accounts_center_entity::{job, profile_refresh, webhook_receipt};
use chrono::TimeDelta;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;

use super::{START, TestApp, eventually};

/// Sends webhooks by hand.
pub struct Sender {
    url: String,
    http: reqwest::Client,
    key: WebhookKey,
}

impl Sender {
    pub fn new(app: &TestApp) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url: app.url.clone(), http, key: WebhookKey::parse(&WEBHOOK_SECRET.into()).unwrap() }
    }

    /// The headers of a message that was signed so many seconds from [`START`].
    pub fn signed(&self, id: &str, seconds: i64, body: &str) -> [(&'static str, String); 3] {
        self.key.sign(id, START + TimeDelta::seconds(seconds), body.as_bytes()).unwrap()
    }

    pub async fn to(&self, platform: &str, headers: &[(&'static str, String)], body: &str) -> u16 {
        let url = format!("{}/webhooks/{platform}", self.url);
        let mut request = self.http.post(url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.send().await.unwrap().status().as_u16()
    }
}

/// The body of a message about a WhatsApp profile.
pub fn about(kind: &str, external_id: &str) -> String {
    json!({ "type": kind, "platform": "whatsapp", "data": { "external_id": external_id } }).to_string()
}

/// How many webhooks are kept as taken, and how many looks they have asked for.
pub async fn looks(db: &DatabaseConnection) -> (u64, i64) {
    let receipts = webhook_receipt::Entity::find().count(db).await.unwrap();
    let numbers = profile_refresh::Entity::find().all(db).await.unwrap();
    (receipts, numbers.iter().map(|row| row.number).sum())
}

/// Waits until nobody has to look at a profile.
pub async fn idle(db: &DatabaseConnection) {
    eventually("no look is left", async || {
        let left =
            job::Entity::find().filter(job::Column::Kind.eq("refresh_profile")).count(db).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}
