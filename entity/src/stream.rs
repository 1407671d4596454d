//! A unit of consistency: an account, or a verification of somebody who is not signed in yet.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stream")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// `account` or `verification`.
    pub kind: String,
    /// The number of the latest event; 0 before the first.
    pub version: i64,
    /// The number of the latest event that changed the link graph; 0 before the first.
    pub graph_version: i64,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
