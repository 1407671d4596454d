//! Parsed operations: half of the cost of a small query is its parsing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Name, Request, Response, ServerError, Value, Variables};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::answers::Marks;
use super::secrets::SecretNames;
use super::{introspection, outcome, size};
use crate::error::{Code, Error};

/// A longer text is parsed each time: a parsed document is many times its text.
const MAX_KEPT: usize = 16 * 1024;
/// For the cache's first size; what bounds it are the bytes.
const TYPICAL: usize = 500;

/// Documents that were executed, by their text.
pub struct Documents {
    known: Cache<Arc<str>, Arc<Known>, TextLength>,
    /// Counts those that were kept, to name them.
    kept: AtomicU64,
    secrets: SecretNames,
    marks: Marks,
}

/// A document that was executed.
struct Known {
    text: Arc<str>,
    document: Arc<ExecutableDocument>,
    /// Its name, if its answers can be remembered.
    number: Option<u64>,
    /// No operation of it has variables: that it was valid once says that it always is.
    is_constant: bool,
    coverage: Coverage,
}

/// Whether our graph alone answers a document: the number of a supergraph, with the answer as its last bit.
#[derive(Default)]
struct Coverage(AtomicU64);

impl Coverage {
    fn of(&self, supergraph: u64, find: impl FnOnce() -> bool) -> bool {
        let known = self.0.load(Ordering::Relaxed);
        if known & !1 == supergraph & !1 && known != 0 {
            return known & 1 == 1;
        }
        let found = find();
        self.0.store(supergraph & !1 | u64::from(found), Ordering::Relaxed);
        found
    }
}

#[derive(Clone)]
struct TextLength;

impl Weighter<Arc<str>, Arc<Known>> for TextLength {
    fn weight(&self, text: &Arc<str>, _: &Arc<Known>) -> u64 {
        text.len() as u64
    }
}

/// An operation that can be executed.
pub struct Prepared {
    pub request: Request,
    /// Shared by all who ask for the same, once it was executed.
    pub text: Arc<str>,
    pub document: Arc<ExecutableDocument>,
    pub unknown: Option<Unknown>,
    /// The name of the document in this process, if its answers can be remembered.
    pub number: Option<u64>,
    /// Whether it need not be validated again, whatever its variables are.
    pub is_validated: bool,
    known: Option<Arc<Known>>,
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
        let schema = parse_schema(sdl)?;
        let (secrets, marks) = (SecretNames::of_schema(&schema), Marks::of_schema(&schema));
        Ok(Self { known, kept: AtomicU64::new(0), secrets, marks })
    }

    /// Finds out what `request` asks for.
    ///
    /// # Errors
    /// The answer to give where it cannot be parsed (GRAPHQL_PARSE_FAILED) or holds a secret (BAD_USER_INPUT).
    pub fn prepare(&self, mut request: Request) -> Result<Prepared, Box<Response>> {
        if let Some(known) = self.known.get(request.query.as_str()) {
            check(&known.document, &mut request)?;
            let (text, document, number) = (known.text.clone(), known.document.clone(), known.number);
            let (is_validated, known) = (known.is_constant, Some(known));
            return Ok(Prepared { request, text, document, unknown: None, number, is_validated, known });
        }
        let document = Arc::new(ExecutableDocument::clone(request.parsed_query().map_err(refuse)?));
        if let Some(name) = self.secrets.literal_in(&document) {
            let message = format!("{name} is a Secret: give it by a variable, not in the document.");
            return Err(Box::new(outcome::refuse(&Error::client(Code::BadUserInput, message))));
        }
        if size::is_too_large(&document) {
            let message =
                "The document has too many selections, those of fragments counted wherever they are spread.";
            return Err(Box::new(outcome::refuse(&Error::client(Code::QueryTooComplex, message))));
        }
        if introspection::is_too_deep(&document) {
            let message =
                "Introspection nests `fields`, `inputFields`, `interfaces` or `possibleTypes` too deep.";
            return Err(Box::new(outcome::refuse(&Error::client(Code::QueryTooComplex, message))));
        }
        check(&document, &mut request)?;
        let text = Arc::<str>::from(request.query.as_str());
        let unknown =
            (text.len() <= MAX_KEPT).then(|| Unknown { text: text.clone(), document: document.clone() });
        Ok(Prepared { request, text, document, unknown, number: None, is_validated: false, known: None })
    }

    /// Why an operation must not come by GET, if it must not: it changes something, or its secret would stand in
    /// a URL, which is kept in logs.
    pub fn needs_post(&self, prepared: &Prepared) -> Option<Error> {
        if prepared.may_change() {
            let message = "A mutation is sent by POST; GET is for queries.";
            return Some(Error::client(Code::BadUserInput, message));
        }
        let secret = self.secrets.given_to(&prepared.document, &prepared.request.variables)?;
        let message = format!("${secret} is a Secret: send the operation by POST, not in a URL.");
        Some(Error::client(Code::BadUserInput, message))
    }

    /// Keeps a document that was executed.
    pub fn keep(&self, unknown: Unknown) {
        let Unknown { text, document } = unknown;
        let number = self.marks.cover(&document).then(|| self.kept.fetch_add(1, Ordering::Relaxed));
        let is_constant =
            document.operations.iter().all(|(_, operation)| operation.node.variable_definitions.is_empty());
        let coverage = Coverage::default();
        self.known.insert(text.clone(), Arc::new(Known { text, document, number, is_constant, coverage }));
    }
}

