//! Parsed operations: half of the cost of a small query is its parsing.

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Request, Response, ServerError, Value};
use quick_cache::sync::Cache;

use crate::error::Code;

/// Documents that parsed, by their text. Bounded by count; the body limit bounds each.
pub struct Documents(Cache<Arc<str>, Arc<ExecutableDocument>>);

impl Documents {
    pub fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// Puts the parsed document into `request`.
    ///
    /// # Errors
    /// The answer to give where it cannot be parsed: GRAPHQL_PARSE_FAILED.
    pub fn prepare(&self, mut request: Request) -> Result<Request, Box<Response>> {
        let document = match self.0.get(request.query.as_str()) {
            Some(document) => document,
            None => {
                let parsed = async_graphql::parser::parse_query(&request.query).map_err(refuse)?;
                let document = Arc::new(parsed);
                self.0.insert(request.query.as_str().into(), document.clone());
                document
            }
        };
        request.set_parsed_query(ExecutableDocument::clone(&document));
        Ok(request)
    }
}

fn refuse(error: async_graphql::parser::Error) -> Box<Response> {
    let mut error = ServerError::from(error);
    error.extensions.get_or_insert_default().set("code", Value::from(Code::ParseFailed.as_str()));
    Box::new(Response::from_errors(vec![error]))
}
