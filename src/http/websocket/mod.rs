//! GraphQL over WebSocket: the `graphql-transport-ws` protocol.
//!
//! One task for each socket, which reads, executes and writes. Nothing is queued for a client: while it does
//! not read, its subscriptions are not polled, and after `http.send_seconds` the socket is dropped.

mod accounts;
mod close;
mod connection;
mod messages;

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::Request;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::config;
use crate::graph::Execution;
use crate::limits::waiting::Room;
use crate::limits::{SocketQuotas, SocketSlot};
use connection::Connection;

pub(super) use accounts::Visitor;
pub(crate) use close::Close;
pub(crate) use connection::MAX_ANSWER;

const PROTOCOL: &str = "graphql-transport-ws";

/// What the sockets of one server share.
pub(crate) struct Sockets {
    /// Origins of browsers that may open one.
    pub origins: Vec<String>,
    pub quotas: SocketQuotas,
    /// Those that are open, which the HTTP server itself has let go of.
    pub open: TaskTracker,
    pub stop: CancellationToken,
}

/// What is behind sockets: it knows who speaks over one, and executes what they ask for.
pub(crate) trait Endpoint: Send + Sync + 'static {
    /// What is known of a socket before anybody has said who they are.
    type Visitor: Send + Sync;
    /// Whoever has said so, or wishes to be nobody.
    type Speaker: Send + Sync;

    fn settings(&self) -> &config::Http;

    fn sockets(&self) -> &Sockets;

    /// A place for a socket from `address`; `None` if there is none.
    fn place(&self, _: &Self::Visitor, address: Option<IpAddr>) -> Option<SocketSlot> {
        self.sockets().quotas.open(address)
    }

    /// Finds out who speaks, by the `authorization` of the first message.
    fn admit(
        &self,
        visitor: &Self::Visitor,
        authorization: Option<String>,
    ) -> impl Future<Output = Result<Admitted<Self::Speaker>, Close>> + Send;

    /// What is cancelled once the speaker's session has ended, or the server is to stop.
    fn ended<'a>(&self, speaker: &'a Self::Speaker) -> Option<&'a CancellationToken>;

    /// Checks before an operation that the speaker's session goes on. A socket is told of its end; this is for when that
    /// cannot be known just now.
    fn check(&self, speaker: &Self::Speaker) -> impl Future<Output = Result<(), Close>> + Send;

    /// What is told has this room until the client takes it.
    fn execute(
        &self,
        visitor: &Self::Visitor,
        speaker: &Self::Speaker,
        request: Request,
        room: Room,
    ) -> Execution;
}

/// Somebody who may speak.
pub(crate) struct Admitted<S> {
    pub speaker: S,
    /// Whose places they take; nobody's are limited together.
    pub account: Option<Uuid>,
    /// When what they have shown is good no longer, if that ends the socket.
    pub until: Option<Instant>,
}

/// Opens a socket from `address`, if the browser's page may.
pub(crate) fn open<E: Endpoint>(
    endpoint: Arc<E>,
    (visitor, address): (E::Visitor, Option<IpAddr>),
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let sockets = endpoint.sockets();
    // A browser always says where its page is from; a page of somebody else must not use this person's rights.
    if let Some(origin) = headers.get(header::ORIGIN)
        && !sockets.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    {
        return (StatusCode::FORBIDDEN, "this origin is not in http.allowed_origins").into_response();
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let speaks = offered.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    if !speaks.map(str::trim).any(|protocol| protocol == PROTOCOL) {
        return (StatusCode::BAD_REQUEST, "offer the WebSocket protocol graphql-transport-ws")
            .into_response();
    }
    let Some(slot) = endpoint.place(&visitor, address) else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many sockets are open from this address")
            .into_response();
    };
    let limit = endpoint.settings().body_limit;
    upgrade
        .protocols([PROTOCOL])
        // The defaults cost 128 KiB a socket.
        .read_buffer_size(1024)
        .write_buffer_size(0)
        // With the frame around it, and a pong that waits.
        .max_write_buffer_size(MAX_ANSWER + 1024)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(async move |socket| {
            // Counted, so that a stopping server waits until it has said farewell. In a task of its own: the one that
            // upgraded keeps what it needed for that.
            let open = endpoint.sockets().open.clone();
            open.spawn(Connection::new(endpoint, visitor, slot).run(socket));
        })
}

/// What is kept of its headers as long as it is open would be too much.
pub(crate) fn too_large_headers() -> Response {
    (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large for a socket").into_response()
}

/// Whether a request wants to become a socket, though it may not be able to.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
