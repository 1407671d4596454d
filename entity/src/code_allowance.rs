//! How many codes one handle has been sent in a window of time.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_allowance")]
pub struct Model {
    /// A keyed hash of the platform and of the handle, or of the profile, that codes go to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub handle_hash: Vec<u8>,
    /// When the window began: with the first code in it.
    pub began_at: DateTimeUtc,
    pub sent: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
