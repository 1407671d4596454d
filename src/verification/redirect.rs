//! Sending a person to their platform, and the way back.

use accounts_center_entity::verification;

use crate::app::App;
use crate::error::{AccountsErrorCode, UserError};
use crate::platform::Platform;

/// Where a browser goes, and where it comes back to.
pub(super) struct Redirect {
    pub authorization_endpoint: String,
    pub redirect_uri: String,
}

impl Redirect {
    /// The way to the provider of `platform` and back to `redirect_uri`, which stands at `path` in the input. Asks the
    /// platform unless what it says of its provider is known, so never call it in a command.
    pub async fn prepare(
        app: &App,
        platform: &Platform,
        redirect_uri: &str,
        path: &[&str],
    ) -> Result<Self, UserError> {
        let Some(openid) = &platform.openid else { return Err(unsupported(platform, "OAuth")) };
        // Letter by letter (RFC 9700, 2.1): what is nearly a registered URL may be somebody else's.
        if !app.config.oauth.redirect_uris.iter().any(|registered| registered == redirect_uri) {
            let message = "This URL is not registered here; the operator lists those in oauth.redirect_uris.";
            return Err(UserError::new(AccountsErrorCode::RedirectUriNotRegistered, message, path));
        }
        let provider = openid.provider().await.map_err(|cause| unavailable(platform, &cause, &[]))?;
        Ok(Self {
            authorization_endpoint: provider.authorization_endpoint().to_owned(),
            redirect_uri: redirect_uri.to_owned(),
        })
    }
}

/// The platform proves its profiles in another way.
pub(super) fn unsupported(platform: &Platform, way: &str) -> UserError {
    let message = format!(
        "Profiles of {} are not proved by {way}; see its verificationMethods.",
        platform.display_name
    );
    UserError::new(AccountsErrorCode::UnsupportedByPlatform, message, &["proof"])
}

/// An operator has switched the platform off.
pub(super) fn switched_off(platform: &Platform, path: &[&str]) -> UserError {
    let message = format!(
        "{} is switched off here for some time; try again later, or use another platform.",
        platform.display_name
    );
    UserError::new(AccountsErrorCode::PlatformUnavailable, message, path)
}

/// The platform cannot be asked now; `cause` is for the log.
pub(super) fn unavailable(platform: &Platform, cause: &str, path: &[&str]) -> UserError {
    tracing::warn!(platform = %platform.key, cause, "an OpenID provider is not available");
    let message = format!("{} does not answer just now; try again in a moment.", platform.display_name);
    UserError::new(AccountsErrorCode::PlatformUnavailable, message, path)
}

/// Where to send the person's browser for a verification, and the state that comes back with it. `None` where the platform has
/// been taken out meanwhile, or the verification has ended.
pub fn authorization(app: &App, row: &verification::Model) -> Option<(String, String)> {
    let openid = app.platforms.get(&row.platform)?.openid.as_ref()?;
    let (endpoint, redirect_uri) = (row.authorization_endpoint.as_ref()?, row.redirect_uri.as_ref()?);
    let secrets = app.keys.oauth_secrets(row.id);
    let url = openid.authorization_url(endpoint, redirect_uri, &secrets)?;
    Some((url.into(), secrets.state))
}
