//! Whether the settings can be served with.

use anyhow::{Context, bail};
use secrecy::ExposeSecret;

use super::{Config, Http, Mode};
use crate::platform::WebhookKey;
use crate::sandbox;

/// Bounds that no sum of an instant and a setting can overflow.
const DAY: u64 = 24 * 3600;

/// Checks that each setting is at least 1, and at most what stands behind it.
fn check_bounds(bounds: &[(&str, u64, u64)]) -> anyhow::Result<()> {
    for (name, value, most) in bounds {
        if !(1..=*most).contains(value) {
            bail!("{name} is {value}; it must be from 1 to {most}");
        }
    }
    Ok(())
}

impl Http {
    /// Checks what a server of any kind needs.
    ///
    /// # Errors
    /// Names the key at fault and what would be right.
    pub fn check(&self) -> anyhow::Result<()> {
        check_bounds(&[
            ("http.init_timeout_seconds", self.init_timeout_seconds, 3600),
            ("http.body_seconds", self.body_seconds, 3600),
            ("http.header_seconds", self.header_seconds, 3600),
            ("http.ping_seconds", self.ping_seconds, DAY),
            ("http.send_seconds", self.send_seconds, DAY),
            ("http.drain_seconds", self.drain_seconds, DAY),
        ])?;
        for origin in &self.allowed_origins {
            let parsed = origin.parse::<url::Url>().ok().map(|url| url.origin().ascii_serialization());
            if parsed.as_ref() != Some(origin) {
                bail!(
                    "http.allowed_origins has {origin:?}; an origin is https://www.example.com, without a path"
                );
            }
        }
        Ok(())
    }
}

impl Config {
    /// The settings, if they can be served with.
    ///
    /// # Errors
    /// Names the key at fault and what would be right.
    pub fn checked(self) -> anyhow::Result<Self> {
        self.check().context("configuration")?;
        Ok(self)
    }

    fn check(&self) -> anyhow::Result<()> {
        let secret = self.keys.secret.expose_secret();
        if !secret.is_empty() && secret.len() < 32 {
            bail!("keys.secret is too short: take at least 32 random characters (openssl rand -base64 32)");
        }
        let database = self.database.url.expose_secret();
        if !database.is_empty()
            && !database.starts_with("postgres://")
            && !database.starts_with("postgresql://")
        {
            bail!("database.url must begin with postgres:// (empty for SQLite in the data folder)");
        }
        if !database.is_empty() && url::Url::parse(database).is_err() {
            bail!(
                "database.url is no URL: what is special in a user's name or password must be escaped, as %2F for /"
            );
        }
        if database.is_empty() != self.redis.url.expose_secret().is_empty() {
            bail!("database.url and redis.url go together: give both, or neither for the embedded stack");
        }
        self.http.check()?;
        check_bounds(&[
            // 0 is a process without jobs.
            ("jobs.concurrency", self.jobs.concurrency.max(1) as u64, 10_000),
            ("verification.attempts", u64::from(self.verification.attempts), 100),
            ("verification.codes", u64::from(self.verification.codes), 100),
            ("verification.code_minutes", u64::from(self.verification.code_minutes), 24 * 60),
            ("accounts.deletion_days", u64::from(self.accounts.deletion_days), 3650),
            ("sessions.access_token_minutes", u64::from(self.sessions.access_token_minutes), 24 * 60),
            ("sessions.lifetime_days", u64::from(self.sessions.lifetime_days), 3650),
            ("sessions.refresh_retry_seconds", u64::from(self.sessions.refresh_retry_seconds), 3600),
            ("verification.codes_per_handle", u64::from(self.verification.codes_per_handle), 10_000),
            ("verification.pending_per_account", u64::from(self.verification.pending_per_account), 10_000),
            ("limits.sessions_per_account", self.limits.sessions_per_account, 10_000),
            ("events.poll_seconds", self.events.poll_seconds, DAY),
            ("retention.period_seconds", self.retention.period_seconds, DAY),
            ("retention.events_days", u64::from(self.retention.events_days), 3650),
            ("retention.webhook_receipts_days", u64::from(self.retention.webhook_receipts_days), 3650),
            ("retention.verifications_days", u64::from(self.retention.verifications_days), 3650),
            ("retention.sessions_days", u64::from(self.retention.sessions_days), 3650),
            ("retention.alerts_days", u64::from(self.retention.alerts_days), 3650),
            ("retention.dead_jobs_days", u64::from(self.retention.dead_jobs_days), 3650),
            ("graph.near_entries", self.graph.near_entries as u64, 1 << 32),
            ("graph.near_seconds", self.graph.near_seconds, DAY),
            ("graph.max_loads", self.graph.max_loads as u64, 1000),
            ("graph.document_bytes", self.graph.document_bytes as u64, 1 << 32),
        ])?;
        for (key, platform) in &self.platforms {
            WebhookKey::parse(&platform.webhook_secret)
                .with_context(|| format!("platforms.{key}.webhook_secret"))?;
        }
        self.check_oauth()?;
        self.passkeys.check()?;
        self.check_notices()?;
        if self.database.max_connections < 2 {
            bail!("database.max_connections is {}; it must be at least 2", self.database.max_connections);
        }
        match self.mode {
            Mode::Development if !self.http.listen.ip().is_loopback() => bail!(
                "http.listen is {}: development mode listens on loopback only (127.0.0.1:PORT)",
                self.http.listen
            ),
            Mode::Development if self.worker.listen.is_some_and(|address| !address.ip().is_loopback()) => {
                bail!("worker.listen must be on loopback in development mode (127.0.0.1:PORT)")
            }
            Mode::Development => Ok(()),
            Mode::Production => self.check_production(),
        }
    }

