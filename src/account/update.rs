//! Changing what a person is called here, and their picture.

use accounts_center_entity::account;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};

use super::event::AccountChanged;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome};

/// Characters of a name, bytes of a URL.
pub(super) const MAX_NAME: usize = 80;
const MAX_URL: usize = 2000;

/// What to change: absent leaves it, `Some(None)` clears it.
pub struct AccountUpdate<'a> {
    pub display_name: Option<Option<&'a str>>,
    pub avatar_url: Option<Option<&'a str>>,
}

/// Changes the viewer's account. Gives its version.
pub async fn update(app: &App, viewer: Viewer, update: AccountUpdate<'_>) -> UserResult<i64> {
    let name = update.display_name.map(checked_name).transpose();
    let url = update.avatar_url.map(|url| checked_url(app, url)).transpose();
    let (name, url) = match (name, url) {
        (Ok(name), Ok(url)) => (name, url),
        (name, url) => return Ok(Err(name.err().into_iter().chain(url.err()).collect())),
    };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let row = account::Entity::find_by_id(viewer.account)
                .one(command.tx())
                .await?
                .ok_or_else(|| Error::internal(anyhow::anyhow!("a session without its account")))?;
            let (name, url) = (name.unwrap_or(&row.display_name), url.unwrap_or(row.avatar_url.as_deref()));
            if (name, url) != (row.display_name.as_str(), row.avatar_url.as_deref()) {
                let (name, url) = (name.to_owned(), url.map(str::to_owned));
                let mut next = row.into_active_model();
                next.display_name = Set(name);
                next.avatar_url = Set(url);
                next.update(command.tx()).await?;
                command.emit(viewer.account, &AccountChanged {})?;
            }
            Ok(Outcome::Commit(command.version(viewer.account)))
        })
        .await
}

fn checked_name(name: Option<&str>) -> Result<&str, UserError> {
    let invalid = |message: &str| Err(UserError::new(AccountsErrorCode::Invalid, message, &["displayName"]));
    let Some(name) = name.map(str::trim) else {
        return invalid("A name cannot be taken away; leave it out to keep it.");
    };
    if name.is_empty() {
        return invalid("A name has at least one character.");
    }
    if name.contains(char::is_control) {
        return invalid("A name is one line of text, without control characters.");
    }
    if name.chars().count() > MAX_NAME {
        let message = format!("A name has at most {MAX_NAME} characters.");
        return Err(UserError::new(AccountsErrorCode::TooLong, message, &["displayName"]));
    }
    Ok(name)
}

fn checked_url<'a>(app: &App, url: Option<&'a str>) -> Result<Option<&'a str>, UserError> {
    let Some(url) = url else { return Ok(None) };
    if url.len() > MAX_URL {
        let message = format!("A URL has at most {MAX_URL} bytes.");
        return Err(UserError::new(AccountsErrorCode::TooLong, message, &["avatarUrl"]));
    }
    if !url.starts_with("https://") && !app.config.is_development() {
        let message = "A picture's URL begins with https://.";
        return Err(UserError::new(AccountsErrorCode::Invalid, message, &["avatarUrl"]));
    }
    Ok(Some(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_1_to_80_characters() {
        let checked = |name: &str| checked_name(Some(name)).map(str::to_owned).map_err(|error| error.code);
        assert_eq!(checked("  Ada Lovelace\t"), Ok("Ada Lovelace".into()));
        assert_eq!(checked(&"ä".repeat(80)), Ok("ä".repeat(80)));
        assert_eq!(checked(&"ä".repeat(81)), Err(AccountsErrorCode::TooLong));
        for bad in ["", "   ", "a\nb", "a\u{7f}b"] {
            assert_eq!(checked(bad), Err(AccountsErrorCode::Invalid), "{bad:?}");
        }
        assert_eq!(checked_name(None).map_err(|error| error.code), Err(AccountsErrorCode::Invalid));
    }
}
