//! A platform team's subgraph: it knows how many followers a profile has, tells of new ones, and writes down all it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_graphql::{Context, EmptyMutation, EmptySubscription, Object, Schema, SimpleObject};
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::support::eventually;

/// What it can be asked for.
pub const SDL: &str = include_str!("extra.graphql");

/// Between two comments.
const CHAT: Duration = Duration::from_millis(200);

/// A call as it came; of a WebSocket its `subscribe`.
#[derive(Clone, Debug)]
pub struct Call {
    pub body: Value,
    pub headers: HeaderMap,
}

pub struct Subgraph {
    pub url: String,
    state: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

struct Shared {
    calls: Mutex<Vec<Call>>,
    /// The profiles of `latest`, by their external ids.
    latest: Mutex<Vec<String>>,
    /// What it answers instead, whatever it is asked, with a cookie of its own.
    instead: Mutex<Option<Value>>,
    /// What every subscription is told: the number of an event, and what it is.
    told: broadcast::Sender<(usize, Told)>,
    /// How many follow just now.
    following: watch::Sender<usize>,
    /// What came so far, for who comes back.
    past: Mutex<Vec<Value>>,
    is_away: AtomicBool,
    /// Takes connections, and says nothing on them.
    is_mute: AtomicBool,
    /// Ends each stream of events with its beginning.
    is_ending: AtomicBool,
    /// Sends comments between events.
    is_chatty: AtomicBool,
    /// Milliseconds that its events ask to be left alone for.
    retry: AtomicU64,
}

#[derive(Clone, Debug)]
enum Told {
    Answer(Value),
    /// Text, instead of a message.
    Raw(String),
    Complete,
    /// The connection breaks.
    Cut,
    /// Nothing is said any more, and nothing is read.
    Mute,
}

impl Subgraph {
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// One whose connections do not end, but are reset.
    pub async fn start_resetting() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(resets: bool) -> Self {
        let state = Arc::new(Shared {
            calls: Mutex::default(),
            latest: Mutex::default(),
            instead: Mutex::default(),
            told: broadcast::channel(1000).0,
            following: watch::channel(0).0,
            past: Mutex::default(),
            is_away: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            is_chatty: AtomicBool::new(false),
            retry: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/graphql", post(answer))
            .route("/sse", post(sse))
            .route("/ws", get(websocket))
            .with_state(state.clone());
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let listener = listener.tap_io(move |stream| {
            if resets {
                stream.set_zero_linger().unwrap();
            }
        });
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        }));
        Self { url, state, _serving: serving }
    }

    /// The calls since this was asked the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.calls.lock().unwrap())
    }

    pub fn set_latest(&self, external_ids: &[&str]) {
        *self.state.latest.lock().unwrap() = external_ids.iter().map(|id| (*id).to_owned()).collect();
    }

    pub fn answer_instead(&self, answer: Value) {
        *self.state.instead.lock().unwrap() = Some(answer);
    }

    /// Waits until so many subscriptions are open here.
    pub async fn until_followed_by(&self, count: usize) {
        eventually("the subgraph is followed", async || {
            (*self.state.following.borrow() == count).then_some(())
        })
        .await;
    }

    /// Tells all subscriptions of a profile that is followed anew.
    pub fn tell(&self, external_id: &str) {
        self.tell_answer(json!({ "data": { "followed": known(external_id) } }));
    }

    pub fn tell_answer(&self, answer: Value) {
        let mut past = self.state.past.lock().unwrap();
        past.push(answer.clone());
        let _ = self.state.told.send((past.len(), Told::Answer(answer)));
    }

    pub fn tell_raw(&self, text: &str) {
        let _ = self.state.told.send((0, Told::Raw(text.to_owned())));
    }

    pub fn complete(&self) {
        let _ = self.state.told.send((0, Told::Complete));
    }

    /// Whether nobody can begin to follow.
    pub fn set_away(&self, is_away: bool) {
        self.state.is_away.store(is_away, Ordering::SeqCst);
    }

    pub fn set_mute(&self) {
        self.state.is_mute.store(true, Ordering::SeqCst);
    }

    pub fn set_ending(&self) {
        self.state.is_ending.store(true, Ordering::SeqCst);
    }

    pub fn set_chatty(&self, is_chatty: bool) {
        self.state.is_chatty.store(is_chatty, Ordering::SeqCst);
    }

    pub fn ask_for_pause(&self, pause: Duration) {
        self.state.retry.store(pause.as_millis() as u64, Ordering::SeqCst);
    }

    pub fn cut(&self) {
        let _ = self.state.told.send((0, Told::Cut));
    }

    pub fn fall_silent(&self) {
        let _ = self.state.told.send((0, Told::Mute));
    }
}

/// A profile with what this subgraph knows by itself.
fn known(external_id: &str) -> Value {
    json!({
        "__typename": "LinkedProfile",
        "platformKey": "whatsapp",
        "externalId": external_id,
        "followers": external_id.len(),
    })
}

async fn answer(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    state.calls.lock().unwrap().push(Call { body: body.clone(), headers });
    if let Some(answer) = state.instead.lock().unwrap().clone() {
        return ([(header::SET_COOKIE, "theirs=1")], axum::Json(answer)).into_response();
    }
    let request: async_graphql::Request = serde_json::from_value(body).unwrap();
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).enable_federation();
    axum::Json(schema.finish().execute(request.data(state)).await).into_response()
}

/// A profile as this subgraph knows it.
#[derive(SimpleObject)]
struct LinkedProfile {
    platform_key: PlatformKey,
    external_id: String,
    followers: usize,
}

