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
    /// How often in a row it was served and had more to do: of streams whose turn is at the same instant, the one
    /// that was served less comes first.
    pub turns: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
