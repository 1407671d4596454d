//! Bodies of requests, bounded in size and in time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use futures_util::StreamExt;

/// How much of a body that is too large is read on, and for how long.
const FORGOTTEN: usize = 8 * 1024 * 1024;
const FORGETTING: Duration = Duration::from_secs(5);

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub bytes: usize,
    /// For all of it to come.
    pub time: Duration,
}

/// Why a body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    /// The connection ended before the body did.
    Cut,
    /// It did not come in time.
    Slow,
}

impl Unread {
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Cut => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// What the client is told.
    pub fn message(self, limits: Limits) -> String {
        match self {
            Self::TooLarge => format!("The body is over {} bytes.", limits.bytes),
            Self::Cut => "The body ended too early.".to_owned(),
            Self::Slow => format!("The body did not come within {} s.", limits.time.as_secs()),
        }
    }
}

/// The whole body, if it comes in time. One that is too large is read on for a while and forgotten: to answer and close
/// while the client still writes would reset the connection, and the client might never see why.
pub(crate) async fn collect(body: Body, limits: Limits) -> Result<Vec<u8>, Unread> {
    let mut chunks = body.into_data_stream();
    let collected = tokio::time::timeout(limits.time, collect_up_to(&mut chunks, limits.bytes)).await;
    let collected = collected.unwrap_or(Err(Unread::Slow));
    if collected == Err(Unread::TooLarge) {
        let rest = async {
            let mut read = limits.bytes;
            while let Some(Ok(chunk)) = chunks.next().await
                && read < FORGOTTEN
            {
                read += chunk.len();
            }
        };
        let _ = tokio::time::timeout(FORGETTING, rest).await;
    }
    collected
}

async fn collect_up_to(chunks: &mut BodyDataStream, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::Cut)?;
        if bytes.len() + chunk.len() > limit {
            return Err(Unread::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
