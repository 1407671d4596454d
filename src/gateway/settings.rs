//! The gateway's part of the configuration; `config.default.toml` describes each setting.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use indexmap::IndexMap;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::subgraph::headers::Rules;
use super::subgraph::upstream::Protocol;
use crate::config::{list, lists};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    pub supergraph: String,
    pub poll_seconds: u64,
    pub local_subgraph: String,
    pub direct: bool,
    pub introspection: bool,
    pub query_plans: bool,
    pub show_subgraph_names: bool,
    pub share_queries: bool,
    pub override_label_header: String,
    /// Labels with the scopes that they hold for.
    #[serde(deserialize_with = "lists")]
    pub override_labels: IndexMap<String, Vec<String>>,
    /// Policies with the scopes that they ask for: one of the lists, all of it.
    pub policies: IndexMap<String, Vec<Vec<String>>>,
    /// Types with the field that says to which platform one belongs.
    pub confined: IndexMap<String, String>,
    /// Those of them that nobody wrote: they may be of a graph that is not there.
    #[serde(skip)]
    pub confined_by_default: IndexMap<String, String>,
    /// Scalars that must not stand in a URL.
    #[serde(deserialize_with = "list")]
    pub post_only: Vec<String>,
    pub accounts_url: String,
    pub issuer: String,
    pub audience: String,
    pub max_errors: usize,
    pub answer_bytes: usize,
    pub plans: Plans,
    /// What holds for every subgraph that says nothing else.
    pub subgraph: Subgraph,
    pub subgraphs: IndexMap<String, Differences>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plans {
    pub threads: usize,
    pub queue: usize,
    pub milliseconds: u64,
    pub kept: usize,
    pub selections: usize,
}

/// How a subgraph is called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subgraph {
    pub connect_milliseconds: u64,
    pub answer_milliseconds: u64,
    pub answer_bytes: usize,
    pub event_bytes: usize,
    pub silence_seconds: u64,
    pub retries: u32,
    pub share: bool,
    pub http2: bool,
    pub subscriptions: Protocol,
    pub subscriptions_url: String,
    pub compress: bool,
    pub circuit_calls: usize,
    pub circuit_percent: u8,
    pub circuit_seconds: u64,
    #[serde(deserialize_with = "list")]
    pub forward_headers: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub remove_headers: Vec<String>,
    pub set_headers: IndexMap<String, String>,
    pub mint_tokens: bool,
    #[serde(deserialize_with = "list")]
    pub scopes: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub platforms: Vec<String>,
    pub router_token: SecretString,
}

/// What is different for one subgraph.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Differences {
    /// Where it is, if that is not where the supergraph says.
    pub url: Option<String>,
    /// The file with its schema; empty or absent, it is asked for it. For composition.
    pub sdl: Option<PathBuf>,
    /// What of the protected subgraph it may share, override or redefine: `Type` or `Type.field`.
    #[serde(deserialize_with = "list")]
    pub may_change: Vec<String>,
    pub connect_milliseconds: Option<u64>,
    pub answer_milliseconds: Option<u64>,
    pub answer_bytes: Option<usize>,
    pub event_bytes: Option<usize>,
    pub silence_seconds: Option<u64>,
    pub retries: Option<u32>,
    pub share: Option<bool>,
    pub http2: Option<bool>,
    pub subscriptions: Option<Protocol>,
    pub subscriptions_url: Option<String>,
    pub compress: Option<bool>,
    pub circuit_calls: Option<usize>,
    pub circuit_percent: Option<u8>,
    pub circuit_seconds: Option<u64>,
    #[serde(deserialize_with = "some_list")]
    pub forward_headers: Option<Vec<String>>,
    #[serde(deserialize_with = "some_list")]
    pub remove_headers: Option<Vec<String>>,
    pub set_headers: Option<IndexMap<String, String>>,
    pub mint_tokens: Option<bool>,
    #[serde(deserialize_with = "some_list")]
    pub scopes: Option<Vec<String>>,
    #[serde(deserialize_with = "some_list")]
    pub platforms: Option<Vec<String>>,
    pub router_token: Option<SecretString>,
}

