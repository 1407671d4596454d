//! Calling subgraphs over HTTP.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::execute::errors::GraphqlError;
use super::plan::steps::Step;
use super::supergraph::Supergraph;

/// Why a subgraph has brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or one that ended too early.
    Unreachable,
    TimedOut,
    /// A status that is no success, and no GraphQL beside it.
    Status(u16),
    /// No GraphQL.
    Malformed,
    TooLarge,
    /// The supergraph names a subgraph that it does not have.
    Unknown,
}

impl Failure {
    /// What the client is told; `name` is the subgraph's, if it is told that.
    pub fn error(&self, name: Option<&str>) -> GraphqlError {
        let (code, what) = match self {
            Self::Unreachable => ("SUBGRAPH_UNREACHABLE", "cannot be reached".to_owned()),
            Self::TimedOut => ("SUBGRAPH_TIMEOUT", "did not answer in time".to_owned()),
            Self::Status(status) => ("SUBGRAPH_HTTP_ERROR", format!("answered with status {status}")),
            Self::Malformed => ("SUBGRAPH_MALFORMED_RESPONSE", "did not answer with GraphQL".to_owned()),
            Self::TooLarge => ("SUBGRAPH_RESPONSE_TOO_LARGE", "answered with too much".to_owned()),
            Self::Unknown => ("SUBGRAPH_UNKNOWN", "is not in the supergraph".to_owned()),
        };
        match name {
            Some(name) => GraphqlError::new(code, format!("The subgraph `{name}` {what}.")).of_subgraph(name),
            None => GraphqlError::new(code, format!("A subgraph {what}.")),
        }
    }
}

/// How subgraphs are called.
#[derive(Clone, Debug)]
pub struct Settings {
    pub connect: Duration,
    pub whole: Duration,
    pub answer_bytes: usize,
    /// Whether clients are told which subgraph an error is of.
    pub show_names: bool,
}

/// The connections to all subgraphs.
pub struct Calls {
    client: Client<HttpConnector, Full<Bytes>>,
    settings: Settings,
}

impl Calls {
    pub fn new(settings: Settings) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self { client, settings }
    }

    async fn post(&self, uri: Uri, body: Bytes) -> Result<Bytes, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/graphql-response+json, application/json;q=0.9"),
        );
        let call = async {
            let response = self.client.request(request).await.map_err(|_| Failure::Unreachable)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), self.settings.answer_bytes);
            let bytes = body.collect().await.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() { Failure::TooLarge } else { Failure::Unreachable }
            })?;
            let bytes = bytes.to_bytes();
            let is_graphql = status.is_success() || bytes.first() == Some(&b'{');
            if is_graphql { Ok(bytes) } else { Err(Failure::Status(status.as_u16())) }
        };
        tokio::time::timeout(self.settings.whole, call).await.unwrap_or(Err(Failure::TimedOut))
    }
}

/// The subgraphs as one request of a client calls them.
pub struct Subgraphs<'a> {
    pub calls: &'a Calls,
    pub supergraph: &'a Supergraph,
}

impl<'a> Subgraphs<'a> {
    pub fn fetch(&self, step: &'a Step, body: Vec<u8>) -> impl Future<Output = Result<Bytes, Failure>> + Send + use<'a> {
        let (calls, uri) = (self.calls, self.supergraph.subgraphs.get(&step.subgraph).cloned());
        async move {
            let uri = uri.ok_or(Failure::Unknown)?;
            calls.post(uri, body.into()).await
        }
    }

    pub fn shown_name<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.calls.settings.show_names.then_some(name)
    }
}

