//! Reading the graph of one account from the database: one statement, thus one snapshot.
//!
//! Each connection has one source, so a row for each profile and each grant that goes out from it is no product.

use accounts_center_entity::experience_grant::{self, Experience};
use accounts_center_entity::{account, linked_profile, profile_connection, stream};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, Iden, IntoSimpleExpr, Iterable,
    JoinType, Order, QueryResult, StatementBuilder,
};
use uuid::Uuid;

use super::{Edge, Grant, LinkGraph, Nodes};
use crate::error::Error;
use crate::store::{Database, failpoint};

const ACCOUNT: &str = "a_";
const PROFILE: &str = "p_";

pub(super) async fn load(db: &Database, id: Uuid) -> Result<Option<LinkGraph>, Error> {
    let mut query = Query::select();
    query.from(account::Entity);
    for column in account::Column::iter() {
        query.expr_as(column.into_simple_expr(), prefixed(ACCOUNT, column));
    }
    for column in linked_profile::Column::iter() {
        query.expr_as(column.into_simple_expr(), prefixed(PROFILE, column));
    }
    query
        .expr_as(stream::Column::Version.into_simple_expr(), "version")
        .expr_as(stream::Column::GraphVersion.into_simple_expr(), "graph_version")
        .expr_as(profile_connection::Column::Id.into_simple_expr(), "edge")
        .expr_as(profile_connection::Column::TargetId.into_simple_expr(), "target")
        .expr_as(experience_grant::Column::Experience.into_simple_expr(), "experience")
        .expr_as(experience_grant::Column::GrantedAt.into_simple_expr(), "granted_at")
        .join(
            JoinType::InnerJoin,
            stream::Entity,
            Expr::col((stream::Entity, stream::Column::Id)).equals((account::Entity, account::Column::Id)),
        )
        .join(
            JoinType::LeftJoin,
            linked_profile::Entity,
            Expr::col((linked_profile::Entity, linked_profile::Column::AccountId))
                .equals((account::Entity, account::Column::Id))
                .and(linked_profile::Column::Status.ne(linked_profile::LinkStatus::Unlinked)),
        )
        .join(
            JoinType::LeftJoin,
            profile_connection::Entity,
            Expr::col((profile_connection::Entity, profile_connection::Column::SourceId))
                .equals((linked_profile::Entity, linked_profile::Column::Id)),
        )
        .join(
            JoinType::LeftJoin,
            experience_grant::Entity,
            Expr::col((experience_grant::Entity, experience_grant::Column::ConnectionId))
                .equals((profile_connection::Entity, profile_connection::Column::Id)),
        )
        .and_where(account::Column::Id.eq(id))
        .and_where(account::Column::ErasedAt.is_null())
        .order_by((linked_profile::Entity, linked_profile::Column::LinkedAt), Order::Asc)
        .order_by((linked_profile::Entity, linked_profile::Column::Id), Order::Asc)
        .order_by((profile_connection::Entity, profile_connection::Column::Id), Order::Asc)
        .order_by((experience_grant::Entity, experience_grant::Column::Experience), Order::Asc);
    let statement = StatementBuilder::build(&query, &db.backend());
    let rows = db.read().query_all_raw(statement).await?;
    let graph = rows.first().map(|first| graph(first, &rows)).transpose()?;
    if failpoint::is_off("plant::snapshot") {
        return torn(db, id, graph).await;
    }
    Ok(graph)
}

fn graph(first: &QueryResult, rows: &[QueryResult]) -> Result<LinkGraph, Error> {
    let mut profiles: Vec<linked_profile::Model> = Vec::new();
    let mut edges: Vec<Edge> = Vec::new();
    for row in rows {
        let Some(profile) = linked_profile::Model::from_query_result_optional(row, PROFILE)? else {
            continue;
        };
        let source = profile.id;
        if profiles.last().is_none_or(|last| last.id != source) {
            profiles.push(profile);
        }
        add_grant(&mut edges, source, row)?;
    }
    // One to a profile that is unlinked already is no connection any more.
    edges.retain(|edge| profiles.iter().any(|profile| profile.id == edge.target));
    let account = account::Model::from_query_result(first, ACCOUNT)?;
    let graph_version = first.try_get("", "graph_version")?;
    let nodes = Nodes { account, graph_version, profiles, edges };
    Ok(LinkGraph { version: first.try_get("", "version")?, nodes: nodes.into() })
}

/// The same as if the versions had been read by a statement of their own, for tests that have to see what one
/// snapshot is good for.
async fn torn(db: &Database, id: Uuid, graph: Option<LinkGraph>) -> Result<Option<LinkGraph>, Error> {
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    let (Some(graph), Some(stream)) = (graph, stream::Entity::find_by_id(id).one(db.read()).await?) else {
        return Ok(None);
    };
    let LinkGraph { nodes, .. } = graph;
    let nodes = Nodes {
        account: nodes.account.clone(),
        graph_version: stream.graph_version,
        profiles: nodes.profiles.clone(),
        edges: nodes.edges.clone(),
    };
    Ok(Some(LinkGraph { version: stream.version, nodes: nodes.into() }))
}

/// Adds what a row has of a connection, if it has one with a grant.
fn add_grant(edges: &mut Vec<Edge>, source: Uuid, row: &QueryResult) -> Result<(), Error> {
    let (Some(id), Some(experience), Some(granted_at)) = (
        row.try_get::<Option<Uuid>>("", "edge")?,
        row.try_get::<Option<Experience>>("", "experience")?,
        row.try_get::<Option<DateTime<Utc>>>("", "granted_at")?,
    ) else {
        return Ok(());
    };
    let grant = Grant { experience, granted_at };
    match edges.last_mut() {
        Some(last) if last.id == id => last.grants.push(grant),
        _ => edges.push(Edge { id, source, target: row.try_get("", "target")?, grants: vec![grant] }),
    }
    Ok(())
}

fn prefixed(prefix: &str, column: impl Iden) -> String {
    format!("{prefix}{}", column.unquoted())
}
