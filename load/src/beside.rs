//! The subgraph beside the accounts graph, as a platform team would have it: a field of linked profiles, and a subscription of its
//! own. It runs as a process of its own, so that what it takes is nobody else's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_graphql::http::{WebSocket, WebSocketProtocols, WsMessage};
use async_graphql::{Context, EmptyMutation, Object, Request, Response, Schema, SimpleObject, Subscription};
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use futures_util::{SinkExt, StreamExt, future};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::broadcast;
use tokio::time::sleep;

use crate::server::{Process, Ready, Start, free_address};
use crate::stack::Stack;

/// Its schema, for composition.
pub const SDL: &str = include_str!("beside.graphql");
/// Marks that a subscription may be behind.
const BACKLOG: usize = 256;
/// For subscriptions to begin or to end.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    listen: SocketAddr,
}

/// Something to tell those who follow an account.
#[derive(Deserialize, Serialize)]
pub struct Tell {
    pub account: usize,
    pub mark: String,
}

type Beside = Schema<Query, EmptyMutation, Subscriptions>;

/// Who follows which account.
#[derive(Default)]
struct Followed(Mutex<HashMap<usize, broadcast::Sender<String>>>);

struct Query;

struct Subscriptions;

#[derive(SimpleObject)]
struct LinkedProfile {
    platform_key: String,
    external_id: String,
    load_followers: usize,
}

#[Object]
impl Query {
    async fn load_greeting(&self) -> &str {
        "hello"
    }

    #[graphql(entity)]
    async fn profile(&self, platform_key: String, external_id: String) -> LinkedProfile {
        // Three digits, so that all answers are of one length.
        let load_followers = 100 + external_id.bytes().map(usize::from).sum::<usize>() % 900;
        LinkedProfile { platform_key, external_id, load_followers }
    }
}

#[Subscription]
impl Subscriptions {
    async fn load_told<'ctx>(
        &self,
        context: &Context<'ctx>,
        account: usize,
    ) -> async_graphql::Result<impl Stream<Item = Option<String>> + use<'ctx>> {
        let marks = context.data::<Arc<Followed>>()?.of(account).subscribe();
        // Whoever is too far behind is cut off, which the run takes for a loss.
        Ok(stream::unfold(marks, |mut marks| async {
            let mark = marks.recv().await.ok()?;
            Some((Some(mark), marks))
        }))
    }
}

impl Followed {
    fn of(&self, account: usize) -> broadcast::Sender<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(account).or_insert_with(|| broadcast::channel(BACKLOG).0).clone()
    }
}

/// Serves until the process is ended by a signal; there is nothing to drain.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let followed = Arc::new(Followed::default());
    let schema = Schema::build(Query, EmptyMutation, Subscriptions)
        .enable_federation()
        .data(followed.clone())
        .finish();
    let router = Router::new()
        .route("/graphql", get(follow).post(answer).with_state(schema))
        .route("/tell", post(tell).with_state(followed.clone()))
        .route("/followers", get(count).with_state(followed))
        .route("/live", get(|| async {}));
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    Ok(axum::serve(listener.tap_io(|stream| drop(stream.set_nodelay(true))), router).await?)
}

async fn tell(State(followed): State<Arc<Followed>>, Json(Tell { account, mark }): Json<Tell>) {
    // Nobody may follow it.
    let _ = followed.of(account).send(mark);
}

async fn count(State(followed): State<Arc<Followed>>) -> Json<usize> {
    let all = followed.0.lock().unwrap_or_else(PoisonError::into_inner);
    Json(all.values().map(broadcast::Sender::receiver_count).sum())
}

async fn answer(State(schema): State<Beside>, Json(request): Json<Request>) -> Json<Response> {
    Json(schema.execute(request).await)
}

async fn follow(State(schema): State<Beside>, upgrade: WebSocketUpgrade) -> axum::response::Response {
    let upgrade = upgrade.protocols(["graphql-transport-ws"]).read_buffer_size(1024).write_buffer_size(0);
    upgrade.on_upgrade(|socket| async move {
        let (mut sink, stream) = socket.split();
        let texts = stream.filter_map(|message| {
            future::ready(match message {
                Ok(Message::Text(text)) => Some(text.as_bytes().to_vec()),
                _ => None,
            })
        });
        let mut messages = WebSocket::new(schema, texts, WebSocketProtocols::GraphQLWS);
        while let Some(message) = messages.next().await {
            let message = match message {
                WsMessage::Text(text) => Message::Text(text.into()),
                WsMessage::Close(code, reason) => {
                    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
                }
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Starts one.
pub async fn start(folder: &Path) -> anyhow::Result<Process> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("beside").arg("--listen").arg(address.to_string());
    let log = folder.join("beside.log");
    Process::start(Start { command, address, ready: Ready::Answers("/live"), log: &log }).await
}

/// What makes it a subgraph of a server or gateway: environment variables and their values.
pub fn settings(stack: &Stack<'_>, address: SocketAddr) -> anyhow::Result<Vec<(&'static str, String)>> {
    let sdl = stack.folder.join("beside.graphql");
    std::fs::write(&sdl, SDL)?;
    Ok(vec![
        ("ACCOUNTS__GATEWAY__SUBGRAPHS__BESIDE__SDL", sdl.display().to_string()),
        ("ACCOUNTS__GATEWAY__SUBGRAPHS__BESIDE__URL", format!("http://{address}/graphql")),
        ("ACCOUNTS__GATEWAY__SUBGRAPHS__BESIDE__PLATFORMS", "whatsapp".to_owned()),
    ])
}

/// Waits until so many follow an account there: what is told earlier is lost on the others.
pub async fn followers(address: SocketAddr, count: usize) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = http.get(format!("http://{address}/followers")).send().await?;
        let there: usize = answer.error_for_status()?.json().await?;
        if there == count {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{there} follow an account at the subgraph, where {count} should");
        sleep(Duration::from_millis(100)).await;
    }
}
