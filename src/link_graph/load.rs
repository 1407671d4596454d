//! Reading the graph of one account from the database: one statement, thus one snapshot.

use accounts_center_entity::{account, linked_profile, stream};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, ExprTrait, FromQueryResult, Iden, IntoSimpleExpr, Iterable, JoinType,
    Order, QueryResult, StatementBuilder,
};
use uuid::Uuid;

use super::LinkGraph;
use crate::error::Error;
use crate::store::Database;

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
        .and_where(account::Column::Id.eq(id))
        .order_by((linked_profile::Entity, linked_profile::Column::LinkedAt), Order::Asc)
        .order_by((linked_profile::Entity, linked_profile::Column::Id), Order::Asc);
    let statement = StatementBuilder::build(&query, &db.backend());
    let rows = db.read().query_all_raw(statement).await?;
    rows.first().map(|first| graph(first, &rows)).transpose()
}

fn graph(first: &QueryResult, rows: &[QueryResult]) -> Result<LinkGraph, Error> {
    let profiles: Result<Vec<_>, _> = rows
        .iter()
        .filter_map(|row| linked_profile::Model::from_query_result_optional(row, PROFILE).transpose())
        .collect();
    Ok(LinkGraph {
        account: account::Model::from_query_result(first, ACCOUNT)?,
        version: first.try_get("", "version")?,
        graph_version: first.try_get("", "graph_version")?,
        profiles: profiles?,
    })
}

fn prefixed(prefix: &str, column: impl Iden) -> String {
    format!("{prefix}{}", column.unquoted())
}
