//! Kill switches: what an operator has switched off, in every process and without a restart.
//!
//! **Invariants.** A row is something that is off. Every process reads them every few seconds and asks its memory; a table
//! that cannot be read leaves what was read last. No stream has a part in it, so no command writes it.

use std::sync::Arc;
use std::time::Duration;

use accounts_center_entity::kill_switch::{ActiveModel, Column, Entity, Model};
use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};

use crate::config::Config;
use crate::error::Error;
use crate::store::{Database, bounded, failpoint};

/// What sort of thing can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchKind {
    /// A platform, by its key.
    Platform,
}

impl SwitchKind {
    /// What it is called in the database; never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
        }
    }
}

/// What is off. Cheap to clone.
#[derive(Clone)]
pub struct Switches(Arc<Inner>);

struct Inner {
    db: Database,
    period: Duration,
    off: ArcSwap<Vec<Model>>,
}

impl Switches {
    pub fn new(db: Database, config: &Config) -> Self {
        let period = Duration::from_secs(config.events.poll_seconds);
        Self(Arc::new(Inner { db, period, off: ArcSwap::default() }))
    }

    /// Looks again and again, for ever.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(self.0.period).await;
            if let Err(error) = self.look().await {
                error.log();
            }
        }
    }

    /// Looks what is off now.
    pub async fn look(&self) -> Result<(), Error> {
        if failpoint::fault("switches::look").is_some() {
            return Err(Error::internal(anyhow::anyhow!("a test does not let it look")));
        }
        let off = bounded(all_off(&self.0.db)).await?;
        let before = self.0.off.swap(Arc::new(off));
        let now = self.off();
        for row in now.iter().filter(|row| !before.contains(row)) {
            tracing::warn!(kind = row.kind, key = row.key, operator = row.operator, "switched off");
        }
        for row in before.iter().filter(|row| !is_among(&now, &row.kind, &row.key)) {
            tracing::warn!(kind = row.kind, key = row.key, "switched on");
        }
        Ok(())
    }

    /// Whether this is off, by the last look.
    pub fn is_off(&self, kind: SwitchKind, key: &str) -> bool {
        is_among(&self.0.off.load(), kind.name(), key)
    }

    /// All that is off, by the last look.
    pub fn off(&self) -> Arc<Vec<Model>> {
        self.0.off.load_full()
    }
}

impl std::fmt::Debug for Switches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Switches")
    }
}

fn is_among(off: &[Model], kind: &str, key: &str) -> bool {
    off.iter().any(|row| row.kind == kind && row.key == key)
}

/// All that is off, says the database.
pub async fn all_off(db: &Database) -> Result<Vec<Model>, Error> {
    let rows = Entity::find().order_by_asc(Column::Kind).order_by_asc(Column::Key);
    Ok(rows.all(db.read()).await?)
}

/// Switches something off. False if it is off already.
pub async fn switch_off(
    db: &Database,
    (kind, key): (SwitchKind, &str),
    operator: &str,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let row = ActiveModel {
        kind: Set(kind.name().to_owned()),
        key: Set(key.to_owned()),
        off_since: Set(now),
        operator: Set(operator.to_owned()),
    };
    let once = OnConflict::columns([Column::Kind, Column::Key]).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(once).exec_without_returning(db.write()).await? > 0)
}

/// Switches something on again. False if it is on already.
pub async fn switch_on(db: &Database, kind: SwitchKind, key: &str) -> Result<bool, Error> {
    let gone = Entity::delete_by_id((kind.name().to_owned(), key.to_owned())).exec(db.write()).await?;
    Ok(gone.rows_affected > 0)
}
