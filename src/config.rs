//! The configuration: `config.default.toml`, overridden by a file and by the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use config::{Environment, File, FileFormat};
use indexmap::IndexMap;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::platform::{PlatformKey, WebhookKey};
use crate::sandbox;

const DEFAULTS: &str = include_str!("../config.default.toml");
const PREFIX: &str = "ACCOUNTS";

/// All settings; each is described in `config.default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub mode: Mode,
    pub http: Http,
    pub data: Data,
    pub database: Database,
    pub redis: Redis,
    pub keys: Keys,
    pub sessions: Sessions,
    pub verification: Verification,
    pub graph: Graph,
    pub events: Events,
    pub jobs: Jobs,
    pub worker: Worker,
    pub retention: Retention,
    pub platforms: IndexMap<PlatformKey, Platform>,
    pub sandbox: Sandbox,
    pub demo: Demo,
    pub gateway: crate::gateway::settings::Gateway,
    pub log: Log,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum Mode {
    Development,
    Production,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    #[serde(deserialize_with = "list")]
    pub allowed_origins: Vec<String>,
    pub body_limit: usize,
    pub init_timeout_seconds: u64,
    pub ping_seconds: u64,
    pub send_seconds: u64,
    pub drain_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub dir: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    pub url: SecretString,
    pub max_connections: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    pub url: SecretString,
    pub prefix: String,
    pub ca_file: PathBuf,
    #[serde(deserialize_with = "secrets")]
    pub sentinels: Vec<SecretString>,
    pub sentinel_master: String,
    pub cluster: bool,
    #[serde(deserialize_with = "secrets")]
    pub cluster_nodes: Vec<SecretString>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    pub secret: SecretString,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    pub issuer: String,
    pub audience: String,
    pub access_token_minutes: u32,
    pub lifetime_days: u32,
    pub step_up_minutes: u32,
    pub new_account_minutes: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    pub code_minutes: u32,
    pub attempts: u16,
    pub resend_seconds: u32,
    pub codes: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    pub near_entries: usize,
    pub near_seconds: u64,
    pub max_loads: usize,
    pub max_depth: usize,
    pub max_complexity: usize,
    pub max_aliases: usize,
    pub max_directives: usize,
    pub document_bytes: usize,
    pub answer_bytes: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub poll_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    pub concurrency: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    #[serde(deserialize_with = "address_or_none")]
    pub listen: Option<SocketAddr>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub period_seconds: u64,
    pub events_days: u32,
    pub webhook_receipts_days: u32,
    pub verifications_days: u32,
    pub sessions_days: u32,
    pub dead_jobs_days: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    pub display_name: String,
    pub base_url: String,
    pub credential: SecretString,
    #[serde(default = "sandbox_webhook_secret")]
    pub webhook_secret: SecretString,
    #[serde(default = "one_time_code")]
    pub proof: Proof,
    #[serde(default = "yes")]
    pub sign_in: bool,
    #[serde(default)]
    pub end_to_end_encrypted: bool,
}

fn yes() -> bool {
    true
}

fn sandbox_webhook_secret() -> SecretString {
    sandbox::WEBHOOK_SECRET.into()
}

fn one_time_code() -> Proof {
    Proof::OneTimeCode
}

/// An address, or nothing where the text is empty.
fn address_or_none<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let shape = |_| serde::de::Error::custom("it must be an address like 127.0.0.1:4001, or empty for none");
    text.parse().map(Some).map_err(shape)
}

/// From a file a list, from the environment its items with commas between them.
pub(crate) fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        Items(Vec<String>),
        Text(String),
    }
    Ok(match List::deserialize(deserializer)? {
        List::Items(items) => items,
        List::Text(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
    })
}

/// The same of URLs that may hold a password.
fn secrets<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    Ok(list(deserializer)?.into_iter().map(SecretString::from).collect())
}

/// How a platform proves who owns a profile.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum Proof {
    OneTimeCode,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    pub url: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    pub enabled: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum LogFormat {
    Auto,
    Pretty,
    Json,
}

