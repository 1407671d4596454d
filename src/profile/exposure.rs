//! How far a profile reaches in its account.

use async_graphql::{Description, Object};

use super::graphql::LinkedProfile;
use crate::link_graph::graphql::Experience;

/// How far someone who stole this profile would get.
#[derive(Description)]
pub struct ProfileExposure(pub(super) LinkedProfile);

#[Object(use_type_description)]
impl ProfileExposure {
    /// The profiles that it can sign in to now, by SHARED_LOGIN: at most 19.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn can_sign_in_to(&self) -> Vec<LinkedProfile> {
        self.0.targets(Experience::SharedLogin)
    }

    /// The profiles where what it posts can be posted now, by CROSS_POSTING: at most 19.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn can_post_to(&self) -> Vec<LinkedProfile> {
        self.0.targets(Experience::CrossPosting)
    }

    /// The profiles whose messages can be read at it now, by MESSAGING: at most 19.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn can_read_from(&self) -> Vec<LinkedProfile> {
        self.0.sources(Experience::Messaging)
    }
}
