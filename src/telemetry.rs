//! Logs: readable lines on a terminal, one line of JSON for each event in production.

use std::io::IsTerminal;

use anyhow::Context;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};

/// Begins to log to standard error, as configured.
pub fn init(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter).with_context(|| {
        format!("configuration: log.filter is {:?}, which is no filter", config.log.filter)
    })?;
    let json = match config.log.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !config.is_development(),
    };
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(says_no_content));
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    if json { registry.with(lines.json()).try_init() } else { registry.with(lines).try_init() }
        .context("logging was set up twice")
}

/// At TRACE some libraries log whole messages, and with them tokens and phone numbers (S24): whatever the
/// filter says, only our own code may go that deep.
fn says_no_content(event: &Metadata<'_>) -> bool {
    *event.level() <= Level::DEBUG || event.target().starts_with("accounts_center")
}
