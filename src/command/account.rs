//! What an operator does with one account.

use accounts_center_entity::linked_profile;
use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::ActiveEnum;
use uuid::Uuid;

use super::print;
use crate::account::{self, Overview};
use crate::app::{self, Administered};
use crate::config::Config;
use crate::ids::{NodeId, NodeKind};

/// What becomes of an account.
pub enum Deed {
    Show,
    Lock,
    Unlock,
    /// `confirmed` is the account's id once more: what is erased does not come back.
    Erase {
        confirmed: Option<Uuid>,
    },
}

/// Does it, and records that `operator` has done it.
pub async fn administer(config: Config, account: Uuid, deed: Deed, operator: &str) -> anyhow::Result<()> {
    let name = NodeId::new(NodeKind::Account, account);
    if let Deed::Erase { confirmed } = deed
        && confirmed != Some(account)
    {
        bail!("what is erased does not come back: say which account once more, by --yes {name}");
    }
    let Administered { app, data_lock: _data_lock } = app::open_to_administer(config).await?;
    let done = match deed {
        Deed::Show => account::show(&app, account, operator).await.map(|shown| Done::Shown(Box::new(shown))),
        Deed::Lock => account::lock(&app, account, operator).await.map(Done::Locked),
        Deed::Unlock => account::unlock(&app, account, operator).await.map(Done::Unlocked),
        Deed::Erase { .. } => account::erase_at_once(&app, account, operator).await.map(|()| Done::Erased),
    };
    app::leave(&app).await;
    match done.map_err(app::explain)? {
        Done::Shown(overview) => print_overview(&overview),
        Done::Locked(true) => print(format_args!("{name} is locked, and its sessions have ended.")),
        Done::Locked(false) => print(format_args!("{name} is locked already.")),
        Done::Unlocked(true) => print(format_args!("{name} can be signed in to again.")),
        Done::Unlocked(false) => print(format_args!("{name} is not locked.")),
        Done::Erased => print(format_args!("{name} is erased.")),
    }
}

enum Done {
    Shown(Box<Overview>),
    Locked(bool),
    Unlocked(bool),
    Erased,
}

fn print_overview(overview: &Overview) -> anyhow::Result<()> {
    let Overview { account, stream, locked_at, open_sessions, profiles } = overview;
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let or_never = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), time);
    print(format_args!("account        {}", NodeId::new(NodeKind::Account, account.id)))?;
    print(format_args!("created        {}", time(account.created_at)))?;
    print(format_args!("version        {}", stream.version))?;
    print(format_args!("graph version  {}", stream.graph_version))?;
    print(format_args!("deletes at     {}", or_never(account.deletes_at)))?;
    print(format_args!("locked since   {}", or_never(*locked_at)))?;
    print(format_args!("open sessions  {open_sessions}"))?;
    for profile in profiles {
        let (id, status) = (NodeId::new(NodeKind::LinkedProfile, profile.id), profile.status.to_value());
        let sign_in = if profile.sign_in_enabled { "signs in" } else { "does not sign in" };
        let handle = masked(profile);
        print(format_args!("{id}  {}  {handle}  {status}  {sign_in}", profile.platform))?;
    }
    Ok(())
}

/// Numbers and addresses are stored masked; what is public at a platform is still not for an operator to read here.
fn masked(profile: &linked_profile::Model) -> String {
    if profile.handle.contains('·') {
        return profile.handle.clone();
    }
    let mut characters = profile.handle.chars();
    characters.next().map_or_else(|| "-".to_owned(), |first| format!("{first}···"))
}
