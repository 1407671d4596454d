//! Calling the subgraph of this process: its values come as they are, without HTTP or text between.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Name, PathSegment, Request, Response, ServerError, Value, Variables};
use futures_util::stream::{self, StreamExt};

use super::Failure;
use crate::gateway::caller::Caller;
use crate::gateway::plan::steps::{Entities, Target};

/// Entities that are looked up at one time.
const AT_ONCE: usize = 200;
/// Entities that one step may look up: each one is a request of its own, and how many there are another subgraph says. A page of
/// ours has 100.
const MOST: usize = 10_000;

/// What a step asks for.
pub struct Call {
    pub operation: Arc<str>,
    pub variables: Variables,
    /// The lists of entities that it has, by their keys in the answer and the names of their representations.
    lists: Vec<(Name, Name)>,
}

impl Call {
    pub fn new(operation: Arc<str>, variables: Variables, target: &Target) -> Self {
        let lists = match target {
            Target::Root { .. } => Vec::new(),
            Target::Entities(lists) => lists.iter().map(names).collect(),
        };
        Self { operation, variables, lists }
    }

    /// Executes it. Entities are looked up one by one: what becomes of one is nothing to the others, where the library would
    /// fail them all, and does not say whose error it is. They run side by side and load together.
    ///
    /// # Errors
    /// Entities that are too many, or not looked up in time.
    pub async fn execute(self, caller: Arc<dyn Caller>, patience: Duration) -> Result<Response, Failure> {
        if self.lists.is_empty() {
            let request = Request::new(&*self.operation).variables(self.variables);
            return Ok(caller.execute(request).await);
        }
        tokio::time::timeout(patience, self.look_up(caller)).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn look_up(mut self, caller: Arc<dyn Caller>) -> Result<Response, Failure> {
        let representations = self.representations();
        if representations.len() > MOST {
            return Err(Failure::TooLarge);
        }
        let Self { operation, variables, lists } = self;
        // Each request is made when its turn comes, for it has a copy of what all of them share.
        let lookups = representations.into_iter().map(|(list, representation)| {
            let mut variables = variables.clone();
            variables.insert(lists[list].1.clone(), Value::List(vec![representation]));
            let caller = caller.clone();
            let request = Request::new(&*operation).variables(variables);
            async move { (list, caller.look_up(request).await) }
        });
        let mut answers = stream::iter(lookups).buffered(AT_ONCE);
        let mut whole = Whole { lists: vec![Vec::new(); lists.len()], errors: Vec::new() };
        while let Some((list, response)) = answers.next().await {
            whole.add((list, &lists[list].0), response);
        }
        drop(answers);
        let Whole { lists: brought, errors } = whole;
        let keys = lists.into_iter().map(|(key, _)| key);
        let mut response =
            Response::new(Value::Object(keys.zip(brought.into_iter().map(Value::List)).collect()));
        response.errors = errors;
        Ok(response)
    }

    /// Takes all representations out of the variables, each with the list that it is of.
    fn representations(&mut self) -> Vec<(usize, Value)> {
        let mut all = Vec::new();
        for (list, (_, name)) in self.lists.iter().enumerate() {
            if let Some(Value::List(own)) = self.variables.insert(name.clone(), Value::List(Vec::new())) {
                all.extend(own.into_iter().map(|representation| (list, representation)));
            }
        }
        all
    }
}

fn names(list: &Entities) -> (Name, Name) {
    let name = list.variable.trim_matches(['"', ':']);
    (Name::new(&list.key), Name::new(name))
}

/// What has come of all lookups so far.
struct Whole {
    lists: Vec<Vec<Value>>,
    errors: Vec<ServerError>,
}

impl Whole {
    /// Adds what has come of the next one of a list.
    fn add(&mut self, (list, key): (usize, &Name), mut response: Response) {
        let number = self.lists[list].len();
        let entity = match &mut response.data {
            Value::Object(data) => match data.get_mut(key) {
                Some(Value::List(entities)) => entities.pop(),
                _ => None,
            },
            _ => None,
        };
        self.lists[list].push(entity.unwrap_or_default());
        for mut error in response.errors {
            error.path = placed(key, number, error.path);
            self.errors.push(error);
        }
    }
}

/// Where an error belongs that a lookup of one representation has: the library leaves its number out, or says 0.
fn placed(key: &Name, number: usize, path: Vec<PathSegment>) -> Vec<PathSegment> {
    let mut rest = path.into_iter().skip(1).peekable();
    if matches!(rest.peek(), Some(PathSegment::Index(_))) {
        rest.next();
    }
    [PathSegment::Field(key.to_string()), PathSegment::Index(number)].into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::HeaderValue;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use futures_util::stream::BoxStream;

    use super::*;
    use crate::gateway::guard::Rights;

    /// Counts what it is asked for, and answers after a while.
    struct Counting {
        asked: AtomicUsize,
        takes: Duration,
    }

    impl Caller for Counting {
        fn execute(self: Arc<Self>, _: Request) -> BoxFuture<'static, Response> {
            unreachable!("no entity is looked up by this")
        }

        fn look_up(self: Arc<Self>, _: Request) -> BoxFuture<'static, Response> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(self.takes).await;
                Response::new(Value::Null)
            }
            .boxed()
        }

        fn subscribe(self: Arc<Self>, _: Request) -> BoxStream<'static, Box<Response>> {
            stream::empty().boxed()
        }

        fn anew(&self) -> Arc<dyn Caller> {
            unreachable!("there is no next event")
        }

        fn token_for(self: Arc<Self>, _: &str) -> BoxFuture<'static, Option<HeaderValue>> {
            std::future::ready(None).boxed()
        }

        fn named_for(self: Arc<Self>, _: &str) -> BoxFuture<'static, Option<BTreeSet<String>>> {
            std::future::ready(None).boxed()
        }

        fn rights(&self) -> Rights {
            Rights::default()
        }

        fn extensions(&self) -> serde_json::Map<String, serde_json::Value> {
            serde_json::Map::new()
        }
    }

    /// What comes of so many lookups that take so long each, and how many of them were begun.
    async fn look_up(count: usize, takes: Duration) -> (Result<(), Failure>, usize) {
        let list = (Name::new("_entities"), Name::new("representations"));
        let representations = (0..count).map(|n| Value::from(n.to_string())).collect();
        let mut variables = Variables::default();
        variables.insert(list.1.clone(), Value::List(representations));
        let call = Call { operation: "".into(), variables, lists: vec![list] };
        let caller = Arc::new(Counting { asked: AtomicUsize::new(0), takes });
        let outcome = call.execute(caller.clone(), Duration::from_millis(200)).await;
        (outcome.map(|_| ()), caller.asked.load(Ordering::Relaxed))
    }

    /// How many entities there are another subgraph says: there is an end to that, and to the time that they take.
    #[tokio::test]
    async fn lookups_have_an_end() {
        assert_eq!(look_up(3, Duration::ZERO).await, (Ok(()), 3));
        assert_eq!(look_up(MOST, Duration::ZERO).await.1, MOST);
        assert_eq!(look_up(MOST + 1, Duration::ZERO).await, (Err(Failure::TooLarge), 0));
        assert_eq!(look_up(MOST, Duration::from_secs(9)).await, (Err(Failure::TimedOut), AT_ONCE));
    }
}
