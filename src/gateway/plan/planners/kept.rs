//! Plans and refusals that are kept: as many as may be, by their size, and a refusal no longer than it holds.

use std::convert::Infallible;
use std::hash::Hash;
use std::time::Instant;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{Operation, Outcome, Question};

/// Bytes of text, with what is asked of the subgraphs or told of a refusal, for which a plan counts as one more.
pub const UNIT: usize = 1024;

pub type Kept<K> = Cache<K, Known, BySize>;

/// What has come of an operation, and how long that holds.
#[derive(Clone)]
pub struct Known {
    pub outcome: Outcome,
    /// Absent if it holds as long as it is kept.
    pub until: Option<Instant>,
}

impl Known {
    pub fn new(outcome: Outcome) -> Self {
        let until = outcome.as_ref().err().and_then(|refusal| Some(Instant::now() + refusal.holds_for()?));
        Self { outcome, until }
    }

    pub fn holds(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// What is known for `key`, or comes of `making` it; whoever wants the same meanwhile gets the same, refusals too, so that
/// nobody queues up to be refused again.
pub async fn shared<K: Clone + Eq + Hash>(
    cache: &Kept<K>,
    key: &K,
    making: impl Future<Output = Outcome>,
) -> Outcome
where
    BySize: Weighter<K, Known>,
{
    let forget = || cache.remove_if(key, |known| !known.holds());
    forget();
    let known = cache.get_or_insert_async(key, async { Ok::<_, Infallible>(Known::new(making.await)) });
    let Ok(known) = known.await;
    forget();
    known.outcome
}

/// Large plans count as several, so that so many of them are no more memory than so many small ones.
#[derive(Clone)]
pub struct BySize;

impl BySize {
    fn weigh(text: usize, known: &Known) -> u64 {
        let told = match &known.outcome {
            Ok(plan) => plan.bytes,
            Err(refusal) => refusal.bytes(),
        };
        1 + ((text + told) / UNIT) as u64
    }
}

impl Weighter<Question, Known> for BySize {
    fn weight(&self, question: &Question, known: &Known) -> u64 {
        let name = question.name.as_ref().map_or(0, String::len);
        Self::weigh(question.operation.len() + name, known)
    }
}

impl Weighter<Operation, Known> for BySize {
    fn weight(&self, _: &Operation, known: &Known) -> u64 {
        Self::weigh(0, known)
    }
}
