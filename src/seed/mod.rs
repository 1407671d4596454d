//! Fills a database with generated accounts, for demonstrations and load runs.
//!
//! It is the one thing beside commands that writes streams: whole accounts that nobody can have heard of yet, with
//! the events that their making would have left. It leaves no job and says no hint. The same seed makes the same
//! accounts, down to their ids and dates, which lie in 2025; those that are there already are passed over, so that a
//! run that was interrupted can be continued.

mod name;
mod person;
mod rows;

use std::collections::HashSet;

use accounts_center_entity::account;
use anyhow::bail;
use indexmap::IndexMap;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, SqlErr};
use uuid::Uuid;

use crate::config;
use crate::platform::PlatformKey;
use crate::store::Database;
use person::Generator;
use rows::Rows;

/// Accounts that are written in one transaction.
const BATCH: u32 = 500;

/// How many accounts, and which.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub accounts: u32,
    pub seed: u64,
}

/// What was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seeded {
    pub accounts: usize,
    /// Accounts that were there already.
    pub present: usize,
    pub profiles: usize,
    pub events: usize,
    /// The first account of the seed.
    pub first: Uuid,
}

/// Makes the accounts of `plan`, with profiles on `platforms`; `progress` hears how many are done.
pub async fn run(
    db: &Database,
    platforms: &IndexMap<PlatformKey, config::Platform>,
    plan: &Plan,
    progress: impl Fn(u64),
) -> anyhow::Result<Seeded> {
    if platforms.is_empty() {
        bail!("no platform is configured, and an account has a profile on at least one");
    }
    let generator = Generator::new(plan.seed, platforms);
    let mut seeded = Seeded { first: generator.person(0).id(), ..Seeded::default() };
    for begin in (0..plan.accounts).step_by(BATCH as usize) {
        let end = begin.saturating_add(BATCH).min(plan.accounts);
        let batch = write_batch(db, &generator, begin..end).await;
        let batch = batch.map_err(|error| explain(error, plan.seed))?;
        seeded.accounts += batch.accounts;
        seeded.present += batch.present;
        seeded.profiles += batch.profiles;
        seeded.events += batch.events;
        progress(end.into());
    }
    Ok(seeded)
}

/// Makes those of a range of accounts that are not there.
async fn write_batch(
    db: &Database,
    generator: &Generator,
    range: std::ops::Range<u32>,
) -> anyhow::Result<Seeded> {
    let people: Vec<_> = range.map(|n| generator.person(n)).collect();
    let present: Vec<Uuid> = account::Entity::find()
        .select_only()
        .column(account::Column::Id)
        .filter(account::Column::Id.is_in(people.iter().map(person::Person::id)))
        .into_tuple()
        .all(db.write())
        .await?;
    let present: HashSet<Uuid> = present.into_iter().collect();
    let mut rows = Rows::default();
    for person in people {
        if !present.contains(&person.id()) {
            person.fill(&mut rows)?;
        }
    }
    let (accounts, profiles, events) = (rows.accounts.len(), rows.profiles.len(), rows.events.len());
    if accounts > 0 {
        let tx = db.begin().await.map_err(crate::app::explain)?;
        rows.insert(&tx).await?;
        tx.commit().await?;
    }
    Ok(Seeded { accounts, present: present.len(), profiles, events, first: Uuid::nil() })
}

fn explain(error: anyhow::Error, seed: u64) -> anyhow::Error {
    let taken = error.downcast_ref::<DbErr>().and_then(DbErr::sql_err);
    if matches!(taken, Some(SqlErr::UniqueConstraintViolation(_))) {
        return anyhow::anyhow!(
            "other accounts of seed {seed} are there, of another release or being made just now; take another --seed"
        );
    }
    error.context("the accounts cannot be written")
}
