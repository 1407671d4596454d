//! What becomes of connections when a profile at one of their ends is held, comes back, or goes.
//!
//! Nothing is stored of a pause: a connection is paused while a profile at either end is not ACTIVE.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::{experience_grant, profile_connection};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::event::ConnectionChanged;
use crate::error::Error;
use crate::store::Command;

/// Tells of each grant that is paused or resumed because `profile`, of the account that the command is on, has
/// just ceased to be ACTIVE or become it. What a profile at the other end keeps paused has not changed.
pub async fn announce(command: &mut Command, profile: Uuid) -> Result<(), Error> {
    let connections = connections_of(command, profile).await?;
    let others = connections.iter().map(|connection| other_end(connection, profile));
    let active: Vec<Uuid> = linked_profile::Entity::find()
        .filter(linked_profile::Column::AccountId.eq(command.stream()))
        .filter(linked_profile::Column::Id.is_in(others))
        .filter(linked_profile::Column::Status.eq(LinkStatus::Active))
        .all(command.tx())
        .await?
        .into_iter()
        .map(|row| row.id)
        .collect();
    let changed: Vec<_> = connections
        .into_iter()
        .filter(|connection| active.contains(&other_end(connection, profile)))
        .collect();
    tell(command, &changed, true).await
}

/// Ends the connections of `profile`, of the account that the command is on, for good.
pub async fn end_connections(command: &mut Command, profile: Uuid) -> Result<(), Error> {
    let connections = connections_of(command, profile).await?;
    tell(command, &connections, false).await?;
    // Their grants go with them.
    profile_connection::Entity::delete_many()
        .filter(profile_connection::Column::Id.is_in(connections.iter().map(|connection| connection.id)))
        .exec(command.tx())
        .await?;
    Ok(())
}

async fn connections_of(command: &Command, profile: Uuid) -> Result<Vec<profile_connection::Model>, Error> {
    let either_end = Condition::any()
        .add(profile_connection::Column::SourceId.eq(profile))
        .add(profile_connection::Column::TargetId.eq(profile));
    Ok(profile_connection::Entity::find()
        .filter(profile_connection::Column::AccountId.eq(command.stream()))
        .filter(either_end)
        .order_by_asc(profile_connection::Column::Id)
        .all(command.tx())
        .await?)
}

fn other_end(connection: &profile_connection::Model, profile: Uuid) -> Uuid {
    if connection.source_id == profile { connection.target_id } else { connection.source_id }
}

/// One event for each grant.
async fn tell(
    command: &mut Command,
    connections: &[profile_connection::Model],
    enabled: bool,
) -> Result<(), Error> {
    let grants = experience_grant::Entity::find()
        .filter(
            experience_grant::Column::ConnectionId.is_in(connections.iter().map(|connection| connection.id)),
        )
        .order_by_asc(experience_grant::Column::ConnectionId)
        .order_by_asc(experience_grant::Column::Experience)
        .all(command.tx())
        .await?;
    let account = command.stream();
    for grant in grants {
        let connection = connections.iter().find(|connection| connection.id == grant.connection_id);
        let Some(connection) = connection else { continue };
        let event = ConnectionChanged {
            connection: connection.id,
            source: connection.source_id,
            target: connection.target_id,
            experience: grant.experience.into(),
            enabled,
        };
        command.emit(account, &event)?;
    }
    Ok(())
}
