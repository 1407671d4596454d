//! One person's hub. Its id is its stream's id.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub created_at: DateTimeUtc,
    /// When it is erased; absent unless its owner has asked for that.
    pub deletes_at: Option<DateTimeUtc>,
    /// When it was: nothing is left in the row then.
    pub erased_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
