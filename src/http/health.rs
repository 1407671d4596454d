//! Whether this process lives, and whether it can serve.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::operating::Process;
use crate::error::Error;

/// It lives: it answers.
pub(super) async fn live() -> &'static str {
    "live"
}

/// A probe is not kept waiting for a database that says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether requests should come here. The clock's offset, in seconds, is what tests wait for.
pub(super) async fn ready(State(process): State<Process>) -> (StatusCode, Json<Value>) {
    let clock = process.app.clock.offset();
    // A worker hears no hints, and believes nothing that it has not asked for.
    let is_deaf = process.sockets.is_some() && process.app.store.bus_health().unbroken().is_none();
    if process.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "stopping" })));
    }
    let asked = tokio::time::timeout(PATIENCE, process.app.store.db().ping()).await;
    let silent = |_| Err(Error::internal(anyhow::anyhow!("the database says nothing")));
    let is_refused = process.gateway.as_ref().is_some_and(|gateway| gateway.metrics().is_refused());
    match asked.unwrap_or_else(silent) {
        // It serves all the same: from the database, and subscribers hear a little later.
        Ok(()) if is_deaf => {
            let body = json!({ "status": "degraded", "reason": "hints of other replicas do not arrive", "clockOffsetSeconds": clock });
            (StatusCode::OK, Json(with_switches(&process, body)))
        }
        Ok(()) if is_refused => {
            let reason = "the newest supergraph is refused, and the one before is served";
            let body = json!({ "status": "degraded", "reason": reason, "clockOffsetSeconds": clock });
            (StatusCode::OK, Json(with_switches(&process, body)))
        }
        Ok(()) => {
            let body = json!({ "status": "ready", "clockOffsetSeconds": clock });
            (StatusCode::OK, Json(with_switches(&process, body)))
        }
        Err(error) => {
            error.log();
            let body = json!({ "status": "unavailable", "reason": "the database does not answer" });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

/// The same with what an operator has switched off, if there is anything: it serves all the same.
fn with_switches(process: &Process, mut body: Value) -> Value {
    let off: Vec<_> =
        process.app.switches.off().iter().map(|row| format!("{} {}", row.kind, row.key)).collect();
    if !off.is_empty() {
        body["switchedOff"] = off.into();
    }
    body
}