    fn check_notices(&self) -> anyhow::Result<()> {
        let action_url = &self.notices.action_url;
        let is_page = |url: &url::Url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        };
        if !action_url.is_empty() && !action_url.parse::<url::Url>().is_ok_and(|url| is_page(&url)) {
            bail!("notices.action_url is no URL of a page, such as https://www.example.com/account");
        }
        Ok(())
    }

    /// Production takes nothing that was made up for it (S36).
    fn check_production(&self) -> anyhow::Result<()> {
        if self.keys.secret.expose_secret().is_empty() {
            bail!("keys.secret is empty: production mode needs one (openssl rand -base64 32)");
        }
        if self.is_embedded() {
            bail!("database.url is empty: production mode needs a postgres:// URL");
        }
        if self.redis.url.expose_secret().is_empty() {
            bail!("redis.url is empty: production mode needs a redis:// or rediss:// URL");
        }
        if self.demo.enabled {
            bail!("demo.enabled is true: production mode has no demo account; set it to false");
        }
        if !self.sandbox.url.is_empty() {
            bail!("sandbox.url is set: production mode has no sandbox; leave it empty");
        }
        for (key, platform) in &self.platforms {
            if !platform.base_url.starts_with("https://") {
                bail!("platforms.{key}.base_url must be the platform's https:// URL in production mode");
            }
            if ["", "sandbox"].contains(&platform.credential.expose_secret()) {
                bail!(
                    "platforms.{key}.credential is the sandbox's: production mode needs the platform's own"
                );
            }
            if platform.webhook_secret.expose_secret() == sandbox::WEBHOOK_SECRET {
                bail!(
                    "platforms.{key}.webhook_secret is the sandbox's: production mode needs the platform's own"
                );
            }
        }
        let action_url = &self.notices.action_url;
        if !action_url.is_empty() && !action_url.starts_with("https://") {
            bail!("notices.action_url must begin with https:// in production mode");
        }
        self.passkeys.check_production()?;
        self.check_oauth_in_production()
    }
}
