//! Subgraphs that a supergraph is composed of: their schemas are looked for again and again, and the last good one of each
//! is kept. One that is away or bad holds up none of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use futures_util::future::join_all;
use serde::Deserialize;

use super::copies::Copies;
use crate::gateway::compose::{
    Composed, Composing, Other, Problem, Problems, SubgraphSdl, compose, compose_within,
};
use crate::gateway::settings::{Differences, Gateway};
use crate::gateway::subgraph::client::SubgraphClient;
use crate::gateway::subgraph::headers::Rules;

/// Far beyond this it is no schema.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// How long may be tried which new schemas go with the others, where not all do.
const FALLING_BACK: Duration = Duration::from_secs(120);

const QUESTION: &str = r#"{"query":"query Schema { _service { sdl } }","operationName":"Schema"}"#;

/// The subgraphs of a supergraph.
pub struct Subgraphs {
    /// The one that is protected from the others.
    owner: SubgraphSdl,
    others: Vec<Place>,
    copies: Option<Copies>,
    /// What was composed last.
    text: Option<String>,
    /// What is wrong with what they are now, and whether it has been said.
    wrong: Option<(Problems, bool)>,
}

/// A subgraph, and where its schema is.
struct Place {
    name: String,
    url: String,
    may_change: BTreeSet<String>,
    origin: Origin,
    /// As it was found last, twice in a row if there was another one; what is in the way if it was not.
    newest: Result<String, String>,
    /// As it was found at the last look, if that is another one.
    seen: Option<String>,
    /// What was in the way at the last look.
    away: Option<String>,
    /// What it is composed of, and what is kept.
    good: Option<String>,
}

enum Origin {
    File(PathBuf),
    /// Itself.
    Service(Box<SubgraphClient>, HeaderMap),
}

impl Subgraphs {
    /// The `owner`, and all others in the settings. The last good schemas are kept in a folder of `data`, if there is one.
    ///
    /// # Errors
    /// A setting that cannot be followed.
    pub fn new(owner: SubgraphSdl, settings: &Gateway, data: Option<&Path>) -> anyhow::Result<Self> {
        let own = settings.subgraphs.get(&owner.name);
        ensure!(
            own.is_none_or(|own| own.sdl.is_none() && own.may_change.is_empty()),
            "gateway.subgraphs.{} has `sdl` or `may_change`, and its schema is known: leave them out",
            owner.name
        );
        let others = settings.subgraphs.iter().filter(|(name, _)| **name != owner.name);
        let others =
            others.map(|(name, own)| Place::new(name, own, settings)).collect::<anyhow::Result<_>>()?;
        Ok(Self { owner, others, copies: data.map(Copies::in_data), text: None, wrong: None })
    }

    /// What they are composed to now: of what there is, and nothing else.
    ///
    /// # Errors
    /// What cannot be found, or composed.
    pub async fn compose(mut self) -> Result<Composed, Problems> {
        self.look().await;
        Problems::none_of(self.others.iter().filter_map(Place::missing))?;
        compose(self.composing(|place| place.newest.as_ref().ok())).await
    }

    /// The supergraph, if it is not the one from before.
    ///
    /// # Errors
    /// What is in the way of what they are now, once.
    pub async fn changed(&mut self) -> Result<Option<String>, Problems> {
        let is_first = self.text.is_none();
        if is_first && let Some(copies) = &self.copies {
            for place in &mut self.others {
                place.good = copies.read(&place.name).await;
            }
        }
        let is_new = self.look().await;
        if !is_first && !is_new {
            return self.say();
        }
        let was_wrong = self.wrong.take().is_some();
        match compose(self.composing(Place::candidate)).await {
            Ok(composed) => {
                self.wrong = self.missing().map(|problems| (problems, false));
                self.adopt(composed, |_| true, was_wrong).await
            }
            Err(problems) => self.fall_back(problems).await,
        }
    }

    /// Says what is wrong, if it has not been said.
    fn say(&mut self) -> Result<Option<String>, Problems> {
        match &mut self.wrong {
            Some((problems, is_said)) if !*is_said => {
                *is_said = true;
                Err(problems.clone())
            }
            _ => Ok(None),
        }
    }

    /// Those that are away, and of which nothing is known.
    fn missing(&self) -> Option<Problems> {
        let away = self.others.iter().filter(|place| place.candidate().is_none());
        Problems::none_of(away.filter_map(Place::missing)).err()
    }

