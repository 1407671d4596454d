//! Carrying out what the state machine says: the row, the events, and all that ends or pauses with it.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use super::EndGrace;
use super::state_machine::{Change, LinkState, Transition, Verdict};
use super::{containment, notice, privacy, refresh, revoking};
use crate::error::Error;
use crate::link_graph::event::LinkStatusChanged;
use crate::link_graph::pausing;
use crate::security::{self, AlertKind, NewAlert};
use crate::session;
use crate::store::Command;

/// The profile of this id, linked or gone, if it belongs to the account that the command is on.
pub async fn find(command: &Command, id: Uuid) -> Result<Option<linked_profile::Model>, Error> {
    Ok(linked_profile::Entity::find()
        .filter(linked_profile::Column::AccountId.eq(command.stream()))
        .filter(linked_profile::Column::Id.eq(id))
        .one(command.tx())
        .await?)
}

/// Lets `transition` happen to a profile of the account that the command is on. Gives the row that it becomes.
pub(super) async fn apply(
    command: &mut Command,
    profile: &linked_profile::Model,
    transition: Transition,
) -> Result<Verdict<linked_profile::Model>, Error> {
    let change = match LinkState::of(profile).after(transition, command.now()) {
        Verdict::Becomes(change) => change,
        Verdict::Unchanged => return Ok(Verdict::Unchanged),
        Verdict::Refused => return Ok(Verdict::Refused),
    };
    let before = profile.status;
    let changed = write(command, profile.clone(), &change).await?;
    if changed.status != before {
        announce(command, &changed, before, &change)?;
        warn(command, &changed, before).await?;
        if ends(before, changed.status) && transition != Transition::PlatformDeleted {
            // By the row of before: what is unlinked has no external id any more.
            notice::tell_of_end(command, profile)?;
            revoking::enqueue(command, profile)?;
        }
    }
    if changed.status != LinkStatus::Active {
        session::end_opened_by(command, changed.account_id, changed.id).await?;
    }
    if changed.status == LinkStatus::Unlinked {
        pausing::end_connections(command, changed.id).await?;
        refresh::forget(command, changed.id).await?;
        containment::forget(command, changed.id).await?;
        privacy::forget(command, changed.id).await?;
    } else if (changed.status == LinkStatus::Active) != (before == LinkStatus::Active) {
        pausing::announce(command, changed.id).await?;
    }
    if let Some(at) = changed.unlinks_at.filter(|_| profile.unlinks_at.is_none()) {
        command.enqueue_at(&EndGrace { account: changed.account_id, profile: changed.id }, at)?;
    }
    Ok(Verdict::Becomes(changed))
}

/// Whether the platform has to hear that a profile has left its account, or is cut off from it. What is being unlinked was
/// told so when that began.
fn ends(before: LinkStatus, after: LinkStatus) -> bool {
    let is_over = |status| matches!(status, LinkStatus::Unlinking | LinkStatus::Unlinked);
    !is_over(before) && (is_over(after) || after == LinkStatus::Contained)
}

async fn write(
    command: &Command,
    profile: linked_profile::Model,
    change: &Change,
) -> Result<linked_profile::Model, Error> {
    let (before, status) = (profile.status, change.state.status());
    let mut row = profile.into_active_model();
    match change.state {
        LinkState::Linked { holds, unlinks_at } => {
            row.attention_required = Set(holds.attention_required);
            row.suspended = Set(holds.suspended);
            row.contained = Set(holds.contained);
            row.unlinks_at = Set(unlinks_at);
        }
        LinkState::Unlinked => bury(&mut row),
    }
    if status != before {
        row.status = Set(status);
        row.status_reason = Set(change.standing_reason());
        row.status_changed_at = Set(command.now());
    }
    Ok(row.update(command.tx()).await?)
}

/// Leaves nothing in the row that is personal, or that could do anything.
fn bury(row: &mut linked_profile::ActiveModel) {
    row.attention_required = Set(false);
    row.suspended = Set(false);
    row.contained = Set(false);
    row.unlinks_at = Set(None);
    row.sign_in_enabled = Set(false);
    row.external_id = Set(String::new());
    row.handle = Set(String::new());
    row.display_name = Set(String::new());
    row.avatar_url = Set(None);
}

fn announce(
    command: &mut Command,
    profile: &linked_profile::Model,
    before: LinkStatus,
    change: &Change,
) -> Result<(), Error> {
    let event = LinkStatusChanged {
        profile: profile.id,
        previous: Some(before.into()),
        status: profile.status.into(),
        reason: change.reason.into(),
    };
    command.emit(profile.account_id, &event)?;
    Ok(())
}

/// Warns the owner of what they may not have done themselves.
async fn warn(
    command: &mut Command,
    profile: &linked_profile::Model,
    before: LinkStatus,
) -> Result<(), Error> {
    let kind = match profile.status {
        LinkStatus::Contained => AlertKind::ProfileContained,
        LinkStatus::Unlinking => AlertKind::ProfileUnlinked,
        // Else they were warned when it began.
        LinkStatus::Unlinked if before != LinkStatus::Unlinking => AlertKind::ProfileUnlinked,
        _ => return Ok(()),
    };
    let alert = NewAlert { account: profile.account_id, kind, profile: Some(profile.id), session: None };
    security::raise(command, alert).await
}
