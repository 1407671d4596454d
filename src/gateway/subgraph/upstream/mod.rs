//! Subscriptions of subgraphs: each one a connection of its own, read only as fast as its client takes what comes.

mod sse;
mod websocket;

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use futures_util::stream::{BoxStream, StreamExt};
use serde::Deserialize;

use super::client::SubgraphClient;
use super::failure::Failure;
use super::tokens::Tokens;

/// How a subgraph is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// `graphql-transport-ws`.
    #[default]
    WebSocket,
    /// GraphQL over Server-Sent Events, "distinct connections mode".
    Sse,
}

/// The answers of a subscription, as they come; a failure is the last of them.
pub type Events = BoxStream<'static, Result<Bytes, Failure>>;

impl SubgraphClient {
    /// Begins a subscription. `body` is the request as it would be sent by POST.
    pub async fn subscribe(
        &self,
        body: Bytes,
        headers: HeaderMap,
        tokens: Option<Tokens>,
    ) -> Result<Events, Failure> {
        if self.is_open() {
            return Err(Failure::CircuitOpen);
        }
        let opening = async {
            match self.settings().subscriptions {
                Protocol::WebSocket => {
                    let place = self.subscriptions_uri();
                    websocket::open((place, headers), body, self.settings()).await.map(StreamExt::boxed)
                }
                Protocol::Sse => sse::open(self.clone(), (body, headers, tokens)).await.map(StreamExt::boxed),
            }
        };
        let opened = self.in_time(opening).await;
        self.note(opened.as_ref().map(drop).map_err(|failure| *failure));
        opened
    }

    /// Where subscriptions are: where everything else is, if nothing else is said.
    fn subscriptions_uri(&self) -> Uri {
        let text = self.settings().subscriptions_url.trim();
        text.parse().ok().filter(|_| !text.is_empty()).unwrap_or_else(|| self.uri().clone())
    }
}
