//! How a graph is written in Redis: compact, and named by a number that changes with it.

use accounts_center_entity::{account, linked_profile};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::graphql::{Experience, LinkStatus, LinkStatusReason};
use super::{Edge, Grant, LinkGraph, Nodes};

/// Raise it with every change of what is written: releases run side by side, and must not read each other's.
pub(super) const VERSION: u32 = 3;

#[derive(Serialize, Deserialize)]
struct Written {
    version: i64,
    graph_version: i64,
    display_name: String,
    avatar_url: Option<String>,
    created_at: i64,
    deletes_at: Option<i64>,
    profiles: Vec<Profile>,
    edges: Vec<Connection>,
}

#[derive(Serialize, Deserialize)]
struct Profile {
    id: Uuid,
    platform: String,
    external_id: String,
    handle: String,
    display_name: String,
    avatar_url: Option<String>,
    status: LinkStatus,
    status_reason: LinkStatusReason,
    /// Sign-in, attention, suspended, contained.
    flags: [bool; 4],
    unlinks_at: Option<i64>,
    linked_at: i64,
    status_changed_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Connection {
    id: Uuid,
    source: Uuid,
    target: Uuid,
    grants: Vec<(Experience, i64)>,
}

/// `None` only for what cannot be written at all.
pub(super) fn encode(graph: &LinkGraph) -> Option<Vec<u8>> {
    let written = Written {
        version: graph.version,
        graph_version: graph.graph_version,
        display_name: graph.account.display_name.clone(),
        avatar_url: graph.account.avatar_url.clone(),
        created_at: graph.account.created_at.timestamp_millis(),
        deletes_at: graph.account.deletes_at.map(|at| at.timestamp_millis()),
        profiles: graph.profiles.iter().map(write_profile).collect(),
        edges: graph.edges.iter().map(write_edge).collect(),
    };
    postcard::to_allocvec(&written).ok()
}

/// `None` for what is no such graph: it is read from the database then.
pub(super) fn decode(id: Uuid, payload: &[u8]) -> Option<LinkGraph> {
    let written: Written = postcard::from_bytes(payload).ok()?;
    let account = account::Model {
        id,
        display_name: written.display_name,
        avatar_url: written.avatar_url,
        created_at: instant(written.created_at)?,
        deletes_at: optional(written.deletes_at)?,
        // Else it would have no graph.
        erased_at: None,
    };
    let profiles: Option<Vec<_>> =
        written.profiles.into_iter().map(|profile| read_profile(id, profile)).collect();
    let edges: Option<Vec<_>> = written.edges.into_iter().map(read_edge).collect();
    let nodes = Nodes { account, graph_version: written.graph_version, profiles: profiles?, edges: edges? };
    Some(LinkGraph { version: written.version, nodes: nodes.into() })
}

fn write_profile(profile: &linked_profile::Model) -> Profile {
    Profile {
        id: profile.id,
        platform: profile.platform.clone(),
        external_id: profile.external_id.clone(),
        handle: profile.handle.clone(),
        display_name: profile.display_name.clone(),
        avatar_url: profile.avatar_url.clone(),
        status: profile.status.into(),
        status_reason: profile.status_reason.into(),
        flags: [profile.sign_in_enabled, profile.attention_required, profile.suspended, profile.contained],
        unlinks_at: profile.unlinks_at.map(|at| at.timestamp_millis()),
        linked_at: profile.linked_at.timestamp_millis(),
        status_changed_at: profile.status_changed_at.timestamp_millis(),
    }
}

fn read_profile(account_id: Uuid, profile: Profile) -> Option<linked_profile::Model> {
    let [sign_in_enabled, attention_required, suspended, contained] = profile.flags;
    Some(linked_profile::Model {
        id: profile.id,
        account_id,
        platform: profile.platform,
        external_id: profile.external_id,
        handle: profile.handle,
        display_name: profile.display_name,
        avatar_url: profile.avatar_url,
        status: profile.status.into(),
        status_reason: profile.status_reason.into(),
        sign_in_enabled,
        attention_required,
        suspended,
        contained,
        unlinks_at: optional(profile.unlinks_at)?,
        linked_at: instant(profile.linked_at)?,
        status_changed_at: instant(profile.status_changed_at)?,
    })
}

fn write_edge(edge: &Edge) -> Connection {
    let grants = edge.grants.iter();
    let grants = grants.map(|grant| (grant.experience.into(), grant.granted_at.timestamp_millis())).collect();
    Connection { id: edge.id, source: edge.source, target: edge.target, grants }
}

fn read_edge(connection: Connection) -> Option<Edge> {
    let grants = connection.grants.into_iter().map(|(experience, granted_at)| {
        Some(Grant { experience: experience.into(), granted_at: instant(granted_at)? })
    });
    let grants = grants.collect::<Option<Vec<_>>>()?;
    Some(Edge { id: connection.id, source: connection.source, target: connection.target, grants })
}

/// `None` for what is no instant.
fn optional(millis: Option<i64>) -> Option<Option<DateTime<Utc>>> {
    millis.map_or(Some(None), |millis| instant(millis).map(Some))
}

fn instant(millis: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis)
}

#[cfg(test)]
mod tests {
    use accounts_center_entity::experience_grant;
    use linked_profile::{LinkStatus, LinkStatusReason};

    use super::*;

    fn example() -> LinkGraph {
        let at = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let id = Uuid::from_u128(1);
        let profile = |n: u128| linked_profile::Model {
            id: Uuid::from_u128(n),
            account_id: id,
            platform: "whatsapp".into(),
            external_id: format!("wa_{n}"),
            handle: "+49 ··· ·· 42".into(),
            display_name: "Ada".into(),
            avatar_url: Some("https://cdn.example/ada.png".into()),
            status: LinkStatus::Unlinking,
            status_reason: LinkStatusReason::UserRequest,
            sign_in_enabled: true,
            attention_required: false,
            suspended: true,
            contained: false,
            unlinks_at: Some(at),
            linked_at: at,
            status_changed_at: at,
        };
        let grant = Grant { experience: experience_grant::Experience::Messaging, granted_at: at };
        let edge = Edge {
            id: Uuid::from_u128(9),
            source: Uuid::from_u128(2),
            target: Uuid::from_u128(3),
            grants: vec![grant],
        };
        let account = account::Model {
            id,
            display_name: "Ada".into(),
            avatar_url: None,
            created_at: at,
            deletes_at: Some(at),
            erased_at: None,
        };
        let nodes =
            Nodes { account, graph_version: 7, profiles: vec![profile(2), profile(3)], edges: vec![edge] };
        LinkGraph { version: 12, nodes: nodes.into() }
    }

    #[test]
    fn a_graph_survives_redis_and_garbage_is_no_graph() {
        let graph = example();
        let payload = encode(&graph).unwrap();
        let read = decode(graph.account.id, &payload).unwrap();
        assert_eq!((read.version, &*read.nodes), (graph.version, &*graph.nodes));
        for cut in 0..payload.len() {
            assert!(decode(graph.account.id, &payload[..cut]).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn the_layout_is_the_one_that_its_number_names() {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(encode(&example()).unwrap());
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (VERSION, hex.as_str()),
            (3, "c88f8067c2164ccb"),
            "raise VERSION with every change of the layout"
        );
    }
}