impl Prepared {
    /// The operation, if it is a subscription.
    pub fn subscription(&self) -> Option<&OperationDefinition> {
        operation(&self.document, self.request.operation_name.as_deref())
            .filter(|operation| operation.ty == OperationType::Subscription)
    }

    /// Whether our graph alone answers it, in `supergraph`, as `find` finds out once.
    pub fn is_covered(&self, supergraph: u64, find: impl FnOnce(&ExecutableDocument) -> bool) -> bool {
        match &self.known {
            Some(known) => known.coverage.of(supergraph, || find(&self.document)),
            None => find(&self.document),
        }
    }

    /// Whether the operation is a mutation, or one of its document is where it is not clear which one is meant.
    pub fn may_change(&self) -> bool {
        match operation(&self.document, self.request.operation_name.as_deref()) {
            Some(operation) => operation.ty == OperationType::Mutation,
            None => self.document.operations.iter().any(|(_, one)| one.node.ty == OperationType::Mutation),
        }
    }

    /// Those of `variables` that the operation declares.
    pub fn declared<'a>(&self, variables: &'a Variables) -> BTreeMap<&'a Name, &'a Value> {
        let operation = operation(&self.document, self.request.operation_name.as_deref());
        let declared = operation.map_or(&[][..], |operation| &operation.variable_definitions);
        let is_declared = |name: &Name| declared.iter().any(|variable| variable.node.name.node == *name);
        variables.iter().filter(|(name, _)| is_declared(name)).collect()
    }

    /// The request with its parsed document in it: the library executes a copy.
    pub fn into_request(mut self) -> Request {
        if self.unknown.is_none() {
            self.request.set_parsed_query(ExecutableDocument::clone(&self.document));
        }
        self.request
    }
}

/// The operation that is asked for, if it is clear which one that is.
fn operation<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let mut named = document.operations.iter().filter(|(own, _)| match (name, own) {
        (Some(name), Some(own)) => own.as_str() == name,
        (Some(_), None) => false,
        (None, _) => true,
    });
    let (_, first) = named.next()?;
    named.next().is_none().then_some(&first.node)
}

/// The first variable that the operation needs and that is not given. The library takes it for null and goes on,
/// past mutations that come before the one that misses it.
fn missing_variable(document: &ExecutableDocument, request: &Request) -> Option<String> {
    let operation = operation(document, request.operation_name.as_deref())?;
    let needed = operation.variable_definitions.iter().map(|variable| &variable.node);
    needed
        .filter(|variable| !variable.var_type.node.nullable && variable.default_value.is_none())
        .find(|variable| matches!(request.variables.get(&variable.name.node), None | Some(Value::Null)))
        .map(|variable| format!("${}: {}", variable.name.node, variable.var_type.node))
}

/// Gives variables that are absent their defaults: the library itself does not where `@skip` and `@include` ask.
fn default_variables(document: &ExecutableDocument, request: &mut Request) {
    let Some(operation) = operation(document, request.operation_name.as_deref()) else { return };
    for variable in &operation.variable_definitions {
        let name = &variable.node.name.node;
        if let (Some(default), None) = (&variable.node.default_value, request.variables.get(name)) {
            request.variables.insert(name.clone(), default.node.clone());
        }
    }
}

/// Makes variables complete, or says which one is missing.
fn check(document: &ExecutableDocument, request: &mut Request) -> Result<(), Box<Response>> {
    default_variables(document, request);
    let Some(variable) = missing_variable(document, request) else { return Ok(()) };
    let message = format!("The variable {variable} is not given, and it must not be null.");
    Err(Box::new(outcome::refuse(&Error::client(Code::ValidationFailed, message))))
}

fn refuse(mut error: ServerError) -> Box<Response> {
    error.extensions.get_or_insert_default().set("code", Value::from(Code::ParseFailed.as_str()));
    Box::new(Response::from_errors(vec![error]))
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    #[test]
    fn only_variables_that_the_operation_declares_count() {
        let documents = Documents::new(1024, "type Query { a(b: Int): Int }").unwrap();
        let query = "query One($b: Int) { a(b: $b) } query Other($c: Int) { a(b: $c) }";
        let given = Variables::from_value(value!({ "b": 1, "c": 2, "waste": "x" }));
        let request = Request::new(query).operation_name("One").variables(given.clone());
        let Ok(prepared) = documents.prepare(request) else { panic!("it is valid") };
        let declared: Vec<_> = prepared.declared(&given).into_keys().map(Name::as_str).collect();
        assert_eq!(declared, ["b"]);
    }
}
