//! Where the schema of a subgraph is, and what has been found there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use serde::Deserialize;

use crate::gateway::compose::Problem;
use crate::gateway::settings::{Differences, Gateway};
use crate::gateway::subgraph::client::SubgraphClient;
use crate::gateway::subgraph::headers::Rules;

/// Far beyond this it is no schema.
const MOST_BYTES: usize = 8 * 1024 * 1024;

const QUESTION: &str = r#"{"query":"query Schema { _service { sdl } }","operationName":"Schema"}"#;

/// A subgraph, and where its schema is.
pub struct Place {
    pub name: String,
    pub url: String,
    pub may_change: BTreeSet<String>,
    origin: Origin,
    /// As it was found last, twice in a row if there was another one; what is in the way if it was not.
    pub newest: Result<String, String>,
    /// As it was found at the last look, if that is another one.
    pub seen: Option<String>,
    /// What was in the way at the last look.
    pub away: Option<String>,
    /// What it is composed of, and what is kept.
    pub good: Option<String>,
}

enum Origin {
    File(PathBuf),
    /// Itself.
    Service(Box<SubgraphClient>, HeaderMap),
}

impl Place {
    pub fn new(name: &str, own: &Differences, settings: &Gateway) -> anyhow::Result<Self> {
        let Some(uri) = settings.url_of(name)? else {
            bail!("gateway.subgraphs.{name} has no `url`; it is composed, and has to be called somewhere")
        };
        let origin = match own.sdl.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Origin::File(path.clone()),
            None => {
                let mut called = settings.of(name);
                let headers = Rules::new(&called)?.apply(&HeaderMap::new());
                called.answer_bytes = called.answer_bytes.min(MOST_BYTES);
                // It is asked once in a while, and that is how one that was away is found.
                called.circuit_percent = 0;
                Origin::Service(Box::new(SubgraphClient::new(uri.clone(), called)), headers)
            }
        };
        let (name, url, may_change) =
            (name.to_owned(), shown(&uri), own.may_change.iter().cloned().collect());
        let newest = Err("it was not looked for yet".to_owned());
        Ok(Self { name, url, may_change, origin, newest, seen: None, away: None, good: None })
    }

    /// Takes what a look has found; whether it is another one. While replicas of two versions answer in turn, or a file is
    /// written, each look finds another one: it is taken when two in a row are the same. A first one is taken at once.
    pub fn found(&mut self, sdl: String) -> bool {
        if self.newest.as_ref() == Ok(&sdl) {
            self.seen = None;
            return false;
        }
        if self.newest.is_ok() && self.seen.as_ref() != Some(&sdl) {
            self.seen = Some(sdl);
            return false;
        }
        (self.newest, self.seen) = (Ok(sdl), None);
        true
    }

    /// What it could be composed of.
    pub fn candidate(&self) -> Option<&String> {
        self.newest.as_ref().ok().or(self.good.as_ref())
    }

    pub fn missing(&self) -> Option<Problem> {
        let error = self.newest.as_ref().err()?;
        Some(Problem::of(&self.name, format!("its schema cannot be found: {error}")))
    }

    pub async fn read(&self) -> anyhow::Result<String> {
        match &self.origin {
            Origin::File(path) => {
                let bytes =
                    tokio::fs::read(path).await.with_context(|| format!("cannot read {}", path.display()))?;
                ensure!(bytes.len() <= MOST_BYTES, "{} is too large", path.display());
                String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))
            }
            Origin::Service(client, headers) => {
                let called = client.call(Bytes::from_static(QUESTION.as_bytes()), headers, true).await;
                let called = called.map_err(|failure| anyhow::anyhow!("{}", failure.error(None).message))?;
                answered(&called.body)
            }
        }
    }
}

/// Without what a URL may have of secrets: it stands in the supergraph, and in messages.
fn shown(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default(), uri.path())
}

/// The schema in the answer of a subgraph.
fn answered(bytes: &[u8]) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Data>,
        #[serde(default)]
        errors: Vec<Told>,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "_service")]
        service: Option<Service>,
    }
    #[derive(Deserialize)]
    struct Service {
        sdl: Option<String>,
    }
    #[derive(Deserialize)]
    struct Told {
        message: String,
    }
    let answer: Answer = serde_json::from_slice(bytes).context("it does not answer with GraphQL")?;
    if let Some(sdl) = answer.data.and_then(|data| data.service?.sdl) {
        return Ok(sdl);
    }
    match answer.errors.first() {
        Some(told) => {
            bail!("it has no `_service {{ sdl }}`: {}", told.message.chars().take(200).collect::<String>())
        }
        None => bail!("it has no `_service {{ sdl }}`"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// One that was not looked for yet.
    pub fn place(name: &str) -> Place {
        Place {
            name: name.to_owned(),
            url: String::new(),
            may_change: BTreeSet::new(),
            origin: Origin::File(PathBuf::new()),
            newest: Err("it was not looked for yet".to_owned()),
            seen: None,
            away: None,
            good: None,
        }
    }

    /// While two versions answer in turn the one from before stays; each change would end all subscriptions.
    #[test]
    fn a_schema_is_taken_when_two_looks_in_a_row_find_it() {
        let mut place = place("posts");
        for (found, is_new, newest) in [
            ("a", true, "a"),
            ("a", false, "a"),
            ("b", false, "a"),
            ("a", false, "a"),
            ("b", false, "a"),
            ("c", false, "a"),
            ("b", false, "a"),
            ("b", true, "b"),
            ("b", false, "b"),
        ] {
            assert_eq!(
                (place.found(found.to_owned()), place.newest.clone().unwrap()),
                (is_new, newest.to_owned())
            );
        }
    }
}
