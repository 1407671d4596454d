//! What one operation loads in batches. Made anew for each: a batch of several callers would mix what is theirs.

use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use accounts_center_entity::{activity, linked_profile, passkey, security_alert, session, verification};
use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use uuid::Uuid;

use super::context::app;
use crate::account::Dismissals;
use crate::activity::Activities;
use crate::error::Error;
use crate::ids::ActivityId;
use crate::passkey::Passkeys;
use crate::profile::{TombstoneKey, Tombstones};
use crate::security::{AlertKey, Alerts};
use crate::session::{OpenedBy, SessionKey, Sessions};
use crate::store::Database;
use crate::verification::{VerificationKey, Verifications};

/// A loader that is made when it is first needed.
struct Lazy<L>(OnceLock<DataLoader<L>>);

impl<L> Lazy<L> {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    async fn load<K>(&self, make: impl FnOnce() -> L, key: K) -> Result<Option<L::Value>, Error>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        L: Loader<K, Error = Error>,
    {
        let loader =
            self.0.get_or_init(|| DataLoader::new(make(), TokioSpawner::current(), TokioTimer::default()));
        loader.load_one(key).await
    }
}

/// The loaders of one operation.
pub struct Loaders {
    db: Database,
    activities: Lazy<Activities>,
    alerts: Lazy<Alerts>,
    dismissals: Lazy<Dismissals>,
    passkeys: Lazy<Passkeys>,
    sessions: Lazy<Sessions>,
    tombstones: Lazy<Tombstones>,
    verifications: Lazy<Verifications>,
}

impl Loaders {
    pub fn new(db: Database) -> Self {
        Self {
            db,
            activities: Lazy::new(),
            alerts: Lazy::new(),
            dismissals: Lazy::new(),
            passkeys: Lazy::new(),
            sessions: Lazy::new(),
            tombstones: Lazy::new(),
            verifications: Lazy::new(),
        }
    }

    fn db(&self) -> Database {
        self.db.clone()
    }
}

/// Those of the operation; of their own where there are none.
async fn with<T>(
    ctx: &Context<'_>,
    load: impl AsyncFnOnce(&Loaders) -> Result<T, Error>,
) -> Result<T, Error> {
    match ctx.data_opt::<Arc<Loaders>>() {
        Some(loaders) => load(loaders).await,
        None => load(&Loaders::new(app(ctx).store.db().clone())).await,
    }
}

/// What is recorded of one event of an account.
pub async fn activity(ctx: &Context<'_>, id: ActivityId) -> Result<Option<Arc<activity::Model>>, Error> {
    with(ctx, async |all| all.activities.load(|| Activities::new(all.db()), id).await).await
}

/// An alert of `account`.
pub async fn alert(
    ctx: &Context<'_>,
    account: Uuid,
    id: Uuid,
) -> Result<Option<Arc<security_alert::Model>>, Error> {
    let key = AlertKey { account, id };
    with(ctx, async |all| all.alerts.load(|| Alerts::new(all.db()), key).await).await
}

/// The keys of the platforms whose suggestion `account` has dismissed.
pub async fn dismissals(ctx: &Context<'_>, account: Uuid) -> Result<Option<Arc<[String]>>, Error> {
    with(ctx, async |all| all.dismissals.load(|| Dismissals::new(all.db()), account).await).await
}

/// The passkeys of `account`, oldest first.
pub async fn passkeys(ctx: &Context<'_>, account: Uuid) -> Result<Arc<[Arc<passkey::Model>]>, Error> {
    let found = with(ctx, async |all| all.passkeys.load(|| Passkeys::new(all.db()), account).await).await?;
    Ok(found.unwrap_or_else(|| Arc::new([])))
}

/// A session of `account` that has not ended.
pub async fn session(
    ctx: &Context<'_>,
    account: Uuid,
    id: Uuid,
) -> Result<Option<Arc<session::Model>>, Error> {
    let key = SessionKey { account, id };
    let found = with(ctx, async |all| all.sessions.load(|| Sessions::new(all.db()), key).await).await?;
    let now = app(ctx).clock.now();
    Ok(found.filter(|session| session.revoked_at.is_none() && session.expires_at > now))
}

/// The sessions that a profile of `account` opened and that were not ended, newest first.
pub async fn sessions_opened_by(
    ctx: &Context<'_>,
    account: Uuid,
    profile: Uuid,
) -> Result<Arc<[Arc<session::Model>]>, Error> {
    let key = OpenedBy { account, profile };
    let found = with(ctx, async |all| all.sessions.load(|| Sessions::new(all.db()), key).await).await?;
    Ok(found.unwrap_or_else(|| Arc::new([])))
}

/// The tombstone of a profile of `account`.
pub async fn tombstone(
    ctx: &Context<'_>,
    account: Uuid,
    id: Uuid,
) -> Result<Option<Arc<linked_profile::Model>>, Error> {
    let key = TombstoneKey { account, id };
    with(ctx, async |all| all.tombstones.load(|| Tombstones::new(all.db()), key).await).await
}

/// The newest tombstones of `account`, newest first, at most 20 of each platform.
pub async fn newest_tombstones(
    ctx: &Context<'_>,
    account: Uuid,
) -> Result<Vec<Arc<linked_profile::Model>>, Error> {
    let found =
        with(ctx, async |all| all.tombstones.load(|| Tombstones::new(all.db()), account).await).await?;
    Ok(found.map(|found| found.to_vec()).unwrap_or_default())
}

/// A verification that `account` has started.
pub async fn verification(
    ctx: &Context<'_>,
    account: Uuid,
    id: Uuid,
) -> Result<Option<Arc<verification::Model>>, Error> {
    let key = VerificationKey { account, id };
    with(ctx, async |all| all.verifications.load(|| Verifications::new(all.db()), key).await).await
}
