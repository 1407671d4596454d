//! Which look at a profile's platform is the newest: what an older one saw is not applied any more.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "profile_refresh")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub profile_id: Uuid,
    /// Raised by each webhook that asks for a look.
    pub number: i64,
    /// Whether its owner has proved it since the platform asked for that: that the platform still asks is nothing new.
    pub proved: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
