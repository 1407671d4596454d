//! What resolvers find in their context.

use std::sync::Arc;

use async_graphql::Context;

use crate::app::App;
use crate::error::Error;
use crate::session::Viewer;

/// The application.
pub fn app<'a>(ctx: &Context<'a>) -> &'a App {
    ctx.data_unchecked::<Arc<App>>()
}

/// Who asks; `None` for an anonymous caller.
pub fn viewer(ctx: &Context<'_>) -> Option<Viewer> {
    ctx.data_opt::<Viewer>().copied()
}

/// Who asks.
///
/// # Errors
/// UNAUTHENTICATED for an anonymous caller.
pub fn require_viewer(ctx: &Context<'_>) -> Result<Viewer, Error> {
    viewer(ctx).ok_or_else(|| {
        Error::unauthenticated("Sign in first: send `Authorization: Bearer` with an access token.")
    })
}
