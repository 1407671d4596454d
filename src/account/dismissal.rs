//! Suggestions that a person does not want to see any more.

use std::collections::HashMap;
use std::sync::Arc;

use accounts_center_entity::dismissed_suggestion::{ActiveModel, Column, Entity};
use async_graphql::dataloader::Loader;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::event::SuggestionDismissed;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::session::{self, Viewer};
use crate::store::{Command, Database, Outcome, bounded};

/// Suggests a platform to the viewer no more. What is so already changes nothing. Gives the account's version.
pub async fn dismiss(app: &App, viewer: Viewer, platform: &str) -> UserResult<i64> {
    if app.platforms.get(platform).is_none() {
        let code = AccountsErrorCode::UnknownPlatform;
        return Ok(Err(vec![UserError::new(code, "There is no such platform.", &["platform"])]));
    }
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let key = (viewer.account, platform.to_owned());
            if Entity::find_by_id(key).one(command.tx()).await?.is_none() {
                let dismissed = ActiveModel {
                    account_id: Set(viewer.account),
                    platform: Set(platform.to_owned()),
                    dismissed_at: Set(command.now()),
                };
                dismissed.insert(command.tx()).await?;
                command.emit(viewer.account, &SuggestionDismissed { platform: platform.to_owned() })?;
            }
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await
}

/// Forgets what the account that the command is on has dismissed.
pub(super) async fn erase_all(command: &Command) -> Result<(), Error> {
    Entity::delete_many().filter(Column::AccountId.eq(command.stream())).exec(command.tx()).await?;
    Ok(())
}

/// Reads what the accounts of one operation have dismissed in one statement.
pub struct Dismissals(Database);

impl Dismissals {
    pub fn new(db: Database) -> Self {
        Self(db)
    }
}

impl Loader<Uuid> for Dismissals {
    /// Keys of platforms.
    type Value = Arc<[String]>;
    type Error = Error;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Error> {
        let found =
            Entity::find().filter(Column::AccountId.is_in(accounts.iter().copied())).all(self.0.read());
        let rows = bounded(async { Ok(found.await?) }).await?;
        let mut dismissed: HashMap<Uuid, Vec<String>> = HashMap::new();
        for row in rows {
            dismissed.entry(row.account_id).or_default().push(row.platform);
        }
        Ok(dismissed.into_iter().map(|(account, platforms)| (account, platforms.into())).collect())
    }
}