fn some_list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    list(deserializer).map(Some)
}

impl Subgraph {
    fn with(&self, other: &Differences) -> Self {
        Self {
            connect_milliseconds: other.connect_milliseconds.unwrap_or(self.connect_milliseconds),
            answer_milliseconds: other.answer_milliseconds.unwrap_or(self.answer_milliseconds),
            answer_bytes: other.answer_bytes.unwrap_or(self.answer_bytes),
            event_bytes: other.event_bytes.unwrap_or(self.event_bytes),
            silence_seconds: other.silence_seconds.unwrap_or(self.silence_seconds),
            retries: other.retries.unwrap_or(self.retries),
            share: other.share.unwrap_or(self.share),
            http2: other.http2.unwrap_or(self.http2),
            subscriptions: other.subscriptions.unwrap_or(self.subscriptions),
            subscriptions_url: other
                .subscriptions_url
                .clone()
                .unwrap_or_else(|| self.subscriptions_url.clone()),
            compress: other.compress.unwrap_or(self.compress),
            circuit_calls: other.circuit_calls.unwrap_or(self.circuit_calls),
            circuit_percent: other.circuit_percent.unwrap_or(self.circuit_percent),
            circuit_seconds: other.circuit_seconds.unwrap_or(self.circuit_seconds),
            forward_headers: other.forward_headers.clone().unwrap_or_else(|| self.forward_headers.clone()),
            remove_headers: other.remove_headers.clone().unwrap_or_else(|| self.remove_headers.clone()),
            set_headers: other.set_headers.clone().unwrap_or_else(|| self.set_headers.clone()),
            mint_tokens: other.mint_tokens.unwrap_or(self.mint_tokens),
            scopes: other.scopes.clone().unwrap_or_else(|| self.scopes.clone()),
            platforms: other.platforms.clone().unwrap_or_else(|| self.platforms.clone()),
            router_token: other.router_token.clone().unwrap_or_else(|| self.router_token.clone()),
        }
    }

    pub fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_milliseconds)
    }

    pub fn silence(&self) -> Duration {
        Duration::from_secs(self.silence_seconds)
    }

    pub fn answer(&self) -> Duration {
        Duration::from_millis(self.answer_milliseconds)
    }
}

impl Gateway {
    /// The settings of one subgraph.
    pub fn of(&self, name: &str) -> Subgraph {
        self.subgraphs.get(name).map_or_else(|| self.subgraph.clone(), |other| self.subgraph.with(other))
    }

