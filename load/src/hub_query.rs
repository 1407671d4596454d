//! The hub query: what an app asks first, the account with its profiles and its link graph.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::drive::{Reply, Target};
use crate::person::Person;

const QUERY: &str = "query Hub { viewer { id displayName createdAt version eventCursor \
    profiles { id platform { key displayName } platformKey handle displayName avatarUrl status \
    statusReason linkedAt statusChangedAt signInEnabled } \
    linkGraph { version profiles { id status } } } }";

/// The query to the server at `address`, from each of `people` in turn.
pub fn target(address: SocketAddr, people: &[Person]) -> Target {
    Target {
        address,
        body: Bytes::from(json!({ "query": QUERY }).to_string()),
        tokens: people.iter().map(|person| person.token.clone()).collect(),
    }
}

/// All `profiles` have to be there, twice, and no error beside them.
pub fn check(reply: &Reply, profiles: usize) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&reply.body);
    let json: Value = serde_json::from_slice(&reply.body).with_context(|| format!("not JSON: {text}"))?;
    let count = |pointer| json.pointer(pointer).and_then(Value::as_array).map(Vec::len);
    ensure!(
        reply.status == 200
            && json.get("errors").is_none()
            && count("/data/viewer/profiles") == Some(profiles)
            && count("/data/viewer/linkGraph/profiles") == Some(profiles),
        "not the answer to the hub query: {} {text}",
        reply.status,
    );
    Ok(())
}
