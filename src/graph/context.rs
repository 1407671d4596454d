//! What resolvers find in their context.

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::Context;

use crate::app::App;
use crate::error::Error;
use crate::limits::Limit;
use crate::session::Viewer;
use crate::verification::Client;

/// The application.
pub fn app<'a>(ctx: &Context<'a>) -> &'a App {
    ctx.data_unchecked::<Arc<App>>()
}

/// Who asks; `None` for an anonymous caller.
pub fn viewer(ctx: &Context<'_>) -> Option<Viewer> {
    ctx.data_opt::<Viewer>().copied()
}

/// Where the caller is; `None` for one of this process.
pub fn address(ctx: &Context<'_>) -> Option<IpAddr> {
    ctx.data_opt::<Client>()?.ip_address
}

/// Counts what the caller does now.
///
/// # Errors
/// RATE_LIMITED if it is too often.
pub fn limited(ctx: &Context<'_>, limit: Limit) -> Result<(), Error> {
    app(ctx).rates.check(limit, (address(ctx), viewer(ctx).map(|viewer| viewer.account)))
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
