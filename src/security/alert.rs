//! Raising alerts.

use accounts_center_entity::security_alert;
use async_graphql::Enum;
use async_graphql::resolver_utils::EnumType;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::event::AlertRaised;
use crate::error::Error;
use crate::store::Command;

/// What an alert warns of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "SecurityAlertKind")]
pub enum AlertKind {
    /// Somebody signed in to the account.
    NewSignIn,
    /// A profile was linked to the account.
    ProfileLinked,
    /// A profile is unlinked, or going to be.
    ProfileUnlinked,
    /// A profile was cut off as stolen.
    ProfileContained,
    /// Somebody else has proved a profile of the account and claims it: it goes to them unless its owner proves it again.
    ProfileClaimed,
    /// Somebody who was signed in to the account has claimed a profile of another one.
    ProfileClaimStarted,
    /// A refresh token was used twice, so that it may have been stolen; its session was ended.
    RefreshTokenReused,
    /// Somebody typed too many wrong codes for a profile.
    TooManyAttempts,
    /// A passkey was registered.
    PasskeyAdded,
    /// Somebody asked for the account to be deleted.
    AccountDeletionRequested,
}

impl AlertKind {
    /// Its name in the graph, which is also its name in the database.
    pub fn name(self) -> &'static str {
        Self::items().iter().find(|item| item.value == self).map_or("", |item| item.name)
    }

    /// The kind of this name; absent if another release wrote it.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::items().iter().find(|item| item.name == name).map(|item| item.value)
    }
}

/// An alert about to be raised.
pub struct NewAlert {
    pub account: Uuid,
    pub kind: AlertKind,
    pub profile: Option<Uuid>,
    pub session: Option<Uuid>,
}

/// Forgets the alerts of the account that the command is on: it is erased.
pub async fn erase_all(command: &Command) -> Result<(), Error> {
    security_alert::Entity::delete_many()
        .filter(security_alert::Column::AccountId.eq(command.stream()))
        .exec(command.tx())
        .await?;
    Ok(())
}

/// Raises an alert in the stream of its account, which the command holds.
pub async fn raise(command: &mut Command, new: NewAlert) -> Result<(), Error> {
    let id = command.new_id();
    let row = security_alert::ActiveModel {
        id: Set(id),
        account_id: Set(new.account),
        kind: Set(new.kind.name().to_owned()),
        occurred_at: Set(command.now()),
        profile_id: Set(new.profile),
        session_id: Set(new.session),
        acknowledged_at: Set(None),
    };
    security_alert::Entity::insert(row).exec_without_returning(command.tx()).await?;
    command.emit(new.account, &AlertRaised { alert: id })?;
    Ok(())
}
