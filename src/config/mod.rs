//! The configuration: `config.default.toml`, overridden by a file and by the environment.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use config::{Environment, File, FileFormat};
use indexmap::IndexMap;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use self::errors::{unreadable, without_value};
use self::values::{address_or_none, networks, secrets, words, words_or_none};
pub(crate) use self::values::{list, lists};
use crate::http::body;
use crate::http::listening::Patience;
use crate::platform::PlatformKey;
use crate::sandbox;

mod check;
mod errors;
mod oauth;
mod passkeys;
#[cfg(test)]
mod tests;
mod values;

const DEFAULTS: &str = include_str!("../../config.default.toml");
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
    pub accounts: Accounts,
    pub notices: Notices,
    pub sessions: Sessions,
    pub verification: Verification,
    pub limits: Limits,
    pub graph: Graph,
    pub events: Events,
    pub jobs: Jobs,
    pub worker: Worker,
    pub retention: Retention,
    pub platforms: IndexMap<PlatformKey, Platform>,
    pub oauth: OAuth,
    pub passkeys: Passkeys,
    pub sandbox: Sandbox,
    pub demo: Demo,
    /// Boxed: it is large, and a configuration is moved through many futures.
    pub gateway: Box<crate::gateway::settings::Gateway>,
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
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub body_limit: usize,
    pub body_seconds: u64,
    pub header_seconds: u64,
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
    pub signing_number: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    pub deletion_days: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notices {
    pub action_url: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    pub issuer: String,
    pub audience: String,
    pub access_token_minutes: u32,
    pub lifetime_days: u32,
    pub refresh_retry_seconds: u32,
    pub step_up_minutes: u32,
    pub new_account_minutes: u32,
    #[serde(deserialize_with = "lists")]
    pub scopes: IndexMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    pub code_minutes: u32,
    pub attempts: u16,
    pub resend_seconds: u32,
    pub codes: u16,
    pub codes_per_handle: u16,
    pub pending_per_account: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub starts_per_address: NonZeroU32,
    pub starts_per_account: NonZeroU32,
    pub submissions_per_address: NonZeroU32,
    pub submissions_per_account: NonZeroU32,
    pub refreshes_per_address: NonZeroU32,
    pub sockets_per_address: usize,
    pub sockets_per_account: usize,
    pub anonymous_sockets: usize,
    pub subscriptions_per_address: usize,
    pub subscriptions_per_account: usize,
    pub sessions_per_account: u64,
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
    pub alerts_days: u32,
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
    /// Absent: all of the sandbox, and nothing of a platform with a URL of its own.
    #[serde(default, deserialize_with = "words_or_none")]
    pub offers: Option<Vec<Offer>>,
    #[serde(default = "calls_per_second")]
    pub calls_per_second: NonZeroU32,
    #[serde(default)]
    pub issuer: String,
    #[serde(default)]
    pub client_id: String,
    #[serde(default)]
    pub client_secret: SecretString,
    #[serde(default, deserialize_with = "list")]
    pub scopes: Vec<String>,
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

fn calls_per_second() -> NonZeroU32 {
    NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN)
}

/// What a platform may have beside proving profiles and telling of them.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum Offer {
    /// It tells the owner of a profile what we have to say.
    Notices,
    /// It lets us read and push a profile's privacy settings.
    Privacy,
    /// It ends logins that came from here.
    Sessions,
    Publications,
    BusinessInfo,
    Messages,
}

impl Offer {
    pub const ALL: [Self; 6] = [
        Self::Notices,
        Self::Privacy,
        Self::Sessions,
        Self::Publications,
        Self::BusinessInfo,
        Self::Messages,
    ];
}

/// How a platform proves who owns a profile.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum Proof {
    OneTimeCode,
    OAuth,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    #[serde(deserialize_with = "list")]
    pub redirect_uris: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkeys {
    pub rp_id: String,
    #[serde(deserialize_with = "list")]
    pub origins: Vec<String>,
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
    pub subgraph: bool,
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

words!(Mode, "development" => Self::Development, "production" => Self::Production);
words!(Proof, "one_time_code" => Self::OneTimeCode, "oauth" => Self::OAuth);
words!(
    Offer,
    "notices" => Self::Notices,
    "privacy" => Self::Privacy,
    "sessions" => Self::Sessions,
    "publications" => Self::Publications,
    "business_info" => Self::BusinessInfo,
    "messages" => Self::Messages
);
words!(LogFormat, "auto" => Self::Auto, "pretty" => Self::Pretty, "json" => Self::Json);

impl Http {
    /// What a request's body may be.
    pub(crate) fn body(&self) -> body::Limits {
        body::Limits { bytes: self.body_limit, time: Duration::from_secs(self.body_seconds) }
    }

    /// How long connections may take.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            headers: Duration::from_secs(self.header_seconds),
            send: Duration::from_secs(self.send_seconds),
            drain: Duration::from_secs(self.drain_seconds),
        }
    }
}

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
        let defaults = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        let unwritten = defaults.clone().build().and_then(|defaults| defaults.get("gateway.confined"));
        let mut sources = defaults;
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
        config.gateway.confined_by_default = unwritten.map_err(|error| unreadable(&error))?;
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
}
