//! A stream that has jobs, and when it is its turn.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job_stream")]
pub struct Model {
    /// The stream whose commands enqueued them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream_id: Uuid,
    /// Not before this instant; the earliest comes first.
    pub next_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
