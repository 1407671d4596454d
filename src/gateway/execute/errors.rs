//! Errors of an answer: where they belong, and whose they are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A step of a path: a response key or the number of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// An error as a subgraph answers it. What is not as the specification says is left out, and never hides the rest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubgraphError {
    message: Value,
    path: Value,
    extensions: Value,
}

impl SubgraphError {
    /// The code of an error for which the subgraph gives none.
    const CODE: &str = "DOWNSTREAM_SERVICE_ERROR";

    /// Where it is in the subgraph's answer.
    pub fn path(&self) -> Option<Vec<PathSegment>> {
        Vec::deserialize(&self.path).ok().filter(|path| !path.is_empty())
    }

    /// For the client, without a path.
    pub fn into_error(self, subgraph: Option<&str>) -> GraphqlError {
        let message = match self.message {
            Value::String(message) => message,
            _ => "The subgraph gave an error without a message.".to_owned(),
        };
        let mut extensions = match self.extensions {
            Value::Object(extensions) => extensions,
            _ => Map::new(),
        };
        extensions.entry("code").or_insert_with(|| Self::CODE.into());
        let error = GraphqlError { message, locations: Vec::new(), path: None, extensions };
        match subgraph {
            Some(name) => error.of_subgraph(name),
            None => error,
        }
    }
}
