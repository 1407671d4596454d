//! The line that each request leaves in the log, and the id that it is known by.

use std::time::Duration;

use axum::http::{HeaderValue, Request, Response};
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::trace::{
    DefaultOnBodyChunk, DefaultOnEos, DefaultOnRequest, MakeSpan, OnResponse, TraceLayer,
};
use tracing::Span;
use tracing::field::Empty;

use crate::gateway::REQUEST_ID;
use crate::ids::Ids;

/// What is laid around a router, outermost first.
pub(crate) type Layers = (SetRequestIdLayer<NewIds>, LinesLayer, PropagateRequestIdLayer);

type LinesLayer = TraceLayer<
    SharedClassifier<ServerErrorsAsFailures>,
    Lines,
    DefaultOnRequest,
    Lines,
    DefaultOnBodyChunk,
    DefaultOnEos,
    (),
>;

/// Names requests that bear no id by `ids`, and logs them all; quietly for a developer, who does not want to see that.
pub(crate) fn layers(ids: Ids, is_quiet: bool) -> Layers {
    let lines = Lines { is_quiet };
    (
        SetRequestIdLayer::new(REQUEST_ID, NewIds(ids)),
        TraceLayer::new_for_http().make_span_with(lines).on_response(lines).on_failure(()),
        PropagateRequestIdLayer::new(REQUEST_ID),
    )
}

/// Names requests that bear no id.
#[derive(Clone)]
pub(crate) struct NewIds(Ids);

impl MakeRequestId for NewIds {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let id = format!("{:032x}", u128::from_be_bytes(self.0.bytes()));
        HeaderValue::try_from(id).ok().map(RequestId::new)
    }
}

/// One line for each request.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    is_quiet: bool,
}

impl<B> MakeSpan<B> for Lines {
    /// The path and nothing else, as a query string has variables; the operation comes once it is read.
    fn make_span(&mut self, request: &Request<B>) -> Span {
        let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
        let id = id.map(cut);
        let (method, path) = (cut(request.method().as_str()), cut(request.uri().path()));
        if self.is_quiet {
            tracing::debug_span!("request", id, method, path, operation = Empty)
        } else {
            tracing::info_span!("request", id, method, path, operation = Empty)
        }
    }
}

impl<B> OnResponse<B> for Lines {
    fn on_response(self, response: &Response<B>, took: Duration, _: &Span) {
        let (status, ms) = (response.status().as_u16(), took.as_secs_f64() * 1e3);
        if self.is_quiet {
            tracing::debug!(status, ms, "answered");
        } else {
            tracing::info!(status, ms, "answered");
        }
    }
}

/// Of what a client has made up.
fn cut(text: &str) -> &str {
    const LONGEST: usize = 100;
    &text[..text.floor_char_boundary(LONGEST)]
}

/// Says in the log which operation it is: that of this name, or the first one of the document.
pub(crate) fn note(operation_name: Option<&str>, document: &str) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    let named = operation_name.filter(|name| name_at(name).len() == name.len());
    span.record("operation", named.or_else(|| first_name(document)));
}

/// The name of the first operation of a document that begins with one.
fn first_name(document: &str) -> Option<&str> {
    let document = document.trim_start();
    let kinds = ["query", "mutation", "subscription"];
    let rest = kinds.iter().find_map(|kind| document.strip_prefix(kind))?;
    let name = rest.trim_start();
    Some(name_at(name)).filter(|found| !found.is_empty() && name.len() < rest.len())
}

/// The name that a text begins with, if it is not too long for a log; else nothing.
fn name_at(text: &str) -> &str {
    const LONGEST: usize = 100;
    let is_of_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let length = text.bytes().take_while(|byte| is_of_name(*byte)).count();
    let is_name = length <= LONGEST && text.starts_with(|first: char| !first.is_ascii_digit());
    text.get(..length).filter(|_| is_name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log gets names, and nothing else that a client writes into a document or calls a name.
    #[test]
    fn nothing_but_a_name_is_a_name() {
        for (document, name) in [
            ("query Shop($id: ID!) { a }", Some("Shop")),
            ("\n mutation\tBuy2{ a }", Some("Buy2")),
            ("subscription _x @d { a }", Some("_x")),
            ("query { password }", None),
            ("query($secret: ID) { a }", None),
            ("queryShop { a }", None),
            ("{ a }", None),
            ("fragment F on Q { a } query Q { a }", None),
            ("query 2a { a }", None),
            ("", None),
        ] {
            assert_eq!(first_name(document), name, "{document}");
        }
        assert_eq!(name_at(&"a".repeat(101)), "");
        assert_eq!(name_at("a b"), "a");
        assert_eq!(cut(&format!("/{}", "é".repeat(100))).len(), 99);
        assert_eq!(cut("/graphql"), "/graphql");
    }
}