    /// Takes what is composed now. `is_taken` says of which subgraphs it has the newest schema.
    async fn adopt(
        &mut self,
        composed: Composed,
        is_taken: impl Fn(&Place) -> bool,
        was_wrong: bool,
    ) -> Result<Option<String>, Problems> {
        for hint in &composed.hints {
            tracing::warn!(%hint, "the supergraph is composed, with a hint");
        }
        for place in &mut self.others {
            if !is_taken(place) {
                continue;
            }
            if let Ok(newest) = &place.newest
                && place.good.as_ref() != Some(newest)
            {
                place.good = Some(newest.clone());
                if let Some(copies) = &self.copies {
                    copies.keep(&place.name, newest).await;
                }
            }
        }
        // That all is well again is worth saying too.
        let is_well_again = was_wrong && self.wrong.is_none();
        if self.text.as_ref() == Some(&composed.supergraph) && !is_well_again {
            return self.say();
        }
        self.text = Some(composed.supergraph.clone());
        Ok(Some(composed.supergraph))
    }

    /// What can be composed although not all of it can: those that are good, and of the new ones each that goes with them.
    async fn fall_back(&mut self, problems: Problems) -> Result<Option<String>, Problems> {
        self.wrong = Some((problems.clone(), false));
        // At the start there may be nothing else than what is new.
        let is_first = self.text.is_none();
        let known = |place: &Place| {
            place.good.clone().or_else(|| place.newest.as_ref().ok().filter(|_| is_first).cloned())
        };
        let mut taken: BTreeMap<String, String> =
            self.others.iter().filter_map(|place| Some((place.name.clone(), known(place)?))).collect();
        let Ok(mut composed) = compose(self.composing(|place| taken.get(&place.name))).await else {
            self.wrong = Some((problems.clone(), true));
            return Err(problems);
        };
        let new = self.others.iter().filter_map(|place| {
            let newest = place.newest.as_ref().ok()?;
            (taken.get(&place.name) != Some(newest)).then_some((place, newest))
        });
        let new: Vec<_> = new.collect();
        let until = Instant::now() + FALLING_BACK;
        for (tried, (place, newest)) in new.iter().enumerate() {
            // What is left, in equal parts: one that takes long leaves the others theirs.
            let patience = until.saturating_duration_since(Instant::now()) / (new.len() - tried) as u32;
            let before = taken.insert(place.name.clone(), (*newest).clone());
            match (compose_within(self.composing(|place| taken.get(&place.name)), patience).await, before) {
                (Ok(further), _) => composed = further,
                (Err(_), Some(before)) => drop(taken.insert(place.name.clone(), before)),
                (Err(_), None) => drop(taken.remove(&place.name)),
            }
        }
        self.adopt(composed, |place| place.newest.as_ref().ok() == taken.get(&place.name), true).await
    }

    /// Looks for all schemas; whether one is not what it was.
    async fn look(&mut self) -> bool {
        let found = join_all(self.others.iter().map(Place::read)).await;
        let mut is_new = false;
        for (place, found) in self.others.iter_mut().zip(found) {
            match found {
                Ok(sdl) => {
                    if place.away.take().is_some() {
                        tracing::info!(subgraph = place.name, "the schema of a subgraph is there again");
                    }
                    is_new |= place.found(sdl);
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    place.seen = None;
                    // Once, and not at every look.
                    if place.away.as_ref() != Some(&error) {
                        tracing::warn!(
                            subgraph = place.name,
                            error,
                            "the schema of a subgraph cannot be found; what is known of it stays"
                        );
                        place.away = Some(error.clone());
                    }
                    if place.newest.is_err() {
                        place.newest = Err(error);
                    }
                }
            }
        }
        is_new
    }

    fn composing<'a>(&'a self, of: impl Fn(&'a Place) -> Option<&'a String>) -> Composing {
        let others = self.others.iter().filter_map(|place| {
            let (name, url, sdl) = (place.name.clone(), place.url.clone(), of(place)?.clone());
            let may_change = place.may_change.clone();
            Some(Other { subgraph: SubgraphSdl { name, url, sdl }, may_change })
        });
        Composing { owner: Some(self.owner.clone()), others: others.collect() }
    }
}

impl Place {
    fn new(name: &str, own: &Differences, settings: &Gateway) -> anyhow::Result<Self> {
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
    fn found(&mut self, sdl: String) -> bool {
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
    fn candidate(&self) -> Option<&String> {
        self.newest.as_ref().ok().or(self.good.as_ref())
    }

    fn missing(&self) -> Option<Problem> {
        let error = self.newest.as_ref().err()?;
        Some(Problem::of(&self.name, format!("its schema cannot be found: {error}")))
    }

    async fn read(&self) -> anyhow::Result<String> {
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
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            name: "posts".to_owned(),
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
        let mut place = place();
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