    /// Where a subgraph is, if that is not where the supergraph says.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn url_of(&self, name: &str) -> anyhow::Result<Option<Uri>> {
        let Some(url) = self.subgraphs.get(name).and_then(|other| other.url.as_deref()) else {
            return Ok(None);
        };
        match parse_url(url) {
            Some(uri) => Ok(Some(uri)),
            None => {
                anyhow::bail!("gateway.subgraphs.{name}.url is {url:?}, which is no http:// or https:// URL")
            }
        }
    }

    /// Makes it a configuration of no gateway.
    pub fn leave_out(&mut self) {
        self.supergraph.clear();
        self.subgraphs.clear();
    }

    /// Whether there is more to serve than the subgraph of this process.
    pub fn has_others(&self) -> bool {
        !self.supergraph.is_empty() || self.subgraphs.keys().any(|name| *name != self.local_subgraph)
    }

    /// Checks that one subgraph at most, that of accounts, gets what clients show and may set cookies for them.
    fn check_router(&self) -> anyhow::Result<()> {
        for name in self.subgraphs.keys().map(Some).chain([None]) {
            let own = match name {
                Some(name) => self.subgraphs[name].router_token.as_ref(),
                None => Some(&self.subgraph.router_token),
            };
            let is_shown = own.is_some_and(|token| !token.expose_secret().is_empty());
            anyhow::ensure!(
                !is_shown || name == Some(&self.local_subgraph),
                "{}.router_token would show clients' tokens and cookies to what is not the accounts graph; that is \
                 gateway.subgraphs.{} (gateway.local_subgraph)",
                self.named(name).1,
                self.local_subgraph
            );
        }
        Ok(())
    }

    /// Checks that no subgraph gets what clients show, where each one is given a token of its own instead.
    ///
    /// # Errors
    /// Names the setting that would let it out.
    pub fn check_tokens(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.accounts_url.is_empty(),
            "gateway.accounts_url is for `accounts-center gateway` in front of accounts replicas; here they are inside"
        );
        for name in self.subgraphs.keys().map(Some).chain([None]) {
            let (settings, path) = self.named(name);
            if let Some((setting, header)) = Rules::leak(&settings) {
                let way_out = match setting {
                    "set_headers" => "; a subgraph that takes another one has `mint_tokens = false`",
                    _ => "",
                };
                anyhow::bail!(
                    "{path}.{setting} names `{header}`, and what clients show stays here: each subgraph gets a token of its \
                     own{way_out}"
                );
            }
            anyhow::ensure!(
                settings.router_token.expose_secret().is_empty(),
                "{path}.router_token is for `accounts-center gateway` in front of accounts replicas; here they are inside"
            );
        }
        Ok(())
    }

    /// The settings of a subgraph, or of all, and where they stand.
    fn named(&self, name: Option<&String>) -> (Subgraph, String) {
        match name {
            Some(name) => (self.of(name), format!("gateway.subgraphs.{name}")),
            None => (self.subgraph.clone(), "gateway.subgraph".to_owned()),
        }
    }

    /// Checks what can be checked without a supergraph.
    pub fn check(&self) -> anyhow::Result<()> {
        use anyhow::ensure;
        self.check_router()?;
        let plans = &self.plans;
        ensure!(plans.threads > 0, "gateway.plans.threads is 0: nothing could be planned");
        ensure!(plans.queue > 0, "gateway.plans.queue is 0: nothing could be planned");
        ensure!(plans.milliseconds > 0, "gateway.plans.milliseconds is 0: nothing could be planned");
        ensure!(plans.selections > 0, "gateway.plans.selections is 0: nothing could be asked for");
        ensure!(self.max_errors > 0, "gateway.max_errors is 0: nobody would learn what is wrong");
        ensure!(self.answer_bytes > 0, "gateway.answer_bytes is 0: nothing could be answered");
        ensure!(self.poll_seconds > 0, "gateway.poll_seconds is 0; give the seconds between two looks");
        for name in self.subgraphs.keys().map(Some).chain([None]) {
            let (settings, path) = self.named(name);
            ensure!(
                settings.answer_milliseconds > 0,
                "{path}.answer_milliseconds is 0: every call would fail"
            );
            ensure!(
                settings.connect_milliseconds > 0,
                "{path}.connect_milliseconds is 0: every call would fail"
            );
            ensure!(settings.answer_bytes > 0, "{path}.answer_bytes is 0: every call would fail");
            ensure!(settings.event_bytes > 0, "{path}.event_bytes is 0: every subscription would fail");
            ensure!(
                settings.silence_seconds > 0,
                "{path}.silence_seconds is 0: every subscription would fail"
            );
            let place = settings.subscriptions_url.trim();
            ensure!(
                place.is_empty() || parse_url(&place.replacen("ws", "http", 1)).is_some(),
                "{path}.subscriptions_url is {place:?}, which is no ws://, wss://, http:// or https:// URL"
            );
            ensure!(settings.circuit_percent <= 100, "{path}.circuit_percent is over 100");
            Rules::new(&settings).map_err(|error| anyhow::anyhow!("{path}.{error}"))?;
            if let Some(name) = name {
                self.url_of(name)?;
                let other = &self.subgraphs[name];
                ensure!(
                    self.supergraph.is_empty() || (other.sdl.is_none() && other.may_change.is_empty()),
                    "{path} has `sdl` or `may_change`, and gateway.supergraph is composed already: leave one of them out"
                );
            }
        }
        Ok(())
    }
}

/// A URL that can be called over HTTP.
pub fn parse_url(url: &str) -> Option<Uri> {
    url.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}
