//! Subgraphs that a supergraph is composed of: their schemas are looked for again and again, and the last good one of each
//! is kept. One that is away or bad holds up none of the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::join_all;

use super::copies::Copies;
use super::place::Place;
use crate::gateway::compose::{
    Composed, Composing, Other, PATIENCE, Problems, SubgraphSdl, compose, compose_within,
};
use crate::gateway::settings::Gateway;

/// How long may be tried which new schemas go with the others, where not all do.
const FALLING_BACK: Duration = Duration::from_secs(120);

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
            Err(problems) => self.fall_back(problems, (compose_within, Instant::now)).await,
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
    /// `compose` is told how long it may take, and `now` what of that is left.
    async fn fall_back(
        &mut self,
        problems: Problems,
        (compose, now): (
            impl AsyncFn(Composing, Duration) -> Result<Composed, Problems>,
            impl Fn() -> Instant,
        ),
    ) -> Result<Option<String>, Problems> {
        self.wrong = Some((problems.clone(), false));
        // At the start there may be nothing else than what is new.
        let is_first = self.text.is_none();
        let known = |place: &Place| {
            place.good.clone().or_else(|| place.newest.as_ref().ok().filter(|_| is_first).cloned())
        };
        let mut taken: BTreeMap<String, String> =
            self.others.iter().filter_map(|place| Some((place.name.clone(), known(place)?))).collect();
        let Ok(mut composed) = compose(self.composing(|place| taken.get(&place.name)), PATIENCE).await else {
            self.wrong = Some((problems.clone(), true));
            return Err(problems);
        };
        let new = self.others.iter().filter_map(|place| {
            let newest = place.newest.as_ref().ok()?;
            (taken.get(&place.name) != Some(newest)).then_some((place, newest))
        });
        let new: Vec<_> = new.collect();
        let until = now() + FALLING_BACK;
        for (tried, (place, newest)) in new.iter().enumerate() {
            // What is left, in equal parts: one that takes long leaves the others theirs.
            let patience = until.saturating_duration_since(now()) / (new.len() - tried) as u32;
            let before = taken.insert(place.name.clone(), (*newest).clone());
            match (compose(self.composing(|place| taken.get(&place.name)), patience).await, before) {
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::gateway::compose::Problem;
    use crate::gateway::supergraph::place::tests::place;

    /// New schemas that nobody comes to an end with take together as long as may be tried, and leave those behind them their
    /// part: what goes with the others is taken.
    #[tokio::test]
    async fn new_schemas_are_tried_within_one_time() {
        let others = [("a", "endless"), ("b", "good"), ("c", "endless"), ("d", "endless")];
        let others = others.map(|(name, newest)| {
            let mut place = place(name);
            (place.newest, place.good) = (Ok(newest.to_owned()), Some("before".to_owned()));
            place
        });
        let text = Some("before".to_owned());
        let mut subgraphs = Subgraphs {
            owner: SubgraphSdl::default(),
            others: others.into(),
            copies: None,
            text,
            wrong: None,
        };
        let (begin, spent, given) = (Instant::now(), Cell::new(Duration::ZERO), RefCell::new(Vec::new()));
        let compose = async |composing: Composing, patience: Duration| {
            given.borrow_mut().push(patience.as_secs());
            let sdls: Vec<_> = composing.others.into_iter().map(|other| other.subgraph.sdl).collect();
            if sdls.iter().any(|sdl| sdl == "endless") {
                spent.set(spent.get() + patience);
                return Err(Problems::from(Problem::new("it takes too long")));
            }
            Ok(Composed { supergraph: sdls.join(" "), hints: Vec::new() })
        };
        let problems = Problems::from(Problem::new("not all of it goes"));
        let clock = || begin + spent.get();
        let text = subgraphs.fall_back(problems.clone(), (compose, clock)).await.unwrap().unwrap();
        assert_eq!(text, "before good before before");
        assert_eq!(*given.borrow(), [PATIENCE.as_secs(), 30, 30, 45, 45]);
        assert_eq!(spent.get(), FALLING_BACK);
        assert_eq!(subgraphs.say().unwrap_err(), problems);
    }
}
