//! The accounts graph, or one that it is the centre of, behind sockets.

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::Request;
use axum::http::HeaderMap;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Admitted, Close, Endpoint, Sockets};
use crate::config;
use crate::endings::Awaited;
use crate::graph::{Asked, Execution};
use crate::http::Wire;
use crate::http::graphql::bearer;
use crate::limits::SocketSlot;
use crate::limits::waiting::Room;
use crate::session::{Cookies, Viewer};
use crate::verification::Client;

/// Where a socket comes from.
pub(crate) struct Visitor {
    pub client: Client,
    /// It has shown the token of a federation router, for all that is asked over it (S28).
    pub is_router: bool,
    /// What of its headers other subgraphs can depend on, where there are any.
    pub headers: Option<Arc<HeaderMap>>,
}

/// Whoever speaks over a socket: nobody, or somebody in a session, and what waits for its end.
pub(crate) type Speaker = Option<(Viewer, Awaited<Uuid>)>;

impl Endpoint for Wire {
    type Visitor = Visitor;
    type Speaker = Speaker;

    fn settings(&self) -> &config::Http {
        &self.app.config.http
    }

    fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    fn place(&self, visitor: &Visitor, address: Option<IpAddr>) -> Option<SocketSlot> {
        let quotas = &self.sockets.quotas;
        if visitor.is_router { Some(quotas.open_for_router(address)) } else { quotas.open(address) }
    }

    async fn admit(&self, _: &Visitor, authorization: Option<String>) -> Result<Admitted<Speaker>, Close> {
        let Some(authorization) = authorization else {
            return Ok(Admitted { speaker: None, account: None, until: None });
        };
        let viewer = bearer(self, &authorization).map_err(|_| Close::Forbidden)?;
        self.require_session(viewer).await?;
        let end = self.app.ended.watch(viewer.session, &self.sockets.stop);
        Ok(Admitted { speaker: Some((viewer, end)), account: Some(viewer.account), until: None })
    }

    fn ended<'a>(&self, speaker: &'a Speaker) -> Option<&'a CancellationToken> {
        speaker.as_ref().map(|(_, end)| end.token())
    }

    async fn check(&self, speaker: &Speaker) -> Result<(), Close> {
        match speaker {
            Some((viewer, _)) => self.require_session(*viewer).await,
            None => Ok(()),
        }
    }

    fn execute(&self, visitor: &Visitor, speaker: &Speaker, request: Request, room: Room) -> Execution {
        let viewer = speaker.as_ref().map(|(viewer, _)| *viewer);
        let (client, headers) = (visitor.client.clone(), visitor.headers.clone().unwrap_or_default());
        let asked =
            Asked { viewer, client, at_least: 0, by_get: false, cookies: Cookies::default(), headers };
        let operations = if visitor.is_router { &self.for_routers } else { &self.operations };
        operations.execute_stream(request, asked, Some(room))
    }
}

impl Wire {
    async fn require_session(&self, viewer: Viewer) -> Result<(), Close> {
        match self.app.ended.has_ended(viewer).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Close::SessionEnded),
            Err(error) => {
                error.log();
                Err(Close::Unavailable)
            }
        }
    }
}
