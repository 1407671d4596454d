//! Calling the subgraph of this process: its values come as they are, without text between.

use std::sync::Arc;

use async_graphql::{Name, PathSegment, Request, Response, ServerError, Value, Variables};
use futures_util::stream::{self, StreamExt};

use crate::gateway::caller::Caller;
use crate::gateway::plan::steps::{Entities, Target};

/// Entities that are looked up at one time.
const AT_ONCE: usize = 200;

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
    pub async fn execute(self, caller: Arc<dyn Caller>) -> Response {
        if self.lists.is_empty() {
            let request = Request::new(&*self.operation).variables(self.variables);
            return caller.execute(request).await;
        }
        let single = self.singles();
        let lookups = single.into_iter().map(|(list, request)| {
            let caller = caller.clone();
            async move { (list, caller.look_up(request).await) }
        });
        let mut answers = stream::iter(lookups).buffered(AT_ONCE);
        let mut whole = Whole { lists: vec![Vec::new(); self.lists.len()], errors: Vec::new() };
        while let Some((list, response)) = answers.next().await {
            whole.add((list, &self.lists[list].0), response);
        }
        let Whole { lists, errors } = whole;
        let keys = self.lists.into_iter().map(|(key, _)| key);
        let mut response =
            Response::new(Value::Object(keys.zip(lists.into_iter().map(Value::List)).collect()));
        response.errors = errors;
        response
    }

    /// A request for each representation, with the list that it is of.
    fn singles(&self) -> Vec<(usize, Request)> {
        let mut common = self.variables.clone();
        let lists = self.lists.iter().map(|(_, name)| common.insert(name.clone(), Value::List(Vec::new())));
        let lists: Vec<Vec<Value>> = lists
            .map(|list| match list {
                Some(Value::List(list)) => list,
                _ => Vec::new(),
            })
            .collect();
        let mut singles = Vec::new();
        for (list, representations) in lists.into_iter().enumerate() {
            for representation in representations {
                let mut variables = common.clone();
                variables.insert(self.lists[list].1.clone(), Value::List(vec![representation]));
                singles.push((list, Request::new(&*self.operation).variables(variables)));
            }
        }
        singles
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
