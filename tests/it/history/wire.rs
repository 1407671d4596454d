//! GraphQL over one kept connection, as light as it can be: the checker must not be slower than what it checks.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use accounts_center::link_graph::graphql::{Experience, LinkStatus};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub const MIN_VERSION: &str = "accounts-center-min-version";

/// What most reads ask for.
pub const HUB: &str = "query Hub { viewer { version displayName profiles { id status } } }";
/// All that there is to compare.
pub const WHOLE: &str = "query Whole { viewer { version eventCursor displayName profiles { id status } linkGraph { \
    version profiles { id status } connections { source { id } target { id } \
    grants { experience paused } } } } }";
pub const RENAME: &str = "mutation Rename($input: UpdateAccountInput!) { done: updateAccount(input: $input) { \
    account { version displayName profiles { id status } } userErrors { code } } }";
pub const UNLINK: &str = "mutation Unlink($input: UnlinkProfileInput!) { done: unlinkProfile(input: $input) { \
    account { version displayName profiles { id status } } userErrors { code } } }";
pub const KEEP: &str = "mutation Keep($input: KeepProfileInput!) { done: keepProfile(input: $input) { \
    account { version displayName profiles { id status } } userErrors { code } } }";

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nobody listens: it was never sent.
    Refused,
    /// The connection ended before the answer was there.
    Cut,
    /// The answer took too long.
    TimedOut,
    /// The server says that it cannot now.
    Unavailable,
    /// The server says that something went wrong inside.
    Internal,
}

impl Lost {
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Cut => "cut",
            Self::TimedOut => "timed out",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal error",
        }
    }
}

/// A connection to a replica.
pub struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

impl Line {
    pub async fn open(address: SocketAddr) -> Option<Self> {
        let connect = async {
            let stream = TcpStream::connect(address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            http1::handshake(TokioIo::new(stream)).await.ok()
        };
        let (sender, connection) = tokio::time::timeout(PATIENCE, connect).await.ok()??;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Some(Self { sender, _driver: AbortOnDropHandle::new(driver) })
    }

    /// The body of the answer to one operation.
    pub async fn post(&mut self, body: Bytes, token: &HeaderValue, min: Option<i64>) -> Result<Bytes, Lost> {
        let mut request = hyper::Request::post("/graphql")
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, token);
        if let Some(min) = min {
            request = request.header(MIN_VERSION, min);
        }
        let request = request.body(Full::new(body)).expect("a request of ours");
        let answer = async {
            self.sender.ready().await.ok()?;
            let response = self.sender.send_request(request).await.ok()?;
            Some(response.into_body().collect().await.ok()?.to_bytes())
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err(Lost::Cut),
            Err(_) => Err(Lost::TimedOut),
        }
    }
}

/// An operation as it is sent.
pub fn body(query: &str, variables: &serde_json::Value) -> Bytes {
    serde_json::json!({ "query": query, "variables": variables }).to_string().into()
}

/// An answer as far as the checker looks at it.
#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow)]
    pub data: Option<Data<'a>>,
    #[serde(default)]
    pub errors: Vec<TopError>,
    #[serde(default)]
    pub extensions: Extensions,
}

#[derive(Deserialize)]
pub struct Data<'a> {
    #[serde(borrow)]
    pub viewer: Option<AccountShown<'a>>,
    #[serde(borrow)]
    pub done: Option<Payload<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload<'a> {
    #[serde(borrow)]
    pub account: Option<AccountShown<'a>>,
    pub user_errors: Vec<UserErrorShown>,
}

#[derive(Deserialize)]
pub struct UserErrorShown {
    pub code: String,
}

#[derive(Debug, Deserialize)]
pub struct TopError {
    pub message: String,
    #[serde(default)]
    pub extensions: ErrorExtensions,
}

#[derive(Debug, Default, Deserialize)]
pub struct ErrorExtensions {
    #[serde(default)]
    pub code: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
    pub accounts_center: Option<Told>,
}

/// What the server tells of itself beside the data.
#[derive(Clone, Copy, Deserialize)]
pub struct Told {
    pub version: i64,
}

/// An account as an answer or an event shows it: names and ids need no escapes, so they are read in place.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountShown<'a> {
    pub version: i64,
    #[serde(borrow)]
    pub event_cursor: Option<&'a str>,
    #[serde(borrow)]
    pub display_name: Option<&'a str>,
    #[serde(borrow)]
    pub profiles: Option<Vec<ProfileShown<'a>>>,
    #[serde(borrow)]
    pub link_graph: Option<GraphShown<'a>>,
}

#[derive(Deserialize)]
pub struct ProfileShown<'a> {
    pub id: &'a str,
    pub status: LinkStatus,
}

#[derive(Deserialize)]
pub struct GraphShown<'a> {
    pub version: i64,
    #[serde(borrow)]
    pub profiles: Vec<ProfileShown<'a>>,
    #[serde(borrow)]
    pub connections: Vec<ConnectionShown<'a>>,
}

#[derive(Deserialize)]
pub struct ConnectionShown<'a> {
    #[serde(borrow)]
    pub source: Named<'a>,
    #[serde(borrow)]
    pub target: Named<'a>,
    pub grants: Vec<GrantShown>,
}

#[derive(Deserialize)]
pub struct Named<'a> {
    pub id: &'a str,
}

#[derive(Deserialize)]
pub struct GrantShown {
    pub experience: Experience,
    pub paused: bool,
}

/// The number of the event that a cursor stands behind: its first 8 bytes. A client has no business with them.
pub fn position_of(cursor: &str) -> Option<i64> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).ok()?;
    Some(i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?))
}
