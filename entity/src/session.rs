//! A device that is signed in to an account.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    /// The profile whose proof opened it.
    pub opened_by_profile_id: Option<Uuid>,
    /// The passkey whose proof opened it.
    pub opened_by_passkey_id: Option<Uuid>,
    /// The `User-Agent` that opened it, shortened.
    pub device: Option<String>,
    pub ip_address: Option<String>,
    pub created_at: DateTimeUtc,
    /// The latest proof of the person in it: step-up counts from here.
    pub authenticated_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub revoked_at: Option<DateTimeUtc>,
    /// How many refresh tokens there were before the good one.
    pub refresh_number: i32,
    /// A keyed hash of the secret in the good refresh token; absent in sessions of a release that had none.
    pub refresh_hash: Option<Vec<u8>>,
    /// When the good one was given out, if it is not the first.
    pub refreshed_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
