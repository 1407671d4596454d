//! Errors of an answer: where they belong, and whose they are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A step of a path: a response key or the number of an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathSegment {
    Key(Box<str>),
    Index(usize),
}

/// An error as a client gets it (GraphQL specification, section 7.1.2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphqlError {
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<PathSegment>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extensions: Map<String, Value>,
}

/// A place in the operation's text, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    pub line: usize,
    pub column: usize,
}

impl GraphqlError {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut extensions = Map::new();
        extensions.insert("code".to_owned(), code.into());
        Self { message: message.into(), locations: Vec::new(), path: None, extensions }
    }

    /// In a line, for people at a terminal.
    pub fn told(&self) -> String {
        let code = self.extensions.get("code").and_then(Value::as_str).unwrap_or_default();
        let places = self.locations.iter().map(|at| format!("{}:{} ", at.line, at.column));
        let message: Vec<&str> = self.message.split_whitespace().collect();
        format!("{}{} ({code})", places.collect::<String>(), message.join(" "))
    }

    pub fn at(self, path: Vec<PathSegment>) -> Self {
        Self { path: Some(path), ..self }
    }

    /// Says which subgraph it is about.
    pub fn of_subgraph(mut self, name: &str) -> Self {
        self.extensions.insert("service".to_owned(), name.into());
        self
    }
}

/// Cuts a message that has more than so many bytes.
pub fn cut(message: &mut String, most: usize) {
    if message.len() > most {
        message.truncate(message.floor_char_boundary(most));
        message.push('…');
    }
}

/// So many errors and no more, and behind them, if there are more, how many.
pub fn at_most(most: usize, errors: impl IntoIterator<Item = GraphqlError>) -> Vec<GraphqlError> {
    let (mut told, mut left_out) = (Vec::new(), 0);
    for error in errors {
        match error.left_out_before() {
            Some(count) => left_out += count,
            None if told.len() < most => told.push(error),
            None => left_out += 1,
        }
    }
    told.extend(GraphqlError::left_out(left_out));
    told
}

impl GraphqlError {
    const LEFT_OUT: &str = "ERRORS_LEFT_OUT";

    /// The last error of an answer that does not tell all of them.
    pub fn left_out(count: usize) -> Option<Self> {
        if count == 0 {
            return None;
        }
        let mut error =
            Self::new(Self::LEFT_OUT, format!("More errors than are told here: {count} are left out."));
        error.extensions.insert("leftOut".to_owned(), count.into());
        Some(error)
    }

    fn left_out_before(&self) -> Option<usize> {
        let is_own = self.extensions.get("code").is_some_and(|code| code == Self::LEFT_OUT);
        let count = self.extensions.get("leftOut").and_then(Value::as_u64).filter(|_| is_own)?;
        usize::try_from(count).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was left out before counts with what is left out now.
    #[test]
    fn errors_are_left_out_in_several_steps() {
        let errors = (0..10).map(|n| GraphqlError::new("C", n.to_string()));
        let first = at_most(5, errors);
        assert_eq!((first.len(), &first[5].extensions["leftOut"]), (6, &Value::from(5)));
        let second = at_most(2, first);
        assert_eq!((second.len(), &second[2].extensions["leftOut"]), (3, &Value::from(8)));
        assert_eq!(second[1].message, "1", "the first ones are told");
        assert_eq!(at_most(5, (0..5).map(|_| GraphqlError::new("C", "m"))).len(), 5);
    }
}
