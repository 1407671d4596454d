//! Something that an operator has switched off. What is on has no row.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "kill_switch")]
pub struct Model {
    /// What sort of thing it is, as `platform`; another release may know others.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// Which one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub off_since: DateTimeUtc,
    /// Who has done it.
    pub operator: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