/// Of the accounts graph.
#[derive(Serialize, Deserialize)]
struct PlatformKey(String);
async_graphql::scalar!(PlatformKey);

impl LinkedProfile {
    fn new(external_id: &str) -> Self {
        let (platform_key, external_id) = (PlatformKey("whatsapp".to_owned()), external_id.to_owned());
        Self { platform_key, followers: external_id.len(), external_id }
    }
}

struct Query;

#[Object]
impl Query {
    async fn greeting(&self) -> &str {
        "hello"
    }

    async fn latest(&self, ctx: &Context<'_>) -> Vec<LinkedProfile> {
        let latest = ctx.data_unchecked::<Arc<Shared>>().latest.lock().unwrap();
        latest.iter().map(|id| LinkedProfile::new(id)).collect()
    }

    #[graphql(entity)]
    async fn profile(
        &self,
        #[graphql(key)] platform_key: PlatformKey,
        #[graphql(key)] external_id: String,
    ) -> Option<LinkedProfile> {
        (platform_key.0 == "whatsapp").then(|| LinkedProfile::new(&external_id))
    }
}

/// Counts one that follows, until it is dropped.
struct Followed(Arc<Shared>);

impl Followed {
    fn new(state: &Arc<Shared>) -> Self {
        state.following.send_modify(|count| *count += 1);
        Self(state.clone())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.following.send_modify(|count| *count -= 1);
    }
}

async fn websocket(State(state): State<Arc<Shared>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let upgrade = WebSocketUpgrade::from_request(request, &()).await.unwrap();
    let offered = headers[header::SEC_WEBSOCKET_PROTOCOL].clone();
    assert_eq!(offered, "graphql-transport-ws");
    upgrade
        .protocols(["graphql-transport-ws"])
        .on_upgrade(async move |socket| speak(state, headers, socket).await)
}

async fn speak(state: Arc<Shared>, mut headers: HeaderMap, mut socket: WebSocket) {
    let say = |message: Value| Message::text(message.to_string());
    if state.is_mute.load(Ordering::SeqCst) {
        return std::future::pending().await;
    }
    let Some(Ok(Message::Text(init))) = socket.recv().await else { return };
    let init: Value = serde_json::from_str(&init).unwrap();
    assert_eq!(init["type"], "connection_init");
    if let Some(authorization) = init["payload"]["Authorization"].as_str() {
        headers.insert("x-of-the-payload", authorization.parse().unwrap());
    }
    socket.send(say(json!({ "type": "connection_ack" }))).await.unwrap();
    let Some(Ok(Message::Text(subscribe))) = socket.recv().await else { return };
    let subscribe: Value = serde_json::from_str(&subscribe).unwrap();
    assert_eq!(subscribe["type"], "subscribe");
    let id = subscribe["id"].clone();
    state.calls.lock().unwrap().push(Call { body: subscribe["payload"].clone(), headers });
    let mut told = state.told.subscribe();
    let _followed = Followed::new(&state);
    loop {
        tokio::select! {
            message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
            Ok((_, told)) = told.recv() => match told {
                Told::Answer(answer) => {
                    // What the protocol says in between does not matter.
                    let _ = socket.send(say(json!({ "type": "ping" }))).await;
                    let _ = socket.send(say(json!({ "type": "next", "id": id, "payload": answer }))).await;
                }
                Told::Raw(text) => { let _ = socket.send(Message::text(text)).await; }
                Told::Complete => { let _ = socket.send(say(json!({ "type": "complete", "id": id }))).await; }
                Told::Cut => return,
                Told::Mute => std::future::pending().await,
            },
        }
    }
}

async fn sse(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if state.is_away.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap().parse::<usize>().unwrap());
    state.calls.lock().unwrap().push(Call { body, headers });
    let told = state.told.subscribe();
    let followed = Followed::new(&state);
    let missed: Vec<(usize, Value)> = match last {
        Some(last) => state.past.lock().unwrap().iter().cloned().enumerate().skip(last).collect(),
        None => Vec::new(),
    };
    let missed = missed.into_iter().map(|(number, answer)| (number + 1, Told::Answer(answer)));
    let live = stream::unfold(told, async |mut told| Some((told.recv().await.ok()?, told)));
    let is_over = state.is_ending.load(Ordering::SeqCst);
    let events = stream::iter(missed).chain(live).take_while(move |_| std::future::ready(!is_over));
    let events = events.take_until(async move {
        if !is_over {
            std::future::pending::<()>().await;
        }
    });
    let retry = Duration::from_millis(state.retry.load(Ordering::SeqCst));
    let events = events.take_while(|(_, told)| std::future::ready(!matches!(told, Told::Cut)));
    let events = events.map(move |(number, told)| {
        let _held = &followed;
        Ok::<_, std::convert::Infallible>(match told {
            Told::Answer(answer) => {
                let event = Event::default().id(number.to_string()).event("next");
                (if retry.is_zero() { event } else { event.retry(retry) }).data(answer.to_string())
            }
            Told::Raw(text) => Event::default().event("next").data(text),
            // One without data is passed over (HTML standard, section 9.2.6).
            Told::Complete | Told::Cut | Told::Mute => Event::default().event("complete").data(" "),
        })
    });
    match state.is_chatty.load(Ordering::SeqCst) {
        true => Sse::new(events).keep_alive(KeepAlive::new().interval(CHAT)).into_response(),
        false => Sse::new(events).into_response(),
    }
}
