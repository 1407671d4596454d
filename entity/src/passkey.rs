//! A WebAuthn credential that signs in to an account.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkey")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    /// What the person calls it.
    pub name: String,
    /// What its authenticator calls it; unique over all accounts.
    #[sea_orm(unique)]
    pub credential_id: Vec<u8>,
    /// Its public key, the counter of its signatures and what else is checked at each use, as JSON. No secret.
    pub credential: String,
    pub created_at: DateTimeUtc,
    /// Absent until it has proved anything.
    pub last_used_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