/// Lets a setting be one of a few words. The library's own error does not name them.
macro_rules! words {
    ($setting:ty, $($word:literal => $value:expr),+) => {
        impl TryFrom<String> for $setting {
            type Error = String;

            fn try_from(word: String) -> Result<Self, String> {
                match word.as_str() {
                    $($word => Ok($value),)+
                    _ => Err(format!("{word:?} is none of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words!(Mode, "development" => Self::Development, "production" => Self::Production);
words!(Proof, "one_time_code" => Self::OneTimeCode);
words!(LogFormat, "auto" => Self::Auto, "pretty" => Self::Pretty, "json" => Self::Json);

impl Config {
    /// Reads the defaults, `file` if given, and the environment.
    ///
    /// # Errors
    /// Names the key at fault, where it stands, and what would be right.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        Self::load_with(file, Environment::default())
    }

    /// The same without a file, with `environment` in the place of the process's.
    pub fn from_pairs<'a>(environment: impl IntoIterator<Item = (&'a str, String)>) -> anyhow::Result<Self> {
        let pairs = environment.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self::load_with(None, Environment::default().source(Some(pairs)))
    }

    fn load_with(file: Option<&Path>, environment: Environment) -> anyhow::Result<Self> {
        let mut sources = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            if !path.is_file() {
                bail!("configuration: there is no file {}", path.display());
            }
            sources = sources.add_source(File::from(path).format(FileFormat::Toml));
        }
        let environment = environment.prefix(PREFIX).prefix_separator("__").separator("__");
        let raw = sources.add_source(environment).build().map_err(|error| unreadable(&error))?;
        let mut config: Self = serde_path_to_error::deserialize(raw).map_err(|error| {
            let key = error.path().to_string();
            anyhow::anyhow!("configuration: {key}: {}", without_value(error.inner()))
        })?;
        config.platforms.retain(|_, platform| platform.enabled);
        Ok(config)
    }

    pub fn is_development(&self) -> bool {
        self.mode == Mode::Development
    }

    /// Whether this is the embedded stack: SQLite, and everything in this process.
    pub fn is_embedded(&self) -> bool {
        self.database.url.expose_secret().is_empty()
    }

    /// The folder for what is kept in files.
    pub fn data_dir(&self) -> anyhow::Result<PathBuf> {
        if !self.data.dir.as_os_str().is_empty() {
            return Ok(self.data.dir.clone());
        }
        use etcetera::BaseStrategy;
        let strategy = etcetera::choose_base_strategy()
            .context("data.dir: this user has no home folder; name one with --data DIR")?;
        Ok(strategy.data_dir().join("accounts-center"))
    }

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
        if database.is_empty() != self.redis.url.expose_secret().is_empty() {
            bail!("database.url and redis.url go together: give both, or neither for the embedded stack");
        }
        // Bounds that no sum of an instant and a setting can overflow.
        const DAY: u64 = 24 * 3600;
        for (name, value, most) in [
            ("http.init_timeout_seconds", self.http.init_timeout_seconds, 3600),
            ("http.ping_seconds", self.http.ping_seconds, DAY),
            ("http.send_seconds", self.http.send_seconds, DAY),
            ("http.drain_seconds", self.http.drain_seconds, DAY),
            ("verification.attempts", u64::from(self.verification.attempts), 100),
            ("verification.codes", u64::from(self.verification.codes), 100),
            ("verification.code_minutes", u64::from(self.verification.code_minutes), 24 * 60),
            ("sessions.access_token_minutes", u64::from(self.sessions.access_token_minutes), 24 * 60),
            ("sessions.lifetime_days", u64::from(self.sessions.lifetime_days), 3650),
            ("events.poll_seconds", self.events.poll_seconds, DAY),
            ("retention.period_seconds", self.retention.period_seconds, DAY),
            ("retention.events_days", u64::from(self.retention.events_days), 3650),
            ("retention.webhook_receipts_days", u64::from(self.retention.webhook_receipts_days), 3650),
            ("retention.verifications_days", u64::from(self.retention.verifications_days), 3650),
            ("retention.sessions_days", u64::from(self.retention.sessions_days), 3650),
            ("retention.dead_jobs_days", u64::from(self.retention.dead_jobs_days), 3650),
            ("graph.near_entries", self.graph.near_entries as u64, 1 << 32),
            ("graph.near_seconds", self.graph.near_seconds, DAY),
            ("graph.max_loads", self.graph.max_loads as u64, 1000),
            ("graph.document_bytes", self.graph.document_bytes as u64, 1 << 32),
        ] {
            if !(1..=most).contains(&value) {
                bail!("{name} is {value}; it must be from 1 to {most}");
            }
        }
        for origin in &self.http.allowed_origins {
            let parsed = origin.parse::<url::Url>().ok().map(|url| url.origin().ascii_serialization());
            if parsed.as_ref() != Some(origin) {
                bail!(
                    "http.allowed_origins has {origin:?}; an origin is https://www.example.com, without a path"
                );
            }
        }
        for (key, platform) in &self.platforms {
            WebhookKey::parse(&platform.webhook_secret)
                .with_context(|| format!("platforms.{key}.webhook_secret"))?;
        }
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
        Ok(())
    }
}

/// Which file does not parse and where, without the line itself: it could be that of a secret.
fn unreadable(error: &config::ConfigError) -> anyhow::Error {
    let config::ConfigError::FileParse { uri, cause } = error else {
        return anyhow::anyhow!("configuration: {}", without_value(error));
    };
    let cause = cause.to_string();
    let place = cause.lines().next().unwrap_or_default();
    anyhow::anyhow!("configuration: {}: {place}", uri.as_deref().unwrap_or("a file"))
}

/// What would be right, without what was given: it could be a secret that stands a level too high.
fn without_value(error: &config::ConfigError) -> String {
    let text = error.to_string();
    match text.split_once(", expected ") {
        Some((given, expected)) if given.starts_with("invalid") => {
            let expected = expected.split(" for key").next().unwrap_or(expected);
            format!("it must be {}", expected.replace("struct ", "a section: "))
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pairs: &[(&'static str, &str)]) -> String {
        let pairs = pairs.iter().map(|&(key, value)| (key, value.to_owned()));
        format!("{:#}", Config::from_pairs(pairs).and_then(Config::checked).unwrap_err())
    }

    #[test]
    fn the_defaults_are_a_development_configuration() {
        let config = Config::from_pairs([]).unwrap();
        assert!(config.is_development() && config.is_embedded());
        assert_eq!(config.platforms.keys().map(PlatformKey::as_str).collect::<Vec<_>>(), ["whatsapp"]);
        let secret = config.platforms["whatsapp"].webhook_secret.expose_secret();
        assert_eq!(secret, sandbox::WEBHOOK_SECRET);
    }

    #[test]
    fn bad_settings_name_their_key_and_what_would_be_right() {
        let unknown = error(&[("ACCOUNTS__HTTP__LISTEM", "127.0.0.1:1")]);
        assert!(
            unknown.contains("http") && unknown.contains("listem") && unknown.contains("listen"),
            "{unknown}"
        );
        let address = error(&[("ACCOUNTS__HTTP__LISTEN", "nowhere")]);
        assert!(address.contains("http.listen"), "{address}");
        let number = error(&[("ACCOUNTS__VERIFICATION__ATTEMPTS", "many")]);
        assert!(number.contains("verification.attempts") && number.contains("it must be"), "{number}");
        let key = error(&[("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_much too short")]);
        assert!(key.contains("platforms.whatsapp.webhook_secret: it must be whsec_"), "{key}");
        assert!(!key.contains("much"), "{key}");
        let mode = error(&[("ACCOUNTS__MODE", "staging")]);
        assert!(mode.contains("mode") && mode.contains("development"), "{mode}");
        assert!(error(&[("ACCOUNTS__HTTP__LISTEN", "0.0.0.0:4000")]).contains("loopback"));
        assert!(error(&[("ACCOUNTS__KEYS__SECRET", "short")]).contains("keys.secret"));
        assert!(error(&[("ACCOUNTS__DATABASE__URL", "mysql://x")]).contains("database.url"));
    }

    #[test]
    fn s36_production_needs_its_secret_and_its_servers() {
        let with = |pairs: &[(&'static str, &str)]| {
            let mut all = vec![("ACCOUNTS__MODE", "production")];
            all.extend(pairs);
            error(&all)
        };
        let secret = ("ACCOUNTS__KEYS__SECRET", "0123456789abcdef0123456789abcdef");
        let database = ("ACCOUNTS__DATABASE__URL", "postgres://db/accounts");
        let redis = ("ACCOUNTS__REDIS__URL", "redis://cache/");
        let base_url = ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.example");
        assert!(with(&[]).contains("keys.secret"));
        assert!(with(&[secret]).contains("database.url"));
        assert!(with(&[secret, database]).contains("redis.url"));
        assert!(with(&[secret, database, redis]).contains("demo.enabled"));
        assert!(with(&[secret, database, redis, ("ACCOUNTS__DEMO__ENABLED", "false")]).contains("base_url"));
        let sandboxed = [
            ("ACCOUNTS__DEMO__ENABLED", "false"),
            ("ACCOUNTS__SANDBOX__URL", "http://127.0.0.1:1"),
            secret,
            database,
            redis,
            base_url,
        ];
        assert!(with(&sandboxed).contains("sandbox.url"));
        let mut right = vec![("ACCOUNTS__MODE", "production".to_owned())];
        let credential = ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from-the-platform");
        let webhook_secret =
            ("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let demo = ("ACCOUNTS__DEMO__ENABLED", "false");
        assert!(with(&[secret, database, redis, base_url, credential, demo]).contains("webhook_secret"));
        right.extend(
            [secret, database, redis, base_url, credential, webhook_secret, demo]
                .map(|(k, v)| (k, v.to_owned())),
        );
        assert!(Config::from_pairs(right).and_then(Config::checked).is_ok());
    }

    #[test]
    fn secrets_do_not_show() {
        let config =
            Config::from_pairs([("ACCOUNTS__KEYS__SECRET", "0123456789abcdef-very-secret-0123".into())]);
        assert!(!format!("{config:?}").contains("very-secret"));
        for key in
            ["ACCOUNTS__KEYS", "ACCOUNTS__DATABASE", "ACCOUNTS__REDIS", "ACCOUNTS__PLATFORMS__WHATSAPP"]
        {
            let text = error(&[(key, "very-secret")]);
            assert!(!text.contains("very-secret") && text.contains("must be"), "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_number_stays_text_where_text_is_wanted() {
        let secret = "0000000000000000000000000000000000000017";
        let config = Config::from_pairs([
            ("ACCOUNTS__KEYS__SECRET", secret.to_owned()),
            ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "00123".to_owned()),
            ("ACCOUNTS__HTTP__BODY_LIMIT", "1000".to_owned()),
            ("ACCOUNTS__DEMO__ENABLED", "false".to_owned()),
            ("ACCOUNTS__HTTP__ALLOWED_ORIGINS", "https://a.example, https://b.example".to_owned()),
        ]);
        let config = config.unwrap();
        assert_eq!(config.keys.secret.expose_secret(), secret);
        assert_eq!(config.platforms["whatsapp"].credential.expose_secret(), "00123");
        assert_eq!((config.http.body_limit, config.demo.enabled), (1000, false));
        assert_eq!(config.http.allowed_origins, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn a_platform_needs_only_its_address_and_credential() {
        let config = Config::from_pairs([
            ("ACCOUNTS__PLATFORMS__MASTODON__BASE_URL", "https://mastodon.example".to_owned()),
            ("ACCOUNTS__PLATFORMS__MASTODON__CREDENTIAL", "c".to_owned()),
            ("ACCOUNTS__PLATFORMS__WHATSAPP__ENABLED", "false".to_owned()),
        ]);
        let keys: Vec<_> = config.unwrap().platforms.keys().map(ToString::to_string).collect();
        assert_eq!(keys, ["mastodon"]);
    }
}
