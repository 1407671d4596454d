//! Remembers for 24 hours what a mutation with an idempotency key made.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_record")]
pub struct Model {
    /// The account whose key it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: Uuid,
    /// The mutation's field name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub operation: String,
    /// Keyed hash of the client's key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_hash: Vec<u8>,
    /// Keyed hash of the input that it came with.
    pub input_hash: Vec<u8>,
    /// The id of what was made; never an answer.
    pub result_id: Uuid,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
