//! Verifications, as they go on.

use async_graphql::{Context, ID, Subscription};

use super::Caller;
use super::graphql::Verification;
use crate::error::Error;
use crate::graph::context::viewer;
use crate::graph::scalars::Secret;
use crate::graph::subscription::{self, Answers};
use crate::ids::{NodeId, NodeKind};

#[derive(Default)]
pub struct VerificationSubscription;

#[Subscription]
impl VerificationSubscription {
    /// The steps of one verification, as on a page that waits for a phone: its present state first, then each change. It
    /// completes behind the state that the verification ends with.
    async fn verification_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
        #[graphql(desc = "For a signed-out device: the secret that its start gave.")] client_secret: Option<
            Secret,
        >,
    ) -> Result<Answers<Verification>, Error> {
        let client_secret = client_secret.as_ref().map(Secret::expose);
        let caller = Caller { viewer: viewer(ctx), client_secret };
        subscription::follow_verification(ctx, caller, NodeId::parse_as(NodeKind::Verification, &id)).await
    }
}
