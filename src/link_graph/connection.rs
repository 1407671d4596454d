//! Turning experiences on and off between two profiles.

use accounts_center_entity::experience_grant::{self, Experience};
use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::profile_connection;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::event::ConnectionChanged;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::store::Command;

/// Turns one experience on or off from `source` to `target`, two linked profiles of the account whose stream the
/// command holds, and emits [`ConnectionChanged`]; does nothing if it is so already. Gives the connection, which is
/// there as long as an experience is on.
///
/// No mutation calls it before experiences have their notices and consents; tests do, in a command of their own.
pub async fn set_grant(
    command: &mut Command,
    source: Uuid,
    target: Uuid,
    experience: Experience,
    on: bool,
) -> UserResult<Option<Uuid>> {
    if let Some(error) = refusal(command, source, target).await? {
        return Ok(Err(vec![error]));
    }
    let existing = find(command, source, target).await?;
    let was_on = match existing {
        Some(connection) => is_granted(command, connection, experience).await?,
        None => false,
    };
    if was_on == on {
        return Ok(Ok(existing));
    }
    let (connection, remains) = match (existing, on) {
        (Some(connection), false) => (connection, revoke(command, connection, experience).await?),
        (Some(connection), true) => (grant(command, connection, experience).await?, true),
        (None, _) => {
            let connection = create(command, source, target).await?;
            (grant(command, connection, experience).await?, true)
        }
    };
    let event = ConnectionChanged { connection, source, target, experience: experience.into(), enabled: on };
    command.emit(command.stream(), &event)?;
    Ok(Ok(remains.then_some(connection)))
}

/// Why these two cannot be connected, if they cannot.
async fn refusal(command: &Command, source: Uuid, target: Uuid) -> Result<Option<UserError>, Error> {
    if source == target {
        let message = "A profile has no connection to itself; choose another target.";
        return Ok(Some(UserError::new(AccountsErrorCode::Invalid, message, &["targetProfileId"])));
    }
    let linked: Vec<Uuid> = linked_profile::Entity::find()
        .select_only()
        .column(linked_profile::Column::Id)
        .filter(linked_profile::Column::AccountId.eq(command.stream()))
        .filter(linked_profile::Column::Id.is_in([source, target]))
        .filter(linked_profile::Column::Status.ne(LinkStatus::Unlinked))
        .into_tuple()
        .all(command.tx())
        .await?;
    let missing = [(source, "sourceProfileId"), (target, "targetProfileId")]
        .into_iter()
        .find(|(profile, _)| !linked.contains(profile));
    Ok(missing.map(|(_, field)| {
        UserError::new(AccountsErrorCode::NotFound, "No profile of yours has this id.", &[field])
    }))
}

async fn find(command: &Command, source: Uuid, target: Uuid) -> Result<Option<Uuid>, Error> {
    let connection = profile_connection::Entity::find()
        .filter(profile_connection::Column::AccountId.eq(command.stream()))
        .filter(profile_connection::Column::SourceId.eq(source))
        .filter(profile_connection::Column::TargetId.eq(target))
        .one(command.tx())
        .await?;
    Ok(connection.map(|connection| connection.id))
}

async fn is_granted(command: &Command, connection: Uuid, experience: Experience) -> Result<bool, Error> {
    let grant = experience_grant::Entity::find_by_id((connection, experience)).one(command.tx()).await?;
    Ok(grant.is_some())
}

async fn create(command: &Command, source: Uuid, target: Uuid) -> Result<Uuid, Error> {
    let connection = profile_connection::ActiveModel {
        id: Set(command.new_id()),
        account_id: Set(command.stream()),
        source_id: Set(source),
        target_id: Set(target),
        created_at: Set(command.now()),
    };
    Ok(connection.insert(command.tx()).await?.id)
}

async fn grant(command: &Command, connection: Uuid, experience: Experience) -> Result<Uuid, Error> {
    let grant = experience_grant::ActiveModel {
        connection_id: Set(connection),
        experience: Set(experience),
        granted_at: Set(command.now()),
    };
    grant.insert(command.tx()).await?;
    Ok(connection)
}

/// Takes a grant away, and the connection with its last one. Whether the connection is still there.
async fn revoke(command: &Command, connection: Uuid, experience: Experience) -> Result<bool, Error> {
    experience_grant::Entity::delete_by_id((connection, experience)).exec(command.tx()).await?;
    let other = experience_grant::Entity::find()
        .filter(experience_grant::Column::ConnectionId.eq(connection))
        .one(command.tx())
        .await?;
    if other.is_none() {
        profile_connection::Entity::delete_by_id(connection).exec(command.tx()).await?;
    }
    Ok(other.is_some())
}
