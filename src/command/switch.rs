//! Switching off what must not go on, in processes that run.

use anyhow::ensure;
use chrono::SecondsFormat;

use super::print;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::platform::PlatformKey;
use crate::switches::{self, SwitchKind};

/// Lists what is off.
pub async fn list_switches(config: &Config) -> anyhow::Result<()> {
    let (db, _lock) = app::open_database_beside(config).await?;
    let off = switches::all_off(&db).await.map_err(app::explain)?;
    db.close().await;
    for row in &off {
        let since = row.off_since.to_rfc3339_opts(SecondsFormat::Secs, true);
        print(format_args!("off  {}  {}  since {since}  by {}", row.kind, row.key, row.operator))?;
    }
    print(format_args!("{} switched off", off.len()))
}

/// Switches a platform off or on.
pub async fn switch_platform(config: &Config, key: &str, is_on: bool, operator: &str) -> anyhow::Result<()> {
    let known: Vec<_> = config.platforms.keys().map(PlatformKey::as_str).collect();
    // What is not configured any more can still be switched on again.
    ensure!(
        is_on || known.contains(&key),
        "no platform {key} is configured; there are: {}",
        known.join(", ")
    );
    let (db, _lock) = app::open_database_beside(config).await?;
    let changed = if is_on {
        switches::switch_on(&db, SwitchKind::Platform, key).await
    } else {
        switches::switch_off(&db, (SwitchKind::Platform, key), operator, Clock::system().now()).await
    };
    db.close().await;
    let state = if is_on { "on" } else { "off" };
    match changed.map_err(app::explain)? {
        true => print(format_args!(
            "{key} is {state}; all processes know within {} s",
            config.events.poll_seconds
        )),
        false => print(format_args!("{key} is {state} already")),
    }
}
