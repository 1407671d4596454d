//! Parsed operations: half of the cost of a small query is its parsing.

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::parser::{parse_query, parse_schema};
use async_graphql::{Request, Response, ServerError, Value};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::outcome;
use super::secrets::SecretNames;
use crate::error::{Code, Error};

/// A longer text is parsed each time: a parsed document is many times its text.
const MAX_KEPT: usize = 16 * 1024;
/// For the cache's first size; what bounds it are the bytes.
const TYPICAL: usize = 500;

/// Documents that were executed, by their text.
pub struct Documents {
    known: Cache<Arc<str>, Arc<ExecutableDocument>, TextLength>,
    secrets: SecretNames,
}

#[derive(Clone)]
struct TextLength;

impl Weighter<Arc<str>, Arc<ExecutableDocument>> for TextLength {
    fn weight(&self, text: &Arc<str>, _: &Arc<ExecutableDocument>) -> u64 {
        text.len() as u64
    }
}

/// A document that is not known yet. It is kept only once it has proved to be valid: else anybody could fill the
/// cache with what no limit has looked at.
pub struct Unknown {
    text: Arc<str>,
    document: Arc<ExecutableDocument>,
}

impl Documents {
    /// For the schema whose text is `sdl`; keeps documents of together `bytes` of text.
    pub fn new(bytes: usize, sdl: &str) -> anyhow::Result<Self> {
        let known = Cache::with_weighter(bytes / TYPICAL, bytes as u64, TextLength);
        Ok(Self { known, secrets: SecretNames::of_schema(&parse_schema(sdl)?) })
    }

    /// Puts the parsed document into `request`.
    ///
    /// # Errors
    /// The answer to give where it cannot be parsed (GRAPHQL_PARSE_FAILED) or holds a secret (BAD_USER_INPUT).
    pub fn prepare(&self, mut request: Request) -> Result<(Request, Option<Unknown>), Box<Response>> {
        if let Some(document) = self.known.get(request.query.as_str()) {
            request.set_parsed_query(ExecutableDocument::clone(&document));
            return Ok((request, None));
        }
        let document = parse_query(&request.query).map_err(refuse)?;
        if let Some(name) = self.secrets.literal_in(&document) {
            let message = format!("{name} is a Secret: give it by a variable, not in the document.");
            return Err(Box::new(outcome::refuse(&Error::client(Code::BadUserInput, message))));
        }
        let unknown = (request.query.len() <= MAX_KEPT)
            .then(|| Unknown { text: request.query.as_str().into(), document: Arc::new(document.clone()) });
        request.set_parsed_query(document);
        Ok((request, unknown))
    }

    /// Keeps a document that was executed.
    pub fn keep(&self, unknown: Unknown) {
        self.known.insert(unknown.text, unknown.document);
    }
}

fn refuse(error: async_graphql::parser::Error) -> Box<Response> {
    let mut error = ServerError::from(error);
    error.extensions.get_or_insert_default().set("code", Value::from(Code::ParseFailed.as_str()));
    Box::new(Response::from_errors(vec![error]))
}
