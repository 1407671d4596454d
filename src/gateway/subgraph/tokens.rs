//! Where the token of a subgraph comes from, which it gets instead of its caller's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderValue;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Subgraph, Subgraphs};
use crate::gateway::caller::Caller;
use crate::gateway::minting::{Asking, Minter};

/// Makes tokens of one caller for one subgraph. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    from: From,
    subgraph: Arc<Subgraph>,
}

#[derive(Clone)]
enum From {
    /// Who asks is known in this process.
    Caller(Arc<dyn Caller>),
    /// The accounts replicas know, by what the caller shows.
    Replicas(Minter, Asking),
}

impl Tokens {
    /// `None` for a subgraph that gets none.
    pub(super) fn of(subgraphs: &Subgraphs<'_>, subgraph: &Arc<Subgraph>) -> Option<Self> {
        let from = match (subgraphs.caller, &subgraphs.calls.with.minter) {
            _ if !subgraph.gets_token || subgraphs.is_local(&subgraph.name) => return None,
            (Some(caller), _) => From::Caller(caller.clone()),
            (None, Some(minter)) => From::Replicas(minter.clone(), Asking::of(subgraphs.headers)),
            (None, None) => return None,
        };
        Some(Self { from, subgraph: subgraph.clone() })
    }

    /// The same for later, when what is known now may be no more.
    pub fn anew(&self) -> Self {
        let from = match &self.from {
            From::Caller(caller) => From::Caller(caller.anew()),
            from @ From::Replicas(..) => from.clone(),
        };
        Self { from, subgraph: self.subgraph.clone() }
    }

    /// What stands as `Authorization`, if one can be had.
    pub fn token(&self) -> BoxFuture<'static, Option<HeaderValue>> {
        let Self { from, subgraph } = self.clone();
        match from {
            From::Caller(caller) => caller.token_for(&subgraph.name),
            From::Replicas(minter, asking) => async move {
                let token = minter.mint(asking, &subgraph.name, subgraph.client.settings()).await;
                token.map(|token| token.header.clone())
            }
            .boxed(),
        }
    }

    /// What it names beside whom it speaks for. `None` if that cannot be known just now.
    pub async fn named(&self) -> Option<BTreeSet<String>> {
        let subgraph = &self.subgraph;
        match &self.from {
            From::Caller(caller) => caller.clone().named_for(&subgraph.name).await,
            From::Replicas(minter, asking) => {
                let token = minter.mint(asking.clone(), &subgraph.name, subgraph.client.settings()).await;
                token.map(|token| token.named.clone())
            }
        }
    }
}
