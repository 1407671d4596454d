//! Work that is left to do after a commit, written by the command that wants it done.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Names the type of the payload; a worker leaves kinds alone that it does not know.
    pub kind: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    /// The stream whose command enqueued it.
    pub stream_id: Uuid,
    /// Not before this instant.
    pub run_at: DateTimeUtc,
    /// How often a worker has begun it.
    pub attempts: i32,
    /// While in the future, a worker is at it; once past, that worker is taken for dead.
    pub leased_until: Option<DateTimeUtc>,
    /// Set when it has failed for good and waits for an operator.
    pub dead_at: Option<DateTimeUtc>,
    /// What the last try failed with. Never personal data.
    pub last_error: Option<String>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
