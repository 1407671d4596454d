//! The demo account of development mode, and the link that signs in to it.

use accounts_center_entity::linked_profile::LinkStatus;

use crate::account::{self, NewProfile};
use crate::app::App;
use crate::error::Error;
use crate::platform::ProfileClaim;
use crate::sandbox::DEMO_PROFILE;
use crate::session::{self, AccessToken, NewSession, OpenedWith, Viewer};
use crate::store::{Command, Outcome, StreamKind};
use crate::verification::Client;

/// The platform of the demo account's first profile.
const PLATFORM: &str = "whatsapp";

/// Makes the demo account, unless it is there.
pub async fn ensure(app: &App) -> Result<(), Error> {
    let Some(platform) = app.platforms.get(PLATFORM) else { return Ok(()) };
    let db = app.store.db().read();
    if account::find_owner(db, PLATFORM, DEMO_PROFILE.external_id).await?.is_some() {
        return Ok(());
    }
    let claim: ProfileClaim = DEMO_PROFILE.into();
    let id = app.ids.uuid(app.clock.now());
    let made = app
        .store
        .create(id, StreamKind::Account, async |command: &mut Command| {
            let profile =
                NewProfile { platform: &platform.key, claim: &claim, sign_in_enabled: platform.sign_in };
            match account::fill(command, id, &profile).await? {
                Some(_) => Ok(Outcome::Commit(())),
                None => Err(Error::Conflict),
            }
        })
        .await;
    match made {
        // A replica that started at the same time has made it.
        Err(Error::Conflict) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Signs in to the demo account; `None` where there is none, or where its first profile is not active.
pub async fn sign_in(app: &App, client: Client) -> Result<Option<AccessToken>, Error> {
    let owner = account::find_owner(app.store.db().read(), PLATFORM, DEMO_PROFILE.external_id).await?;
    let able = owner.filter(|profile| profile.status == LinkStatus::Active && profile.sign_in_enabled);
    let Some(profile) = able else { return Ok(None) };
    let opened = app
        .store
        .command(profile.account_id, async |command: &mut Command| {
            if account::is_locked(command.tx(), profile.account_id).await? {
                return Ok(Outcome::CommitAndReject(Vec::new()));
            }
            let new = NewSession {
                account: profile.account_id,
                opened_with: OpenedWith::Profile(profile.id),
                device: client.device.as_deref().map(str::to_owned),
                ip_address: client.ip_address.map(|address| address.to_string()),
            };
            Ok(Outcome::Commit(session::open(app, command, new).await?))
        })
        .await?;
    let Ok(opened) = opened else { return Ok(None) };
    let viewer = Viewer { account: profile.account_id, session: opened.session.id };
    app.tokens.sign(viewer, &app.ids).map(Some).map_err(Error::internal)
}
