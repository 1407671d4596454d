//! A profile on a platform whose owner proved that it is theirs.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "linked_profile")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    /// The key of a configured platform.
    pub platform: String,
    /// Scoped to the platform; unique with it among the profiles that are linked.
    pub external_id: String,
    /// Masked where it is a phone number or an e-mail address.
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    /// What the holds and `unlinks_at` come to.
    pub status: LinkStatus,
    pub status_reason: LinkStatusReason,
    pub sign_in_enabled: bool,
    /// The platform wants a new proof.
    pub attention_required: bool,
    /// The platform has deactivated it.
    pub suspended: bool,
    /// Its owner has cut it off.
    pub contained: bool,
    /// When it is gone for good; absent unless it is being unlinked.
    pub unlinks_at: Option<DateTimeUtc>,
    pub linked_at: DateTimeUtc,
    pub status_changed_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkStatus {
    Active,
    AttentionRequired,
    Suspended,
    Contained,
    Unlinking,
    Unlinked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkStatusReason {
    Verified,
    Reverified,
    UserRequest,
    UnlinkCancelled,
    GracePeriodEnded,
    CredentialsExpired,
    PlatformDeactivated,
    PlatformReactivated,
    PlatformDeleted,
    ReportedStolen,
    Released,
    ClaimedByNewOwner,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
