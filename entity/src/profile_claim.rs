//! A proof of a profile that is linked to another account, and what its prover makes of it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "profile_claim")]
pub struct Model {
    /// The verification that proved it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub verification_id: Uuid,
    /// The account that it comes to.
    pub claimant_id: Uuid,
    /// The session that proved it, and with which the claim ends; absent where a release of before has written it.
    pub session_id: Option<Uuid>,
    pub platform: String,
    /// Scoped to the platform.
    pub external_id: String,
    pub proved_at: DateTimeUtc,
    /// Absent while nobody has asked for the profile: the proof may still be used for that, for a while.
    pub claimed_at: Option<DateTimeUtc>,
    /// Until when the present owner can prove it again; absent until they are told.
    pub due_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
