//! One proof of control over a profile, from its start to its one end.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "verification")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Where its changes are ordered: the account's stream, or one of its own for a signed-out device.
    pub stream_id: Uuid,
    pub purpose: Purpose,
    pub method: Method,
    pub platform: String,
    /// The account and session that started it; absent for a signed-out device.
    pub account_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    /// Keyed hash of the secret by which a signed-out device shows that it started this.
    pub client_secret_hash: Option<Vec<u8>>,
    pub status: Status,
    /// The code of the user error that it failed with.
    pub failure: Option<String>,
    /// The profile that it proved, or is about to prove again.
    pub profile_id: Option<Uuid>,
    /// Where the code goes, masked; empty at the end.
    pub destination: String,
    /// Where the code goes, encrypted; erased at the end, and absent for a profile that is proved again: that is in
    /// `profile_id`.
    pub sealed_handle: Option<Vec<u8>>,
    /// Who the platform says is behind the handle; absent until it has said so, and at the end.
    pub external_id: Option<String>,
    /// What the platform said of that profile, encrypted; erased at the end.
    pub sealed_claim: Option<Vec<u8>>,
    /// Which code is the good one: 1 for the first, raised by each resend.
    pub code_number: i32,
    /// Keyed hash of the good code; absent until it is made.
    pub code_hash: Option<Vec<u8>>,
    pub attempts_left: i32,
    /// Absent once no further code is sent.
    pub resend_available_at: Option<DateTimeUtc>,
    /// By OAuth: where the browser is sent, and where it comes back; erased at the end.
    pub authorization_endpoint: Option<String>,
    pub redirect_uri: Option<String>,
    /// By OAuth: when somebody came with the platform's response. It is used once, and its code was perhaps redeemed.
    pub redeemed_at: Option<DateTimeUtc>,
    /// By a passkey: what it has to sign, encrypted; erased at the end.
    pub sealed_challenge: Option<Vec<u8>>,
    /// By a passkey: the one that has to be proved again.
    pub passkey_id: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    Link,
    Reverify,
    SignIn,
    StepUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Method {
    Oauth,
    OneTimeCode,
    /// It has no platform: that is empty.
    Passkey,
}

/// An expired one stays PENDING here: its `expires_at` says so, and needs no job to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Pending,
    Succeeded,
    Failed,
    Cancelled,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
